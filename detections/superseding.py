"""Mark alerts that late telemetry supersedes: a sequence has one newest partner, and it came afterwards.

The match stays, since somebody may have worked on it; what stands in its place is stored beside it. An alert
is marked only if a search over all of its events, by the version that found it, no longer gives it, and only
while the store still holds these events: what is deleted or unreadable proves nothing. What a segment held is
looked at when it can be read again, since that fills a gap.

Whether a sequence stands is decided by the events between its first and its last one, with or without a
maxspan. Without one, what stands in its place is found as far as the rule's look-back reaches.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Max, Min, Q
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from detections import journal, outbox, rule_search
from detections.actors import Actor, system
from detections.alerts import alert_id
from detections.enums import TimeBasis
from detections.eql.ast import Query, SequenceQuery
from detections.eql.parser import parse
from detections.errors import CasewrightError
from detections.event_store import event_store
from detections.models import Alert, RuleRun, Segment
from detections.models.alert import AlertQuerySet
from detections.rule_search import RuleSearch
from detections.signals import alerts_superseded
from detections.stores.base import Region, Window

KIND = "mark_superseded"
# The clock of a document is finer than the database's.
MARGIN = timedelta(milliseconds=1)
MOST_SEGMENTS = 50
MOST_AT_ONCE = 1_000


class SupersedingError(CasewrightError):
    """The store could not tell whether alerts still stand; it is asked again."""


@dataclass(frozen=True, slots=True)
class _Span:
    """An alert and where its events lie: `after` is before the position of each."""

    alert: Alert
    after: datetime
    until: datetime
    identities: tuple[str, ...]


def ask(run: RuleRun, query: Query) -> None:
    """Ask for a look at the alerts that a run's new telemetry may supersede, in the caller's transaction."""
    if _can_be_superseded(query) and candidates(run, query).exists():
        outbox.put(KIND, f"{KIND}:{run.pk}", run.pk)


@outbox.handler(KIND)
def deliver_marks(run_id: int | None) -> None:
    """Outbox: mark what a run's telemetry superseded. Raises SupersedingError if the store can't tell."""
    assert run_id is not None
    run = RuleRun.objects.select_related("rule", "rule_version").filter(pk=run_id).first()
    if run is not None:
        mark(run, actor=system("late telemetry"))


def mark(run: RuleRun, *, actor: Actor) -> int:
    """Search around each candidate again, and mark those that no longer match. Returns how many."""
    query = parse(run.rule_version.query)
    if not isinstance(query, SequenceQuery) or query.pipes:
        return 0
    spans = sorted(map(_span, candidates(run, query).iterator(chunk_size=500)), key=lambda one: one.after)
    reach = query.maxspan or timedelta()
    gone = [span.alert.pk for group in _together(spans, reach) for span in _gone(run, query, group)]
    return _mark(run, gone, actor) if gone else 0


def candidates(run: RuleRun, query: Query) -> AlertQuerySet:
    """Strict alerts of the same version, near to the telemetry that this run was the first to search."""
    reach = query.maxspan or timedelta()
    stand = Alert.objects.filter(
        rule=run.rule_id,
        rule_version=run.rule_version_id,
        time_basis=TimeBasis.STRICT,
        superseded_at__isnull=True,
    )
    near = Q(pk__in=[])
    for first, last in _new_telemetry(run):
        near |= Q(first_event_at__lte=last + reach + MARGIN, last_event_at__gte=first - reach - MARGIN)
    return stand.exclude(run=run).filter(near)


def _new_telemetry(run: RuleRun) -> list[tuple[datetime, datetime]]:
    """The ranges of event time of the batches that the run was the first to search, in a gap too."""
    batches = Segment.objects.filter(ingest__gt=run.mark_from, ingest__lte=run.mark_to).order_by()
    if batches.count() <= MOST_SEGMENTS:
        return list(batches.values_list("min_timestamp", "max_timestamp"))
    whole = batches.aggregate(first=Min("min_timestamp"), last=Max("max_timestamp"))
    return [(whole["first"], whole["last"])]


def _can_be_superseded(query: Query) -> bool:
    """Sequences. One event stands for itself; a pipe's answer depends on where one looks."""
    return isinstance(query, SequenceQuery) and not query.pipes


def _span(alert: Alert) -> _Span:
    arrivals = [parse_datetime(event["arrived_at"]) for event in alert.events]
    positions = [alert.first_event_at, *(arrival for arrival in arrivals if arrival is not None)]
    identities = tuple(event["identity"] for event in alert.events)
    return _Span(alert, min(positions) - MARGIN, alert.last_event_at + MARGIN, identities)


def _together(spans: Sequence[_Span], reach: timedelta) -> Iterator[list[_Span]]:
    """Alerts that lie near to each other are looked for in one search."""
    group: list[_Span] = []
    until = datetime.min.replace(tzinfo=timezone.get_default_timezone())
    for span in spans:
        if group and (span.after > until + 2 * reach or len(group) >= MOST_AT_ONCE):
            yield group
            group = []
        group.append(span)
        until = max(until, span.until) if len(group) > 1 else span.until
    if group:
        yield group


def _gone(run: RuleRun, query: SequenceQuery, group: Sequence[_Span]) -> list[_Span]:
    store = event_store()
    head, reach = store.head(), query.maxspan or timedelta()
    until = max(span.until for span in group) + reach
    region = Region(after=min(span.after for span in group), until=until, mark=head, head=head)
    whole = rule_search.of_version(run.rule, run.rule_version, query)
    search = RuleSearch(query, whole.searches[:1])
    rule_search.search(store, [search], region)
    findings = search.findings
    if findings.error:
        raise SupersedingError(findings.error)
    if findings.missing:
        return []
    rule_id = run.rule.rule_id
    found = {alert_id(rule_id, [event.identity for event in match.events]) for match in findings.matches}
    doubtful = [span for span in group if span.alert.alert_id not in found]
    if not doubtful:
        return []
    wanted = {identity for span in doubtful for identity in span.identities}
    held = store.fetch(wanted, Window(region.after or until, until))
    if held.missing:
        # A segment became unreadable between the two looks: what is not found may be in it.
        return []
    return [span for span in doubtful if held.keys() >= set(span.identities)]


def _mark(run: RuleRun, pks: Sequence[int], actor: Actor) -> int:
    now = timezone.now()
    with transaction.atomic():
        alerts = list(
            Alert.objects.select_for_update(of=("self",)).filter(pk__in=pks, superseded_at__isnull=True)
        )
        if not alerts:
            return 0
        Alert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(superseded_at=now)
        journal.record(
            f"rule:{run.rule_id}",
            "alerts_superseded",
            actor=actor,
            reason="Telemetry that came later changes which events match.",
            data={"run": run.pk, "alerts": [alert.alert_id for alert in alerts]},
        )
        alerts_superseded.send(sender=Alert, alerts=alerts)
    return len(alerts)
