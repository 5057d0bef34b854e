"""What a case pack says of a case: searches, events, journal and decisions, a record each."""

from collections.abc import Iterator
from typing import Any

from detections import ecs
from detections.models import JournalEntry
from triage.models import Case, Evidence, PivotRun, Question, ScopeRun
from triage.preserve import report_actions
from triage.scope import hashes as scope_hashes

COLUMNS = (
    "pivot",
    "row",
    "@timestamp",
    "host.name",
    "event.category",
    "event.action",
    "user.name",
    "process.name",
    "process.pid",
    "process.command_line",
    "source.ip",
    "source.port",
    "destination.ip",
    "destination.port",
    "dns.question.name",
    "file.path",
    "dll.path",
    "sha256",
)


def runs(case: Case) -> Iterator[dict[str, Any]]:
    for run in PivotRun.objects.filter(case=case).select_related("asked_by").order_by("pk"):
        yield {
            "id": run.pk,
            "key": run.key,
            "attempt": run.attempt,
            "question": run.question_key,
            "label": run.label,
            "state": run.state,
            "reason": run.reason,
            "kinds": run.kinds,
            "query": run.query,
            "window_start": _at(run.window_start),
            "window_end": _at(run.window_end),
            "segments": run.segments,
            "coverage": run.coverage,
            "total": run.total,
            "kept": run.kept,
            "finished_at": _at(run.finished_at),
            "origin": run.origin,
            "asked_by": str(run.asked_by) if run.asked_by else "",
            "asked": run.asked,
            "after_closing": run.is_after_closing,
            "sha256": run.sha256,
        }


def _evidence(case: Case) -> Iterator[Evidence]:
    rows = Evidence.objects.filter(pivot__case=case).select_related("pivot")
    return rows.order_by("pivot", "position").iterator(chunk_size=500)


def rows(case: Case) -> Iterator[dict[str, Any]]:
    for row in _evidence(case):
        yield {
            "run": row.pivot_id,
            "position": row.position,
            "id": row.pk,
            "identity": row.identity,
            "event_at": _at(row.event_at),
            "pinned_at": _at(row.pinned_at),
            "sha256": row.sha256,
            "document": row.document,
        }


def table(case: Case) -> Iterator[list[Any]]:
    for row in _evidence(case):
        fields = [ecs.values(row.document, name) for name in COLUMNS[2:-1]]
        yield [row.pivot.label, row.position, *(_plain(found) for found in fields), row.sha256]


def _plain(found: list[Any]) -> Any:
    return found[0] if len(found) == 1 else found


def scope_records(run: ScopeRun) -> Iterator[dict[str, Any]]:
    columns = list(run.columns.order_by("position"))
    for column in columns:
        cells = list(column.cells.select_related("host"))
        if column.sha256:
            content = scope_hashes.column_content(column, cells)
            about = {"field": column.field, "value": column.value}
            yield {"type": "column", "content": content, "sha256": column.sha256, **about}
        for cell in cells:
            for sample in cell.samples:
                yield {"type": "sample", "column": column.key, "host": cell.host.host_id, **sample}
    yield {"type": "run", "content": scope_hashes.run_content(run, columns), "sha256": run.sha256}


def journal(case: Case, last: int) -> Iterator[dict[str, Any]]:
    entries = JournalEntry.objects.filter(stream__name=case.stream, number__lte=last)
    for entry in entries.select_related("stream").order_by("number").iterator(chunk_size=500):
        yield {
            "stream": entry.stream.name,
            "number": entry.number,
            "at": entry.at.isoformat(),
            "user": entry.user_id,
            "actor": entry.actor,
            "verb": entry.verb,
            "before": entry.before,
            "after": entry.after,
            "reason": entry.reason,
            "data": entry.data,
            "previous_hash": entry.previous_hash,
            "hash": entry.hash,
        }


def case(case: Case) -> dict[str, Any]:
    return {
        "number": case.number,
        "title": case.title,
        "rule": case.rule.name if case.rule else "",
        "rule_version": case.rule_version.number if case.rule_version else None,
        "guide_sha256": case.guide.sha256 if case.guide else "",
        "severity": case.severity,
        "risk_score": case.risk_score,
        "status": case.status,
        "disposition": case.disposition,
        "host": {"id": case.host_id, "name": case.host_name},
        "remote_ip": case.remote_ip,
        "user": case.user_name,
        "process": case.process,
        "key": case.key_fields,
        "first_event_at": _at(case.first_event_at),
        "last_event_at": _at(case.last_event_at),
        "opened_at": _at(case.opened_at),
        "closed_at": _at(case.closed_at),
        "closed_by": str(case.closed_by) if case.closed_by else "",
        "closing_rationale": case.closing_rationale,
        "alerts": list(case.occurrences.order_by("pk").values_list("alert__alert_id", flat=True)),
        "questions": [_question(question) for question in case.questions.order_by("position")],
        "confirmations": list(
            case.confirmations.values(
                "pk",
                "kind",
                "reference",
                "confirmed_by",
                "confirmed_at",
                "statement",
                "recorded_by__username",
            )
        ),
        "escalations": list(
            case.escalations.values("to", "reason", "preserved", "by__username", "created_at")
        ),
        "overrides": list(case.overrides.values("disposition", "by__username", "at", "reason", "blocks")),
        "actions": list(report_actions.records(case)),
        "tasks": list(
            case.tasks.values(
                "title", "owner__username", "due_at", "done_at", "done_by__username", "done_note"
            )
        ),
    }


def _question(question: Question) -> dict[str, Any]:
    return {
        "position": question.position,
        "key": question.key,
        "title": question.title,
        "state": question.state,
        "answers": [
            {
                "state": answer.state,
                "rationale": answer.rationale,
                "fields": answer.fields,
                "by": str(answer.author),
                "at": _at(answer.created_at),
                "cites_rows": [one.evidence_id for one in answer.citations.all() if one.evidence_id],
                "cites_confirmations": [
                    one.confirmation_id for one in answer.citations.all() if one.confirmation_id
                ],
            }
            for answer in question.answers.select_related("author").prefetch_related("citations")
        ],
    }


def _at(moment: Any) -> str | None:
    return moment.isoformat() if moment is not None else None
