"""Route alerts to cases: to the open case on their key, else to a new one, past the cap to a storm case."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from detections import canary, outbox
from detections.actors import Actor, system
from detections.enums import TimeBasis
from detections.errors import CasewrightError
from detections.models import Alert, RuleRun
from triage import cases, journal
from triage.case_keys import case_key, rule_identity, storm_key
from triage.case_opening import add_to, join, occurrence_of, open_case, open_case_on, upgrade
from triage.exception_items import routing as exception_routing
from triage.models import Case, Occurrence

log = logging.getLogger(__name__)
KIND = "route_alerts"
BATCH = 500
DEFAULT_CAP = 100
_TRIES = 3


class RoutingError(CasewrightError):
    """Some alerts could not be routed; the others were. They stay unrouted, and are tried again."""


@dataclass(slots=True)
class Routed:
    """What a batch came to. hidden: by exceptions.

    without_run: cases opened for alerts without a run, by rule, for the cap.
    """

    hidden: int = 0
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
    waiting = list(Alert.objects.unrouted().select_related("rule")[: limit + 1])
    routed.remaining = len(waiting) > limit
    batch = _not_hidden(waiting[:limit], routed, actor)
    cap = _Cap(batch, routed)
    past: dict[str, list[int]] = {}
    for alert in batch:
        if cap.holds_back(alert):
            past.setdefault(rule_identity(alert), []).append(alert.pk)
            continue
        try:
            cap.note(alert, _route_one(alert.pk, routed, actor))
        except Exception as error:  # one bad alert must not keep the others from their cases
            log.exception("Alert %s could not be routed.", alert.pk)
            routed.failed.append(f"alert {alert.pk}: {type(error).__name__}: {error}")
    for pks in past.values():
        _gather(pks, routed, actor)
    return routed


def _not_hidden(batch: Sequence[Alert], routed: Routed, actor: Actor) -> list[Alert]:
    """The alerts that exceptions leave to cases. Those for which exceptions can't be told wait, unrouted."""
    try:
        looked = exception_routing.hide(batch, actor=actor)
    except Exception as error:  # neither none nor all: routing waits until exceptions can be read
        log.exception("Exceptions can't be read; routing waits.")
        routed.failed.append(f"{len(batch)} alerts wait, exceptions can't be read: {error}")
        return []
    routed.hidden = len(looked.taken)
    routed.failed += [f"alert {pk} waits: {why}" for pk, why in looked.waiting.items()]
    return [alert for alert in batch if alert.pk not in looked.taken and alert.pk not in looked.waiting]


class _Cap:
    """Which alerts of a batch go past their rule's cap, so that a storm is stored at once and not one by one.

    It may let one through: the look under the alert's own lock decides.
    """

    def __init__(self, batch: Sequence[Alert], routed: Routed) -> None:
        self._routed = routed
        self._keys = {alert.pk: _key_or_none(alert) for alert in batch}
        found = Case.objects.filter(key__in=set(self._keys.values())).not_closed()
        self._open = set(found.values_list("key", flat=True))
        self._opened: dict[int, int] = {}

    def holds_back(self, alert: Alert) -> bool:
        key = self._keys[alert.pk]
        if not key or key in self._open or (alert.rule and alert.rule.is_canary):
            return False
        if alert.run_id is None:
            return _opened(alert, self._routed) >= _most(alert)
        if alert.run_id not in self._opened:
            self._opened[alert.run_id] = _opened(alert, self._routed)
        return self._opened[alert.run_id] >= _most(alert)

    def note(self, alert: Alert, way: str) -> None:
        self._open.add(self._keys[alert.pk])
        if way == "opened" and alert.run_id is not None:
            self._opened[alert.run_id] = self._opened.get(alert.run_id, 0) + 1


def _key_or_none(alert: Alert) -> str:
    """The alert's key; "" for one whose key can't be told, which then fails alone."""
    try:
        return case_key(alert).sha256
    except Exception:
        return ""


def _most(alert: Alert) -> int:
    return alert.rule.max_cases if alert.rule else DEFAULT_CAP


def _gather(pks: Sequence[int], routed: Routed, actor: Actor) -> None:
    """Put alerts of one rule, all past the cap, into its storm case; if that fails, one by one."""
    for attempt in range(_TRIES):
        try:
            with transaction.atomic():
                taken = _into_storm_at_once(pks, actor)
        except Exception as error:
            if isinstance(error, IntegrityError) and attempt < _TRIES - 1:
                continue  # somebody opened the storm case, or took an alert, in the same moment
            log.exception("Alerts %s could not be gathered.", pks[:5])
            _one_by_one(pks, routed, actor)
        else:
            routed.capped += taken
        return


