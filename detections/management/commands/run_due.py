"""`manage.py run_due`: run what is due, here and now."""

import time
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detections import outbox, wake
from detections.actors import system
from detections.enums import OutboxState, RunStatus
from detections.models import OutboxRow, Rule, RuleRun

PATIENCE_SECONDS = 60
LOG_WIDTH = 160


class Command(BaseCommand):
    help = "Run the rules that are due, in the foreground. Ends with 1 if a run did not succeed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--rule", metavar="ID", help="run this rule, due or not (its rule_id)")
        parser.add_argument(
            "--wait", action="store_true", help="also open cases and run their pivots before it ends"
        )

    def handle(self, *_args: Any, rule: str | None, wait: bool, **_options: Any) -> None:
        is_terminal = self.stdout.isatty()
        width = None if is_terminal else LOG_WIDTH
        console = Console(file=self.stdout, force_terminal=is_terminal, width=width)  # type: ignore[arg-type]  # it prints like a file
        runs = _run(_chosen(rule))
        _print(console, runs)
        stuck = self._deliver(console) if wait else []
        bad = [run for run in runs if run.status != RunStatus.SUCCEEDED]
        if bad or stuck:
            reasons = [f"{run.rule.name}: {run.status}. {run.error}" for run in bad]
            reasons += [f"{row.kind}: {row.error}" for row in stuck]
            raise CommandError("\n".join(reasons))

    def _deliver(self, console: Console) -> list[OutboxRow]:
        """Do the work that the runs asked for; returns what failed."""
        began = timezone.now()
        done = outbox.drain()
        console.print(f"Work that followed (cases, pivots): {done} done.")
        open_rows = OutboxRow.objects.exclude(state=OutboxState.DONE).exclude(error="")
        return list(open_rows.filter(not_before__gte=began) | open_rows.filter(state=OutboxState.FAILED))


def _chosen(rule_id: str | None) -> Rule | None:
    if rule_id is None:
        return None
    rule = Rule.objects.filter(rule_id=rule_id).first()
    if rule is None:
        raise CommandError(f"There is no rule {rule_id}. Load it with manage.py load_rules.")
    if not rule.is_runnable or rule.current is None:
        raise CommandError(f"{rule.name} is of type {rule.type}, which does not run here.")
    if not rule.enabled:
        raise CommandError(f"{rule.name} is disabled. Enable it in the admin first.")
    return rule


def _run(rule: Rule | None) -> list[RuleRun]:
    """Run one rule, or all that are due; waits a while for somebody who is at it."""
    actor = system("run_due command")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        # Whoever waits in front of it wants what is there now.
        rules = wake.due(pause=timedelta()) if rule is None else [rule]
        runs = wake.run_now(rules, actor=actor)
        if runs is not None:
            return runs
        if time.monotonic() > deadline:
            raise CommandError(
                f"A worker has been running rules for {PATIENCE_SECONDS} s. Try again later, or look at the "
                "health page."
            )
        time.sleep(1)


def _print(console: Console, runs: list[RuleRun]) -> None:
    if not runs:
        console.print("No rule is due.")
        return
    table = Table(title="1 run" if len(runs) == 1 else f"{len(runs)} runs")
    for name in ("Rule", "Status", "Searched"):
        table.add_column(name, overflow="fold")
    for name in ("Events", "New alerts", "Known", "Clock-repaired", "ms"):
        table.add_column(name, justify="right")
    for run in runs:
        table.add_row(
            escape(run.rule.name),
            run.status,
            _searched(run),
            f"{run.rows_searched:,}",
            f"{run.alerts_new:,}",
            f"{run.alerts_known:,}",
            f"{run.alerts_repaired:,}",
            str(run.duration_ms or 0),
        )
    console.print(table)


def _searched(run: RuleRun) -> str:
    start = f"{run.window_start:%Y-%m-%d %H:%M:%S}" if run.window_start else "the beginning"
    late = run.mark_to - run.mark_from
    return f"{start} to {run.window_end:%Y-%m-%d %H:%M:%S} UTC" + (
        f", and {late} new batches" if late else ""
    )
