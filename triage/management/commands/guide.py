"""`manage.py guide RULE`: how a guide was read, beside its text."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q
from rich.console import Console
from rich.table import Table
from rich.text import Text

from detections.actors import system
from detections.errors import RuleFileError
from detections.hunt.lines import printable
from detections.models import Rule
from detections.rule_files import load_rule_text
from triage.guides import Guide, parse_guide
from triage.guides.model import Pivot, Question
from triage.guides.placement import Line, placed

MANY = 10


class Command(BaseCommand):
    help = (
        "Show how an investigation guide was read: its text on the left, what became of each line on the "
        "right, then questions, pivots, checks and faults. Ends with 1 if a line is left over."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("rule", metavar="RULE", help="a rule file, or id or name of an installed rule")
        parser.add_argument("--width", type=int, default=0, help="columns to print (default: the terminal's)")

    def handle(self, *_args: Any, rule: str, width: int, **_options: Any) -> None:
        name, note, transforms, overlay = _material(rule)
        try:
            guide = parse_guide(note, transforms, overlay, path=name)
        except RuleFileError as error:
            raise CommandError(f"The guide's overlay can't be used:\n{error}") from error
        lines = placed(note, guide)
        console = Console(file=sys.stdout, width=width or None, highlight=False)
        console.print(Text(printable(name), style="bold"))
        if not note.strip():
            console.print("This rule has no guide: its cases ask one plain question.")
        for table in (_beside(lines), _questions(guide), _pivots(guide), _checks(guide)):
            if table.row_count:
                console.print(table)
        for fault in guide.faults:
            console.print(Text(f"Fault: {printable(str(fault))}", style="yellow"))
        left = [line for line in lines if line.is_left_over]
        console.print(
            f"{len(lines)} pieces of text, {len(left)} left over. {len(guide.questions)} questions, "
            f"{len(guide.pivots)} pivots, {len(guide.checks)} checks, "
            f"{len(guide.false_positives.points)} points on false positives, {len(guide.response)} response "
            f"steps, {len(guide.faults)} faults."
        )
        if left:
            numbers = ", ".join(str(line.number) for line in left[:MANY])
            raise CommandError(f"Left over, in lines {numbers} of the note: see the right-hand column.")


def _material(rule: str) -> tuple[str, str, list[dict[str, Any]], str]:
    """Name, note, pivot entries and overlay of what RULE means. Raises CommandError."""
    path = Path(rule)
    if path.suffix == ".toml" and path.is_file():
        beside = path.with_name(f"{path.name.removesuffix('.toml')}.guide.toml")
        overlay = beside.read_text(encoding="utf-8") if beside.is_file() else ""
        try:
            file = load_rule_text(path.read_text(encoding="utf-8"), rule, overlay=overlay)
        except (RuleFileError, UnicodeDecodeError) as error:
            raise CommandError(str(error)) from error
        return file.name, file.note, list(file.transforms), overlay
    version = _installed(rule).current
    if version is None:
        raise CommandError(f"{rule} has no version. Load its rule file again.")
    newest = version.guides.order_by("-number").first()
    overlay = newest.overlay if newest is not None else version.overlay
    return version.rule.name, version.note, list(version.transforms), overlay


def _installed(rule: str) -> Rule:
    rules = Rule.objects.visible_to(system("guide command")).select_related("current")
    exact = rules.filter(Q(rule_id=rule) | Q(name__iexact=rule)).first()
    found = [exact] if exact else list(rules.filter(name__icontains=rule)[: MANY + 1])
    if len(found) == 1:
        return found[0]
    if not found:
        raise CommandError(f"No installed rule and no file is called {rule!r}.")
    names = "\n".join(f"  {one.rule_id}  {one.name}" for one in found[:MANY])
    raise CommandError(f"{rule!r} may mean several rules:\n{names}")


def _text(value: object, style: str = "") -> Text:
    """Text of a guide as it stands: rich reads no markup in it, and hidden characters show."""
    return Text("\n".join(printable(line) for line in str(value).splitlines()), style=style)


def _beside(lines: list[Line]) -> Table:
    table = Table("Line", "The note says", "It became", title="Text and parse", show_lines=True, expand=True)
    table.columns[1].ratio, table.columns[2].ratio = 3, 1
    for line in lines:
        margin = "  " * line.depth
        shown = _text("\n".join(f"{margin}{part}" for part in line.text.splitlines()))
        place = _text("LEFT OVER", "bold red") if line.is_left_over else _text(line.place)
        table.add_row(str(line.number), shown, place)
    return table


def _questions(guide: Guide) -> Table:
    table = Table("Question", "Parts", title="Questions", show_lines=True, expand=True)
    table.columns[0].ratio, table.columns[1].ratio = 1, 3
    for number, question in enumerate(guide.questions, start=1):
        table.add_row(_text(f"{number}. {question.title}"), _text("\n".join(_parts(question))))
    return table


def _parts(question: Question) -> list[str]:
    parts = {
        "escalate when": question.escalate_when,
        "lower only when": question.lower_when,
        "missing means": question.missing_means,
        "fields": ", ".join((*question.focus.fields, *question.library.fields)),
        "pivots": ", ".join(question.pivots),
        "requires": ", ".join(question.requires.telemetry)
        + (" and a confirmation record" if question.requires.confirmation else ""),
        "details": question.details,
    }
    return [f"{name}: {value}" for name, value in parts.items() if value]


def _pivots(guide: Guide) -> Table:
    table = Table("Pivot", "Question", "Reads", "Filters", title="Pivots", show_lines=True, expand=True)
    for pivot in guide.pivots:
        table.add_row(
            _text(f"{pivot.key}: {pivot.label}"),
            _text(pivot.question or "none"),
            _text(", ".join(pivot.kinds) or "any"),
            _text(_filters(pivot)),
        )
    return table


def _filters(pivot: Pivot) -> str:
    groups = [
        " and ".join(
            f"{'not ' if clause.excluded else ''}{clause.field} {clause.operator.value} "
            + ", ".join(str(value) for value in clause.values)
            for clause in group
        ).strip()
        for group in pivot.filters.groups
    ]
    return "\nor ".join(groups)


def _checks(guide: Guide) -> Table:
    table = Table("Check", "Question", "Points", "When", title="Checks", show_lines=True, expand=True)
    for check in guide.checks:
        table.add_row(
            _text(check.key), _text(check.question), _text(check.points.value), _text(check.text.strip())
        )
    return table
