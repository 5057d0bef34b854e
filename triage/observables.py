"""The observables of a case: drawn from frozen evidence whenever some is frozen, listed, exported."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

from django.db import transaction
from django.db.models import Count

from detections import ecs
from detections.actors import Actor
from triage.enums import ObservableType
from triage.event_summaries import summary_of
from triage.models import Case, EventSummary, Evidence, Observable
from triage.models.observable import ObservableQuerySet
from triage.observable_values import MOST_LENGTH, Found, values_of
from triage.preserve import spreadsheets

# What an observable names of where it was found; its count goes past it.
MOST_NAMED = 20
_BATCH = 500
_COLUMNS = (
    "type",
    "value",
    "marks",
    "first_seen",
    "last_seen",
    "events",
    "hosts",
    "fields",
)


def collect(case: Case) -> int:
    """Summarise the case's evidence that is not yet, and take its values over. Returns how many rows.

    Runs in the transaction that freezes, or in one of its own; what was collected once is not counted again,
    nor is an event that another pivot has frozen as well.
    """
    done = 0
    waiting = Evidence.objects.filter(pivot__case=case, summary__isnull=True).select_related("pivot")
    # A page asks as well: it must not wait for the write lock where there is nothing to do.
    if not waiting.exists():
        return done
    with transaction.atomic():
        # A page and the worker of a pivot may be at it at once; who freezes holds the case already.
        Case.objects.select_for_update().get(pk=case.pk)
        while rows := list(waiting.order_by("pk")[:_BATCH]):
            _take(case, rows)
            done += len(rows)
    return done


def collect_missing(*, most: int = 20) -> int:
    """Collect for cases whose evidence was frozen before there were observables, a few at a time."""
    lacking = Evidence.objects.filter(summary__isnull=True).values_list("pivot__case", flat=True)
    cases = Case.objects.filter(pk__in=lacking.distinct()[:most])
    return sum(collect(case) for case in cases)


def _take(case: Case, rows: list[Evidence]) -> None:
    identities = {row.identity for row in rows}
    counted = set(
        EventSummary.objects.filter(case=case, identity__in=identities).values_list("identity", flat=True)
    )
    EventSummary.objects.bulk_create([summary_of(row, case.pk, case.host_id) for row in rows])
    found = [(row, one) for row in rows for one in values_of(row.document)]
    held = _held(case, {_digest(one) for _row, one in found})
    for row, one in found:
        observable = held.setdefault((one.type.value, _digest(one)), _new(case, row, one))
        _add(observable, row, one, is_new=row.identity not in counted)
    # Rows of one event count once, also within the batch.
    _count(held, found, counted)
    _save(held.values())


def _held(case: Case, digests: set[str]) -> dict[tuple[str, str], Observable]:
    known: dict[tuple[str, str], Observable] = {}
    wanted = sorted(digests)
    for start in range(0, len(wanted), _BATCH):
        part = Observable.objects.filter(case=case, digest__in=wanted[start : start + _BATCH])
        known.update({(one.type, one.digest): one for one in part})
    return known


def _digest(found: Found) -> str:
    return hashlib.sha256(found.value.encode("utf-8", "replace")).hexdigest()


def _new(case: Case, row: Evidence, found: Found) -> Observable:
    return Observable(
        case=case,
        type=found.type.value,
        value=found.value[:MOST_LENGTH],
        spelling=found.spelling[:MOST_LENGTH],
        digest=_digest(found),
        first_seen_at=row.event_at,
        last_seen_at=row.event_at,
    )


def _add(observable: Observable, row: Evidence, found: Found, *, is_new: bool) -> None:
    """Widen what an observable says of where it was seen. Its count is another matter."""
    observable.first_seen_at = min(observable.first_seen_at, row.event_at)
    observable.last_seen_at = max(observable.last_seen_at, row.event_at)
    source = {"pivot": row.pivot.key, "label": row.pivot.label, "field": found.field}
    host = ecs.text(row.document, "host.name") or ecs.text(row.document, "host.id")
    _name(observable.sources, source)
    _name(observable.hosts, host)
    if is_new:
        _name(observable.evidence, row.pk)
    for mark in found.marks:
        _name(observable.marks, mark)


def _name(names: list[Any], name: Any) -> None:
    if name and len(names) < MOST_NAMED and name not in names:
        names.append(name)


def _count(
    held: dict[tuple[str, str], Observable], found: list[tuple[Evidence, Found]], counted: set[str]
) -> None:
    seen: set[tuple[str, str, str]] = set()
    for row, one in found:
        key = (one.type.value, _digest(one), row.identity)
        if row.identity not in counted and key not in seen:
            seen.add(key)
            held[key[:2]].event_count += 1


def _save(observables: Iterable[Observable]) -> None:
    held = list(observables)
    changed = [one for one in held if not one._state.adding]
    Observable.objects.bulk_create([one for one in held if one._state.adding])
    fields = ["first_seen_at", "last_seen_at", "event_count", "sources", "evidence", "hosts", "marks"]
    Observable.objects.bulk_update(changed, fields, batch_size=100)


# -- reading


def observables_of(case: Case, *, actor: Actor) -> ObservableQuerySet:
    """The observables of a case in the order of the types, if the actor may see the case."""
    return Observable.objects.filter(case__in=Case.objects.visible_to(actor).filter(pk=case.pk))


def other_cases(observables: Iterable[Observable], *, actor: Actor) -> dict[tuple[str, str], int]:
    """In how many other cases, of those that the actor sees, each (type, digest) stands."""
    held = list(observables)
    if not held:
        return {}
    found = Observable.objects.filter(
        digest__in=[one.digest for one in held], case__in=Case.objects.visible_to(actor)
    ).exclude(case=held[0].case_id)
    counted = found.order_by().values("type", "digest").annotate(how_many=Count("case", distinct=True))
    return {(row["type"], row["digest"]): row["how_many"] for row in counted}


# -- export


def as_ndjson(observables: Iterable[Observable], case: Case) -> Iterator[str]:
    """One JSON object a line, values as they are: this is for machines."""
    for one in observables:
        yield json.dumps({"case": case.number, **_exported(one)}, ensure_ascii=True) + "\n"


def as_csv(observables: Iterable[Observable]) -> str:
    """A table that no spreadsheet takes for formulas."""
    rows = (tuple(_exported(one)[name] for name in _COLUMNS) for one in observables)
    return "".join(spreadsheets.lines(_COLUMNS, rows))


def _exported(one: Observable) -> dict[str, Any]:
    return {
        "type": one.type,
        "value": one.spelling if one.type != ObservableType.HASH else one.value,
        "marks": one.marks,
        "first_seen": one.first_seen_at.isoformat(),
        "last_seen": one.last_seen_at.isoformat(),
        "events": one.event_count,
        "hosts": one.hosts,
        "fields": list(dict.fromkeys(source["field"] for source in one.sources)),
    }
