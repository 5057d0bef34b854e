"""What becomes of a host that scoping found: its events join the case, or it gets a case of its own."""

import hashlib
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone

from detections import ecs
from detections.actors import Actor
from triage import case_links, cases, checks, freezing, journal, pivots
from triage.case_opening import DUE
from triage.enums import CaseStatus, PivotOrigin, PivotScope, PivotState
from triage.errors import TriageError
from triage.facts import head_of
from triage.guide_versions import guide_of
from triage.models import Case, PivotRun, Question, ScopeHost
from triage.models.case import CaseQuerySet
from triage.pivot_search import Row, first_documents
from triage.scope.hashes import moment_of

MOST_OFFERED = 5
_ENTITY = "process.entity_id"


def cases_on(host: ScopeHost, *, actor: Actor) -> CaseQuerySet:
    """Cases of the same host, newest first, other than the one that was scoped."""
    found = Case.objects.visible_to(actor).filter(host_id=host.host_id).exclude(pk=host.run.case_id)
    return found.order_by("-opened_at", "-pk")


def samples_of(host: ScopeHost) -> list[Row]:
    """The events that are kept of a host, each once, in time order."""
    found = {
        sample["identity"]: Row(sample["identity"], moment_of(sample["at"]), sample["document"])
        for cell in host.cells.all()
        for sample in cell.samples
    }
    return sorted(found.values(), key=lambda row: row.at)


def add(host: ScopeHost, *, actor: Actor) -> PivotRun:
    """Freeze the host's kept events as evidence of the case that was scoped. Twice is once.

    Raises NotPermittedError, and TriageError for a closed case or a host of which no events are kept.
    """
    actor.require("triage.answer_question", "add evidence to a case")
    if actor.user is None:
        raise TriageError("Only a person adds a host to a case.")
    with transaction.atomic():
        case = cases.locked(host.run.case_id)
        cases.require_open(case)
        key = f"scope-{host.pk}"
        known = PivotRun.objects.filter(case=case, key=key).first()
        if known is not None:
            return known
        run = _evidence(case, host, key, f"Found by scoping on {host}"[:255])
        _freeze(_asked_by(run, host, actor), samples_of(host))
        case.last_activity_at = timezone.now()
        case.save(update_fields=["last_activity_at"])
        _write(case, "scope_row_added", host, actor, {"pivot": run.pk, "sha256": run.sha256})
    return run


def link(host: ScopeHost, other: Case, *, actor: Actor) -> Case:
    """Tie another case on the same host to the one that was scoped. Raises as `case_links.link` does."""
    if other.host_id != host.host_id:
        raise TriageError(f"{other.number} is not about {host}.")
    case_links.link(host.run.case, other, why=_why(host), actor=actor)
    return other


def open_case(host: ScopeHost, *, actor: Actor) -> Case:
    """A case of its own for the host, worked by the same guide, with the kept events, linked to this one.

    The events of one process, that of the alert's name if there is one, stand for an alert, so that the
    guide's pivots know whom to ask about; the others are evidence beside. Raises NotPermittedError, and
    TriageError for the case's own host, a host of which no events are kept, or one that got its case already.
    """
    actor.require("triage.assign_case", "open cases")
    if actor.user is None:
        raise TriageError("Only a person opens a case for what scoping found.")
    origin = host.run.case
    rows = samples_of(host)
    if not rows:
        raise TriageError(_no_samples(host))
    if host.host_id == origin.host_id:
        raise TriageError(f"{origin.number} is about this host already.")
    first, others = _split(origin, rows)
    with transaction.atomic():
        cases.locked(origin.pk)
        case = _row(origin, host, first)
        standing = Case.objects.not_closed().filter(key=case.key).first()
        if standing is not None:
            raise TriageError(f"{standing.number} was opened for this host already.")
        case.save()
        _fill(case, host, first, others, actor)
        case_links.link(origin, case, why=_why(host), actor=actor)
    return case


