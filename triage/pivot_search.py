"""One search of a pivot: fill it in, ask the store, say what its answer means. Nothing is written here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from detections import ecs
from detections.ecs import Document
from detections.enums import AlertOrigin, TelemetryKind
from detections.event_store import event_store
from detections.models import OutsideAlert
from detections.outside_alerts.index import alerts_index
from detections.stores.base import Completeness, Filters, StoredEvent, Window
from triage import host_coverage
from triage.alert_documents import alert_document, related_alerts
from triage.checks import ALERT
from triage.enums import PivotScope, PivotState
from triage.evidence import MOST_ROWS, coverage_data, document_sha256, missing_sentence
from triage.guides import Blocked, fill
from triage.guides.model import Guide, Pivot
from triage.models import Case, PivotRun
from triage.pivot_windows import on_hosts, scope_of

# As many values as a terms query of the cluster takes, and then some room.
MOST_OWN = 50_000
_NO_KIND = "No hits, and the filters do not say which telemetry they read, so the silence means nothing."
_NO_HOST = "No hits, and without a host.id it can't be told whether the telemetry exists."


@dataclass(frozen=True, slots=True)
class Row:
    """One document that was found. origin: as `StoredEvent.origin`."""

    identity: str
    at: datetime
    document: Document
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a search came to. reason: why not, or what lacks although there are hits."""

    state: PivotState
    reason: str = ""
    rows: tuple[Row, ...] = ()
    total: int = 0
    segments: tuple[str, ...] = ()
    query: list[Any] = field(default_factory=list)
    coverage: list[dict[str, Any]] = field(default_factory=list)


def first_documents(case: Case) -> list[Document]:
    """The events of the alert that opened the case, in stage order: placeholders take values from them.

    A case that scoping opened has no alert: what was found stands in its place.
    """
    occurrence = case.occurrences.select_related("alert").order_by("pk").first()
    if occurrence is not None:
        return [event["document"] for event in occurrence.alert.events]
    found = PivotRun.objects.filter(case=case, key=ALERT).first()
    return [row.document for row in found.rows.order_by("position")] if found else []


def filled(case: Case, guide: Guide, pivot: Pivot, runs: Mapping[str, PivotRun]) -> Filters | Outcome:
    """The pivot's filters with values in place, or why it can't be asked.

    runs: the newest run of each pivot of the case. A pivot that follows another one inherits its answer: no
    hits there leave nothing to follow here, and missing telemetry there is missing telemetry here.
    """
    earlier = {
        key: [row.document for row in run.rows.all()]
        for key, run in runs.items()
        if key == pivot.after and run.state in (PivotState.HITS, PivotState.PARTIAL, PivotState.NO_HITS)
    }
    found = fill(pivot, first_documents(case), earlier)
    if not isinstance(found, Blocked):
        return found
    before = runs.get(pivot.after) if pivot.after else None
    if before is not None and before.state != PivotState.HITS:
        return _inherited(before)
    return Outcome(PivotState.BLOCKED, f"{found.field}: {found.reason}")


def _inherited(before: PivotRun) -> Outcome:
    if before.state == PivotState.NO_HITS:
        return Outcome(PivotState.NO_HITS, f'"{before.label}" found nothing, so there is nothing to follow.')
    if before.state == PivotState.NO_TELEMETRY:
        return Outcome(PivotState.NO_TELEMETRY, f'It follows "{before.label}": {before.reason}')
    why = before.reason or "it has no result yet."
    return Outcome(PivotState.BLOCKED, f'It follows "{before.label}", which has no result to follow: {why}')


def query_data(filters: Filters) -> list[Any]:
    """Filters as they are kept with a run: groups of clauses."""
    return [
        [
            {
                "field": clause.field,
                "operator": clause.operator.value,
                "values": list(clause.values),
                "excluded": clause.excluded,
            }
            for clause in group
        ]
        for group in filters.groups
    ]


