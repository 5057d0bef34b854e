"""Whether an exception still hides what was confirmed: more of it, somebody new inside, or nothing more."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from django.db import transaction

from detections import journal as chains
from detections.actors import Actor
from detections.errors import CasewrightError
from detections.event_store import event_store
from detections.stores.base import Clause, Filters, Operator, Window
from triage.case_tasks import open_task
from triage.enums import ExceptionOperator, ExceptionQuantity, ExceptionState
from triage.exception_items.content import REMOTE_IP, Entry, entries_of
from triage.models import ExceptionItem, ExceptionVersion, Suppression

log = logging.getLogger(__name__)
EVERY = timedelta(hours=1)
RECENT = timedelta(days=7)
PAST = timedelta(days=28)
# So often as before, and so many at least, before a rise is one.
FIVEFOLD, LEAST_HITS = 5, 10
NAMED = 5
AT_ONCE = 50
_EXACT = (ExceptionOperator.IS, ExceptionOperator.IS_ONE_OF)


@dataclass(frozen=True, slots=True)
class _Hit:
    at: datetime
    host: str
    host_id: str
    user: str


def look(*, actor: Actor, now: datetime) -> int:
    """Look at items whose last look is an hour old. Returns how many have drifted. Idempotent; never inside a
    transaction, since what stopped is looked for in the event store."""
    due = ExceptionVersion.objects.active().exclude(item__drift_checked_at__gt=now - EVERY)
    rows = due.select_related("item__owner").order_by("item__drift_checked_at", "pk")[:AT_ONCE]
    return sum(bool(_look(row, now, actor)) for row in rows)


def drift_of(version: ExceptionVersion, *, now: datetime) -> list[str]:
    """What an active version's hits say, a sentence each; none if nothing has changed. Raises StoreError."""
    rows = Suppression.objects.filter(version__item=version.item_id, is_retroactive=False, at__gte=now - PAST)
    values = rows.order_by("at", "pk").values_list("at", "host", "alert__host_id", "user")
    hits = [_Hit(*row) for row in values]
    begun = _begun(version)
    if begun is None or now - begun < RECENT:
        return []
    recent = [hit for hit in hits if hit.at >= now - RECENT]
    past = [hit for hit in hits if hit.at < now - RECENT]
    return [
        *_risen(recent, past, max(begun, now - PAST), now),
        *_newcomers(recent, past, version),
        *(_stopped(past, version, now) if past and not recent else ()),
    ]


def _begun(version: ExceptionVersion) -> datetime | None:
    """When the item first came into force; renewals go on with what was there."""
    first = version.item.versions.exclude(active_from=None).order_by("active_from").first()
    return first.active_from if first else None


def _risen(recent: Sequence[_Hit], past: Sequence[_Hit], since: datetime, now: datetime) -> Iterator[str]:
    span = now - RECENT - since
    if span < RECENT or len(recent) < LEAST_HITS:
        return
    usual = len(past) * (RECENT / span)
    if len(recent) >= FIVEFOLD * max(usual, 1):
        yield f"It hid {len(recent)} alerts in the last 7 days; {usual:.1f} a week were usual before."


def _newcomers(recent: Sequence[_Hit], past: Sequence[_Hit], version: ExceptionVersion) -> Iterator[str]:
    """Who appears inside for the first time, but for those that the exception names."""
    if not past:
        return
    named = _named(entries_of(version.entries))
    known_hosts, known_users = {hit.host for hit in past}, {hit.user for hit in past}
    hosts = [hit.host for hit in recent if hit.host_id not in named and hit.host not in named]
    users = [hit.user for hit in recent if hit.user not in named]
    for word, found, known in (("host", hosts, known_hosts), ("user", users, known_users)):
        if new := [one for one in dict.fromkeys(found) if one and one not in known]:
            words = f"A new {word}" if len(new) == 1 else f"{len(new)} new {word}s"
            more = f" and {len(new) - NAMED} more" if len(new) > NAMED else ""
            yield f"{words} inside it: {', '.join(new[:NAMED])}{more}."


def _named(entries: Iterable[Entry]) -> set[str]:
    exact = (entry for entry in entries if entry.operator in _EXACT and not entry.negated)
    return {value for entry in exact if entry.field.startswith(("host.", "user.")) for value in entry.values}


def _stopped(past: Sequence[_Hit], version: ExceptionVersion, now: datetime) -> Iterator[str]:
    """Anchors that no telemetry of the last days names, once hits have stopped for longer than was usual."""
    gaps = [later.at - earlier.at for earlier, later in pairwise(past)]
    if len(past) < 2 or now - past[-1].at < 3 * max(gaps):
        return
    for entry in entries_of(version.entries):
        is_anchor = entry.operator in _EXACT and not entry.negated
        if not is_anchor or entry.quantity is not ExceptionQuantity.SOME or _is_common(entry):
            continue
        spread = event_store().spread(_filters(entry), Window(now - RECENT, now))
        if not spread.hosts and not spread.missing:
            shown = ", ".join(entry.values[:NAMED])
            yield f"Its anchor does not occur any more: no event of 7 days has {entry.field} {shown}."


def _is_common(entry: Entry) -> bool:
    """What is no anchor by itself: everything that programs and systems have in common."""
    return not entry.field or entry.field.startswith(("process.", "user.", "event.", "network."))


def _filters(entry: Entry) -> Filters:
    names = ("source.ip", "destination.ip") if entry.field == REMOTE_IP else (entry.field,)
    return Filters(tuple((Clause(name, Operator.IS_ONE_OF, entry.values),) for name in names))


def _look(version: ExceptionVersion, now: datetime, actor: Actor) -> list[str]:
    try:
        found = drift_of(version, now=now)
    except (CasewrightError, ValueError) as error:
        # What can't be told now stands as it was; an item that can't be read has an alarm of its own.
        log.warning("%s could not be looked at for drift.", version.label, exc_info=error)
        ExceptionItem.objects.filter(pk=version.item_id).update(drift_checked_at=now)
        return []
    with transaction.atomic():
        item = ExceptionItem.objects.select_for_update().get(pk=version.item_id)
        fresh = ExceptionVersion.objects.get(pk=version.pk)
        before, item.drift_checked_at = item.drift, now
        item.drift = found if fresh.state == ExceptionState.ACTIVE else []
        item.save(update_fields=["drift", "drift_checked_at"])
        if bool(before) != bool(item.drift):
            _tell(item, fresh, now, actor)
    return found


def _tell(item: ExceptionItem, version: ExceptionVersion, now: datetime, actor: Actor) -> None:
    """In the caller's transaction: that it began or ended, and who has to look."""
    verb = "exception_drifted" if item.drift else "exception_drift_over"
    data = {"version": version.pk, "drift": item.drift}
    chains.record(item.stream, verb, actor=actor, reason=" ".join(item.drift)[:2000], data=data)
    if item.drift:
        open_task(
            kind="exception_drift",
            title=f"Look whether {item.number} still holds: {item.name}",
            detail=" ".join(item.drift),
            actor=actor,
            key=f"exception_drift:{item.pk}:{now:%Y-%m-%dT%H:%M:%S}",
            owner=item.owner,
        )
