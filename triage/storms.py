"""Storm cases: what they gather, by host, user and source; and how a person splits them."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count, Max, Min, QuerySet

from detections.actors import Actor
from detections.models import Alert
from triage import cases, journal
from triage.case_keys import CaseKey, case_key, split_key
from triage.case_opening import add_to, open_case, open_case_on
from triage.enums import CaseLinkKind
from triage.errors import TriageError
from triage.models import Case, CaseLink, Occurrence

BY = {"host": "Hosts", "user": "Users", "source": "Sources"}
MOST_VALUES = 200
# More alerts than this hardly are one process; their common key is not looked for.
MOST_COMPARED = 500


@dataclass(frozen=True, slots=True)
class Share:
    """How many of a storm's alerts have one value. `value` "": the alerts do not say."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class Breakdown:
    """A storm by one column, the most frequent first. different: how many values there are in all."""

    by: str
    label: str
    shares: tuple[Share, ...]
    different: int


def breakdowns(storm: Case) -> tuple[Breakdown, ...]:
    """A storm's alerts by host, by user and by source, with counts. Two queries each."""
    return tuple(_breakdown(storm, by, label) for by, label in BY.items())


def _breakdown(storm: Case, by: str, label: str) -> Breakdown:
    rows = storm.occurrences.order_by().values_list(by).annotate(number=Count("pk"))
    shares = [Share(value, number) for value, number in rows.order_by("-number", by)[:MOST_VALUES]]
    different = storm.occurrences.order_by().values(by).distinct().count()
    return Breakdown(by, label, tuple(shares), different)


def split(storm: Case, by: str, value: str, *, actor: Actor) -> Case:
    """Move a storm's alerts of one host, user or source into a case with questions and pivots.

    by: `host`, `user` or `source`. Occurrences move, nothing is copied; both journals say so. The case is
    new, or the open one on the same key. Raises NotPermittedError, and TriageError for a case that is closed
    or no storm, and for a value that none of its alerts has.
    """
    actor.require("triage.assign_case", "split a storm case")
    if by not in BY or not value:
        raise TriageError("A storm case is split by host, user or source, and by a value that is known.")
    with transaction.atomic():
        row = cases.locked(storm.pk)
        cases.require_open(row)
        if not row.is_storm:
            raise TriageError(f"{row.number} is no storm case: there is nothing to split.")
        moved = list(_alerts(row.occurrences.filter(**{by: value})))
        if not moved:
            raise TriageError(f"{row.number} has no alert whose {by} is {value}. Reload the page.")
        target = _move(row, moved, _key(moved, by, value), actor)
        _shrink(row, moved, target, by, value, actor)
    return target


def _alerts(occurrences: "QuerySet[Occurrence]") -> "QuerySet[Alert]":
    found = Alert.objects.filter(occurrence__in=occurrences).select_related("rule", "rule_version")
    return found.order_by("occurrence__pk")


def _key(alerts: Sequence[Alert], by: str, value: str) -> CaseKey:
    """The key of an earlier split by the same value; else the one that all of them share anyway, so that
    later matches join; else one for what was split by."""
    common = split_key(alerts[0], by, value)
    if len(alerts) <= MOST_COMPARED and open_case_on(common) is None:
        keys = {case_key(alert) for alert in alerts}
        if len(keys) == 1:
            return keys.pop()
    return common


def _move(storm: Case, alerts: Sequence[Alert], key: CaseKey, actor: Actor) -> Case:
    pks = [alert.pk for alert in alerts]

    def tie(case: Case) -> None:
        for start in range(0, len(pks), 500):
            storm.occurrences.filter(alert__in=pks[start : start + 500]).update(case=case)

    target, rest = open_case_on(key), alerts
    if target is None:
        target, rest = open_case(alerts[0], key, actor, tie=tie), alerts[1:]
    else:
        tie(target)
    CaseLink.objects.get_or_create(source=target, target=storm, kind=CaseLinkKind.RELATED, removed_at=None)
    add_to(target, rest, actor=actor, verb="occurrences_moved_here")
    return target


def _shrink(storm: Case, alerts: Sequence[Alert], target: Case, by: str, value: str, actor: Actor) -> None:
    left = storm.occurrences.aggregate(
        number=Count("pk"), first=Min("alert__first_event_at"), last=Max("alert__last_event_at")
    )
    before = storm.occurrence_count
    storm.occurrence_count = left["number"]
    storm.first_event_at = left["first"] or storm.first_event_at
    storm.last_event_at = left["last"] or storm.last_event_at
    storm.version += 1
    storm.save(update_fields=["occurrence_count", "first_event_at", "last_event_at", "version"])
    journal.record(
        storm,
        "occurrences_moved_away",
        actor=actor,
        subject=f"{len(alerts)} of {before} occurrences to {target.number}",
        data={"case": target.pk, "by": by, "value": value, "alerts": [alert.pk for alert in alerts]},
    )
    cases.refresh(storm)
