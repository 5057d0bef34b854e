"""Scoping: a case's indicators on all hosts over a window. The result is kept, hashed, and never changed."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from detections import ecs, outbox
from detections.actors import Actor, system
from detections.enums import OutboxState
from detections.errors import CasewrightError, StoreError
from detections.event_store import event_store
from detections.models import OutboxRow
from detections.stores.base import Clause, Filters, HostSpread, Operator, Window
from triage import cases, journal, observables
from triage.enums import ScopeColumnState, ScopeRunState
from triage.errors import TriageError
from triage.evidence import document_sha256
from triage.host_coverage import AFTER, BEFORE
from triage.models import Asset, Case, ScopeCell, ScopeColumn, ScopeHost, ScopeRun
from triage.pivot_windows import LONGEST
from triage.scope import indicators as scope_indicators
from triage.scope.hashes import column_sha256, run_sha256
from triage.scope.indicators import REPORTS, Indicator, filters_of

log = logging.getLogger(__name__)
KIND = "scope"
# Around the case's events, unless somebody chooses.
USUAL_BEFORE, USUAL_AFTER = timedelta(days=7), timedelta(hours=24)
# A larger deployment is shown by its hosts with hits and the first of the others.
MOST_HOSTS = 10_000
# Of each indicator so many hosts keep their first events; more are counted.
SAMPLED_HOSTS, SAMPLES = 50, 3
# So many hosts without hits are asked for a name, one by one.
NAMED_HOSTS = 200
_BATCH = 500


def ask_usual(case: Case, *, actor: Actor, since: datetime) -> ScopeRun:
    """Ask for what is proposed, over the usual window. A search that is under way, or was asked for or ended
    since that moment, stands for it: who may have asked then does not ask twice. Raises as `ask` does."""
    actor.require("triage.add_scoperun", "search other hosts")
    observables.collect(case)
    keys = [one.key for one in scope_indicators.offered(case) if one.is_usual]
    if not keys and _standing(case, since) is None:
        raise TriageError("Nothing is proposed to look for: choose indicators on the case's Scope tab.")
    return ask(case, keys=keys, before=USUAL_BEFORE, after=USUAL_AFTER, actor=actor, since=since)


def _standing(case: Case, since: datetime) -> ScopeRun | None:
    recent = Q(asked_at__gte=since) | Q(finished_at__gte=since)
    wanted = recent | Q(state__in=[ScopeRunState.WAITING, ScopeRunState.RUNNING])
    return ScopeRun.objects.filter(wanted, case=case).order_by("-number").first()


def ask(
    case: Case,
    *,
    keys: Sequence[str],
    before: timedelta,
    after: timedelta,
    actor: Actor,
    since: datetime | None = None,
) -> ScopeRun:
    """Ask for a search over all hosts; a worker does it, indicator by indicator.

    keys: of `scope_indicators.offered`. before, after: around the case's events, cut at the present. since:
    see `ask_usual`. A closed case is searched too: what was done then is still proven by it. Raises
    NotPermittedError, and TriageError for no or unknown indicators, a window that can't be, or a search that
    is under way.
    """
    actor.require("triage.add_scoperun", "search other hosts")
    if since is not None and (standing := _standing(case, since)) is not None:
        return standing
    window = _window(case, before, after)
    observables.collect(case)
    chosen = _chosen(case, keys)
    with transaction.atomic():
        held = cases.locked(case.pk)
        if since is not None and (standing := _standing(held, since)) is not None:
            return standing
        if ScopeRun.objects.filter(case=held).under_way().exists():
            raise TriageError("A search of other hosts is under way. Wait for its result, then ask again.")
        return _opened(held, chosen, window, actor)


def _opened(case: Case, chosen: Sequence[Indicator], window: Window, actor: Actor) -> ScopeRun:
    run = ScopeRun.objects.create(
        case=case,
        number=case.scope_runs.count() + 1,
        window_start=window.start,
        window_end=window.end,
        asked_by=actor.user,
        asked_at=timezone.now(),
    )
    ScopeColumn.objects.bulk_create(_column(run, at, one) for at, one in enumerate(chosen, start=1))
    outbox.put(KIND, f"{KIND}:{run.pk}", run.pk)
    keys = [one.key for one in chosen]
    journal.record(
        case,
        "scope_asked",
        actor=actor,
        subject=f"{len(keys)} {'indicator' if len(keys) == 1 else 'indicators'}",
        data={"scope": run.pk, "from": window.start, "to": window.end, "keys": keys},
    )
    return run


def _window(case: Case, before: timedelta, after: timedelta) -> Window:
    if min(before, after) < timedelta() or before + after > LONGEST:
        raise TriageError(f"Choose a window of at most {LONGEST.days} days around the case's events.")
    end = min(case.last_event_at + after, max(timezone.now(), case.last_event_at))
    return Window(case.first_event_at - before, end)


def _chosen(case: Case, keys: Sequence[str]) -> list[Indicator]:
    known = {one.key: one for one in scope_indicators.offered(case)}
    gone = [key for key in keys if key not in known]
    if gone:
        raise TriageError("The case's evidence no longer offers one of the indicators. Choose again.")
    if not keys:
        raise TriageError("Choose at least one indicator to look for.")
    return [one for key, one in known.items() if key in set(keys)]


def _column(run: ScopeRun, position: int, one: Indicator) -> ScopeColumn:
    return ScopeColumn(
        run=run,
        position=position,
        key=one.key,
        field=one.field,
        value=one.value,
        query=scope_indicators.query_of(one),
        needs=list(one.needs),
        state=ScopeColumnState.BLOCKED if one.blocked else ScopeColumnState.WAITING,
        reason=one.blocked,
    )


def latest(case: Case) -> ScopeRun | None:
    """The newest search that has a result, or None: the other hosts are not known."""
    return ScopeRun.objects.filter(case=case).finished().order_by("-number").first()


# -- searching


@outbox.handler(KIND)
def deliver(run_id: int | None) -> None:
    """Outbox: search what is not searched yet. A worker that was killed is followed by one that goes on."""
    run = ScopeRun.objects.select_related("case").under_way().filter(pk=run_id).first() if run_id else None
    if run is None:
        return
    ScopeRun.objects.filter(pk=run.pk, state=ScopeRunState.WAITING).update(state=ScopeRunState.RUNNING)
    try:
        _take_hosts(run)
        for column in run.columns.filter(state=ScopeColumnState.WAITING).order_by("position"):
            _search(run, column)
        _name_hosts(run)
    except StoreError as error:
        _end(run, failure=str(error) or type(error).__name__)
    else:
        _end(run)


def _take_hosts(run: ScopeRun) -> None:
    """Which hosts report what, around the window: silence means something on these alone."""
    if run.has_hosts:
        return
    wanted = sorted({name for needs in run.columns.values_list("needs", flat=True) for name in needs})
    around = Window(run.window_start - BEFORE, run.window_end + AFTER)
    reports: dict[str, list[str]] = {}
    unread: dict[str, None] = {}
    for name in wanted:
        found = event_store().spread(REPORTS[name], around)
        unread.update(dict.fromkeys(found.missing))
        for host in found.hosts:
            if host.host_id:
                reports.setdefault(host.host_id, []).append(name)
    names = _known_names(list(reports))
    kept = sorted(reports, key=lambda one: (-len(reports[one]), one))[:MOST_HOSTS]
    with transaction.atomic():
        row = ScopeRun.objects.select_for_update().get(pk=run.pk)
        if not row.has_hosts:
            ScopeHost.objects.bulk_create(
                (
                    ScopeHost(
                        run=row, host_id=one[:255], host_name=names.get(one, ""), reports=sorted(reports[one])
                    )
                    for one in kept
                ),
                batch_size=_BATCH,
            )
            row.has_hosts, row.hosts_reporting, row.unread = True, len(reports), list(unread)
            row.save(update_fields=["has_hosts", "hosts_reporting", "unread"])
    run.has_hosts, run.unread = True, list(unread)


def _known_names(host_ids: Sequence[str]) -> dict[str, str]:
    """Names that cases and records give to hosts."""
    found: dict[str, str] = {}
    for start in range(0, len(host_ids), _BATCH):
        part = host_ids[start : start + _BATCH]
        for model in (Case, Asset):
            rows = model.objects.filter(host_id__in=part).exclude(host_name="")
            found.update(rows.order_by("pk").values_list("host_id", "host_name"))
    return found


@dataclass(frozen=True, slots=True)
class _Hit:
    host: HostSpread
    samples: list[dict[str, Any]]


def _search(run: ScopeRun, column: ScopeColumn) -> None:
    """One indicator over all hosts; its cells are stored in one transaction."""
    window, filters = Window(run.window_start, run.window_end), filters_of(column.query)
    state, reason, hits = ScopeColumnState.DONE, "", []
    try:
        spread = event_store().spread(filters, window)
        hosts = [host for host in spread.hosts if host.host_id][:MOST_HOSTS]
        hits = [
            _Hit(host, _samples(filters, host.host_id, window) if at < SAMPLED_HOSTS else [])
            for at, host in enumerate(hosts)
        ]
        if missing := list(dict.fromkeys((*spread.missing, *run.unread))):
            state, reason = ScopeColumnState.PARTIAL, _unread(missing)
    except CasewrightError as error:
        log.warning("Scope %s, %s: %s", run.pk, column.field, error)
        state, reason, hits = ScopeColumnState.FAILED, str(error) or type(error).__name__, []
    with transaction.atomic():
        ScopeRun.objects.select_for_update().get(pk=run.pk)
        row = ScopeColumn.objects.select_for_update().get(pk=column.pk)
        if row.state == ScopeColumnState.WAITING:
            _store(run, row, state, reason, hits)


def _unread(missing: Sequence[str]) -> str:
    parts = "1 part" if len(missing) == 1 else f"{len(missing)} parts"
    return f"{parts} of the store could not be read: {', '.join(missing[:3])}. Search again."


def _samples(filters: Filters, host_id: str, window: Window) -> list[dict[str, Any]]:
    """The first events of one host, frozen with the hash of each."""
    here = Clause("host.id", values=(host_id,))
    page = event_store().search(
        Filters(tuple((*group, here) for group in filters.groups)), window, limit=SAMPLES
    )
    documents = [(event, ecs.storable(event.document)) for event in page.events]
    return [
        {
            "identity": event.identity,
            "at": event.timestamp.isoformat(),
            "document": document,
            "sha256": document_sha256(document),
        }
        for event, document in documents
    ]


def _store(
    run: ScopeRun, column: ScopeColumn, state: ScopeColumnState, reason: str, hits: Sequence[_Hit]
) -> None:
    hosts = _hosts(run, hits)
    cells = []
    for hit in hits:
        host, seen = hosts[hit.host.host_id[:255]], hit.host
        first = seen.first_seen or seen.last_seen
        host.columns_hit += 1
        host.events += seen.events
        host.first_at = min(filter(None, (host.first_at, first)))
        host.last_at = max(filter(None, (host.last_at, seen.last_seen)))
        host.host_name = _named(hit.samples) or host.host_name
        cells.append(
            ScopeCell(
                column=column,
                host=host,
                events=seen.events,
                first_at=first,
                last_at=seen.last_seen,
                samples=hit.samples,
            )
        )
    ScopeHost.objects.bulk_update(
        hosts.values(), ["columns_hit", "events", "first_at", "last_at", "host_name"], batch_size=_BATCH
    )
    ScopeCell.objects.bulk_create(cells, batch_size=_BATCH)
    column.state, column.reason, column.hosts_hit = state, reason, len(cells)
    column.searched_at = timezone.now()
    column.sha256 = column_sha256(column, cells)
    column.save()


def _hosts(run: ScopeRun, hits: Sequence[_Hit]) -> dict[str, ScopeHost]:
    """The rows of the hosts that were hit; one that reports nothing otherwise gets a row as well."""
    ids = [hit.host.host_id[:255] for hit in hits]
    found: dict[str, ScopeHost] = {}
    for start in range(0, len(ids), _BATCH):
        part = ScopeHost.objects.filter(run=run, host_id__in=ids[start : start + _BATCH])
        found.update({host.host_id: host for host in part})
    lacking = [one for one in dict.fromkeys(ids) if one not in found]
    names = _known_names(lacking)
    ScopeHost.objects.bulk_create(
        (ScopeHost(run=run, host_id=one, host_name=names.get(one, "")) for one in lacking), batch_size=_BATCH
    )
    if lacking:
        return _hosts(run, hits)
    return found


def _named(samples: Sequence[dict[str, Any]]) -> str:
    return next((name[:255] for one in samples if (name := ecs.text(one["document"], "host.name"))), "")


def _name_hosts(run: ScopeRun) -> None:
    """Give the first hosts without a name the one that their newest telemetry has."""
    around = Window(run.window_start - BEFORE, run.window_end + AFTER)
    for host in run.hosts.filter(host_name="").order_by("-columns_hit", "-events", "pk")[:NAMED_HOSTS]:
        own = Filters(((Clause("host.id", values=(host.host_id,)), Clause("host.name", Operator.EXISTS)),))
        page = event_store().search(own, around, limit=1)
        if page.events and (name := ecs.text(page.events[0].document, "host.name")):
            ScopeHost.objects.filter(pk=host.pk, host_name="").update(host_name=name[:255])


def _end(run: ScopeRun, failure: str = "") -> None:
    with transaction.atomic():
        case = cases.locked(run.case_id)
        row = ScopeRun.objects.select_for_update().get(pk=run.pk)
        if not row.is_under_way:
            return
        columns = list(row.columns.order_by("position"))
        row.state, row.reason = _outcome(columns, failure)
        row.finished_at = timezone.now()
        row.sha256 = "" if failure else run_sha256(row, columns)
        row.save(update_fields=["state", "reason", "finished_at", "sha256"])
        hit = row.hosts.filter(columns_hit__gt=0).count()
        journal.record(
            case,
            "scope_finished",
            actor=system("scope"),
            subject=f"Scope {row.number}",
            after=row.state,
            reason=row.reason,
            data={"scope": row.pk, "hosts": row.hosts_reporting, "hit": hit, "scope_sha256": row.sha256},
        )


def _outcome(columns: Sequence[ScopeColumn], failure: str) -> tuple[ScopeRunState, str]:
    if failure:
        return ScopeRunState.FAILED, failure
    holes = [one for one in columns if one.state != ScopeColumnState.DONE]
    if not holes:
        return ScopeRunState.SUCCEEDED, ""
    if all(one.state in (ScopeColumnState.FAILED, ScopeColumnState.BLOCKED) for one in columns):
        return ScopeRunState.FAILED, f"No indicator could be searched: {columns[0].reason}"
    return ScopeRunState.PARTIAL, f"{len(holes)} of {len(columns)} indicators have no full result."


def fail_lost() -> int:
    """End searches whose worker was given up. Returns how many."""
    given_up = OutboxRow.objects.filter(kind=KIND, state=OutboxState.FAILED).values("subject")
    lost = list(ScopeRun.objects.under_way().filter(pk__in=given_up))
    for run in lost:
        _end(run, failure="The worker failed too often at it. The health page has its error; ask again.")
    return len(lost)