def search(
    case: Case,
    guide: Guide,
    pivot: Pivot,
    runs: Mapping[str, PivotRun],
    window: Window,
    scope: PivotScope = PivotScope.WRITTEN,
) -> Outcome:
    """Ask all telemetry of the deployment. Raises StoreError if the store can't answer in full.

    scope: other hosts than the guide asks. Must not run inside a transaction: a search may take long.
    """
    asked = filled(case, guide, pivot, runs)
    if isinstance(asked, Outcome):
        return _with_coverage(asked, case, guide, pivot, window)
    asked = on_hosts(asked, scope, case.host_id)
    if pivot.is_signal:
        return search_signals(case, asked, window)
    return search_filters(case, asked, pivot.kinds, window, also=_required(guide, pivot))


def search_filters(
    case: Case,
    filters: Filters,
    kinds: Sequence[TelemetryKind],
    window: Window,
    *,
    also: Sequence[TelemetryKind] = (),
    scope: PivotScope | None = None,
) -> Outcome:
    """Ask for what the filters say, and whether the telemetry exists on the hosts that they speak of.

    also: kinds whose presence on the case's host is wanted besides. scope: which hosts they speak of; None:
    as their clauses tell. Raises StoreError.
    """
    page = event_store().search(filters, window, limit=MOST_ROWS)
    rows = tuple(map(row_of, page.events))
    return judged(case, scope or scope_of(filters), kinds, window, also=also, rows=rows, total=page.total,
                  completeness=page.completeness, query=query_data(filters))  # fmt: skip


def row_of(event: StoredEvent) -> Row:
    """An event as it is frozen."""
    return Row(event.identity, event.timestamp, ecs.storable(event.document), event.origin)


def judged(
    case: Case,
    scope: PivotScope,
    kinds: Sequence[TelemetryKind],
    window: Window,
    *,
    rows: tuple[Row, ...],
    total: int,
    completeness: Completeness,
    query: list[Any],
    also: Sequence[TelemetryKind] = (),
) -> Outcome:
    """What a search came to, with the coverage of the hosts that it asked. Raises StoreError."""
    coverage = coverage_over(case, scope, kinds, window, also=also)
    state, reason = judge(kinds, total, completeness, coverage, case, scope)
    return Outcome(state, reason, rows, total, completeness.segments, query, coverage)


def _with_coverage(outcome: Outcome, case: Case, guide: Guide, pivot: Pivot, window: Window) -> Outcome:
    """What is not asked still tells whether its telemetry exists: without it, *no hits* is not said."""
    if pivot.is_signal:
        return outcome
    coverage = coverage_over(case, PivotScope.HOST, pivot.kinds, window, also=_required(guide, pivot))
    state, reason = outcome.state, outcome.reason
    if state is PivotState.NO_HITS:
        judged, lacks = judge(pivot.kinds, 0, Completeness(), coverage, case)
        state, reason = judged, lacks or reason
    return Outcome(state, reason, coverage=coverage)


def search_signals(case: Case, filters: Filters, window: Window) -> Outcome:
    """Ask the alerts that are kept here, and those of Elastic Security where the settings name them.

    Raises StoreError if the cluster does not answer in full.
    """
    index = alerts_index()
    elastic = AlertOrigin.ELASTIC if index else ""
    alerts, total = related_alerts(case, filters, window, limit=MOST_ROWS, without=elastic)
    rows = [Row(alert.alert_id, alert.last_event_at, alert_document(alert)) for alert in alerts]
    sources = ["alerts"]
    if index is not None:
        page = index.search(filters, window, limit=MOST_ROWS, without=_own_uuids(case))
        rows += [Row(event.identity, event.timestamp, ecs.storable(event.document)) for event in page.events]
        total += page.total
        sources.append(index.pattern)
    return Outcome(
        PivotState.HITS if total else PivotState.NO_HITS,
        rows=tuple(sorted(rows, key=lambda row: row.at)[:MOST_ROWS]),
        total=total,
        segments=tuple(sources),
        query=query_data(filters),
        coverage=[_alerts_are_kept(sources)],
    )


def _own_uuids(case: Case) -> list[str]:
    """The case's own alerts, as Elastic Security names them."""
    own = OutsideAlert.objects.filter(alert__occurrence__case=case).order_by("pk")
    return list(own.values_list("uuid", flat=True)[:MOST_OWN])


