"""Counts without the events: coverage of a host, histograms, how widely something was seen, what reports."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from detections.enums import TelemetryKind
from detections.eql.fields import Field
from detections.stores.base import (
    Bucket,
    Clause,
    Coverage,
    Filters,
    HostSpread,
    Searched,
    SourceReport,
    Spread,
    Window,
)
from detections.stores.elasticsearch.requests import INGESTED, between, in_window, query
from detections.telemetry_kinds import KIND_FILTERS

BEFORE, AFTER = timedelta(days=1), timedelta(hours=1)
DATASETS = ("data_stream.dataset", "event.dataset", "event.module")
MOST_SOURCES = 50
MOST_HOSTS = 10_000
HOURS = 24
# A document can be searched only some time after it was taken in.
REFRESH = timedelta(seconds=10)
Ask = Callable[[Mapping[str, Any]], Mapping[str, Any]]
Fields = Mapping[str, Field]


def coverage(
    ask: Ask, fields: Fields, host_id: str, kinds: Sequence[TelemetryKind], window: Window
) -> list[Coverage]:
    """As `EventStore.coverage`, in one request for all kinds."""
    host = query(Filters(((Clause("host.id", values=(host_id,)),),)), fields)
    answer = ask(
        {
            "size": 0,
            "query": host,
            "track_total_hits": False,
            "aggs": {kind.value: _kind(fields, kind, window) for kind in kinds},
        }
    )
    return [_coverage(host_id, kind, answer["aggregations"][kind.value]) for kind in kinds]


def _kind(fields: Fields, kind: TelemetryKind, window: Window) -> dict[str, Any]:
    start, end = window.start, window.end
    before = between(since=start - BEFORE)
    return {
        "filter": query(KIND_FILTERS[kind], fields),
        "aggs": {
            # Up to the window's start, which itself belongs to the window.
            "before": {"filter": {"bool": {"filter": [before], "must_not": [between(since=start)]}}},
            "during": {"filter": between(since=start, until=end)},
            "after": {"filter": between(after=end, until=end + AFTER)},
            "first": {"min": {"field": "@timestamp"}},
            "last": {"max": {"field": "@timestamp"}},
            **_datasets(fields),
        },
    }


def _datasets(fields: Fields) -> dict[str, Any]:
    named = [name for name in DATASETS[:2] if name in fields]
    return {name: {"terms": {"field": name, "size": MOST_SOURCES}} for name in named}


def _coverage(host_id: str, kind: TelemetryKind, found: Mapping[str, Any]) -> Coverage:
    sources = {bucket["key"] for name in DATASETS for bucket in found.get(name, {}).get("buckets", ())}
    return Coverage(
        kind,
        host_id,
        before=found["before"]["doc_count"],
        during=found["during"]["doc_count"],
        after=found["after"]["doc_count"],
        first_seen=moment(found["first"]["value"]),
        last_seen=moment(found["last"]["value"]),
        sources=tuple(sorted(sources)),
    )


def moment(milliseconds: float | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def histogram(
    ask: Ask, fields: Fields, filters: Filters, window: Window, interval: timedelta
) -> list[Bucket]:
    """As `EventStore.histogram`."""
    answer = ask(
        {
            "size": 0,
            "query": query(filters, fields, in_window(window)),
            "track_total_hits": False,
            "aggs": {
                "time": {
                    "date_histogram": {
                        "field": "@timestamp",
                        "fixed_interval": f"{int(interval.total_seconds() * 1000)}ms",
                        "min_doc_count": 1,
                    }
                }
            },
        }
    )
    buckets = answer["aggregations"]["time"]["buckets"]
    return [Bucket(datetime.fromtimestamp(one["key"] / 1000, UTC), one["doc_count"]) for one in buckets]


def spread(ask: Ask, fields: Fields, filters: Filters, window: Window) -> Spread:
    """As `EventStore.spread`."""
    ends = {"last": {"max": {"field": "@timestamp"}}, "first": {"min": {"field": "@timestamp"}}}
    hosts = {"hosts": {"terms": {"field": "host.id", "size": MOST_HOSTS}, "aggs": ends}}
    nameless = {"nameless": {"missing": {"field": "host.id"}, "aggs": ends}}
    answer = ask(
        {
            "size": 0,
            "query": query(filters, fields, in_window(window)),
            "track_total_hits": False,
            "aggs": {
                **(hosts if "host.id" in fields else {}),
                **nameless,
                **ends,
            },
        }
    )["aggregations"]
    found = [
        HostSpread(
            str(one["key"]), one["doc_count"], _known(one["last"]["value"]), _known(one["first"]["value"])
        )
        for one in answer.get("hosts", {}).get("buckets", ())
    ]
    if answer["nameless"]["doc_count"]:
        missing = answer["nameless"]
        found.append(
            HostSpread(
                "",
                missing["doc_count"],
                _known(missing["last"]["value"]),
                _known(missing["first"]["value"]),
            )
        )
    found.sort(key=lambda host: (-host.events, host.host_id))
    return Spread(tuple(found), moment(answer["first"]["value"]), moment(answer["last"]["value"]))


def _known(milliseconds: float) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def arrivals(ask: Ask, fields: Fields, window: Window) -> list[SourceReport]:
    """As `EventStore.arrivals`, to ten minutes; by `event.ingested` where events have it, else by time."""
    arrival = INGESTED if INGESTED in fields else "@timestamp"
    dataset = next((name for name in DATASETS if name in fields), None)
    host = next((name for name in ("host.name", "host.id") if name in fields), None)
    if dataset is None or host is None:
        return []
    steps = {
        "last": {"max": {"field": arrival}},
        "pace": {"date_histogram": {"field": arrival, "fixed_interval": "10m", "min_doc_count": 1}},
    }
    hosts = {"hosts": {"terms": {"field": host, "size": 1000}, "aggs": steps}}
    answer = ask(
        {
            "size": 0,
            "query": between(field=arrival, after=window.start, until=window.end),
            "track_total_hits": False,
            "aggs": {"datasets": {"terms": {"field": dataset, "size": 100}, "aggs": hosts}},
        }
    )["aggregations"]
    return [
        _report(str(one["key"]), str(each["key"]), each, window.end)
        for one in answer["datasets"]["buckets"]
        for each in one["hosts"]["buckets"]
    ]


def _report(dataset: str, host: str, found: Mapping[str, Any], end: datetime) -> SourceReport:
    last = _known(found["last"]["value"])
    paces = [
        (datetime.fromtimestamp(one["key"] / 1000, UTC), one["doc_count"]) for one in found["pace"]["buckets"]
    ]
    recent = [start for start, _count in paces if start > last - timedelta(days=1)]
    hours = [0] * HOURS
    for moment, count in paces:
        age = int((end - moment) / timedelta(hours=1))
        if 0 <= age < HOURS:
            hours[HOURS - 1 - age] += count
    return SourceReport(
        dataset=dataset,
        host=host,
        last=last,
        reported_hours=len({moment.replace(minute=0) for moment in recent}),
        usual_gap=_usual_gap(recent),
        hours=tuple(hours),
    )


def _usual_gap(moments: Sequence[datetime]) -> timedelta:
    """The pause that a moment falls into on average: long pauses hold more moments than short ones."""
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(moments)]
    if not gaps:
        return timedelta()
    return timedelta(seconds=sum(gap * gap for gap in gaps) / sum(gaps))


def late(ask: Ask, stretches: Sequence[Searched], clock: str) -> list[bool]:
    """For each stretch, whether it holds a document that came after the search, or that does not say when."""
    known = {f"{n}": one for n, one in enumerate(stretches) if one.at is not None}
    if not known:
        return [True] * len(stretches)
    wanted = [
        between(field=clock, after=min(one.after for one in known.values())),
        between(field=clock, until=max(one.until for one in known.values())),
    ]
    answer = ask(
        {
            "size": 0,
            "query": {"bool": {"filter": wanted}},
            "track_total_hits": False,
            "aggs": {
                "late": {"filters": {"filters": {name: _is_late(one, clock) for name, one in known.items()}}}
            },
        }
    )
    counts = answer["aggregations"]["late"]["buckets"]
    return [f"{n}" not in known or counts[f"{n}"]["doc_count"] > 0 for n in range(len(stretches))]


def _is_late(one: Searched, clock: str) -> dict[str, Any]:
    assert one.at is not None
    undated = {"bool": {"must_not": [{"exists": {"field": INGESTED}}]}}
    came_after = between(field=INGESTED, after=one.at - REFRESH)
    return {
        "bool": {
            "filter": [
                between(field=clock, after=one.after, until=one.until),
                {"bool": {"should": [came_after, undated], "minimum_should_match": 1}},
            ]
        }
    }
