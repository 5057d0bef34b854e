"""How a back-test looks at alerts: chunk by chunk, each judged clause by clause, nothing stored of them."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.db.models import TextField
from django.db.models.functions import Cast
from django.utils import timezone

from detections import alerts, back_search, rule_search
from detections.eql.parser import parse
from detections.errors import StoreError
from detections.event_store import event_store
from detections.models import Alert, Rule
from detections.stores.base import Match, Region
from triage.exception_items import backtest_tally as tally
from triage.exception_items import recovery as exception_recovery
from triage.exception_items.backtest_tally import AlertSeen, CaseSeen
from triage.exception_items.evaluation import Subject, bare_subject, completed
from triage.exception_items.matching import (
    NOTHING,
    CompiledItem,
    Matcher,
    Recovered,
    active_matcher,
    explain,
    holds,
    holds_of_alert,
)
from triage.exception_items.prefilter import Prefilter
from triage.facts import head_facts
from triage.models import BackTest, ExceptionVersion, Occurrence, Suppression

CHUNK = 5_000
# Alerts that hold of all but this many clauses are near misses.
NEAR = 2
# So many are examined clause by clause, newest first; of the others it is said that they were not.
MOST_EXAMINED = 2_000
_IN_QUERY = 1_000


class Run(Protocol):
    """A back-test under way. step: looks at one more part; True when that was the last."""

    result: dict[str, Any]
    done: int
    total: int | None

    def step(self) -> bool: ...


def alerts_run(row: BackTest, version: ExceptionVersion, item: CompiledItem, result: dict[str, Any]) -> "Run":
    """Over the stored alerts of the rule, detected in the window."""
    return _AlertsRun(row, version, item, result)


def telemetry_run(
    row: BackTest, version: ExceptionVersion, item: CompiledItem, result: dict[str, Any]
) -> "Run":
    """Over what the rule's query finds in the event store. Raises EqlError for a query that can't run."""
    return _TelemetryRun(row, version, item, result)


# -- stored alerts


class _AlertsRun:
    def __init__(
        self, row: BackTest, version: ExceptionVersion, item: CompiledItem, result: dict[str, Any]
    ) -> None:
        self.result, self.done = result, row.done
        self._rule_id = version.item.rule_id
        self._alerts = Alert.objects.filter(
            rule=self._rule_id, detected_at__gte=row.window_start, detected_at__lte=row.window_end
        )
        self.total: int | None = row.total if row.total is not None else self._alerts.count()
        self._item, self._prefilter = item, Prefilter(item)
        self._judge = _Judge(item, result, now=timezone.now())

    def step(self) -> bool:
        cursor = self.result.get("cursor")
        rows = self._alerts if cursor is None else self._alerts.filter(pk__lt=cursor)
        texts = rows.annotate(text=Cast("events", TextField())).order_by("-pk").values_list("pk", "text")
        chunk = list(texts[:CHUNK])
        self._look(chunk)
        self.done += len(chunk)
        self.result["alerts"] += len(chunk)
        if chunk:
            self.result["cursor"] = chunk[-1][0]
        return len(chunk) < CHUNK

    def _look(self, chunk: Sequence[tuple[int, str]]) -> None:
        """Parse what may be hidden or nearly, complete it from the database, and judge it."""
        wanted: list[tuple[Subject, bool]] = []
        for pk, text in chunk:
            out = self._prefilter.ruled_out(text, enough=NEAR + 1) if self._prefilter else 0
            if out > NEAR or (out and not self._judge.may_examine()):
                continue
            try:
                subject = bare_subject(pk, self._rule_id, [one["document"] for one in json.loads(text)])
                is_held = not out and holds_of_alert(self._item, subject)
            except (ValueError, TypeError, KeyError, AttributeError):
                self.result["not_understood"] += 1
                continue
            if is_held or self._judge.examines(subject):
                wanted.append((subject, is_held))
        found = _by_pk([subject.alert_id for subject, _ in wanted])
        self._judge.judge([(completed(s, found[s.alert_id]), found[s.alert_id], held) for s, held in wanted
                           if s.alert_id in found])  # fmt: skip


def _by_pk(pks: Sequence[int]) -> dict[int, Alert]:
    """Alerts without their events."""
    found: dict[int, Alert] = {}
    for start in range(0, len(pks), _IN_QUERY):
        part = pks[start : start + _IN_QUERY]
        found |= Alert.objects.defer("events", "join_keys").in_bulk(part)
    return found


# -- telemetry


class _TelemetryRun:
    """Slices of the window, each searched as a back-search would."""

    def __init__(
        self, row: BackTest, version: ExceptionVersion, item: CompiledItem, result: dict[str, Any]
    ) -> None:
        assert version.rule_version is not None
        rule = version.item.rule
        if not rule.is_runnable:
            raise StoreError(f"A rule of type {rule.type} does not run here, so telemetry can't be searched.")
        self.result, self.done = result, row.done
        self._rule, self._version = rule, version.rule_version
        self._query = parse(version.rule_version.query)
        self._start, self._end = row.window_start, row.window_end
        self._length = max(back_search.slice_length(rule, self._start, self._end), timedelta(days=1))
        self.total: int | None = -(-(self._end - self._start) // self._length)
        self._head = event_store().head()
        self._item = item
        self._judge = _Judge(item, result, now=timezone.now())

    def step(self) -> bool:
        """The newest slice that is left."""
        until = self._end - self._length * self.done
        after = max(until - self._length, self._start)
        matches = self._matches(Region(after=after, until=until, mark=self._head, head=self._head))
        self.result["alerts"] += len(matches)
        self._look(matches)
        self.done += 1
        return after <= self._start

    def _matches(self, region: Region) -> dict[str, Match]:
        search = rule_search.of_version(self._rule, self._version, self._query)
        rule_search.search(event_store(), [search], region)
        if search.findings.error:
            raise StoreError(search.findings.error)
        if search.findings.missing:
            tally.note(
                self.result,
                f"{len(search.findings.missing)} parts of the event store can't be read: what is in them "
                "is not counted.",
            )
        found = alerts.by_id(self._rule.rule_id, search.findings.matches)
        # One that straddles a seam is found on both sides, and counts where its last event lies.
        return {key: match for key, match in found.items() if _ends_in(match, region)}

    def _look(self, matches: dict[str, Match]) -> None:
        keys = list(matches)
        stored: dict[str, int] = {}
        for start in range(0, len(keys), _IN_QUERY):
            rows = Alert.objects.filter(alert_id__in=keys[start : start + _IN_QUERY])
            stored |= dict(rows.values_list("alert_id", "pk"))
        judged: list[tuple[Subject, Alert, bool]] = []
        for number, (key, match) in enumerate(matches.items(), start=1):
            # A number of its own where no alert is stored, so that evidence finds its match.
            alert = _unstored(self._rule, key, match, stored.get(key))
            documents = [event.document for event in match.events]
            subject = completed(bare_subject(alert.pk or -number, self._rule.pk, documents), alert)
            is_held = holds_of_alert(self._item, subject)
            if is_held or self._judge.examines(subject):
                judged.append((subject, alert, is_held))
        self._judge.judge(judged)


def _ends_in(match: Match, region: Region) -> bool:
    last = max(min(event.timestamp, event.arrived_at) for event in match.events)
    return region.after is not None and region.after < last <= region.until


def _unstored(rule: Rule, key: str, match: Match, pk: int | None) -> Alert:
    """A match in the shape of an alert; it is never saved."""
    documents = [event.document for event in match.events]
    hosts = [one.get("host", {}) for one in documents]
    times = [event.timestamp for event in match.events]
    return Alert(
        pk=pk,
        alert_id=key,
        rule=rule,
        time_basis=match.basis,
        events=[{"document": document} for document in documents],
        host_id=str(hosts[0].get("id", "")) if isinstance(hosts[0], dict) else "",
        host_name=str(hosts[0].get("name", "")) if isinstance(hosts[0], dict) else "",
        first_event_at=min(times),
        last_event_at=max(times),
        detected_at=max(*times, *(event.arrived_at for event in match.events)),
    )


# -- judging


class _Judge:
    """Judges alerts whose own events were looked at, and counts them into a result."""

    def __init__(self, item: CompiledItem, result: dict[str, Any], *, now: datetime) -> None:
        self._item, self._result, self._now = item, result, now
        others = [one for one in active_matcher(now=now).items if _is_rival(one, item)]
        self._others = Matcher(others)
        self._other_needs = frozenset(scope for one in others for scope in one.needs)
        self._examined = result["near_misses"].get("examined", 0)

    def may_examine(self) -> bool:
        """Whether one more alert is looked at that is not hidden; one that is not counts as such."""
        if self._examined < MOST_EXAMINED:
            return True
        self._result["near_misses"]["not_examined"] += 1
        return False

    def examines(self, subject: Subject) -> bool:
        """Whether an alert whose own events do not satisfy the item may nearly be hidden."""
        if not self.may_examine():
            return False
        own = [one for one in explain(self._item, subject) if not one.entry.is_recovered]
        if sum(not one.holds for one in own) > NEAR:
            return False
        self._examined += 1
        self._result["near_misses"]["examined"] = self._examined
        return True

    def judge(self, rows: Sequence[tuple[Subject, Alert, bool]]) -> None:
        """Recover what is needed, for all at once, and count. The bool: the alert's own clauses hold."""
        recovered = self._recovered(rows)
        hidden: list[tuple[Subject, Alert]] = []
        near: list[tuple[Subject, Alert]] = []
        for subject, alert, is_held in rows:
            found = recovered.get(subject.alert_id)
            if is_held and subject.times is not None and holds(self._item, subject, found):
                hidden.append((subject, alert))
            else:
                near.append((subject, alert))
        cases = _cases([alert.pk for _, alert in (*hidden, *near) if alert.pk])
        known = _suppressed([alert.pk for _, alert in hidden if alert.pk])
        for subject, alert in hidden:
            case = cases.get(alert.pk or 0)
            tally.add_hidden(self._result, _seen(subject, alert), case, is_hidden=alert.pk in known)
            found = recovered.get(subject.alert_id)
            tally.add_overlaps(self._result, self._overlapping(subject, found))
        for subject, alert in near:
            results = explain(self._item, subject, recovered.get(subject.alert_id, NOTHING))
            if 0 < sum(not one.holds for one in results) <= NEAR:
                tally.add_near_miss(self._result, _seen(subject, alert), cases.get(alert.pk or 0), results)

    def _recovered(self, rows: Sequence[tuple[Subject, Alert, bool]]) -> dict[int, Recovered]:
        if not self._item.needs and not self._other_needs:
            return {}
        needs, both = self._item.needs, self._item.needs | self._other_needs
        wanted = {subject: both if is_held else needs for subject, _, is_held in rows}
        return exception_recovery.recover(wanted, now=self._now) if wanted else {}

    def _overlapping(self, subject: Subject, recovered: Recovered | None) -> Iterator[CompiledItem]:
        for one in self._others.candidates(subject) if self._others else []:
            if holds(one, subject, recovered):
                yield one