def _one_by_one(pks: Sequence[int], routed: Routed, actor: Actor) -> None:
    for pk in pks:
        try:
            _route_one(pk, routed, actor)
        except Exception as error:
            log.exception("Alert %s could not be routed.", pk)
            routed.failed.append(f"alert {pk}: {type(error).__name__}: {error}")


def _into_storm_at_once(pks: Sequence[int], actor: Actor) -> int:
    """All of them in the caller's transaction. Returns how many were still waiting."""
    now = timezone.now()
    locked = Alert.objects.select_for_update(of=("self",)).select_related("rule", "rule_version")
    waiting = list(locked.filter(pk__in=pks, routed_at__isnull=True).order_by("pk"))
    tied = set(Occurrence.objects.filter(alert__in=waiting).values_list("alert_id", flat=True))
    alerts = [alert for alert in waiting if alert.pk not in tied]
    Alert.objects.filter(pk__in=[alert.pk for alert in waiting]).update(routed_at=now)
    if not alerts:
        return 0
    storm, rest = open_case_on(storm_key(alerts[0])), alerts
    if storm is None:
        storm, rest = open_case(alerts[0], storm_key(alerts[0]), actor, is_storm=True), alerts[1:]
    Occurrence.objects.bulk_create(occurrence_of(storm, alert, now) for alert in rest)
    add_to(storm, rest, actor=actor)
    for run_id, number in Counter(alert.run_id for alert in alerts if alert.run_id).items():
        RuleRun.objects.filter(pk=run_id).update(cases_capped=F("cases_capped") + number)
    return len(alerts)


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


def _route_one(alert_id: int, routed: Routed, actor: Actor) -> str:
    """One alert; says which way it went. Tried again when a case on its key was opened in the same moment."""
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
            return way
    return ""


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
    if canary.claim(alert):
        return "canary"
    if Occurrence.objects.filter(alert=alert).exists():
        return ""
    key = case_key(alert)
    case = open_case_on(key)
    if case is not None:
        join(case, alert, actor)
        return "joined"
    if _opened(alert, routed) < _most(alert):
        open_case(alert, key, actor, is_storm=False)
        _count(alert, "cases_opened")
        return "opened"
    _into_storm(alert, actor)
    _count(alert, "cases_capped")
    return "capped"


def _into_storm(alert: Alert, actor: Actor) -> None:
    key = storm_key(alert)
    case = open_case_on(key)
    if case is not None:
        join(case, alert, actor)
    else:
        open_case(alert, key, actor, is_storm=True)


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


def on_alerts_upgraded(*, alerts: Iterable[Alert], **_: Any) -> None:
    """Receiver: alerts were found in strict order; their cases say so, in the same transaction."""
    upgrade_bases(actor=system("strict match"), alerts=alerts)


def on_alerts_superseded(*, alerts: Iterable[Alert], **_: Any) -> None:
    """Receiver: late telemetry supersedes matches; the journals of their cases say so."""
    actor = system("late telemetry")
    by_case: dict[int, list[str]] = {}
    tied = Occurrence.objects.filter(alert__in=[alert.pk for alert in alerts])
    for case_id, alert_id in tied.order_by("case", "pk").values_list("case", "alert__alert_id"):
        by_case.setdefault(case_id, []).append(alert_id)
    for case_id, alert_ids in by_case.items():
        case, number = cases.locked(case_id), len(alert_ids)
        subject = f"{number} {'occurrence' if number == 1 else 'occurrences'}"
        journal.record(case, "alerts_superseded", actor=actor, subject=subject, data={"alerts": alert_ids})


def upgrade_bases(*, actor: Actor, alerts: Iterable[Alert]) -> int:
    """Make strict the cases of strict alerts. Returns how many changed."""
    repaired = Q(time_basis=TimeBasis.CLOCK_REPAIRED, occurrences__alert__in=list(alerts))
    waiting = list(Case.objects.filter(repaired).values_list("pk", flat=True).distinct())
    for pk in waiting:
        with transaction.atomic():
            upgrade(cases.locked(pk), actor)
    return len(waiting)
