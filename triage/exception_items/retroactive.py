"""A lead applies an exception to alerts that are there already: explicit, and with the list shown."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from detections import journal as chains
from detections.actors import Actor
from detections.models import Alert
from triage import approvals, cases, journal
from triage.enums import ExceptionState
from triage.errors import StaleEditError, TriageError
from triage.exception_items import recovery as exception_recovery
from triage.exception_items.evaluation import subject_of
from triage.exception_items.matching import CompiledItem, compiled, holds
from triage.facts import head_facts
from triage.models import Case, ExceptionItem, ExceptionVersion, Occurrence, Suppression

MOST = 1_000


@dataclass(frozen=True, slots=True)
class Applied:
    """covered: alerts that the exception covers now. cases: those that have no other alert left, still open
    and for a person to close: nothing is closed by this."""

    covered: tuple[Alert, ...]
    cases: tuple[Case, ...]


def apply_to_existing(
    version: ExceptionVersion, alerts: Sequence[Alert], *, actor: Actor, reason: str
) -> Applied:
    """Mark alerts as covered by an active version, whenever they happened, if every clause holds of each.

    One that has no case yet gets none; one that is in a case stays there, and the case's journal says so.
    Never inside a transaction: evidence is recovered first. Raises NotPermittedError, StaleEditError,
    StoreError, and TriageError, naming them, if it does not hold of some: then nothing is written.
    """
    actor.require(approvals.PERMISSION, "apply an exception to alerts that are there already")
    if actor.user is None or not reason.strip():
        raise TriageError("Only a person can apply an exception to what is there, and has to say why.")
    if not 0 < len(alerts) <= MOST:
        raise TriageError(f"Choose between 1 and {MOST} alerts.")
    item = _judge(version, alerts)
    with transaction.atomic():
        return _write(version, item, alerts, actor, actor.user, reason.strip())


def _judge(version: ExceptionVersion, alerts: Sequence[Alert]) -> CompiledItem:
    fresh = ExceptionVersion.objects.select_related("item", "rule_version__rule").get(pk=version.pk)
    if fresh.state != ExceptionState.ACTIVE:
        says = f"{fresh.label} is {fresh.state}: only an active one can be applied."
        raise StaleEditError(says, theirs=fresh)
    item = compiled(fresh)
    subjects = {alert.pk: subject_of(alert) for alert in alerts}
    wanted = dict.fromkeys(subjects.values(), item.needs)
    found = exception_recovery.recover(wanted, now=timezone.now()) if item.needs else {}
    others = [
        alert
        for alert in alerts
        if alert.rule_id != item.rule_id or not holds(item, subjects[alert.pk], found.get(alert.pk))
    ]
    if others:
        named = ", ".join(str(alert) for alert in others[:5])
        raise TriageError(f"{fresh.label} does not hold of {len(others)} of them: {named}.")
    return item


def _write(
    version: ExceptionVersion,
    item: CompiledItem,
    alerts: Sequence[Alert],
    actor: Actor,
    user: User,
    reason: str,
) -> Applied:
    pks = [alert.pk for alert in alerts]
    tied = dict(Occurrence.objects.filter(alert__in=pks).values_list("alert_id", "case_id"))
    locked = {pk: cases.locked(pk) for pk in sorted(set(tied.values()))}
    ExceptionItem.objects.select_for_update().get(pk=version.item_id)
    row = ExceptionVersion.objects.select_related("item").get(pk=version.pk)
    if row.revision != item.revision:
        raise StaleEditError(f"{row.label} is {row.state} by now. Look at it again.", theirs=row)
    # Of the alerts alone: PostgreSQL locks no row of an outer join.
    alone = Alert.objects.select_for_update(of=("self",))
    free = list(alone.filter(pk__in=pks, suppression__isnull=True).order_by("pk"))
    now = timezone.now()
    Suppression.objects.bulk_create(_row(alert, row, item, user, reason) for alert in free)
    Alert.objects.filter(pk__in=[one.pk for one in free], routed_at__isnull=True).update(routed_at=now)
    for pk, case in locked.items():
        mine = [alert.pk for alert in free if tied.get(alert.pk) == pk]
        if mine:
            _tell(case, row, mine, actor, reason)
    data = {"version": row.pk, "number": row.number, "alerts": [alert.pk for alert in free]}
    chains.record(row.item.stream, "exception_applied", actor=actor, reason=reason, data=data)
    return Applied(tuple(free), tuple(case for case in locked.values() if _is_covered(case)))


def _row(alert: Alert, version: ExceptionVersion, item: CompiledItem, user: User, reason: str) -> Suppression:
    facts, now = head_facts(alert), timezone.now()
    return Suppression(
        alert=alert,
        version=version,
        at=now,
        is_retroactive=True,
        applied_by=user,
        reason=reason,
        value_lists=dict(item.value_lists),
        settled_at=now,
        host=alert.host_name or alert.host_id,
        user=facts.user[:255],
        source=facts.remote_ip[:64],
    )


def _tell(case: Case, version: ExceptionVersion, alerts: list[int], actor: Actor, reason: str) -> None:
    words = "alert" if len(alerts) == 1 else "alerts"
    journal.record(
        case,
        "exception_applied",
        actor=actor,
        subject=f"{version.label} to {len(alerts)} {words}",
        reason=reason,
        data={"exception": version.item_id, "version": version.pk, "alerts": alerts},
    )


def _is_covered(case: Case) -> bool:
    uncovered = case.occurrences.exclude(alert__suppression__lifted_at__isnull=True).exists()
    missing = case.occurrences.filter(alert__suppression__isnull=True).exists()
    return case.is_open and not uncovered and not missing
