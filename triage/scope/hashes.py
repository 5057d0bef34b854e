"""What of a scope search is hashed, and whether it is still as it was stored."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from detections.journal import canonical_json
from triage.evidence import document_sha256
from triage.models import Case, ScopeCell, ScopeColumn, ScopeRun
from triage.verification import finding


def column_sha256(column: ScopeColumn, cells: Sequence[ScopeCell]) -> str:
    """SHA-256 hex over what was asked and what each host answered."""
    return _sha256(column_content(column, cells))


def column_content(column: ScopeColumn, cells: Sequence[ScopeCell]) -> list[Any]:
    """What a column's hash is taken of."""
    answers = sorted(
        [
            cell.host.host_id,
            cell.events,
            cell.first_at.isoformat(),
            cell.last_at.isoformat(),
            [sample["sha256"] for sample in cell.samples],
        ]
        for cell in cells
    )
    return [column.key, column.query, column.needs, column.state, column.reason, answers]


def run_sha256(run: ScopeRun, columns: Sequence[ScopeColumn]) -> str:
    """SHA-256 hex over the window, the hashes of the columns, and which host reports what."""
    return _sha256(run_content(run, columns))


def run_content(run: ScopeRun, columns: Sequence[ScopeColumn]) -> list[Any]:
    """What a run's hash is taken of."""
    hosts = sorted(run.hosts.values_list("host_id", "reports"))
    return [
        run.window_start.isoformat(),
        run.window_end.isoformat(),
        [[column.key, column.sha256] for column in columns],
        [[host_id, reports] for host_id, reports in hosts],
    ]


def _sha256(content: list[Any]) -> str:
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


@finding
def changed(case: Case | None) -> Iterator[str]:
    """What of a finished search is not as it was stored."""
    runs = ScopeRun.objects.exclude(sha256="").select_related("case").order_by("pk")
    for run in runs.filter(case=case) if case else runs:
        columns = list(run.columns.order_by("position"))
        for column in columns:
            cells = list(column.cells.select_related("host"))
            samples = [sample for cell in cells for sample in cell.samples]
            is_same = all(document_sha256(one["document"]) == one["sha256"] for one in samples)
            if column.sha256 and not (is_same and column_sha256(column, cells) == column.sha256):
                yield f"{run.case.number}: scope {run.number}, {column.field} was changed."
        if run_sha256(run, columns) != run.sha256:
            yield f"{run.case.number}: scope {run.number}: its window, columns or hosts were changed."


def moment_of(text: str) -> datetime:
    """The time of a sample."""
    return datetime.fromisoformat(text)