def _alerts_are_kept(sources: Sequence[str] = ("alerts",)) -> dict[str, Any]:
    """Alerts are records of what was found: they can't be missing for want of a sensor."""
    return {
        "kind": TelemetryKind.ALERT.value,
        "present": True,
        "before": 0,
        "during": 0,
        "after": 0,
        "first_seen": None,
        "last_seen": None,
        "sources": list(sources),
    }


def _required(guide: Guide, pivot: Pivot) -> tuple[TelemetryKind, ...]:
    required = guide.requirements.get(pivot.question)
    return required.telemetry if required else ()


def coverage_over(
    case: Case,
    scope: PivotScope,
    kinds: Sequence[TelemetryKind],
    window: Window,
    *,
    also: Sequence[TelemetryKind] = (),
) -> list[dict[str, Any]]:
    """Presence of each kind: of the case's host, or over the hosts that were asked."""
    over_hosts = scope in (PivotScope.OTHERS, PivotScope.ALL)
    own = list(dict.fromkeys([*(() if over_hosts else kinds), *also]))
    found = [_alerts_are_kept()] if TelemetryKind.ALERT in (*kinds, *also) else []
    own = [kind for kind in own if kind is not TelemetryKind.ALERT]
    if own and case.host_id:
        found += [coverage_data(one) for one in event_store().coverage(case.host_id, own, window)]
    if over_hosts:
        without = case.host_id if scope is PivotScope.OTHERS else ""
        found += host_coverage.reporting(kinds, window, without=without)
    return found


def judge(
    kinds: Sequence[TelemetryKind],
    total: int,
    completeness: Completeness,
    coverage: Sequence[dict[str, Any]],
    case: Case,
    scope: PivotScope = PivotScope.HOST,
) -> tuple[PivotState, str]:
    """The state of a pivot that was asked, and why. `no_hits` is only said where all its telemetry exists."""
    over_hosts = scope in (PivotScope.OTHERS, PivotScope.ALL)
    own = {kind.value for kind in kinds}
    asked = [entry for entry in coverage if entry["kind"] in own and over_hosts == ("hosts" in entry)]
    absent = [entry for entry in asked if not entry["present"]]
    lacks = _lacks(absent, case, scope) if absent else ""
    if completeness.missing:
        return PivotState.PARTIAL, _partial(completeness)
    unread = [path for entry in absent for path in entry.get("missing", ())]
    if unread and not total:
        # Absent among what can be read; what can't be read may hold it.
        return PivotState.PARTIAL, _partial(
            Completeness(completeness.segments, missing=tuple(dict.fromkeys(unread)))
        )
    if total:
        return PivotState.HITS, lacks
    if not kinds:
        return PivotState.NO_TELEMETRY, _NO_KIND
    if not over_hosts and not case.host_id:
        return PivotState.NO_TELEMETRY, _NO_HOST
    if lacks:
        present = [one for one in asked if one["present"]] if over_hosts else []
        told = host_coverage.present_sentence(present, scope)
        return PivotState.NO_TELEMETRY, f"{lacks} {told}".strip()
    return PivotState.NO_HITS, host_coverage.present_sentence(asked, scope) if over_hosts else ""


def _lacks(absent: Sequence[dict[str, Any]], case: Case, scope: PivotScope) -> str:
    host = case.host_name or case.host_id
    told = "; ".join(
        host_coverage.absent_sentence(entry, scope) if "hosts" in entry else missing_sentence(entry, host)
        for entry in absent
    )
    return f"{told[0].upper()}{told[1:]}."


def _partial(completeness: Completeness) -> str:
    count = len(completeness.missing)
    shown = ", ".join(completeness.missing[:5]) + (", ..." if count > 5 else "")
    total = count + len(completeness.segments)
    return f"{count} of {total} parts could not be searched: {shown}. Run it again."


def row_hashes(rows: Sequence[Row]) -> list[str]:
    return [document_sha256(row.document) for row in rows]
