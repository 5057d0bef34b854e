"""Pivots that people ask for: a value on other hosts, or a query of their own; evidence like any other."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from detections import ecs
from detections.actors import Actor
from detections.enums import TelemetryKind
from detections.eql.ast import fields_used
from detections.eql.parser import parse
from detections.stores.base import Clause, Filters, Window
from triage import cases, journal, own_queries, pivot_attempts
from triage.enums import PivotOrigin, PivotScope
from triage.errors import TriageError
from triage.models import Case, Evidence, PivotRun
from triage.own_queries import FilterRow
from triage.pivot_search import Outcome, search_filters
from triage.pivot_windows import Reach, on_hosts
from triage.value_families import can_be_followed, family_of, filters_for, kinds_for

MOST_OF_A_CASE = 300
_COLUMNS = ("host.name", "event.action", "process.name", "user.name", "source.ip", "destination.ip")


@dataclass(frozen=True, slots=True)
class Value:
    """A value that somebody points at. row: the evidence that holds it, or None for a fact of the alert."""

    field: str
    value: Any
    row: Evidence | None = None

    @property
    def noun(self) -> str:
        family = family_of(self.field)
        return family.noun if family else "value"


def value_in(row: Evidence, field: str, number: int = 0) -> Value:
    """The n-th value of a field of an evidence row. Raises TriageError if the row has none there."""
    found = ecs.values(row.document, field)
    if not 0 <= number < len(found):
        raise TriageError(f"The row has no such value of {field}.")
    return Value(field, found[number], row)


def follow_up(case: Case, value: Value, *, reach: Reach, question_key: str = "", actor: Actor) -> PivotRun:
    """Ask for a value on the hosts of a reach; it runs by the outbox and is frozen like any pivot.

    question_key: where it was asked, or "". Raises NotPermittedError; TriageError for a closed case, a value
    that can't be followed, a row of another case, or too many.
    """
    family = family_of(value.field)
    if family is None or not can_be_followed(value.field, value.value):
        raise TriageError(f"A value of {value.field} says nothing on other hosts. Write a query instead.")
    if value.row is not None and value.row.pivot.case_id != case.pk:
        raise TriageError("The row belongs to another case.")
    run = _row(case, reach, question_key, PivotOrigin.FOLLOW_UP, kinds_for(value.field), actor)
    run.key = f"follow-{uuid.uuid4().hex[:12]}"
    hosts = PivotScope(reach.scope).label
    run.label = f"This {family.noun} on {hosts}: {value.value!s}"[:255]
    run.columns = list(family.columns)
    run.asked = {"field": value.field, "value": value.value}
    run.from_row = value.row
    return _asked(case, run, reach, actor)


def own_eql(case: Case, text: str, *, reach: Reach, question_key: str = "", actor: Actor) -> PivotRun:
    """Ask EQL. Raises EqlError with position and caret, and as `follow_up` does."""
    actor.require("triage.answer_question", "ask queries")
    own_queries.read_eql(text)
    return _own(case, {"language": own_queries.EQL, "text": text}, reach, question_key, actor)


def own_filters(
    case: Case, rows: Sequence[FilterRow], *, reach: Reach, question_key: str = "", actor: Actor
) -> PivotRun:
    """Ask simple filters. Raises QueryRefusedError with the row at fault, and as `follow_up` does."""
    actor.require("triage.answer_question", "ask queries")
    own_queries.read_filters(rows)
    asked = {"language": own_queries.FILTERS, "rows": own_queries.kept_rows(rows)}
    return _own(case, asked, reach, question_key, actor)


def _own(case: Case, asked: dict[str, Any], reach: Reach, question_key: str, actor: Actor) -> PivotRun:
    run = _row(case, reach, question_key, PivotOrigin.OWN, own_queries.kinds_of(asked), actor)
    run.key = f"own-{uuid.uuid4().hex[:12]}"
    run.label = label_of(asked)
    run.asked, run.columns = asked, list(_columns(asked))
    return _asked(case, run, reach, actor)


def label_of(asked: dict[str, Any]) -> str:
    """A query as a card's title: its first words."""
    if asked["language"] == own_queries.EQL:
        text = " ".join(asked["text"].split())
    else:
        text = " and ".join(
            f"{row['field']} {own_queries.OPERATORS[row['operator']]} {row['value']}".strip()
            for row in asked["rows"]
        )
    return text if len(text) <= 120 else f"{text[:117]}..."


