"""A case comes to be, and gets further alerts: always in the caller's transaction."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.db.models import F
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from detections import ecs
from detections.actors import Actor
from detections.enums import Severity, TimeBasis
from detections.models import Alert
from triage import cases, checks, freezing, journal, pivots
from triage.case_keys import CaseKey
from triage.enums import CaseLinkKind, CaseStatus
from triage.facts import HeadFacts, head_facts
from triage.guide_versions import guide_of, pin_for
from triage.models import Case, CaseLink, CaseMerge, Occurrence, Question
from triage.response import watching
from triage.signals import case_moved

Tie = Callable[[Case], None]
# How soon somebody should have decided; the queue's clock.
DUE = {
    Severity.CRITICAL: timedelta(hours=1),
    Severity.HIGH: timedelta(hours=4),
    Severity.MEDIUM: timedelta(hours=24),
    Severity.LOW: timedelta(hours=72),
}


def open_case_on(key: CaseKey) -> Case | None:
    """The case on the key that is not closed, or that such a case was merged into, locked until the
    transaction ends."""
    standing = Case.objects.select_for_update(of=("self",)).select_related("guide", "rule").not_closed()
    return standing.filter(key=key.sha256).first() or standing.filter(pk=_merged_into(key)).first()


def _merged_into(key: CaseKey) -> int:
    """The case that took the occurrences of this key's case by a merge, else 0; through several merges."""
    merged = CaseMerge.objects.filter(undone_at__isnull=True)
    found = merged.filter(source__key=key.sha256).order_by("-pk").values_list("target", flat=True).first()
    while found is not None:
        onward = merged.filter(source=found).values_list("target", flat=True).first()
        if onward is None:
            return found
        found = onward
    return 0


def open_case(
    alert: Alert, key: CaseKey, actor: Actor, *, is_storm: bool = False, tie: Tie | None = None
) -> Case:
    """The case with everything that belongs to it, in the caller's transaction.

    tie: moves the occurrences of another case here; otherwise the alert gets one.
    """
    facts = head_facts(alert)
    weight = watching.raised_by(alert, user=facts.user)
    case = _case_row(alert, key, facts, weight.severity, is_storm=is_storm)
    case.save()
    if tie is None:
        occurrence_of(case, alert, case.opened_at).save()
    else:
        tie(case)
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
        reason=weight.says,
        data={
            "alert": alert.alert_id,
            "key": case.key_fields,
            "time_basis": case.time_basis,
            **({"severity_raised_from": alert.severity} if case.severity != alert.severity else {}),
        },
    )
    freezing.freeze_alert(case, alert, number=1)
    pivots.plan(case, actor=actor)
    pivots.refresh_signals(case, alert)
    cases.refresh(case)
    return case


def occurrence_of(case: Case, alert: Alert, now: datetime) -> Occurrence:
    """The row that ties the alert to the case, unsaved, with what a storm is counted and split by."""
    facts = head_facts(alert)
    host = alert.host_name or alert.host_id
    return Occurrence(
        case=case, alert=alert, added_at=now, host=host, user=facts.user[:255], source=facts.remote_ip[:64]
    )


def _case_row(alert: Alert, key: CaseKey, facts: HeadFacts, severity: Severity, *, is_storm: bool) -> Case:
    now = timezone.now()
    first, last = event_range(alert)
    return Case(
        key=key.sha256,
        key_fields=[list(pair) for pair in key.fields],
        title=f"Storm: {alert.title}"[:255] if is_storm else alert.title,
        rule=alert.rule,
        rule_version=alert.rule_version,
        guide=pin_for(alert),
        severity=severity,
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
        due_at=now + DUE[severity],
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


def join(case: Case, alert: Alert, actor: Actor) -> None:
    """One more alert on a locked case, in the caller's transaction."""
    first, last = event_range(alert)
    occurrence_of(case, alert, timezone.now()).save()
    case.occurrence_count = F("occurrence_count") + 1
    case.first_event_at = min(case.first_event_at, first)
    case.last_event_at = max(case.last_event_at, last)
    case.has_new_evidence = True
    weight = _weigh(case, alert)
    case.save(
        update_fields=[
            "occurrence_count",
            "first_event_at",
            "last_event_at",
            "has_new_evidence",
            "severity",
            "due_at",
        ]
    )
    case.refresh_from_db(fields=["occurrence_count"])
    upgrade(case, actor)
    journal.record(
        case,
        "occurrence_added",
        actor=actor,
        subject=f"Occurrence {case.occurrence_count}",
        reason=weight,
        data={"alert": alert.alert_id},
    )
    freezing.freeze_alert(case, alert, number=_next_number(case))
    pivots.extend(case, actor=actor)
    cases.refresh(case)
    case_moved.send(sender=Case, case=case)


def _weigh(case: Case, alert: Alert) -> str:
    """A case weighs what its heaviest watched occurrence does. Says why where that is more than before."""
    weight = watching.raised_by(alert, user=head_facts(alert).user)
    if not weight.by or not watching.weighs_more(weight.severity, case.severity):
        return ""
    case.severity = weight.severity
    soon = timezone.now() + DUE[weight.severity]
    case.due_at = min(case.due_at, soon)
    return weight.says


def _next_number(case: Case) -> int:
    """Under which number the next occurrence's events are frozen. A split takes occurrences away, but what
    was frozen stays, with its number."""
    return 1 + sum(checks.is_alert(run) for run in case.pivots.only("key"))


def add_to(case: Case, alerts: Sequence[Alert], *, actor: Actor, verb: str = "occurrences_added") -> None:
    """Many alerts, tied to a locked case already, with one journal entry, in the caller's transaction."""
    if not alerts:
        return
    ranges = [event_range(alert) for alert in alerts]
    case.occurrence_count += len(alerts)
    case.first_event_at = min(case.first_event_at, *(first for first, _last in ranges))
    case.last_event_at = max(case.last_event_at, *(last for _first, last in ranges))
    case.has_new_evidence = True
    case.save(update_fields=["occurrence_count", "first_event_at", "last_event_at", "has_new_evidence"])
    upgrade(case, actor)
    journal.record(
        case,
        verb,
        actor=actor,
        subject=f"{len(alerts)} {'occurrence' if len(alerts) == 1 else 'occurrences'}",
        data={"alerts": [alert.pk for alert in alerts]},
    )
    for number, alert in enumerate(alerts, start=_next_number(case)):
        freezing.freeze_alert(case, alert, number=number)
    pivots.extend(case, actor=actor)
    cases.refresh(case)
    case_moved.send(sender=Case, case=case)


def upgrade(case: Case, actor: Actor) -> None:
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
