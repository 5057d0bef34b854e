"""What else has to do with a case: cases that share observables, and alerts on its host around its time."""

from dataclasses import dataclass
from datetime import timedelta
from math import log

from django.db.models import Count

from detections.actors import Actor
from detections.models import Alert
from triage.enums import ObservableType
from triage.models import Case, Observable

AROUND = timedelta(hours=48)
MOST_ALERTS = 200
MOST_CASES = 20
# The rarest shared values decide; what lies beyond weighs little.
_MOST_SHARED = 300
_MOST_PAIRS = 5000
# Every case shares programs of the system, few share a hash: this tells them apart while cases are few.
_TYPE_WEIGHTS = {
    ObservableType.HASH: 1.0,
    ObservableType.URL: 1.0,
    ObservableType.DOMAIN: 1.0,
    ObservableType.IP: 1.0,
    ObservableType.USER: 0.5,
    ObservableType.HOST: 0.5,
    ObservableType.PROCESS: 0.25,
}
_PRIVATE_WEIGHT = 0.5
_SAYS_NOTHING = "system account"


@dataclass(frozen=True, slots=True)
class Shared:
    """A value that two cases share. cases: how many cases have it, this one among them."""

    observable: Observable
    cases: int
    weight: float


@dataclass(frozen=True, slots=True)
class RelatedCase:
    """weight: the sum over what is shared. shared: the weightiest first."""

    case: Case
    weight: float
    shared: tuple[Shared, ...]


@dataclass(frozen=True, slots=True)
class RelatedAlert:
    """hidden_by: which exception hides the alert, in words, or ""."""

    alert: Alert
    case: Case | None
    hidden_by: str


def related_cases(case: Case, *, actor: Actor, most: int = MOST_CASES) -> list[RelatedCase]:
    """Cases that share observables, by the weight of what is shared.

    A value weighs log(1 + N/df) times the weight of its type: N cases are visible to the actor, df of them
    have it. What every case shares weighs next to nothing, what two share alone weighs most.
    """
    visible = Case.objects.visible_to(actor)
    shared = _shared(case, actor)
    if not shared:
        return []
    pairs = Observable.objects.filter(digest__in=[digest for _type, digest in shared], case__in=visible)
    by_case: dict[int, dict[tuple[str, str], Shared]] = {}
    for other, kind, digest in pairs.exclude(case=case).values_list("case", "type", "digest")[:_MOST_PAIRS]:
        if (kind, digest) in shared:
            by_case.setdefault(other, {})[kind, digest] = shared[kind, digest]
    return _weighed(by_case, most)


def _shared(case: Case, actor: Actor) -> dict[tuple[str, str], Shared]:
    """What this case shares with any other, the rarest first."""
    visible = Case.objects.visible_to(actor)
    mine = Observable.objects.filter(case=case)
    elsewhere = Observable.objects.filter(digest__in=mine.order_by().values("digest"), case__in=visible)
    counted = elsewhere.exclude(case=case).order_by().values_list("type", "digest")
    counts = counted.annotate(how_many=Count("case")).order_by("how_many", "digest")[:_MOST_SHARED]
    found = {(kind, digest): how_many for kind, digest, how_many in counts}
    total = visible.count()
    held = mine.filter(digest__in=[digest for _kind, digest in found])
    return {
        (one.type, one.digest): Shared(one, found[one.type, one.digest] + 1, _weight(one, found, total))
        for one in held
        if (one.type, one.digest) in found and _SAYS_NOTHING not in one.marks
    }


def _weight(one: Observable, found: dict[tuple[str, str], int], total: int) -> float:
    rarity = log(1 + total / (found[one.type, one.digest] + 1))
    private = _PRIVATE_WEIGHT if "private" in one.marks else 1.0
    return rarity * _TYPE_WEIGHTS[ObservableType(one.type)] * private


def _weighed(by_case: dict[int, dict[tuple[str, str], Shared]], most: int) -> list[RelatedCase]:
    weights = {pk: sum(one.weight for one in shared.values()) for pk, shared in by_case.items()}
    first = sorted(weights, key=lambda pk: (-weights[pk], -pk))[:most]
    cases = Case.objects.in_bulk(first)
    return [
        RelatedCase(cases[pk], weights[pk], tuple(sorted(by_case[pk].values(), key=lambda one: -one.weight)))
        for pk in first
    ]


def related_alerts(case: Case, *, actor: Actor, most: int = MOST_ALERTS) -> tuple[list[RelatedAlert], int]:
    """Alerts of any rule on the case's host from 48 hours before its events to 48 hours after, other than its
    own, newest first; and how many there are. Those that an exception hides are among them."""
    if not case.host_id:
        return [], 0
    alerts = Alert.objects.visible_to(actor).filter(
        host_id=case.host_id,
        last_event_at__gte=case.first_event_at - AROUND,
        first_event_at__lte=case.last_event_at + AROUND,
    )
    alerts = alerts.exclude(occurrence__case=case)
    related = alerts.select_related("rule", "occurrence__case", "suppression__version__item").defer("events")
    shown = related.order_by("-last_event_at", "-pk")[:most]
    return [RelatedAlert(alert, _case_of(alert), hidden_by(alert)) for alert in shown], alerts.count()


def _case_of(alert: Alert) -> Case | None:
    occurrence = getattr(alert, "occurrence", None)
    return occurrence.case if occurrence else None


def hidden_by(alert: Alert) -> str:
    """The exception that hides an alert, in words, or "". One that was lifted hides no more."""
    suppression = getattr(alert, "suppression", None)
    if suppression is None or suppression.lifted_at is not None:
        return ""
    return f"exception {suppression.version.item}, version {suppression.version.number}"