def _columns(asked: dict[str, Any]) -> list[str]:
    """The fields that the query speaks of, before the usual ones."""
    if asked["language"] == own_queries.EQL:
        named = sorted(name for name, _optional in fields_used(parse(asked["text"])))
    else:
        named = [row["field"] for row in asked["rows"]]
    return list(dict.fromkeys(["host.name", *named, *_COLUMNS]))


def _row(
    case: Case,
    reach: Reach,
    question_key: str,
    origin: PivotOrigin,
    kinds: Sequence[TelemetryKind],
    actor: Actor,
) -> PivotRun:
    actor.require("triage.answer_question", "run pivots")
    if actor.user is None:
        raise TriageError("A person has to ask: the system asks what the guide says.")
    if reach.scope not in (PivotScope.HOST, PivotScope.OTHERS, PivotScope.ALL) or not reach.is_chosen:
        raise TriageError("Choose which hosts to look at, and over which time.")
    if not case.host_id and reach.scope != PivotScope.ALL:
        raise TriageError("The case speaks of no single host. Ask all hosts.")
    return PivotRun(
        case=case,
        question_key=question_key,
        origin=origin,
        asked_by=actor.user,
        asked_at=timezone.now(),
        kinds=[kind.value for kind in kinds],
        counts=False,
    )


def _asked(case: Case, run: PivotRun, reach: Reach, actor: Actor) -> PivotRun:
    with transaction.atomic():
        held = cases.locked(case.pk)
        cases.require_open(held)
        if run.question_key and not held.questions.filter(key=run.question_key).exists():
            raise TriageError("The case has no such question.")
        if held.pivots.exclude(origin=PivotOrigin.GUIDE).count() >= MOST_OF_A_CASE:
            raise TriageError(f"People asked {MOST_OF_A_CASE} pivots of this case; it takes no more.")
        run.case = held
        pivot_attempts.place(run, reach)
        run.save()
        pivot_attempts.ask(run)
        journal.record(
            held,
            "pivot_asked",
            actor=actor,
            subject=run.label,
            data={
                "pivot": run.pk,
                "asked": run.asked,
                "row": run.from_row_id,
                "hosts": run.scope,
                "from": run.window_start,
                "to": run.window_end,
            },
        )
    return run


def search(case: Case, run: PivotRun, window: Window) -> Outcome:
    """Search what a person asked. Raises StoreError, EqlError. Must not run inside a transaction."""
    scope = PivotScope(run.scope)
    if run.origin == PivotOrigin.FOLLOW_UP:
        field = run.asked["field"]
        filters = on_hosts(filters_for(field, run.asked["value"]), scope, case.host_id)
        return search_filters(case, filters, kinds_for(field), window, scope=scope)
    if run.asked["language"] == own_queries.EQL:
        return own_queries.search_eql(case, run.asked["text"], window, scope)
    filters = own_queries.filters_of(run.asked)
    kinds = own_queries.kinds_of(run.asked)
    return search_filters(case, on_hosts_of_rows(filters, scope, case.host_id), kinds, window, scope=scope)


def on_hosts_of_rows(filters: Filters, scope: PivotScope, host_id: str) -> Filters:
    """Filters that a person wrote keep what they say of hosts; the scope comes on top."""
    if scope is PivotScope.ALL:
        return filters
    own = Clause("host.id", values=(host_id,), excluded=scope is PivotScope.OTHERS)
    return Filters(tuple((*group, own) for group in filters.groups))
