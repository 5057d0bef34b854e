"""The guide overlay: what prose can't carry. Format: docs/guides.md.

An overlay completes a guide question by question (by their numbers, since two guides may ask the same in
other words) and pivot by pivot. Every fault of the file is reported at once, with its line.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from detections.errors import RuleFileError
from detections.rule_files.positions import TomlPositions
from detections.rule_files.reading import in_order, toml_values
from detections.rule_files.table import Table
from triage.guides import policy, telemetry
from triage.guides.clauses import read_filters
from triage.guides.model import Guide, Pivot, Question, Requirement, TimeOffset
from triage.guides.pivots import DEFAULT_FROM, offset
from triage.guides.placeholders import followed

FORMAT = 1
_ROOT = ("format", "version", "applies_to", "question", "pivot", "check", "anchor", "refusal", "exceptions",
         "response", "scoping")  # fmt: skip
_QUESTION = ("number", "key", "short_title", "missing_means", "requires")
_REQUIRES = ("telemetry", "confirmation", "confirmation_replaces_telemetry", "says")
_NAMED = ("key", "investigate", "question", "description", "columns", "kinds")
_SCOPING = ("key", "label", "filters", "kinds")
_ADDED = ("key", "question", "label", "description", "filters", "columns", "relative_from", "relative_to",
          "kinds", "after")  # fmt: skip


def with_overlay(guide: Guide, text: str, path: str) -> Guide:
    """The guide completed by an overlay. Raises RuleFileError with every fault of the overlay."""
    root = Table(toml_values(text, path), TomlPositions(text, path))
    root.refuse_others(*_ROOT)
    root.number("format", None, 1, FORMAT)
    questions = _questions(guide, root.tables("question"))
    renamed = dict(zip((one.key for one in guide.questions), (one.key for one in questions), strict=True))
    # Keys of entries that are wrong otherwise count as known, so that one fault is told once.
    known = {one.key for one in questions} | _declared(root, "question")
    pivots = _pivots(guide, root.tables("pivot"), renamed, known)
    names = {f"investigate_{number}": key for number, key in _names(root.tables("pivot"))}
    completed = replace(
        guide,
        questions=tuple(_with_pivots(question, pivots, names) for question in questions),
        pivots=pivots,
        checks=policy.checks(
            root.tables("check"), known, {one.key for one in pivots} | _declared(root, "pivot")
        ),
        false_positives=policy.exceptions(
            guide.false_positives, root.tables("anchor"), root.tables("refusal"), root.table("exceptions")
        ),
        response=policy.response(guide.response, root.tables("response")),
        scoping=_scoping(root.tables("scoping")),
        applies_to=root.texts("applies_to"),
        overlay_version=root.number("version", 1, 1, 1_000_000),
    )
    if root.faults:
        raise RuleFileError(in_order(root.faults))
    return completed


def _declared(root: Table, sort: str) -> set[str]:
    return {str(table.values["key"]) for table in root.tables(sort) if "key" in table.values}


def _questions(guide: Guide, tables: list[Table]) -> list[Question]:
    questions = list(guide.questions)
    for table in tables:
        table.refuse_others(*_QUESTION)
        number = table.number("number", None, 1, max(len(questions), 1))
        key = policy.key_of(table, taken=[one.key for one in questions])
        if number <= len(questions):
            questions[number - 1] = _question(questions[number - 1], key, table)
    return questions


def _question(question: Question, key: str, table: Table) -> Question:
    requires = table.table("requires")
    requires.refuse_others(*_REQUIRES)
    declared = Requirement(
        telemetry=policy.kinds_of(requires, "telemetry"),
        confirmation=requires.flag("confirmation"),
        confirmation_replaces_telemetry=requires.flag("confirmation_replaces_telemetry"),
        is_declared=True,
        says=requires.text("says"),
    )
    return replace(
        question,
        key=key,
        short_title=table.text("short_title", question.short_title),
        missing_means=table.text("missing_means", question.missing_means),
        requires=declared if "requires" in table.values else question.requires,
    )


def _names(tables: Iterable[Table]) -> list[tuple[int, str]]:
    """The keys that an overlay gives to the note's own pivots, by their numbers."""
    return [
        (table.values["investigate"], str(table.values.get("key")))
        for table in tables
        if isinstance(table.values.get("investigate"), int)
    ]


