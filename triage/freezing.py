"""Copy documents as evidence: those of an alert, and what a pivot found."""

from collections.abc import Collection, Iterable

from django.utils import timezone

from detections import ecs
from detections.ingest.moments import moment
from detections.models import Alert
from triage import checks, evidence_origin, observables
from triage.enums import PivotState
from triage.evidence import MOST_ROWS, document_sha256, run_sha256
from triage.guide_versions import guide_of
from triage.models import Case, Evidence, PivotRun
from triage.pivot_search import Row

# Each occurrence freezes its events; a case with more of them has its first ones to look at.
MOST_FROZEN_OCCURRENCES = 100


def freeze_alert(case: Case, alert: Alert, *, number: int) -> PivotRun | None:
    """Keep an alert's own events as evidence, in the caller's transaction; nothing has to be searched."""
    if number > MOST_FROZEN_OCCURRENCES:
        return None
    now = timezone.now()
    run = PivotRun(
        case=case,
        key=checks.ALERT if number == 1 else f"{checks.ALERT}-{number}",
        label="Events of the alert" if number == 1 else f"Events of occurrence {number}",
        state=PivotState.HITS,
        window_start=alert.first_event_at,
        window_end=alert.last_event_at,
        started_at=now,
        finished_at=now,
        took_ms=0,
    )
    run.save()
    freeze(
        run,
        [
            Row(
                event["identity"],
                moment(ecs.text(event["document"], "@timestamp")),
                event["document"],
                event.get("origin", ""),
            )
            for event in alert.events
        ],
    )
    run.total = run.kept
    run.save()
    checks.evaluate(case, guide_of(case), run)
    return run


def freeze(
    run: PivotRun, rows: Iterable[Row], *, known: Collection[str] | None = None, collects: bool = True
) -> None:
    """Copy the documents, with the hash of each and of the whole, and say where they came from.

    known: the identities that earlier attempts have, to mark what is new; None where there was none.
    collects: False where another pivot of the case follows at once and takes these values over as well.
    """
    kept = list(rows)[:MOST_ROWS]
    made = [
        Evidence(
            pivot=run,
            position=number,
            identity=row.identity,
            event_at=row.at,
            document=row.document,
            sha256=document_sha256(row.document),
            is_new=known is not None and row.identity not in known,
        )
        for number, row in enumerate(kept, start=1)
    ]
    Evidence.objects.bulk_create(made)
    run.kept = len(made)
    run.segments = evidence_origin.noted(run.segments, [row.origin for row in kept])
    run.added = sum(row.is_new for row in made)
    run.sha256 = run_sha256(run, [row.sha256 for row in made])
    if collects:
        observables.collect(run.case)
