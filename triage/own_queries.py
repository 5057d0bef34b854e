"""Queries in an analyst's own words: EQL, or rows of field, operator and value. Nothing is written here."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

from detections.enums import TelemetryKind
from detections.eql.ast import (
    And,
    Comparison,
    Condition,
    FieldRef,
    Literal,
    Order,
    Query,
    all_stages,
    condition_fields,
)
from detections.eql.parser import parse
from detections.eql.verify import verify
from detections.errors import StoreError
from detections.event_store import event_store
from detections.stores.base import Clause, EqlSearch, Filters, Operator, Region, Window
from triage.enums import PivotScope
from triage.errors import TriageError
from triage.evidence import MOST_ROWS
from triage.guides import telemetry
from triage.models import Case
from triage.pivot_search import Outcome, judged, row_of

EQL, FILTERS = "eql", "filters"
MOST_LENGTH = 20_000
TIMEOUT = timedelta(minutes=2)
# EQL's `:` and `like` serve for patterns; filters are exact.
OPERATORS = {
    "is": "is",
    "is_not": "is not",
    "is_one_of": "is one of",
    "exists": "exists",
    "not_exists": "does not exist",
    "in_network": "is in network",
}
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class FilterRow:
    """One row of the filter form, as typed."""

    field: str
    operator: str
    value: str


class QueryRefusedError(TriageError):
    """A query that can't be asked. row: which filter row is at fault, from 1; 0 for the whole."""

    def __init__(self, message: str, *, row: int = 0) -> None:
        self.row = row
        super().__init__(message)


def read_eql(text: str) -> Query:
    """The query, checked against the fields known here. Raises EqlError with position and caret."""
    if not text.strip():
        raise QueryRefusedError('Write a query, such as: process where process.name : "mshta.exe"')
    if len(text) > MOST_LENGTH:
        raise QueryRefusedError(f"The query is longer than {MOST_LENGTH:,} characters. Ask for less at once.")
    # What is kept is the text; each search checks it against the fields that are known then.
    query = parse(text)
    verify(query, event_store().known_fields())
    return query


def read_filters(rows: Sequence[FilterRow]) -> Filters:
    """The rows that say something, all of which must hold. Raises QueryRefusedError."""
    clauses = tuple(_clause(number, row) for number, row in enumerate(rows, 1) if row.field or row.value)
    if not clauses:
        raise QueryRefusedError("Fill in at least one row: a field, an operator and a value.")
    if all(clause.excluded for clause in clauses):
        raise QueryRefusedError(
            "Every row excludes something, which would read everything. Add what to find."
        )
    return Filters((clauses,))


def _clause(number: int, row: FilterRow) -> Clause:
    known = event_store().known_fields()
    name = row.field.strip()
    if name not in known:
        near = get_close_matches(name, list(known), n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise QueryRefusedError(f'Row {number}: there is no field "{name[:80]}".{hint}', row=number)
    if row.operator not in OPERATORS:
        raise QueryRefusedError(f"Row {number}: choose how to compare.", row=number)
    excluded = row.operator in ("is_not", "not_exists")
    if row.operator in ("exists", "not_exists"):
        return Clause(name, Operator.EXISTS, excluded=excluded)
    value = row.value.strip()
    if not value:
        raise QueryRefusedError(f"Row {number}: write a value, or choose that the field exists.", row=number)
    if row.operator == "is_one_of":
        values = tuple(part.strip() for part in value.split(",") if part.strip())
        return Clause(name, Operator.IS_ONE_OF, values)
    operator = Operator.IN_NETWORK if row.operator == "in_network" else Operator.IS
    return Clause(name, operator, (value,), excluded=excluded)


def kinds_of(asked: dict[str, Any]) -> tuple[TelemetryKind, ...]:
    """The telemetry that a query reads; empty if it does not tell. Raises EqlError, QueryRefusedError."""
    if asked["language"] == EQL:
        return telemetry.needed(parse(asked["text"]))
    return telemetry.kinds(filters_of(asked))


def filters_of(asked: dict[str, Any]) -> Filters:
    """The filters of a query that is kept as rows."""
    return read_filters([FilterRow(**row) for row in asked["rows"]])


def scoped(query: Query, scope: PivotScope, host_id: str) -> Query:
    """The query over the hosts of a scope: each stage then demands the host, or another one."""
    if scope is PivotScope.ALL:
        return query
    order = Order.NOT_EQUAL if scope is PivotScope.OTHERS else Order.EQUAL
    host: Condition = Comparison(FieldRef("host.id"), order, Literal(host_id))
    stages = tuple(replace(stage, condition=And((stage.condition, host))) for stage in query.stages)
    return replace(query, stages=stages)


def search_eql(case: Case, text: str, window: Window, scope: PivotScope) -> Outcome:
    """Run EQL over the window; the events of its matches become rows. Raises EqlError, StoreError."""
    query = read_eql(text)
    store = event_store()
    head = store.head()
    search = EqlSearch("own", scoped(query, scope, case.host_id), reach=timedelta())
    region = Region(after=window.start - _MICROSECOND, until=window.end, mark=head, head=head)
    (answer,) = store.search_eql([search], region, limit=MOST_ROWS, timeout=TIMEOUT)
    if answer.error:
        raise StoreError(answer.error)
    matches = [
        match
        for match in answer.matches
        if all(window.start <= event.timestamp <= window.end for event in match.events)
    ]
    rows = {event.identity: row_of(event) for match in matches for event in match.events}
    found = judged(
        case,
        scope,
        telemetry.needed(query),
        window,
        rows=tuple(rows.values()),
        total=len(rows),
        completeness=replace(answer.completeness, truncated=False),
        query=[{"eql": text, "hosts": scope.value, "host_id": case.host_id}],
    )
    return _capped(found) if answer.completeness.truncated else found


def _capped(found: Outcome) -> Outcome:
    cap = f"There are more matches than {MOST_ROWS}; the first {MOST_ROWS} are kept. Ask for less at a time."
    return replace(found, reason=f"{cap} {found.reason}".strip())


def stage_lines(query: Query) -> list[str]:
    """What a query looks for, a line a stage, for the preview."""
    told = []
    for number, stage in enumerate(all_stages(query), 1):
        last = query.until is not None and number == len(query.stages) + 1
        fields = ", ".join(sorted(condition_fields(stage.condition))) or "no field"
        told.append(f"{'until' if last else f'stage {number}'}: {stage.category} events by {fields}")
    return told
