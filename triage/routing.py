"""Route alerts to cases: to the open case on their key, else to a new one, past the cap to a storm case."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from detections import ecs, outbox
from detections.actors import Actor, system
from detections.enums import Severity, TimeBasis
from detections.errors import CasewrightError
from detections.models import Alert, RuleRun
from triage import cases, journal, pivots
from triage.case_keys import CaseKey, case_key, rule_identity, storm_key
from triage.enums import CaseLinkKind, CaseStatus
from triage.facts import HeadFacts, head_facts
from triage.guide_versions import guide_of, pin
from triage.models import Case, CaseLink, Occurrence, Question

log = logging.getLogger(__name__)
KIND = "route_alerts"
BATCH = 500
DEFAULT_CAP = 100
_TRIES = 3
# How soon somebody should have decided; the queue's clock.
DUE = {
    Severity.CRITICAL: timedelta(hours=1),
    Severity.HIGH: timedelta(hours=4),
    Severity.MEDIUM: timedelta(hours=24),
    Severity.LOW: timedelta(hours=72),
}


class RoutingError(CasewrightError):
    """Some alerts could not be routed; the others were. They stay unrouted, and are tried again."""


@dataclass(slots=True)
class Routed:
    """What a batch came to. without_run: cases opened for alerts without a run, by rule, for the cap."""

    opened: int = 0
    joined: int = 0
    capped: int = 0
    failed: list[str] = field(default_factory=list)
    remaining: bool = False
    without_run: dict[str, int] = field(default_factory=dict)


def route_alerts(*, actor: Actor, limit: int = BATCH) -> Routed:
    """Route up to `limit` unrouted alerts, oldest first, each in a transaction of its own.

    One that fails does not stop the rest; it is named in `failed` and stays unrouted. Raises
    NotPermittedError for anybody but the system: cases are opened by alerts, not by people.
    """
    actor.require("triage.add_case", "route alerts")
    routed = Routed()
    waiting = list(Alert.objects.unrouted().values_list("pk", flat=True)[: limit + 1])
    routed.remaining = len(waiting) > limit
    for pk in waiting[:limit]:
        try:
            _route_one(pk, routed, actor)
        except Exception as error:  # one bad alert must not keep the others from their cases
            log.exception("Alert %s could not be routed.", pk)
            routed.failed.append(f"alert {pk}: {type(error).__name__}: {error}")
    return routed


@outbox.handler(KIND)
def deliver_route(_subject: int | None) -> None:
    """Outbox: route everything that waits. Raises RoutingError if an alert could not be."""
    actor = system("routing")
    failed: list[str] = []
    while True:
        routed = route_alerts(actor=actor)
        failed += routed.failed
        if not routed.remaining or routed.failed:
            break
    if failed:
        raise RoutingError(f"{len(failed)} alerts could not be routed: " + "; ".join(failed[:5]))


def _route_one(alert_id: int, routed: Routed, actor: Actor) -> None:
    """One alert, tried again when somebody opened a case on the same key in the same moment."""
    for attempt in range(_TRIES):
        try:
            with transaction.atomic():
                alert = (
                    Alert.objects.select_for_update(of=("self",))
                    .select_related("rule", "rule_version")
                    .get(pk=alert_id)
                )
                way = _place(alert, routed, actor) if alert.routed_at is None else ""
        except IntegrityError:
            if attempt == _TRIES - 1:
                raise
        else:
            _tally(routed, alert, way)
            return


def _tally(routed: Routed, alert: Alert, way: str) -> None:
    """Count what was committed."""
    routed.joined += way == "joined"
    routed.capped += way == "capped"
    routed.opened += way == "opened"
    if way == "opened" and alert.run_id is None:
        rule = rule_identity(alert)
        routed.without_run[rule] = routed.without_run.get(rule, 0) + 1


def _place(alert: Alert, routed: Routed, actor: Actor) -> str:
    """Find or open the alert's case and mark the alert routed. Says which way it went."""
    _mark_routed(alert)
    if Occurrence.objects.filter(alert=alert).exists():
        return ""
    key = case_key(alert)
    case = _open_case(key)
    if case is not None:
        _join(case, alert, actor)
        return "joined"
    if _opened(alert, routed) < (alert.rule.max_cases if alert.rule else DEFAULT_CAP):
        _open(alert, key, actor, is_storm=False)
        _count(alert, "cases_opened")
        return "opened"
    _into_storm(alert, actor)
    _count(alert, "cases_capped")
    return "capped"


def _into_storm(alert: Alert, actor: Actor) -> None:
    key = storm_key(alert)
    case = _open_case(key)
    if case is not None:
        _join(case, alert, actor)
    else:
        _open(alert, key, actor, is_storm=True)


def _opened(alert: Alert, routed: Routed) -> int:
    """How many cases the rule has opened in this run; without a run, in this batch."""
    if alert.run_id is None:
        return routed.without_run.get(rule_identity(alert), 0)
    return RuleRun.objects.values_list("cases_opened", flat=True).get(pk=alert.run_id)


def _count(alert: Alert, column: str) -> None:
    if alert.run_id is not None:
        RuleRun.objects.filter(pk=alert.run_id).update(**{column: F(column) + 1})


def _mark_routed(alert: Alert) -> None:
    alert.routed_at = timezone.now()
    alert.save(update_fields=["routed_at"])


