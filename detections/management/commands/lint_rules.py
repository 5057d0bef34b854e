"""`manage.py lint_rules`: what will bite in the installed rules."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detections.actors import system
from detections.hunt.lines import escaped, printable
from detections.models import Rule
from detections.rule_lint import Level, Report, lint


class Command(BaseCommand):
    help = (
        "Look for what will bite in installed rules: fields that no telemetry here has, unknown fields, a "
        "look-back shorter than maxspan, negative lag tolerance, exclusions by user.id that no Sysmon event "
        "passes, index patterns of which nothing was sent. Ends with 1 on a problem, with --strict on a "
        "warning too."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("rules", nargs="*", metavar="RULE", help="rule ids or names (none: all)")
        parser.add_argument("--enabled", action="store_true", help="enabled rules alone")
        parser.add_argument("--strict", action="store_true", help="end with 1 on warnings as well")

    def handle(self, *_args: Any, rules: list[str], enabled: bool, strict: bool, **_options: Any) -> None:
        actor = system("lint_rules command")
        found = Rule.objects.visible_to(actor).select_related("current").order_by("name")
        if rules:
            found = found.filter(Q(rule_id__in=rules) | Q(name__in=rules))
        if enabled:
            found = found.enabled()
        if not (chosen := list(found)):
            raise CommandError("No installed rule is meant. See the list of rules for names and ids.")
        report = lint(chosen, actor=actor)
        self._show(report)
        self.stdout.write(
            f"{report.checked} rules checked: {report.problems} problems, {report.warnings} warnings."
        )
        if report.problems or (strict and report.warnings):
            raise CommandError("There is something to correct, see above.")

    def _show(self, report: Report) -> None:
        console = Console(file=self.stdout, force_terminal=self.stdout.isatty(), highlight=False)  # type: ignore[arg-type]
        if report.findings:
            console.print(_table(report))
        for kind, count in sorted(report.not_runnable.items()):
            self.stdout.write(f"Not looked at: {count} of type {kind}, which do not run here yet.")
        for note in report.notes:
            self.stdout.write(printable(f"Note: {note}"))


def _table(report: Report) -> Table:
    table = Table("Level", "Rule", "What", "Says", show_lines=True)
    order = list(Level)
    for finding in sorted(report.findings, key=lambda one: (order.index(one.level), one.rule.name)):
        style = {Level.PROBLEM: "red", Level.WARNING: "yellow"}.get(finding.level, "dim")
        table.add_row(
            f"[{style}]{finding.level.value}[/]",
            escape(escaped(finding.rule.name)),
            finding.sort,
            escape(printable(finding.says)),
        )
    return table