def _split(origin: Case, rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """The events that stand for an alert, and the others."""
    names = {ecs.text(one, "process.name").lower() for one in first_documents(origin)} - {""}
    known = [row for row in rows if ecs.text(row.document, _ENTITY)]
    alike = [row for row in known if ecs.text(row.document, "process.name").lower() in names]
    if not known:
        return list(rows), []
    entity = ecs.text((alike or known)[0].document, _ENTITY)
    first = [row for row in rows if ecs.text(row.document, _ENTITY) == entity]
    return first, [row for row in rows if row not in first]


def _row(origin: Case, host: ScopeHost, rows: Sequence[Row]) -> Case:
    now = timezone.now()
    about = head_of([row.document for row in rows])
    fields = [["scoped from", origin.number], ["host.id", host.host_id]]
    return Case(
        key=hashlib.sha256(f"scope:{origin.pk}:{host.host_id}".encode("utf-8", "replace")).hexdigest(),
        key_fields=fields,
        title=f"{origin.title} (found by scoping {origin.number})"[:255],
        rule=origin.rule,
        rule_version=origin.rule_version,
        guide=origin.guide,
        severity=origin.severity,
        risk_score=origin.risk_score,
        host_id=host.host_id,
        host_name=host.host_name,
        remote_ip=origin.remote_ip,
        user_name=about.user[:255],
        process=about.process,
        first_event_at=rows[0].at,
        last_event_at=rows[-1].at,
        opened_at=now,
        due_at=now + DUE[origin.severity],  # type: ignore[index]
        last_activity_at=now,
    )


def _fill(case: Case, host: ScopeHost, rows: Sequence[Row], others: Sequence[Row], actor: Actor) -> None:
    """Questions, journal, the kept events in the place of an alert's, and the guide's pivots."""
    guide = guide_of(case)
    Question.objects.bulk_create(
        Question(case=case, key=question.key, position=position, title=question.title)
        for position, question in enumerate(guide.questions, start=1)
    )
    data = {"scope": host.run_id, "host": host.host_id, "from": host.run.case_id}
    journal.record(case, "case_opened", actor=actor, after=CaseStatus.OPEN, subject=case.title, data=data)
    run = _evidence(case, host, checks.ALERT, "Events that scoping found")
    _freeze(run, rows)
    checks.evaluate(case, guide, run)
    if others:
        beside = _evidence(case, host, "scope", "Other events that scoping found on the host")
        _freeze(_asked_by(beside, host, actor), others)
    pivots.plan(case, actor=actor)
    cases.refresh(case)


def _evidence(case: Case, host: ScopeHost, key: str, label: str) -> PivotRun:
    now = timezone.now()
    hit = [cell.column.query for cell in host.cells.select_related("column").order_by("column__position")]
    return PivotRun(
        case=case,
        key=key,
        label=label,
        state=PivotState.HITS,
        query=[group for query in hit for group in query],
        window_start=host.run.window_start,
        window_end=host.run.window_end,
        columns=["host.name", "event.action", "process.name", "source.ip", "destination.ip"],
        started_at=now,
        finished_at=now,
        took_ms=0,
    )


def _asked_by(run: PivotRun, host: ScopeHost, actor: Actor) -> PivotRun:
    """Mark evidence as brought by a person: gate and checks do not go by it."""
    run.origin, run.asked_by, run.asked_at = PivotOrigin.OWN, actor.user, timezone.now()
    run.scope, run.counts = PivotScope.ALL, False
    rows = [{"field": "host.id", "operator": "is", "value": host.host_id}]
    run.asked = {"language": "filters", "rows": rows}
    return run


def _freeze(run: PivotRun, rows: Sequence[Row]) -> None:
    if not rows:
        raise TriageError("No events of this host are kept. Ask for its values on the Evidence tab.")
    run.save()
    freezing.freeze(run, rows)
    run.total = run.kept
    run.save()


def _no_samples(host: ScopeHost) -> str:
    return f"No events of {host} are kept. Search fewer indicators, or ask for them on the Evidence tab."


def _why(host: ScopeHost) -> str:
    hit = [str(cell.column) for cell in host.cells.select_related("column").order_by("column__position")]
    more = f" and {len(hit) - 3} more" if len(hit) > 3 else ""
    return f"Scoping found {', '.join(hit[:3])}{more} on {host}."


def _write(case: Case, verb: str, host: ScopeHost, actor: Actor, data: dict[str, Any]) -> None:
    journal.record(case, verb, actor=actor, subject=str(host), data={"scope": host.run_id, **data})