def _is_rival(one: CompiledItem, item: CompiledItem) -> bool:
    return one.rule_id == item.rule_id and one.item_id != item.item_id


def _seen(subject: Subject, alert: Alert) -> AlertSeen:
    # The events are at hand already; the alert's own were not read.
    alert.events = [{"document": document} for document in subject.documents]
    host, source = alert.host_name or alert.host_id, head_facts(alert).remote_ip
    return AlertSeen(alert.pk, alert.alert_id, alert.last_event_at, host, source)


def _cases(pks: Sequence[int]) -> dict[int, CaseSeen]:
    found: dict[int, CaseSeen] = {}
    for start in range(0, len(pks), _IN_QUERY):
        rows = Occurrence.objects.filter(alert__in=pks[start : start + _IN_QUERY]).values_list(
            "alert_id", "case_id", "case__status", "case__disposition"
        )
        found |= {alert: CaseSeen(case, status, end) for alert, case, status, end in rows}
    return found


def _suppressed(pks: Sequence[int]) -> set[int]:
    found: set[int] = set()
    for start in range(0, len(pks), _IN_QUERY):
        rows = Suppression.objects.standing().filter(alert__in=pks[start : start + _IN_QUERY])
        found.update(rows.values_list("alert_id", flat=True))
    return found
