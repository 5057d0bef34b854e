"""Evidence of alerts' processes out of the event store, for many alerts at once.

Never inside a transaction: a search may take long.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from detections import ecs
from detections.ecs import Document
from detections.enums import TelemetryKind
from detections.event_store import event_store
from detections.stores.base import Clause, Filters, Operator, Page, StoredEvent, Window
from detections.telemetry_kinds import KIND_FILTERS, kind_of
from triage.enums import ExceptionScope
from triage.exception_items.evaluation import Subject, text
from triage.exception_items.matching import Recovered

BEFORE = timedelta(hours=1)
AFTER = timedelta(hours=1)
# Telemetry of the last moments of a window arrives a little later.
ARRIVAL = timedelta(minutes=1)
LOGON_BEFORE = timedelta(days=1)
MOST_EVENTS = 20_000
_TOGETHER = 500
_SPAN = timedelta(hours=6)
_S = ExceptionScope
KINDS = {
    _S.DNS: TelemetryKind.DNS,
    _S.FILE: TelemetryKind.FILE,
    _S.LIBRARY: TelemetryKind.LIBRARY,
    _S.CHILD: TelemetryKind.PROCESS,
    _S.CONNECTION: TelemetryKind.CONNECTION,
    _S.LOGON: TelemetryKind.LOGON,
}
# Where an event of a logon names the session: Windows' logons, its special privileges, Elastic Defend.
_SESSIONS = (
    "winlog.event_data.TargetLogonId",
    "winlog.event_data.SubjectLogonId",
    "Target.process.Ext.authentication_id",
)


@dataclass(slots=True)
class _Found:
    events: dict[ExceptionScope, list[Document]] = field(default_factory=dict)
    unread: dict[ExceptionScope, str] = field(default_factory=dict)
    covered: set[ExceptionScope] = field(default_factory=set)


def is_over(subject: Subject, now: datetime) -> bool:
    """Whether everything that the window can hold has had time to arrive."""
    return over_at(subject) <= now


def over_at(subject: Subject) -> datetime:
    return subject.last_event_at + AFTER + ARRIVAL


def window_of(subject: Subject, scope: ExceptionScope, now: datetime) -> Window:
    """Where evidence of a scope is looked for; never past now, but always up to the alert's own events."""
    before = LOGON_BEFORE if scope is _S.LOGON else BEFORE
    end = max(min(subject.last_event_at + AFTER, now), subject.last_event_at)
    return Window(subject.first_event_at - before, end)


def recover(wanted: Mapping[Subject, Collection[ExceptionScope]], *, now: datetime) -> dict[int, Recovered]:
    """What the store has, by alert (primary key). Alerts without one host and process get nothing.

    Raises StoreError where the store can't answer; a part that it can't read is named in `unread`.
    """
    found = {subject: _Found() for subject in wanted}
    for scopes, subjects in _alike(wanted).items():
        logon = [subject for subject in subjects if _S.LOGON in scopes and subject.sessions]
        others = sorted(scopes - {_S.LOGON})
        for batch in _batches([one for one in subjects if one.entity_id] if others else []):
            _search(batch, others, found, now)
        for batch in _batches(logon):
            _search(batch, [_S.LOGON], found, now)
        _cover(subjects, sorted(scopes), found, now)
    return {
        subject.alert_id: Recovered(one.events, frozenset(one.covered), one.unread)
        for subject, one in found.items()
    }


def _alike(
    wanted: Mapping[Subject, Collection[ExceptionScope]],
) -> dict[frozenset[ExceptionScope], list[Subject]]:
    groups: dict[frozenset[ExceptionScope], list[Subject]] = {}
    for subject, scopes in wanted.items():
        if subject.host_id and scopes:
            groups.setdefault(frozenset(scopes), []).append(subject)
    return groups


def _batches(subjects: Sequence[Subject]) -> Iterator[list[Subject]]:
    """Alerts close in time, so that one window serves them all."""
    batch: list[Subject] = []
    for subject in sorted(subjects, key=lambda one: one.first_event_at):
        is_far = batch and subject.first_event_at - batch[0].first_event_at > _SPAN
        if is_far or len(batch) >= _TOGETHER:
            yield batch
            batch = []
        batch.append(subject)
    if batch:
        yield batch


def _search(
    batch: Sequence[Subject],
    scopes: Sequence[ExceptionScope],
    found: Mapping[Subject, _Found],
    now: datetime,
) -> None:
    windows = [window_of(subject, scope, now) for subject in batch for scope in scopes]
    window = Window(min(one.start for one in windows), max(one.end for one in windows))
    page = event_store().search(_filters(batch, scopes), window, limit=MOST_EVENTS)
    if page.total > len(page.events) and len(batch) > 1:
        half = len(batch) // 2
        _search(batch[:half], scopes, found, now)
        _search(batch[half:], scopes, found, now)
        return
    for subject in batch:
        _note_unread(found[subject], scopes, page)
    _hand_out(page.events, batch, scopes, found, now)


