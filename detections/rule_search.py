"""Search a set of rules over a region: at once, and in parts where the store can't give everything."""

import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.conf import settings

from detections.enums import RunStatus, TimeBasis
from detections.eql.ast import EventQuery, Query, SequenceQuery
from detections.errors import SearchTimeoutError, StoreError
from detections.models import Rule, RuleVersion
from detections.stores.base import EqlAnswer, EqlSearch, EventStore, Match, Region
from detections.windows import halves

log = logging.getLogger(__name__)

# How many matches of one query a search returns at most. More are searched for in parts, which read more.
LIMIT = 10_000
LARGEST_LIMIT = 64_000
OUT_OF_TIME = "The wake's time was up before this rule was searched. The next one searches the same region."


@dataclass
class Findings:
    """What a search of one rule found, and how it ended. `error` says why it is not complete.

    missing: files that the store can't read for good.
    """

    status: RunStatus = RunStatus.SUCCEEDED
    error: str = ""
    matches: list[Match] = field(default_factory=list)
    segments: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    rows: int = 0

    def fail(self, status: RunStatus, error: str) -> None:
        self.status, self.error = status, error


@dataclass
class RuleSearch:
    """One rule on its way through the store."""

    query: Query
    searches: list[EqlSearch]
    findings: Findings = field(default_factory=Findings)


def of_version(rule: Rule, version: RuleVersion, query: Query) -> RuleSearch:
    """The searches of a rule: in the order of its clock, and for a sequence with maxspan also in the order of
    `event.created`, for captures whose event times are wrong; in a cluster only where the rule asks for it.
    """
    strict = EqlSearch(
        key=rule.rule_id,
        query=query,
        reach=reach(query, rule.lookback),
        timestamp_field=version.timestamp_field,
        tiebreaker_field=version.tiebreaker_field,
        event_category_field=version.event_category_field,
        text=version.query,
        indices=tuple(version.indices),
    )
    searches = [strict]
    if isinstance(query, SequenceQuery) and query.maxspan is not None:
        repaired = replace(strict, basis=TimeBasis.CLOCK_REPAIRED, local_only=not rule.clock_repaired)
        searches.append(repaired)
    return RuleSearch(query, searches)


def reach(query: Query, lookback: timedelta) -> timedelta:
    """How far a match can stretch beyond a region's edge."""
    if query.maxspan is not None:
        return query.maxspan
    return timedelta() if isinstance(query, EventQuery) else lookback


def search(
    store: EventStore,
    rules: Sequence[RuleSearch],
    region: Region,
    *,
    limit: int = LIMIT,
    deadline: float = math.inf,
) -> None:
    """Search all rules over the region; each one's findings say what came of it.

    A query that fails takes down no other. A store that fails, fails them all; nothing is raised. deadline:
    a moment of the monotonic clock after which nothing is begun; what is left then fails.
    """
    going = [one for one in rules if not one.findings.error]
    if not going:
        return
    searches = [search for one in going for search in one.searches]
    left = deadline - time.monotonic()
    if left <= 0:
        for one in going:
            one.findings.fail(RunStatus.FAILED, OUT_OF_TIME)
        return
    timeout = timedelta(seconds=min(settings.SEARCH_TIMEOUT_SECONDS, left))
    try:
        answers = iter(store.search_eql(searches, region, limit=limit, timeout=timeout))
    except SearchTimeoutError as error:
        _after_timeout(store, going, region, limit, deadline, error)
    except StoreError as error:
        log.warning("The event store could not answer: %s", error)
        for one in going:
            one.findings.fail(RunStatus.FAILED, str(error))
    else:
        for one in going:
            _take(store, one, [next(answers) for _ in one.searches], region, limit, deadline)


def _after_timeout(
    store: EventStore,
    rules: Sequence[RuleSearch],
    region: Region,
    limit: int,
    deadline: float,
    error: SearchTimeoutError,
) -> None:
    """One slow query must not fail the others of its set."""
    if len(rules) == 1:
        rules[0].findings.fail(RunStatus.FAILED, str(error))
        return
    middle = len(rules) // 2
    search(store, rules[:middle], region, limit=limit, deadline=deadline)
    search(store, rules[middle:], region, limit=limit, deadline=deadline)


def _take(
    store: EventStore,
    one: RuleSearch,
    answers: Sequence[EqlAnswer],
    region: Region,
    limit: int,
    deadline: float,
) -> None:
    failed = next((answer.error for answer in answers if answer.error), "")
    if failed:
        one.findings.fail(RunStatus.FAILED, failed)
    elif any(answer.completeness.truncated for answer in answers):
        _search_in_parts(store, one, answers, region, limit, deadline)
    else:
        for answer in answers:
            one.findings.matches.extend(answer.matches)
            one.findings.segments.update(answer.completeness.segments)
            one.findings.missing.update(answer.completeness.missing)
        one.findings.rows += answers[0].completeness.rows


def _search_in_parts(
    store: EventStore,
    one: RuleSearch,
    answers: Sequence[EqlAnswer],
    region: Region,
    limit: int,
    deadline: float,
) -> None:
    """More matches than the limit: cut the region by time, or, where all are at one moment, take more."""
    parts = next((found for at in _cuts(answers) if (found := halves(region, at))), None)
    if parts:
        for part in parts:
            search(store, [one], part, limit=limit, deadline=deadline)
    elif limit < LARGEST_LIMIT:
        search(store, [one], region, limit=limit * 4, deadline=deadline)
    else:
        one.findings.fail(
            RunStatus.TRUNCATED,
            f"More than {limit} matches at one moment ({region.until:%Y-%m-%d %H:%M:%S} UTC). "
            "The rule matches too much: narrow its query.",
        )


def _cuts(answers: Sequence[EqlAnswer]) -> Iterator[datetime]:
    """Positions to cut at, the middle of what was found first."""
    positions = sorted(
        min(event.timestamp, event.arrived_at)
        for answer in answers
        for match in answer.matches
        for event in match.events
    )
    distinct = sorted(set(positions))
    if distinct:
        yield positions[len(positions) // 2]
        yield distinct[len(distinct) // 2]
        yield distinct[0]
