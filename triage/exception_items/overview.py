"""What exceptions do, to be looked at: how often each hides something, what, and which of them end soon."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import TruncDate

from detections.actors import Actor
from detections.models import Alert, JournalEntry
from triage.enums import ExceptionState
from triage.exception_items.content import Entry, difference, entries_of, sentence
from triage.journal import JournalLine, lines_of
from triage.models import ExceptionItem, ExceptionReview, ExceptionVersion, Suppression
from triage.models.approved_version import ON_ITS_WAY

DAYS = 30
ENDS_SOON = timedelta(days=14)
UNUSED_FOR = timedelta(days=90)
MOST_JOURNAL = 30
_S = ExceptionState
# Of the versions of an item, the one to look at first.
_RANK = {_S.PROPOSED: 0, _S.APPROVED: 1, _S.ACTIVE: 2, _S.DRAFT: 3}
STATES = {
    "active": "Active",
    "proposed": "Proposed",
    "approved": "Approved, not begun",
    "draft": "Draft",
    "ended": "Ended",
    "declined": "Declined",
    "drifting": "Drifting",
    "ending": "Ends within 14 days",
    "unused": "Unused for 90 days",
    "review": "Rule has changed",
}
_ENDED = (_S.EXPIRED, _S.REVOKED, _S.SUPERSEDED)


@dataclass(frozen=True, slots=True)
class Line:
    """An item in the list. version: the one to look at first; hits: what it hid in the last 30 days."""

    item: ExceptionItem
    version: ExceptionVersion | None
    hits: int


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the difference between two versions. sort: `add`, `del`, or "" for what stays."""

    sort: str
    text: str


# -- the list


def items(
    *, actor: Actor, state: str = "", search: str = "", rule: str = "", owner: str = "", now: datetime
) -> QuerySet[ExceptionItem]:
    """The items that the actor may see and the filters let through, those in force first by their end."""
    shown = ExceptionItem.objects.visible_to(actor).select_related("rule", "owner")
    shown = shown.filter(_condition(state, now)) if state in STATES else shown
    for word in search.replace("\x00", "\ufffd").split()[:10]:
        found = Q(name__icontains=word) | Q(rule__name__icontains=word)
        number = word.upper().removeprefix("EX-")
        if number.isascii() and number.isdigit() and len(number) < 10:
            found |= Q(pk=int(number))
        shown = shown.filter(found)
    for column, value in (("rule", rule), ("owner", owner)):
        if value.isascii() and value.isdigit() and len(value) < 10:
            shown = shown.filter(**{column: int(value)})
    ends = _active(OuterRef("pk")).values("expires_at")[:1]
    return shown.annotate(ends_at=Subquery(ends)).order_by("ends_at", "-pk")


def _active(item: OuterRef) -> QuerySet[ExceptionVersion]:
    return ExceptionVersion.objects.filter(item=item, state=_S.ACTIVE)


def _condition(state: str, now: datetime) -> Q:
    active = ExceptionVersion.objects.filter(state=_S.ACTIVE)
    if state == "ended":
        in_use = ExceptionVersion.objects.filter(state__in=[*ON_ITS_WAY, _S.ACTIVE])
        return Q(versions__state__in=_ENDED) & ~Q(pk__in=in_use.values("item"))
    if state == "drifting":
        return ~Q(drift=[])
    if state == "ending":
        return Q(pk__in=active.filter(expires_at__lte=now + ENDS_SOON).values("item"))
    if state == "unused":
        old = now - UNUSED_FOR
        unused = active.filter(active_from__lte=old).filter(Q(last_hit_at=None) | Q(last_hit_at__lte=old))
        return Q(pk__in=unused.values("item"))
    if state == "review":
        return Q(pk__in=active.exclude(rule_version=F("item__rule__current")).values("item"))
    return Q(pk__in=ExceptionVersion.objects.filter(state=state).values("item"))


def lines(shown: Sequence[ExceptionItem], *, actor: Actor, now: datetime) -> list[Line]:
    """The items of a page with the version to look at first and their hits. Two queries."""
    ids = [item.pk for item in shown]
    versions: dict[int, ExceptionVersion] = {}
    for version in ExceptionVersion.objects.visible_to(actor).filter(item__in=ids).order_by("-number"):
        best = versions.get(version.item_id)
        if best is None or _rank(version) < _rank(best):
            versions[version.item_id] = version
    hits = hits_of(ids, since=now - timedelta(days=DAYS))
    for item in shown:
        if item.pk in versions:
            versions[item.pk].item = item
    return [Line(item, versions.get(item.pk), hits.get(item.pk, 0)) for item in shown]


