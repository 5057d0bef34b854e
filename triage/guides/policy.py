"""The parts of an overlay that decide: checks, exception policy, and the response ladder's conditions."""

import re
from collections.abc import Iterable
from dataclasses import replace

from detections.enums import TelemetryKind
from detections.eql.parser import parse
from detections.errors import EqlError, RuleFault
from detections.rule_files.table import Table
from triage.guides import telemetry
from triage.guides.model import (
    Anchor,
    Check,
    FalsePositives,
    Points,
    Precondition,
    Rare,
    Refusal,
    ResponseStage,
    StageAction,
    StageFor,
)

# The name under which a check reads the alert's own events.
ALERT = "alert"
_KEY = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MANY = re.compile(r"\s*(?:sequence|sample)\b")
_CHECK = ("key", "question", "pivot", "points", "when", "says", "needs", "rare")
_RESPONSE = ("number", "key", "title", "applies", "preconditions", "actions")


def key_of(table: Table, *, taken: Iterable[str]) -> str:
    """The key of an entry, new among those taken."""
    key = table.text("key", required=True)
    if key and not _KEY.fullmatch(key):
        table.fault("key", f"{key!r} is no key.", "Use lower-case letters, digits and _.")
    if key in taken:
        table.fault("key", f"{key!r} is taken.", "Give each its own key.")
    return key


def kinds_of(table: Table, key: str) -> tuple[TelemetryKind, ...]:
    """The telemetry kinds that an entry lists."""
    found: list[TelemetryKind] = []
    for name in table.texts(key):
        if name in TelemetryKind.values:
            found.append(TelemetryKind(name))
        else:
            table.fault(key, f"{name!r} is no kind.", f"Use one of: {', '.join(TelemetryKind.values)}.")
    return tuple(found)


def checks(tables: list[Table], questions: set[str], pivots: set[str]) -> tuple[Check, ...]:
    found: list[Check] = []
    for table in tables:
        table.refuse_others(*_CHECK)
        _refer(table, "question", questions)
        _refer(table, "pivot", pivots | {ALERT})
        key = key_of(table, taken=[check.key for check in found])
        points = table.choice("points", Points)
        says = table.text("says", required=True)
        text = table.text("when", required=True)
        try:
            when = parse(text)
        except EqlError as error:
            place = table.positions.inside(*table.keys, "when", line=error.line, column=error.column)
            table.faults.append(
                RuleFault(place, f"when: {error}\n", "" if error.hint else "Correct the condition here.")
            )
            continue
        if _MANY.match(text):
            table.fault("when", "must speak of one event.", "Write CATEGORY where CONDITION.")
        needs = kinds_of(table, "needs") or telemetry.needed(when)
        pivot, rare = table.text("pivot"), _rare(table)
        found.append(Check(key, table.text("question"), pivot, points, when, text.strip(), says, needs, rare))
    return tuple(found)


def _rare(table: Table) -> Rare | None:
    """`rare = { field = "dns.question.name", hosts_at_most = 2, days = 30 }`: on hits of a pivot alone."""
    if "rare" not in table.values:
        return None
    if table.text("pivot") == ALERT:
        table.fault("rare", "needs a search, which the alert's own events have none of.", "Read a pivot.")
    entry = table.table("rare")
    entry.refuse_others("field", "hosts_at_most", "days")
    return Rare(
        entry.text("field", required=True),
        entry.number("hosts_at_most", 1, 1, 1000),
        entry.number("days", 30, 1, 365),
    )


def _refer(table: Table, key: str, known: set[str]) -> None:
    name = table.text(key, required=True)
    if name and name not in known:
        table.fault(key, f"{name!r} is not known here.", f"Use one of: {', '.join(sorted(known))}.")


def exceptions(
    base: FalsePositives, anchors: list[Table], refusals: list[Table], limits: Table | None = None
) -> FalsePositives:
    """The analysis with what an exception may stand on, what it must not stand on alone, and its limits."""
    max_share = base.max_share
    if limits is not None:
        limits.refuse_others("max_share_percent")
        if "max_share_percent" in limits.values:
            max_share = limits.number("max_share_percent", None, 1, 100)
    return replace(
        base,
        anchors=tuple(_anchor(table) for table in anchors),
        refusals=tuple(_refusal(table) for table in refusals),
        max_share=max_share,
    )


def _anchor(table: Table) -> Anchor:
    table.refuse_others("field", "or", "required", "says", "quotes")
    return Anchor(
        table.text("field", required=True),
        table.flag("required"),
        table.text("says"),
        table.texts("or"),
        table.text("quotes"),
    )


def _refusal(table: Table) -> Refusal:
    table.refuse_others("fields", "values", "says", "quotes")
    return Refusal(
        table.texts("fields", required=True),
        table.texts("values"),
        table.text("says", required=True),
        table.text("quotes"),
    )


def response(base: tuple[ResponseStage, ...], tables: list[Table]) -> tuple[ResponseStage, ...]:
    """The ladder with the conditions and actions of each stage; stages are named by their number."""
    stages = list(base)
    for table in tables:
        table.refuse_others(*_RESPONSE)
        number = table.number("number", None, 1, max(len(stages), 1))
        key = key_of(table, taken=[stage.key for stage in stages])
        if number <= len(stages):
            stages[number - 1] = _stage(stages[number - 1], key, table)
    return tuple(stages)


def _stage(stage: ResponseStage, key: str, table: Table) -> ResponseStage:
    return replace(
        stage,
        key=key,
        title=table.text("title", stage.title),
        applies=table.choice("applies", StageFor, stage.applies),
        preconditions=tuple(_precondition(entry) for entry in table.tables("preconditions")),
        actions=tuple(_action(entry) for entry in table.tables("actions")),
    )


def _precondition(table: Table) -> Precondition:
    table.refuse_others("key", "says")
    return Precondition(key_of(table, taken=()), table.text("says", required=True))


def _action(table: Table) -> StageAction:
    table.refuse_others("key", "label", "undo", "destructive")
    return StageAction(
        key_of(table, taken=()),
        table.text("label", required=True),
        table.text("undo"),
        table.flag("destructive"),
    )
