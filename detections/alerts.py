"""Matches become alerts: the identity of an alert, its row, and storing a run's matches once."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from detections import ecs, journal
from detections.actors import Actor
from detections.enums import TimeBasis
from detections.eql.ast import Query
from detections.models import Alert, RuleRun
from detections.signals import alerts_upgraded
from detections.stores.base import Match, StoredEvent

BATCH = 500


def alert_id(rule_id: str, identities: Sequence[str]) -> str:
    """SHA-256 hex over canonical JSON of the rule's id and the identities of its events in stage order."""
    return hashlib.sha256(journal.canonical_json([rule_id, list(identities)]).encode()).hexdigest()


def by_id(rule_id: str, matches: Iterable[Match]) -> dict[str, Match]:
    """One match an alert id, in the order they came; a strict one takes the place of a repaired one."""
    found: dict[str, Match] = {}
    for match in matches:
        key = alert_id(rule_id, [event.identity for event in match.events])
        if key not in found or match.basis is TimeBasis.STRICT:
            found[key] = match
    return found


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a run's matches. repaired: how many of the new ones are clock-repaired."""

    new: int
    known: int
    repaired: int
    upgraded: int


def store(run: RuleRun, query: Query, matches: Mapping[str, Match], *, actor: Actor, now: datetime) -> Stored:
    """Store each match once, in the caller's transaction. What is there already stays as it is, except that
    a strict match makes a clock-repaired alert strict.

    Two runs that store the same match at the same moment make one alert: the database decides.
    """
    rows = [_row(run, query, key, match, now) for key, match in matches.items()]
    new = repaired = 0
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        Alert.objects.bulk_create(batch, ignore_conflicts=True)
        mine = Alert.objects.filter(run=run, alert_id__in=[row.alert_id for row in batch])
        new += mine.count()
        repaired += mine.filter(time_basis=TimeBasis.CLOCK_REPAIRED).count()
    upgraded = _upgrade(run, matches, actor=actor)
    _restore(run, matches, actor=actor)
    return Stored(new, len(rows) - new, repaired, upgraded)


def _restore(run: RuleRun, matches: Mapping[str, Match], *, actor: Actor) -> None:
    """A strict match that stands marked as superseded stands again: a search over all gives it after all."""
    strict = [key for key, match in matches.items() if match.basis is TimeBasis.STRICT]
    restored: list[str] = []
    for start in range(0, len(strict), BATCH):
        marked = Alert.objects.filter(alert_id__in=strict[start : start + BATCH], superseded_at__isnull=False)
        restored += marked.values_list("alert_id", flat=True)
        marked.update(superseded_at=None)
    if restored:
        data = {"run": run.pk, "alerts": restored}
        journal.record(f"rule:{run.rule_id}", "alerts_restored", actor=actor, data=data)


def _upgrade(run: RuleRun, matches: Mapping[str, Match], *, actor: Actor) -> int:
    strict = [key for key, match in matches.items() if match.basis is TimeBasis.STRICT]
    upgraded: list[Alert] = []
    for start in range(0, len(strict), BATCH):
        rows = Alert.objects.filter(
            alert_id__in=strict[start : start + BATCH], time_basis=TimeBasis.CLOCK_REPAIRED
        )
        upgraded.extend(rows)
    if not upgraded:
        return 0
    for alert in upgraded:
        alert.time_basis = TimeBasis.STRICT
    Alert.objects.bulk_update(upgraded, ["time_basis"], batch_size=BATCH)
    journal.record(
        f"rule:{run.rule_id}",
        "alerts_upgraded",
        actor=actor,
        before=TimeBasis.CLOCK_REPAIRED,
        after=TimeBasis.STRICT,
        reason="The same events were found in @timestamp order too.",
        data={"run": run.pk, "alerts": [alert.alert_id for alert in upgraded]},
    )
    alerts_upgraded.send(sender=Alert, alerts=upgraded)
    return len(upgraded)


def _row(run: RuleRun, query: Query, key: str, match: Match, now: datetime) -> Alert:
    rule = run.rule
    return Alert(
        alert_id=key,
        rule=rule,
        rule_version=run.rule_version,
        run=run,
        title=rule.name,
        severity=rule.severity,
        risk_score=rule.risk_score,
        time_basis=match.basis,
        join_keys=_join_keys(query, match),
        detected_at=now,
        **event_columns(match.events),
    )


def event_columns(found: Sequence[StoredEvent]) -> dict[str, Any]:
    """The columns of an alert that come from its events, given in stage order; at least one."""
    events = [event.storable() for event in found]
    times = [event.timestamp for event in events]
    last = events[-1]
    return {
        "events": [_event(event) for event in events],
        "host_id": _first(events, "host.id"),
        "host_name": _first(events, "host.name"),
        "first_event_at": min(times),
        "last_event_at": max(times),
        "late_seconds": (last.arrived_at - last.timestamp).total_seconds(),
    }


def _event(event: StoredEvent) -> dict[str, Any]:
    return {
        "identity": event.identity,
        "ingest": event.ingest,
        "arrived_at": event.arrived_at.isoformat(),
        "document": event.document,
        **({"origin": event.origin} if event.origin else {}),
    }


def _join_keys(query: Query, match: Match) -> list[list[Any]]:
    names = [key.name for key in query.stages[0].keys]
    keys = zip(names, match.join_keys, strict=False)
    return [[name, ecs.storable(value)] for name, value in keys]


def _first(events: Sequence[StoredEvent], field: str) -> str:
    """The value of the first event that has one, no longer than the column."""
    return next((text for event in events if (text := ecs.text(event.document, field))), "")[:255]
