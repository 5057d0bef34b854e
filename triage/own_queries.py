"""Queries in an analyst's own words: EQL, or rows of field, operator and value. Nothing is written here."""

import ipaddress
from collections.abc import Callable, Sequence
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
from detections.eql.fields import Field, FieldType
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
_WITHOUT_VALUE = ("exists", "not_exists")
_AS_ASKED = ("is_one_of", "in_network")
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
    clauses = tuple(_clause(number, row) for number, row in enumerate(rows, 1) if is_filled(row))
    if not clauses:
        raise QueryRefusedError("Fill in at least one row: a field, an operator and a value.")
    if all(clause.excluded for clause in clauses):
        raise QueryRefusedError(
            "Every row excludes something, which would read everything. Add what to find."
        )
    return Filters((clauses,))


def is_filled(row: FilterRow) -> bool:
    return bool(row.field.strip() or row.value.strip())


def kept_rows(rows: Sequence[FilterRow]) -> list[dict[str, str]]:
    """The rows that say something, as they are kept: a field that only has to exist has no value."""
    return [
        {
            "field": row.field.strip(),
            "operator": row.operator,
            "value": "" if row.operator in _WITHOUT_VALUE else row.value.strip(),
        }
        for row in rows
        if is_filled(row)
    ]


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
    if row.operator in _WITHOUT_VALUE:
        return Clause(name, Operator.EXISTS, excluded=excluded)
    parts = row.value.split(",") if row.operator == "is_one_of" else [row.value]
    values = tuple(part.strip() for part in parts if part.strip())
    if not values:
        raise QueryRefusedError(f"Row {number}: write a value, or choose that the field exists.", row=number)
    if wrong := _wrong(known[name], row.operator, values):
        raise QueryRefusedError(f"Row {number}: {wrong}", row=number)
    operator = Operator(row.operator) if row.operator in _AS_ASKED else Operator.IS
    return Clause(name, operator, values, excluded=excluded)


def _wrong(field: Field, operator: str, values: Sequence[str]) -> str:
    """Why the field can never hold one of the values, or "": a silence about it would say nothing."""
    if operator == "in_network":
        if field.type is not FieldType.IP:
            return f"{field.name} holds no addresses, so none of them lies in a network."
        return "" if _reads(_network, values[0]) else f"{_quoted(values[0])} is no network, as 10.0.0.0/8 is."
    reading, noun = _READINGS.get(field.type, (str, ""))
    for value in values:
        if not _reads(reading, value):
            hint = ' For a network choose "is in network".' if "/" in value and noun == "addresses" else ""
            return f"{field.name} holds {noun}, and {_quoted(value)} is none.{hint}"
    return ""


def _network(text: str) -> object:
    return ipaddress.ip_network(text, strict=False)


_READINGS: dict[FieldType, tuple[Callable[[str], object], str]] = {
    FieldType.IP: (ipaddress.ip_address, "addresses"),
    FieldType.LONG: (int, "whole numbers"),
}


def _reads(reading: Callable[[str], object], value: str) -> bool:
    try:
        reading(value)
    except ValueError:
        return False
    return True


def _quoted(value: str) -> str:
    return f'"{value[:80]}"'


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