def _rank(version: ExceptionVersion) -> int:
    return _RANK.get(ExceptionState(version.state), len(_RANK))


def first_shown(versions: Iterable[ExceptionVersion]) -> ExceptionVersion | None:
    """The version that an item's page opens on: what waits, else what is in force, else the newest."""
    return min(versions, key=lambda one: (_rank(one), -one.number), default=None)


def hits_of(ids: Sequence[int], *, since: datetime) -> dict[int, int]:
    """How many alerts each item hides that were hidden since. One query."""
    standing = Suppression.objects.standing().filter(version__item__in=ids, at__gte=since)
    counted = standing.order_by().values_list("version__item").annotate(how_many=Count("pk"))
    return dict(counted)


def ending(*, actor: Actor, now: datetime) -> list[ExceptionVersion]:
    """Versions in force that end within 14 days, the next first."""
    soon = ExceptionVersion.objects.visible_to(actor).in_force(now).filter(expires_at__lte=now + ENDS_SOON)
    return list(soon.select_related("item__rule", "item__owner").order_by("expires_at", "pk")[:200])


# -- one item


def hits_a_day(
    item: ExceptionItem, *, actor: Actor, now: datetime, days: int = DAYS
) -> list[tuple[date, int]]:
    """Each of the last days (UTC), with how many alerts were hidden on it. One query."""
    first = now.astimezone(UTC).date() - timedelta(days=days - 1)
    begun = datetime(first.year, first.month, first.day, tzinfo=UTC)
    rows = Suppression.objects.visible_to(actor).standing().filter(version__item=item, at__gte=begun)
    counted = rows.order_by().annotate(day=TruncDate("at", tzinfo=UTC)).values_list("day")
    found: Mapping[date, int] = dict(counted.annotate(how_many=Count("pk")))
    every = (first + timedelta(days=number) for number in range(days))
    return [(day, found.get(day, 0)) for day in every]


def hidden_by_item(item: ExceptionItem, *, actor: Actor) -> QuerySet[Suppression]:
    """Everything that the item hid, lifted or not, newest first."""
    rows = Suppression.objects.visible_to(actor).filter(version__item=item)
    related = rows.select_related("alert", "version", "applied_by", "review__case", "alert__occurrence__case")
    return related.defer("alert__events").order_by("-at", "-pk")


def reviews_of(item: ExceptionItem, *, actor: Actor) -> QuerySet[ExceptionReview]:
    rows = ExceptionReview.objects.visible_to(actor).filter(suppression__version__item=item)
    return rows.select_related("case", "suppression__version").order_by("-pk")


def chain_of(stream: str, *, actor: Actor) -> list[JournalLine]:
    """The newest entries of an item's or a list's chain, newest first."""
    entries = JournalEntry.objects.visible_to(actor).filter(stream__name=stream)
    return lines_of(entries.order_by("-number")[:MOST_JOURNAL])


def host_names(entries: Iterable[Entry]) -> dict[str, str]:
    """The names of the hosts that entries name by their id, as alerts have them. One query at most."""
    ids = {value for entry in entries if entry.field == "host.id" for value in entry.values}
    if not ids:
        return {}
    rows = (
        Alert.objects.filter(host_id__in=ids)
        .exclude(host_name="")
        .order_by()
        .values_list("host_id", "host_name")
    )
    return dict(rows.distinct())


# -- versions against each other


def changes(old: ExceptionVersion, new: ExceptionVersion) -> list[Change]:
    """What the new version says otherwise, and the entries that stay. Raises ValueError for what can't be
    read."""
    before, after = entries_of(old.entries), entries_of(new.entries)
    gone, _come = difference(before, after)
    lines = [Change("del", sentence(entry)) for entry in gone]
    lines += [Change("" if entry in before else "add", sentence(entry)) for entry in after]
    for label, was, now in _texts(old, new):
        if was != now:
            lines += [Change(sort, f"{label}: {text}") for sort, text in (("del", was), ("add", now)) if text]
    return lines


def _texts(old: ExceptionVersion, new: ExceptionVersion) -> Iterable[tuple[str, str, str]]:
    for label, name in (("reason", "reason"), ("owner", "owner"), ("change record", "change_record")):
        yield label, str(getattr(old, name)), str(getattr(new, name))
    for label, name in (("starts", "starts_at"), ("ends", "expires_at")):
        yield label, _said(getattr(old, name)), _said(getattr(new, name))
    yield "rule", _rule_said(old), _rule_said(new)


def _rule_said(version: ExceptionVersion) -> str:
    return f"version {version.rule_version.number}" if version.rule_version else ""


def _said(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else ""