def _note_unread(one: _Found, scopes: Sequence[ExceptionScope], page: Page) -> None:
    reason = ""
    if page.completeness.missing:
        reason = f"{len(page.completeness.missing)} parts of the event store could not be read."
    elif page.total > len(page.events):
        reason = f"The process has {page.total} events: more than are looked through."
    if reason:
        one.unread.update(dict.fromkeys(scopes, reason))


def _filters(batch: Sequence[Subject], scopes: Sequence[ExceptionScope]) -> Filters:
    hosts = Clause("host.id", Operator.IS_ONE_OF, tuple(sorted({one.host_id for one in batch})))
    processes = tuple(sorted({one.entity_id for one in batch}))
    sessions = tuple(sorted({session for one in batch for session in one.sessions}))
    groups: list[tuple[Clause, ...]] = []
    for scope in scopes:
        names = _SESSIONS if scope is _S.LOGON else (_process_field(scope),)
        values = sessions if scope is _S.LOGON else processes
        for name in names:
            keyed = (hosts, Clause(name, Operator.IS_ONE_OF, values))
            groups += [(*keyed, *group) for group in KIND_FILTERS[KINDS[scope]].groups]
    return Filters(tuple(groups))


def _process_field(scope: ExceptionScope) -> str:
    return "process.parent.entity_id" if scope is _S.CHILD else "process.entity_id"


def _hand_out(
    events: Sequence[StoredEvent],
    batch: Sequence[Subject],
    scopes: Sequence[ExceptionScope],
    found: Mapping[Subject, _Found],
    now: datetime,
) -> None:
    """Give each event to the alerts whose host, process and window it belongs to."""
    owners: dict[tuple[ExceptionScope, str, str], list[Subject]] = {}
    for subject in batch:
        for scope in scopes:
            for key in subject.sessions if scope is _S.LOGON else (subject.entity_id,):
                owners.setdefault((scope, subject.host_id, key), []).append(subject)
    for event in events:
        kind, host = kind_of(event.document), ecs.text(event.document, "host.id")
        for scope in (one for one in scopes if KINDS[one] is kind):
            given: set[Subject] = set()
            for key in _keys(event.document, scope):
                given.update(owners.get((scope, host, key), ()))
            for subject in given:
                window = window_of(subject, scope, now)
                if window.start <= event.timestamp <= window.end:
                    found[subject].events.setdefault(scope, []).append(event.document)


def _keys(document: Document, scope: ExceptionScope) -> set[str]:
    names = _SESSIONS if scope is _S.LOGON else (_process_field(scope),)
    return {text(value) for name in names for value in ecs.values(document, name)}


def _cover(
    subjects: Sequence[Subject],
    scopes: Sequence[ExceptionScope],
    found: Mapping[Subject, _Found],
    now: datetime,
) -> None:
    """Presence of each kind. What was found shows it; else the store is asked, once for alerts of a host
    whose windows overlap: what is present around what they share is present around each of them."""
    open_: dict[Subject, set[TelemetryKind]] = {}
    for subject in subjects:
        one = found[subject]
        shown = {KINDS[scope] for scope in one.events}
        shown |= {kind for kind in subject.kinds if kind is not None} if subject.is_stored else set()
        one.covered |= {scope for scope in scopes if KINDS[scope] in shown and _is_joined(subject, scope)}
        if lacking := {KINDS[scope] for scope in scopes} - shown:
            open_[subject] = lacking
    for group, window in _overlapping(list(open_), now):
        kinds = sorted({kind for subject in group for kind in open_[subject]})
        answers = event_store().coverage(group[0].host_id, kinds, window)
        present = {one.kind for one in answers if one.is_present}
        for subject in group:
            usable = (one for one in scopes if _is_joined(subject, one))
            found[subject].covered |= {scope for scope in usable if KINDS[scope] in present}


def _is_joined(subject: Subject, scope: ExceptionScope) -> bool:
    return bool(subject.sessions if scope is _S.LOGON else subject.entity_id)


def _overlapping(subjects: Sequence[Subject], now: datetime) -> Iterator[tuple[list[Subject], Window]]:
    by_host: dict[str, list[Subject]] = {}
    for subject in sorted(subjects, key=lambda one: one.first_event_at):
        by_host.setdefault(subject.host_id, []).append(subject)
    for rows in by_host.values():
        group: list[Subject] = []
        shared: Window | None = None
        for subject in rows:
            own = window_of(subject, _S.DNS, now)
            if shared is not None and max(shared.start, own.start) <= min(shared.end, own.end):
                shared = Window(max(shared.start, own.start), min(shared.end, own.end))
                group.append(subject)
                continue
            if shared is not None:
                yield group, shared
            group, shared = [subject], own
        if shared is not None:
            yield group, shared
