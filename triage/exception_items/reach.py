"""Alerts that are there already, and which of them an exception speaks of; nothing is searched for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from detections.actors import Actor
from detections.models import Alert
from triage.case_keys import case_key
from triage.exception_items.content import sentence
from triage.exception_items.evaluation import ActiveList, Subject, subject_of
from triage.exception_items.guardrails import SEEN_FOR
from triage.exception_items.matching import (
    ClauseResult,
    CompiledItem,
    active_lists,
    compiled,
    explain,
    holds_of_alert,
    is_within,
)
from triage.facts import first_alert
from triage.models import Case, ExceptionVersion, Suppression

MOST_LOOKED_AT = 2_000
MOST_ITEMS = 200
NEAR = 2
MOST_NEAR = 5
MOST_HIDDEN = 200


@dataclass(frozen=True, slots=True)
class InForce:
    """An exception in force for a case's rule. said: how many clauses speak of the alert's own events;
    differs: those of them that do not hold; unknown: clauses about evidence, which a page does not recover.
    why: why it can't hide this alert whatever it says, or ""."""

    version: ExceptionVersion
    said: int = 0
    differs: tuple[ClauseResult, ...] = ()
    unknown: int = 0
    why: str = ""

    @property
    def is_near(self) -> bool:
        """Little differs of what it says of the alert itself."""
        return self.said > 0 and len(self.differs) <= NEAR and len(self.differs) < self.said

    @property
    def sentences(self) -> list[str]:
        """What differs, in words."""
        return [f"{sentence(one.entry)}. {one.why}" for one in self.differs]


@dataclass(frozen=True, slots=True)
class CaseExceptions:
    """in_force: of the case's rule, the nearest first; hidden: alerts of the same key that an exception
    hides, newest first; more: items in force that were not looked at."""

    in_force: tuple[InForce, ...] = ()
    hidden: tuple[Suppression, ...] = ()
    more: int = 0

    @property
    def near(self) -> list[InForce]:
        return [one for one in self.in_force if one.is_near][:MOST_NEAR]


def of_case(case: Case, *, actor: Actor, now: datetime) -> CaseExceptions:
    """What exceptions have to do with a case. A fixed number of queries; the store is not asked."""
    if case.rule_id is None:
        return CaseExceptions()
    rows = ExceptionVersion.objects.visible_to(actor).in_force(now).filter(item__rule=case.rule_id)
    versions = list(rows.select_related("item", "rule_version__rule").order_by("pk")[: MOST_ITEMS + 1])
    alert = first_alert(case)
    subject = subject_of(alert) if alert else None
    lists = active_lists() if versions else {}
    found = [_judged(version, subject, lists, now) for version in versions[:MOST_ITEMS]]
    found.sort(key=lambda one: (bool(one.why and not one.said), len(one.differs), one.version.pk))
    return CaseExceptions(tuple(found), _hidden(case, actor), max(0, len(versions) - MOST_ITEMS))


def _judged(
    version: ExceptionVersion, subject: Subject | None, lists: Mapping[str, ActiveList], now: datetime
) -> InForce:
    try:
        item = compiled(version, lists)
    except (ValueError, TypeError, KeyError, IndexError) as broken:
        return InForce(version, why=f"It can't be read: {broken}")
    if subject is None:
        return InForce(version)
    results = [one for one in explain(item, subject) if not one.entry.is_recovered]
    return InForce(
        version,
        said=len(results),
        differs=tuple(one for one in results if not one.holds),
        unknown=sum(clause.entry.is_recovered for clause in item.clauses),
        why="" if is_within(item, subject, now) else _outside(item, subject),
    )


def _outside(item: CompiledItem, subject: Subject) -> str:
    if subject.times is None:
        return "The times of the alert's events can't be told."
    if item.active_from and min(*subject.times, subject.detected_at) < item.active_from:
        return "The alert is older than the exception."
    return "The alert does not lie within its time."


def _hidden(case: Case, actor: Actor) -> tuple[Suppression, ...]:
    """Hidden alerts that would have been occurrences of this case. Their key is made of their events, so
    those of the same rule and host are looked through."""
    rows = Suppression.objects.visible_to(actor).standing().filter(alert__rule=case.rule_id)
    if case.host_id:
        rows = rows.filter(alert__host_id=case.host_id)
    recent = rows.select_related("alert__rule", "version__item").order_by("-pk")[:MOST_HIDDEN]
    return tuple(row for row in recent if case_key(row.alert).sha256 == case.key)


@dataclass(frozen=True, slots=True)
class Candidates:
    """Alerts of the rule whose own events satisfy the exception. looked_at: of how many, `most` at most."""

    alerts: tuple[Alert, ...]
    looked_at: int
    most: int = MOST_LOOKED_AT


def candidates(version: ExceptionVersion, *, actor: Actor, now: datetime) -> Candidates:
    """Alerts of the last 30 days that nothing hides and that the exception may cover, newest first. What it
    says of recovered evidence is looked at when it is applied. Raises ValueError if it can't be read."""
    item = compiled(version)
    rows = Alert.objects.visible_to(actor).filter(rule=item.rule_id, suppression__isnull=True)
    recent = rows.filter(detected_at__gte=now - SEEN_FOR).select_related("occurrence__case")
    newest = list(recent.order_by("-detected_at", "-pk")[:MOST_LOOKED_AT])
    held = tuple(alert for alert in newest if holds_of_alert(item, subject_of(alert)))
    return Candidates(held, len(newest))
