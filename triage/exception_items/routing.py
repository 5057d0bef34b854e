"""Exceptions before cases: which alerts of a batch are hidden, and which have to wait for an answer.

The evidence is recovered first; what it says is written under locks, if the version is still what was judged.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import DatabaseError, transaction
from django.db.models import F
from django.utils import timezone

from detections import journal as chains
from detections import outbox
from detections.actors import Actor
from detections.errors import CasewrightError
from detections.models import Alert
from detections.run import ROUTE_ALERTS
from triage.enums import ExceptionScope
from triage.exception_items import recovery as exception_recovery
from triage.exception_items.content import sentence
from triage.exception_items.evaluation import Subject, subject_of
from triage.exception_items.matching import (
    CompiledItem,
    Matcher,
    Recovered,
    active_lists,
    active_matcher,
    compiled,
    explain,
    holds,
    is_within,
)
from triage.facts import head_facts
from triage.models import ExceptionItem, ExceptionVersion, Occurrence, Suppression
from triage.models.exception_item import SuppressionQuerySet

log = logging.getLogger(__name__)
REVIEW = "open_exception_review"
# The chain of the journal that says which alerts were hidden by what: one entry a batch.
STREAM = "hidden alerts"
# One of so many hidden alerts is opened as a case, and at least one in so long.
SAMPLE_EVERY = 50
SAMPLE_WITHIN = timedelta(days=7)
BATCH = 500


@dataclass(slots=True)
class Looked:
    """What exceptions did with a batch. taken: alerts that are hidden now; waiting: why others must wait."""

    taken: set[int] = field(default_factory=set)
    waiting: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Judged:
    alert: Alert
    subject: Subject
    item: CompiledItem


def hide(alerts: Sequence[Alert], *, actor: Actor) -> Looked:
    """Hide what exceptions in force hold of. Never inside a transaction.

    Alerts of a rule whose exceptions can't be read wait, and so do those whose evidence can't be recovered;
    everything else is for cases. Raises DatabaseError if nothing can be told at all.
    """
    now, looked = timezone.now(), Looked()
    matcher = active_matcher(now=now)
    if not matcher:
        return looked
    subjects = _subjects(alerts, matcher, looked)
    candidates = {
        subject: found
        for subject in subjects.values()
        if (found := [item for item in matcher.candidates(subject) if is_within(item, subject, now)])
    }
    recovered, failure = _recovered(candidates, now)
    judged: list[_Judged] = []
    for alert in alerts:
        subject = subjects.get(alert.pk)
        if subject is None or subject not in candidates:
            continue
        item = _first(candidates[subject], subject, recovered)
        if item is not None:
            judged.append(_Judged(alert, subject, item))
        elif failure and any(one.needs for one in candidates[subject]):
            looked.waiting[alert.pk] = failure
    # By version, so that each is counted up once.
    judged.sort(key=lambda one: (one.item.version_id, one.alert.pk))
    for start in range(0, len(judged), BATCH):
        looked.taken |= _write(judged[start : start + BATCH], actor)
    return looked


def _subjects(alerts: Sequence[Alert], matcher: Matcher, looked: Looked) -> dict[int, Subject]:
    """Alerts of rules with exceptions, but for those that were decided before and those that must wait."""
    rules = {item.rule_id for item in matcher.items}
    mine = [alert for alert in alerts if alert.rule_id in rules or alert.rule_id in matcher.unreadable]
    decided = set(Suppression.objects.filter(alert__in=mine).values_list("alert_id", flat=True))
    found: dict[int, Subject] = {}
    for alert in mine:
        if alert.pk in decided or (alert.rule and alert.rule.is_canary):
            continue
        if alert.rule_id in matcher.unreadable:
            looked.waiting[alert.pk] = matcher.unreadable[alert.rule_id]
            continue
        try:
            found[alert.pk] = subject_of(alert)
        except Exception:  # an alert that can't be understood is nobody's to hide
            log.exception("Alert %s can't be compared with exceptions.", alert.pk)
    return found


def _recovered(
    candidates: Mapping[Subject, Sequence[CompiledItem]], now: datetime
) -> tuple[dict[int, Recovered], str]:
    """The evidence that candidates need, and why there is none, "" if there is."""
    wanted: dict[Subject, set[ExceptionScope]] = {}
    for subject, items in candidates.items():
        if scopes := {scope for item in items for scope in item.needs}:
            wanted[subject] = scopes
    if not wanted:
        return {}, ""
    try:
        return exception_recovery.recover(wanted, now=now), ""
    except (CasewrightError, DatabaseError, OSError) as error:
        log.warning("Evidence for exceptions could not be recovered.", exc_info=error)
        return {}, f"The evidence that an exception speaks of could not be recovered: {error}"


def _first(
    items: Iterable[CompiledItem], subject: Subject, recovered: Mapping[int, Recovered]
) -> CompiledItem | None:
    return next((item for item in items if holds(item, subject, recovered.get(subject.alert_id))), None)


# -- writing


def _write(judged: Sequence[_Judged], actor: Actor) -> set[int]:
    """Hide under locks what is still unrouted, by versions that are still what was judged."""
    with transaction.atomic():
        items = sorted({one.item.item_id for one in judged})
        list(ExceptionItem.objects.select_for_update().filter(pk__in=items).order_by("pk"))
        now = timezone.now()
        versions = {
            version.pk: version
            for version in ExceptionVersion.objects.in_force(now)
            .filter(pk__in={one.item.version_id for one in judged})
            .select_related("item")
            .defer("entries", "reason")
        }
        free = _unrouted([one.alert.pk for one in judged])
        hidden = [
            one
            for one in judged
            if one.alert.pk in free
            and one.item.version_id in versions
            and versions[one.item.version_id].revision == one.item.revision
            and is_within(one.item, one.subject, now)
        ]
        _store(hidden, versions, now, actor)
    return {one.alert.pk for one in hidden}


def _unrouted(pks: Sequence[int]) -> set[int]:
    waiting = Alert.objects.select_for_update().filter(pk__in=pks, routed_at__isnull=True).order_by("pk")
    free = set(waiting.values_list("pk", flat=True))
    return free - set(Occurrence.objects.filter(alert__in=free).values_list("alert_id", flat=True))


def _store(
    hidden: Sequence[_Judged], versions: Mapping[int, ExceptionVersion], now: datetime, actor: Actor
) -> None:
    rows = [_row(one, versions[one.item.version_id], now) for one in hidden]
    Suppression.objects.bulk_create(rows)
    Alert.objects.filter(pk__in=[one.alert.pk for one in hidden]).update(routed_at=now)
    for row in rows:
        if row.is_sample:
            outbox.put(REVIEW, f"{REVIEW}:{row.pk}", row.pk)
    by_hits: dict[int, list[int]] = {}
    for pk, hits in Counter(row.version_id for row in rows).items():
        by_hits.setdefault(hits, []).append(pk)
    for hits, pks in by_hits.items():
        ExceptionVersion.objects.filter(pk__in=pks).update(hits=F("hits") + hits, last_hit_at=now)
    sampled = [one for pk, one in sorted(versions.items()) if one.last_sample_at == now]
    ExceptionVersion.objects.bulk_update(sampled, ["last_sample_at", "hits_at_last_sample"])
    if rows:
        data: dict[str, list[int]] = {}
        for row in rows:
            data.setdefault(row.version.label, []).append(row.alert_id)
        chains.record(STREAM, "alerts_hidden", actor=actor, data=data)


def _row(one: _Judged, version: ExceptionVersion, now: datetime) -> Suppression:
    facts = head_facts(one.alert)
    is_open = one.item.is_strict and not exception_recovery.is_over(one.subject, now)
    return Suppression(
        alert=one.alert,
        version=version,
        at=now,
        is_sample=_count(version, now),
        value_lists=dict(one.item.value_lists),
        recheck_at=exception_recovery.over_at(one.subject) if is_open else None,
        settled_at=None if is_open else now,
        host=one.alert.host_name or one.alert.host_id,
        user=facts.user[:255],
        source=facts.remote_ip[:64],
    )


def _count(version: ExceptionVersion, now: datetime) -> bool:
    """Count a hit; whether this one is the sample that is due."""
    version.hits += 1
    last = version.last_sample_at or version.active_from or now
    if version.hits - version.hits_at_last_sample < SAMPLE_EVERY and now - last < SAMPLE_WITHIN:
        return False
    version.last_sample_at, version.hits_at_last_sample = now, version.hits
    return True


# -- looking again


def recheck(*, actor: Actor, now: datetime | None = None, limit: int = BATCH) -> int:
    """Judge hidden alerts again whose window is over by now. Returns how many were lifted.

    Raises StoreError if the evidence can't be recovered; they are looked at again later.
    """
    now = now or timezone.now()
    due = Suppression.objects.standing().filter(settled_at__isnull=True, recheck_at__lte=now)
    items = _readable(due)
    rows = list(due.filter(version__in=items).select_related("alert", "version__item").order_by("pk")[:limit])
    if not rows:
        return 0
    subjects = {row.pk: subject_of(row.alert) for row in rows}
    wanted = {subjects[row.pk]: items[row.version_id].needs for row in rows}
    recovered = exception_recovery.recover(wanted, now=now)
    lifted = 0
    for row in rows:
        found = recovered.get(row.alert_id)
        if holds(items[row.version_id], subjects[row.pk], found):
            Suppression.objects.standing().filter(pk=row.pk).update(settled_at=now)
            continue
        results = explain(items[row.version_id], subjects[row.pk], found)
        failed = [f"{sentence(one.entry)}: {one.why}" for one in results if not one.holds]
        lifted += lift(row, actor=actor, reason="No longer seen to hold. " + " ".join(failed))
    return lifted


def _readable(due: SuppressionQuerySet) -> dict[int, CompiledItem]:
    """Those of the exceptions that hide these which can be read. What the others hid is looked at again when
    they can be, and keeps nothing else waiting; health names them."""
    found: dict[int, CompiledItem] = {}
    versions = ExceptionVersion.objects.filter(pk__in=due.values("version"))
    lists = active_lists() if versions.exists() else {}
    for version in versions.select_related("item", "rule_version__rule"):
        try:
            found[version.pk] = compiled(version, lists)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            log.warning("%s can't be read, so what it hides is not looked at again: %s", version.label, error)
    return found


def lift(suppression: Suppression, *, actor: Actor, reason: str) -> bool:
    """Let a hidden alert go to a case after all; the row stays, with the reason. Idempotent.

    Raises NotPermittedError for who may not approve exceptions.
    """
    actor.require("triage.approve", "show an alert that an exception hides")
    with transaction.atomic():
        item = ExceptionItem.objects.select_for_update().get(pk=suppression.version.item_id)
        row = Suppression.objects.select_for_update().get(pk=suppression.pk)
        if row.lifted_at is not None:
            return False
        row.lifted_at, row.lifted_reason = timezone.now(), reason[:2000]
        row.save(update_fields=["lifted_at", "lifted_reason"])
        if not Occurrence.objects.filter(alert=row.alert_id).exists():
            Alert.objects.filter(pk=row.alert_id).update(routed_at=None)
            outbox.put(ROUTE_ALERTS, f"{ROUTE_ALERTS}:lifted:{row.pk}")
        data = {"version": row.version_id, "alert": row.alert_id}
        chains.record(item.stream, "suppression_lifted", actor=actor, reason=reason[:2000], data=data)
    return True
