"""Telemetry over many hosts: which of them report a kind. "No hits" elsewhere speaks for these alone."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from detections.enums import TelemetryKind
from detections.event_store import event_store
from detections.stores.base import Clause, Filters, Window
from detections.telemetry_kinds import KIND_FILTERS
from triage.enums import PivotScope
from triage.evidence import kind_word

BEFORE, AFTER = timedelta(days=1), timedelta(hours=1)
_SHOWN = 20


def reporting(kinds: Sequence[TelemetryKind], window: Window, *, without: str = "") -> list[dict[str, Any]]:
    """One entry a kind, as a run keeps its coverage: the hosts that sent it around the window.

    without: a host that was not asked. Alerts are kept here, so they are left out. Raises StoreError.
    """
    around = Window(window.start - BEFORE, window.end + AFTER)
    return [_entry(kind, around, without) for kind in kinds if kind is not TelemetryKind.ALERT]


def _entry(kind: TelemetryKind, around: Window, without: str) -> dict[str, Any]:
    found = event_store().spread(_of_others(KIND_FILTERS[kind], without), around)
    hosts = [host for host in found.hosts if host.host_id]
    return {
        "kind": kind.value,
        "present": bool(hosts),
        "hosts": len(hosts),
        "host_ids": [host.host_id for host in hosts[:_SHOWN]],
        "before": 0,
        "during": found.events,
        "after": 0,
        "first_seen": found.first_seen.isoformat() if found.first_seen else None,
        "last_seen": found.last_seen.isoformat() if found.last_seen else None,
        "sources": [],
        **({"missing": list(found.missing)} if found.missing else {}),
    }


def _of_others(filters: Filters, without: str) -> Filters:
    if not without:
        return filters
    clause = Clause("host.id", values=(without,), excluded=True)
    return Filters(tuple((*group, clause) for group in filters.groups))


def absent_sentence(entry: dict[str, Any], scope: str) -> str:
    """'no other host sent DNS telemetry around this time', without a full stop."""
    hosts = "no other host" if scope == PivotScope.OTHERS else "no host"
    return f"{hosts} sent {kind_word(entry['kind'])} telemetry around this time"


def present_sentence(entries: Sequence[dict[str, Any]], scope: str) -> str:
    """'No hits on 14 other hosts that send connection and 3 that send DNS telemetry.'"""
    kind_of_host = "other host" if scope == PivotScope.OTHERS else "host"
    parts = []
    for entry in entries:
        count = int(entry["hosts"])
        noun = kind_of_host if count == 1 else f"{kind_of_host}s"
        parts.append(f"{count:,} {noun} that {'sends' if count == 1 else 'send'} {kind_word(entry['kind'])}")
    return f"No hits on {' and '.join(parts)} telemetry." if parts else ""