def _pivots(
    guide: Guide, tables: list[Table], renamed: dict[str, str], questions: set[str]
) -> tuple[Pivot, ...]:
    pivots = {one.key: replace(one, question=renamed.get(one.question, "")) for one in guide.pivots}
    added: list[Pivot] = []
    for table in tables:
        taken = [one.key for one in [*pivots.values(), *added]]
        key = policy.key_of(table, taken=taken)
        question = table.text("question")
        if question and question not in questions:
            table.fault("question", f"{question!r} is no question here.", f"Known: {', '.join(questions)}.")
        if "investigate" in table.values:
            _name(pivots, table, key)
        else:
            added.append(_added(table, key, taken))
    return (*pivots.values(), *added)


def _name(pivots: dict[str, Pivot], table: Table, key: str) -> None:
    """Complete a pivot of the note: its key, what it says, its columns and, where they differ, its kinds."""
    table.refuse_others(*_NAMED)
    number = f"investigate_{table.values['investigate']}"
    if number not in pivots:
        table.fault("investigate", "the guide has no pivot of that number.", "Count its pivots from 0.")
        return
    pivot = pivots[number]
    pivots[number] = replace(
        pivot,
        key=key,
        question=table.text("question", pivot.question),
        description=table.text("description", pivot.description),
        columns=table.texts("columns"),
        kinds=policy.kinds_of(table, "kinds") or pivot.kinds,
    )


def _added(table: Table, key: str, taken: list[str]) -> Pivot:
    """A pivot that the prose only implies."""
    table.refuse_others(*_ADDED)
    filters = read_filters(table)
    pivot = Pivot(
        key=key,
        label=table.text("label", required=True),
        description=table.text("description"),
        question=table.text("question", required=True),
        filters=filters,
        kinds=policy.kinds_of(table, "kinds") or telemetry.kinds(filters),
        relative_from=_offset(table, "relative_from", DEFAULT_FROM),
        relative_to=_offset(table, "relative_to", TimeOffset(timedelta())),
        columns=table.texts("columns"),
        is_signal=telemetry.reads_alerts(filters),
        after=table.text("after"),
        is_implied=True,
    )
    _check_order(table, pivot, taken)
    return pivot


def _scoping(tables: list[Table]) -> tuple[Pivot, ...]:
    """What is looked for on all hosts; its window is that of the search."""
    found: list[Pivot] = []
    for table in tables:
        table.refuse_others(*_SCOPING)
        filters = read_filters(table)
        pivot = Pivot(
            key=policy.key_of(table, taken=[one.key for one in found]),
            label=table.text("label", required=True),
            description="",
            question="",
            filters=filters,
            kinds=policy.kinds_of(table, "kinds") or telemetry.kinds(filters),
            relative_from=DEFAULT_FROM,
            relative_to=TimeOffset(timedelta()),
        )
        if followed(pivot):
            table.fault("filters", "follow a pivot; a scope search takes values of the alert alone.", "")
        found.append(pivot)
    return tuple(found)


def _check_order(table: Table, pivot: Pivot, taken: list[str]) -> None:
    if pivot.after and pivot.after not in taken:
        table.fault("after", f"{pivot.after!r} is no pivot above this one.", "Name an earlier pivot's key.")
    others = followed(pivot) - {pivot.after}
    if others:
        table.fault("filters", f"follow {', '.join(sorted(others))}.", 'Say so: after = "KEY" of that pivot.')


def _offset(table: Table, key: str, default: TimeOffset) -> TimeOffset:
    try:
        return offset(table.text(key), default)
    except ValueError as error:
        table.fault(key, str(error), 'Write "now-1h" or "now+24h".')
        return default


def _with_pivots(question: Question, pivots: tuple[Pivot, ...], names: dict[str, str]) -> Question:
    """The question with its pivots' keys; one without a declared requirement requires what they read."""
    own = [names.get(key, key) for key in question.pivots]
    own += [pivot.key for pivot in pivots if pivot.question == question.key and pivot.key not in own]
    if question.requires.is_declared:
        return replace(question, pivots=tuple(own))
    kinds = dict.fromkeys(kind for pivot in pivots if pivot.key in own for kind in pivot.kinds)
    return replace(question, pivots=tuple(own), requires=Requirement(telemetry=tuple(kinds)))