def _open_case(key: CaseKey) -> Case | None:
    """The case on the key that is not closed, locked."""
    found = Case.objects.select_for_update(of=("self",)).filter(key=key.sha256).not_closed()
    return found.select_related("guide", "rule").first()


# -- a new case


def _open(alert: Alert, key: CaseKey, actor: Actor, *, is_storm: bool) -> Case:
    """The case with everything that belongs to it, in the caller's transaction."""
    case = _case_row(alert, key, head_facts(alert), is_storm=is_storm)
    case.save()
    Occurrence.objects.create(case=case, alert=alert, added_at=case.opened_at)
    _link_closed(case, key)
    guide = guide_of(case)
    Question.objects.bulk_create(
        Question(case=case, key=question.key, position=position, title=question.title)
        for position, question in enumerate(guide.questions, start=1)
    )
    journal.record(
        case,
        "case_opened",
        actor=actor,
        after=CaseStatus.OPEN,
        subject=case.title,
        data={"alert": alert.alert_id, "key": case.key_fields, "time_basis": case.time_basis},
    )
    pivots.freeze_alert(case, alert, number=1)
    pivots.plan(case, actor=actor)
    pivots.refresh_signals(case, alert)
    cases.refresh(case)
    return case


def _case_row(alert: Alert, key: CaseKey, facts: HeadFacts, *, is_storm: bool) -> Case:
    now = timezone.now()
    first, last = event_range(alert)
    return Case(
        key=key.sha256,
        key_fields=[list(pair) for pair in key.fields],
        title=f"Storm: {alert.title}"[:255] if is_storm else alert.title,
        rule=alert.rule,
        rule_version=alert.rule_version,
        guide=pin(alert.rule_version) if alert.rule_version else None,
        severity=alert.severity,
        risk_score=alert.risk_score,
        time_basis=alert.time_basis,
        is_storm=is_storm,
        host_id="" if is_storm else alert.host_id,
        host_name="" if is_storm else alert.host_name,
        remote_ip=facts.remote_ip[:64],
        user_name=facts.user[:255],
        process=facts.process,
        occurrence_count=1,
        first_event_at=first,
        last_event_at=last,
        opened_at=now,
        due_at=now + DUE[Severity(alert.severity)],
        last_activity_at=now,
    )


def event_range(alert: Alert) -> tuple[datetime, datetime]:
    """From the first to the last moment that any clock gives the alert's events."""
    moments = [alert.first_event_at, alert.last_event_at]
    for event in alert.events:
        moment = _moment(ecs.text(event["document"], "@timestamp"))
        if moment is not None:
            moments.append(moment)
    return min(moments), max(moments)


def _moment(text: str) -> datetime | None:
    try:
        moment = parse_datetime(text)
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None


def _link_closed(case: Case, key: CaseKey) -> None:
    """Nothing is reopened silently: the new case names the closed one that it follows."""
    closed = Case.objects.filter(key=key.sha256, status=CaseStatus.CLOSED).order_by("-closed_at").first()
    if closed is not None:
        CaseLink.objects.create(source=case, target=closed, kind=CaseLinkKind.FOLLOWS)


# -- an occurrence of a case that is there


def _join(case: Case, alert: Alert, actor: Actor) -> None:
    first, last = event_range(alert)
    Occurrence.objects.create(case=case, alert=alert, added_at=timezone.now())
    case.occurrence_count = F("occurrence_count") + 1
    case.first_event_at = min(case.first_event_at, first)
    case.last_event_at = max(case.last_event_at, last)
    case.has_new_evidence = True
    case.save(update_fields=["occurrence_count", "first_event_at", "last_event_at", "has_new_evidence"])
    case.refresh_from_db(fields=["occurrence_count"])
    _upgrade(case, actor)
    journal.record(
        case,
        "occurrence_added",
        actor=actor,
        subject=f"Occurrence {case.occurrence_count}",
        data={"alert": alert.alert_id},
    )
    pivots.freeze_alert(case, alert, number=case.occurrence_count)
    pivots.extend(case, actor=actor)
    cases.refresh(case)


def on_alerts_upgraded(*, alerts: Iterable[Alert], **_: Any) -> None:
    """Receiver: alerts were found in strict order; their cases say so, in the same transaction."""
    upgrade_bases(actor=system("strict match"), alerts=alerts)


def upgrade_bases(*, actor: Actor, alerts: Iterable[Alert]) -> int:
    """Make strict the cases of strict alerts. Returns how many changed."""
    repaired = Q(time_basis=TimeBasis.CLOCK_REPAIRED, occurrences__alert__in=list(alerts))
    waiting = list(Case.objects.filter(repaired).values_list("pk", flat=True).distinct())
    for pk in waiting:
        with transaction.atomic():
            _upgrade(cases.locked(pk), actor)
    return len(waiting)


def _upgrade(case: Case, actor: Actor) -> None:
    """A match in strict order outweighs the repaired one; both are the same match."""
    strict = case.occurrences.filter(alert__time_basis=TimeBasis.STRICT)
    if case.time_basis != TimeBasis.CLOCK_REPAIRED or not strict.exists():
        return
    case.time_basis = TimeBasis.STRICT
    case.save(update_fields=["time_basis"])
    journal.record(
        case,
        "basis_upgraded",
        actor=actor,
        before=TimeBasis.CLOCK_REPAIRED,
        after=TimeBasis.STRICT,
    )
