"""`manage.py hunt`: a whole rule set over captures, without a database."""

import gc
import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from detections import rule_files
from detections.hunt.captures import Hunt, HuntProgress
from detections.hunt.lines import LineFormat, ndjson_line, table_lines, tsv_line
from detections.hunt.reports import summary_lines
from detections.hunt.rules import RuleSet, rule_set
from detections.hunt.universe import Found

if TYPE_CHECKING:
    from rich.progress import Progress

SHIPPED = Path(rule_files.__file__).parent.parent / "rules"


class Command(BaseCommand):
    help = (
        "Search captures (EVTX, NDJSON, folders of them) with a rule set. Needs no database. Matches go to "
        "stdout, the summary to stderr. Ends with 0 when every file was read and every EQL rule that applies "
        "was run, with 1 when a file could not be read or a rule failed."
    )
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "paths", nargs="+", metavar="PATH", type=Path, help="a capture or a folder of them"
        )
        parser.add_argument(
            "--rules",
            nargs="+",
            metavar="PATH",
            type=Path,
            default=[SHIPPED],
            help="rule files, folders or archives (default: the shipped rules)",
        )
        parser.add_argument(
            "--format", choices=[one.value for one in LineFormat], default="table", help="default: table"
        )
        parser.add_argument("--timestamp-field", default="", metavar="F", help="the clock of every rule")
        parser.add_argument("--together", action="store_true", help="all files are one universe")
        parser.add_argument(
            "--open-cases",
            action="store_true",
            help="also import the captures into this instance and run its rules, which open cases",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["open_cases"]:
            require_database()
        rules = loaded_rules(options["rules"], options["timestamp_field"])
        hunt = Hunt(rules, together=options["together"])
        print_matches(self, hunt, options["paths"], LineFormat(options["format"]))
        gc.unfreeze()
        for line in summary_lines(hunt.summary, rules):
            self.stderr.write(line, style_func=str)
        readable = [path for path in options["paths"] if str(path) not in hunt.summary.unreadable]
        if options["open_cases"] and readable:
            self._open_cases(hunt, readable)
        if hunt.summary.unreadable or hunt.summary.failed or rules.failed:
            sys.exit(1)

    def _open_cases(self, hunt: Hunt, paths: list[Path]) -> None:
        """Import what was searched and let the instance's own rules run over it."""
        from detections.actors import system
        from detections.event_store import event_store
        from detections.imports import import_captures

        summary = import_captures(paths, actor=system("hunt command"), store=event_store())
        self.stderr.write(f"Imported: {summary.new:,} new events, {summary.known:,} known.", style_func=str)
        for line in not_enabled(hunt):
            self.stderr.write(line, style_func=str)
        call_command("run_due", wait=True, stdout=self.stderr)


def print_matches(command: BaseCommand, hunt: Hunt, paths: list[Path], format_: LineFormat) -> None:
    """Write the matches as they are found. Ends the process where nobody reads any more."""
    try:
        for line in matched_lines(hunt, paths, format_):
            command.stdout.write(line)
            command.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has seen enough (`| head`); Python would complain once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def loaded_rules(paths: list[Path], timestamp_field: str) -> RuleSet:
    """The rule set of some paths. The collector of cycles rests meanwhile: nothing of it is to go."""
    gc.disable()
    try:
        rules = rule_set(rule_files.load_rules(paths), timestamp_field=timestamp_field)
        rules.planned()
        # Nor need it look at them again and again while events come and go.
        gc.freeze()
    finally:
        gc.enable()
    return rules


def matched_lines(hunt: Hunt, paths: list[Path], format_: LineFormat) -> Iterator[str]:
    """The lines of a hunt, with a progress bar on stderr while it runs, if a person sits there."""
    with progress_bar(hunt) if sys.stderr.isatty() else nullcontext():
        line: Callable[[Found], str] = tsv_line if format_ is LineFormat.TSV else ndjson_line
        heading = ""
        if format_ is LineFormat.TABLE:
            heading, line = table_lines(hunt.rules.rules)
        for match in hunt.run(paths):
            if heading:
                yield heading
                heading = ""
            yield line(match)


def progress_bar(hunt: Hunt) -> "Progress":
    """A bar on stderr that follows the hunt."""
    # Not above: without a terminal nobody waits for rich to load.
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[matches]:,} matches"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    task = bar.add_task("Reading", total=None, matches=0)

    def draw(at: HuntProgress) -> None:
        bar.update(
            task, description=at.label, completed=at.bytes_done, total=at.bytes_total, matches=at.matches
        )

    hunt.report = draw
    return bar


def require_database() -> None:
    """Raise CommandError unless the database is there and migrated."""
    from django.db import DatabaseError, connection
    from django.db.migrations.executor import MigrationExecutor

    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        raise CommandError(f"--open-cases needs the database, which does not answer: {error}") from error
    if missing:
        raise CommandError(
            "--open-cases needs the database, and it is not migrated. Run `manage.py migrate` first, or hunt "
            "without --open-cases."
        )


def not_enabled(hunt: Hunt) -> Iterator[str]:
    """A line for each rule that matched and that this instance does not run."""
    from detections.models import Rule

    enabled = set(Rule.objects.filter(enabled=True).values_list("rule_id", flat=True))
    for rule in hunt.rules.rules:
        if rule.rule_id in hunt.summary.matched and rule.rule_id not in enabled:
            yield f"No case from {rule.name} ({rule.rule_id}): it is not enabled here (load_rules)."
