"""Frozen evidence: how rows are hashed, which run of a pivot counts, what coverage it saw."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from detections import ecs
from detections.actors import Actor
from detections.enums import TelemetryKind
from detections.journal import canonical_json
from detections.stores.base import Coverage
from triage import journal
from triage.errors import TriageError
from triage.models import Case, Evidence, PivotRun

# What a pivot keeps; its total is counted past it.
MOST_ROWS = 500
KIND_WORDS = {
    TelemetryKind.PROCESS: "process",
    TelemetryKind.CONNECTION: "connection",
    TelemetryKind.DNS: "DNS",
    TelemetryKind.FILE: "file",
    TelemetryKind.LIBRARY: "library",
    TelemetryKind.LOGON: "logon",
    TelemetryKind.REGISTRY: "registry",
    TelemetryKind.ALERT: "alert",
}


def kind_word(kind: str) -> str:
    """The kind as it stands inside a sentence."""
    return KIND_WORDS[TelemetryKind(kind)] if kind in TelemetryKind.values else kind


def document_sha256(document: ecs.Document) -> str:
    """SHA-256 hex over canonical JSON of a document."""
    return hashlib.sha256(canonical_json(document).encode()).hexdigest()


def run_sha256(pivot: PivotRun, row_hashes: Sequence[str]) -> str:
    """SHA-256 hex over what was asked, where, over what, and the hashes of what came back."""
    content = [pivot.query, pivot.window_start, pivot.window_end, pivot.segments, list(row_hashes)]
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def is_unchanged(pivot: PivotRun) -> bool:
    """Whether the rows and the run still have the hashes that were taken when it ran."""
    hashes = []
    for row in pivot.rows.order_by("position"):
        if document_sha256(row.document) != row.sha256:
            return False
        hashes.append(row.sha256)
    return not pivot.sha256 or run_sha256(pivot, hashes) == pivot.sha256


def latest_runs(case: Case) -> list[PivotRun]:
    """The newest attempt of each pivot that gate and checks go by, in the order of planning."""
    return _newest(PivotRun.objects.filter(case=case, counts=True).order_by("attempt"))


@dataclass(frozen=True, slots=True)
class Attempts:
    """The runs of a case, read once. Both give the newest attempt of each pivot, in the order of planning.

    shown: those that people asked for after the guide's; what came after the case was closed is left out,
    since it changes nothing silently. counting: those that gate and checks go by.
    """

    shown: tuple[PivotRun, ...]
    counting: tuple[PivotRun, ...]


def attempts(case: Case) -> Attempts:
    """What the pages of a case show, and what its gate goes by, in one query."""
    runs = list(PivotRun.objects.filter(case=case).select_related("asked_by").order_by("attempt"))
    for run in runs:
        run.case = case
    return Attempts(
        shown=tuple(_newest(run for run in runs if not run.is_after_closing)),
        counting=tuple(_newest(run for run in runs if run.counts)),
    )


def shown_runs(case: Case) -> list[PivotRun]:
    """The newest attempt of each pivot that the pages show."""
    return list(attempts(case).shown)


def _newest(runs: Iterable[PivotRun]) -> list[PivotRun]:
    newest: dict[str, PivotRun] = {}
    first: dict[str, int] = {}
    for run in runs:
        newest[run.key] = run
        first.setdefault(run.key, run.pk)
    return sorted(newest.values(), key=lambda run: first[run.key])


def coverage_data(coverage: Coverage) -> dict[str, Any]:
    """A coverage answer as it is kept with a run."""
    return {
        "kind": coverage.kind.value,
        "present": coverage.is_present,
        "before": coverage.before,
        "during": coverage.during,
        "after": coverage.after,
        "first_seen": coverage.first_seen.isoformat() if coverage.first_seen else None,
        "last_seen": coverage.last_seen.isoformat() if coverage.last_seen else None,
        "sources": list(coverage.sources),
        **({"missing": list(coverage.missing)} if coverage.missing else {}),
    }


def coverage_of(runs: Iterable[PivotRun], kind: str) -> dict[str, Any] | None:
    """What these runs learned of a kind from the case's host, or None: nobody looked.

    Presence if any saw it, else absence. What was learned of other hosts says nothing of this one.
    """
    found = None
    for run in runs:
        for entry in run.coverage:
            if entry["kind"] == kind and "hosts" not in entry and (found is None or entry["present"]):
                found = entry
    return found


def missing_sentence(entry: dict[str, Any], host: str) -> str:
    """'no DNS telemetry from host fin-ws-0412; last seen never', without a full stop."""
    seen = parse_datetime(entry["last_seen"]) if entry["last_seen"] else None
    last = f"{seen:%Y-%m-%d %H:%M:%S} UTC" if seen else "never"
    return f"no {kind_word(entry['kind'])} telemetry from host {host or '(unknown)'}; last seen {last}"


def set_pinned(evidence: Evidence, pinned: bool, *, actor: Actor) -> Evidence:
    """Pin a row as a fact of its case, or take the pin off. Twice is once.

    Raises NotPermittedError, and TriageError if the case is closed.
    """
    actor.require("triage.answer_question", "pin evidence")
    with transaction.atomic():
        case = Case.objects.select_for_update().get(pivots=evidence.pivot_id)
        row = Evidence.objects.select_for_update().get(pk=evidence.pk)
        if not case.is_open:
            raise TriageError(f"{case.number} is closed, and its facts stay as they are.")
        if (row.pinned_at is not None) == pinned:
            return row
        row.pinned_at = timezone.now() if pinned else None
        row.save(update_fields=["pinned_at"])
        journal.record(
            case,
            "evidence_pinned" if pinned else "evidence_unpinned",
            actor=actor,
            subject=f"Row {row.position} of {row.pivot.label}",
            data={"evidence": row.pk, "sha256": row.sha256},
        )
    return row


def pinned(case: Case) -> list[Evidence]:
    """The rows that somebody pinned, oldest pin first."""
    rows = Evidence.objects.filter(pivot__case=case, pinned_at__isnull=False)
    return list(rows.select_related("pivot").order_by("pinned_at", "pk"))
