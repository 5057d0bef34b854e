"""What changed since a pivot was frozen: the same question over the same time, asked of the store now."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from detections.enums import TelemetryKind
from detections.event_store import event_store
from detections.stores.base import Clause, Filters, Operator, Window
from triage import asking
from triage.enums import PivotOrigin, PivotState
from triage.errors import TriageError
from triage.evidence import MOST_ROWS, document_sha256
from triage.models import Evidence, PivotRun
from triage.pivot_search import Outcome, Row, search_filters, search_signals

MOST_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Comparison:
    """added: rows that the store has now. gone: frozen ones that it has not. changed: pairs of both. notes:
    what the store can't tell, and why."""

    added: tuple[Row, ...]
    gone: tuple[Evidence, ...]
    changed: tuple[tuple[Evidence, Row], ...]
    same: int
    notes: tuple[str, ...]

    def data(self) -> dict[str, Any]:
        """As it is kept with a look-up: the first rows of each sort, and how many there are."""
        return {
            "added": [
                {"at": row.at.isoformat(), "document": row.document} for row in self.added[:MOST_SHOWN]
            ],
            "added_total": len(self.added),
            "gone": [row.pk for row in self.gone[:MOST_SHOWN]],
            "gone_total": len(self.gone),
            "changed": [
                {"row": frozen.pk, "fields": changed_fields(frozen.document, row.document)}
                for frozen, row in self.changed[:MOST_SHOWN]
            ],
            "changed_total": len(self.changed),
            "same": self.same,
            "notes": list(self.notes),
        }


def compare(run: PivotRun) -> Comparison:
    """Ask again what was frozen. Nothing is stored.

    Searches the store: never inside a transaction. Raises StoreError, and TriageError for a run that was
    never searched.
    """
    if not run.query or run.window_start is None or run.window_end is None:
        raise TriageError("This pivot was not searched, so there is nothing to compare with.")
    now = _asked_now(run, Window(run.window_start, run.window_end))
    frozen = {row.identity: row for row in run.rows.order_by("position")}
    found = {row.identity: row for row in now.rows}
    both = [(frozen[identity], row) for identity, row in found.items() if identity in frozen]
    changed = [pair for pair in both if document_sha256(pair[1].document) != pair[0].sha256]
    is_capped = now.total > len(now.rows) or run.total > run.kept
    gone = [] if is_capped else [row for identity, row in frozen.items() if identity not in found]
    return Comparison(
        added=() if run.total > run.kept else tuple(row for key, row in found.items() if key not in frozen),
        gone=tuple(gone),
        changed=tuple(changed),
        same=len(both) - len(changed),
        notes=tuple(_notes(run, now, gone, is_capped=is_capped)),
    )


def _asked_now(run: PivotRun, window: Window) -> Outcome:
    case = run.case
    if run.origin != PivotOrigin.GUIDE:
        return asking.search(case, run, window)
    filters = filters_of(run.query)
    if run.kinds == [TelemetryKind.ALERT.value]:
        return search_signals(case, filters, window)
    return search_filters(case, filters, [TelemetryKind(kind) for kind in run.kinds], window)


def filters_of(query: Sequence[Any]) -> Filters:
    """The filters that a run keeps, as `query_data` wrote them."""
    return Filters(
        tuple(
            tuple(
                Clause(
                    one["field"], Operator(one["operator"]), tuple(one["values"]), excluded=one["excluded"]
                )
                for one in group
            )
            for group in query
        )
    )


def _notes(run: PivotRun, now: Outcome, gone: Sequence[Evidence], *, is_capped: bool) -> list[str]:
    notes = []
    if is_capped:
        notes.append(
            f"More than {MOST_ROWS} rows match. Which of them are gone can't be told from the first ones."
        )
    if now.state == PivotState.PARTIAL:
        notes.append(f"{now.reason} A row that is missing may lie there.")
    oldest = event_store().statistics()["oldest"]
    assert run.window_start is not None
    if oldest is None:
        notes.append("The store is empty now: its retention has taken everything, or it is a new one.")
    elif oldest > run.window_start and gone:
        notes.append(
            f"The store begins at {oldest:%Y-%m-%d %H:%M:%S} UTC now: what lay before is gone by retention."
        )
    return notes


def changed_fields(before: Any, after: Any, prefix: str = "") -> list[str]:
    """The dotted names whose values differ between two documents."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [] if before == after else [prefix.rstrip(".")]
    names = sorted(before.keys() | after.keys())
    return [
        field
        for name in names
        for field in changed_fields(before.get(name), after.get(name), f"{prefix}{name}.")
    ]
