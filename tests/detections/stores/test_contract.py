"""What every event store does, whatever its engine."""

import threading
from datetime import timedelta

import pytest

from detections.enums import TelemetryKind
from detections.errors import StoreError
from detections.stores.base import Appended, Bucket, Clause, Filters, MappedEvent, Operator, Window
from tests.detections.stores.events import ALWAYS, at, event, identity, names


def hits(store, *clauses, window=ALWAYS, limit=100):
    return names(store.search(Filters((clauses,)), window, limit=limit).events)


def test_an_event_comes_back_as_it_was(empty):
    sent = event("a", 1.25, process__args=["x", "y"], winlog={"event_data": {"Deep": [{"er": 1}]}})
    assert empty.append([sent], batch="1") == Appended(new=1, duplicates=0, ingest=1)
    [found] = empty.search(Filters(((),)), ALWAYS, limit=10).events
    assert (found.identity, found.document, found.timestamp) == (sent.identity, sent.document, at(1.25))
    assert found.ingest == empty.head() == 1


def test_a_batch_counts_once(empty):
    batch = [event("a"), event("b")]
    empty.append(batch, batch="1")
    assert empty.append(batch, batch="1") == Appended(new=0, duplicates=2, ingest=None)
    assert empty.append([event("c")], batch="1") == Appended(new=0, duplicates=1, ingest=None)
    assert (hits(empty), empty.head()) == (["a", "b"], 1)


def test_duplicates_are_dropped_one_by_one(empty):
    empty.append([event("a"), event("b", 1)], batch="1")
    again = [event("b", 1), event("c", 2), event("c", 2)]
    assert empty.append(again, batch="2") == Appended(new=1, duplicates=2, ingest=2)
    assert hits(empty) == ["a", "b", "c"]


def test_an_event_without_a_time_stops_its_batch(empty):
    broken = MappedEvent(identity("x"), {"@timestamp": "yesterday"}, source="x.ndjson:3")
    with pytest.raises(StoreError, match=r"x\.ndjson:3.*'yesterday'"):
        empty.append([event("a"), broken], batch="1")
    assert (hits(empty), empty.head()) == ([], 0)


def test_threads_that_append_the_same_events_add_them_once(empty):
    events = [event(f"e{n:03}", n) for n in range(200)]
    outcomes = []

    def append(batch):
        for start in range(0, 200, 20):
            outcomes.append(empty.append(events[start : start + 20], batch=f"{batch}-{start}"))

    threads = [threading.Thread(target=append, args=(name,)) for name in "ab"]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sum(outcome.new for outcome in outcomes) == 200
    assert hits(empty, limit=1000) == [f"e{n:03}" for n in range(200)]


def test_readers_see_whole_batches_while_others_write(empty):
    done, seen = threading.Event(), []

    def read():
        while not done.is_set():
            seen.append(empty.search(Filters(((),)), ALWAYS, limit=1).total)

    reader = threading.Thread(target=read)
    reader.start()
    for batch in range(15):
        empty.append([event(f"{batch}-{n}", n) for n in range(10)], batch=str(batch))
    done.set()
    reader.join()
    assert {total % 10 for total in seen} == {0}
    assert seen == sorted(seen)


def test_the_page_is_in_time_order_and_counts_past_its_limit(empty):
    empty.append([event("late", 5), event("early", 1), event("middle", 3)], batch="1")
    page = empty.search(Filters(((),)), ALWAYS, limit=2)
    assert (names(page.events), page.total) == (["early", "middle"], 3)
    assert (page.completeness.truncated, page.completeness.is_complete) == (True, False)


def test_the_window_includes_both_ends(empty):
    empty.append([event(f"{n}", n) for n in range(5)], batch="1")
    assert hits(empty, window=Window(at(1), at(3))) == ["1", "2", "3"]


def test_a_search_bound_to_a_head_sees_nothing_newer(empty):
    empty.append([event("a")], batch="1")
    empty.append([event("b")], batch="2")
    assert names(empty.search(Filters(((),)), ALWAYS, limit=9, head=1).events) == ["a"]


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        (Clause("process.name", values=("mshta.exe",)), ["a"]),
        (Clause("process.name", values=("MSHTA.EXE",)), []),
        (Clause("process.name", values=("mshta.exe",), excluded=True), ["b", "c"]),
        (Clause("process.name", Operator.IS_ONE_OF, ("mshta.exe", "x.exe")), ["a", "b"]),
        (Clause("process.name", Operator.EXISTS), ["a", "b"]),
        (Clause("process.name", Operator.EXISTS, excluded=True), ["c"]),
        (Clause("process.args", values=("-Embedding",)), ["a"]),
        (Clause("process.args", Operator.EXISTS), ["a"]),
        (Clause("process.pid", values=("7",)), ["b"]),
        (Clause("process.pid", values=("seven",)), []),
        (Clause("nobody.knows", values=("x",)), []),
        (Clause("nobody.knows", Operator.EXISTS, excluded=True), ["a", "b", "c"]),
        (Clause("host.ip", Operator.IN_NETWORK, ("10.0.0.9/8",)), ["a"]),
        (Clause("host.ip", Operator.IN_NETWORK, ("fe80::/16",)), ["b"]),
        (Clause("source.ip", values=("::ffff:192.0.2.1",)), ["c"]),
        (Clause("process.name", values=("x' OR '1'='1",)), []),
    ],
)
def test_filters(empty, clause, expected):
    first = event("a", 0, process__name="mshta.exe", process__args=["m", "-Embedding"], host__ip=["10.1.2.3"])
    second = event("b", 1, process__name="x.exe", process__pid=7, host__ip=["FE80::1", "192.0.2.7"])
    empty.append([first, second, event("c", 2, source__ip="192.0.2.1")], batch="1")
    assert hits(empty, clause) == expected


def test_clauses_narrow_and_groups_widen(empty):
    empty.append([event(n, i, process__name=n, host__id="h") for i, n in enumerate("abc")], batch="1")
    host, a, b = (
        Clause(f, values=(v,)) for f, v in [("host.id", "h"), ("process.name", "a"), ("process.name", "b")]
    )
    assert names(empty.search(Filters(((host, a), (host, b))), ALWAYS, limit=9).events) == ["a", "b"]
    assert empty.search(Filters(()), ALWAYS, limit=9).total == 0


def test_events_are_fetched_by_identity(empty):
    empty.append([event("a"), event("b", 60)], batch="1")
    found = empty.fetch([identity("a"), identity("b"), identity("?")], Window(at(0), at(30)))
    assert {key: names([one]) for key, one in found.items()} == {identity("a"): ["a"]}


def test_the_histogram_leaves_empty_buckets_out(empty):
    empty.append([event(f"{n}", n) for n in (0, 10, 130)], batch="1")
    assert empty.histogram(Filters(((),)), ALWAYS, timedelta(minutes=1)) == [
        Bucket(at(0), 2),
        Bucket(at(120), 1),
    ]


def test_coverage_tells_silence_from_absence(empty):
    day = 24 * 3600
    moments = {"old": -2 * day, "before": -day, "during": 5, "edge": 10, "after": 3610, "next": 3611}
    empty.append(
        [event(name, s, host__id="h", event__dataset="sysmon") for name, s in moments.items()], batch="1"
    )
    process, dns = empty.coverage("h", [TelemetryKind.PROCESS, TelemetryKind.DNS], Window(at(0), at(10)))
    assert (process.before, process.during, process.after) == (1, 2, 1)
    assert (process.first_seen, process.last_seen) == (at(-2 * day), at(3611))
    assert (process.sources, process.is_present) == (("sysmon",), True)
    assert (dns.is_present, dns.first_seen) == (False, None)
    [other] = empty.coverage("another", [TelemetryKind.PROCESS], Window(at(0), at(10)))
    assert (other.is_present, other.last_seen) == (False, None)


def test_fields_become_known_when_they_are_seen(empty):
    empty.append([event("a", acme__Risk=7)], batch="1")
    assert empty.known_fields()["acme.Risk"].type.value == "long"


def test_an_empty_store_answers(empty):
    assert empty.search(Filters(((),)), ALWAYS, limit=5).total == 0
    assert empty.fetch([identity("a")], ALWAYS) == {}
    assert empty.histogram(Filters(((),)), ALWAYS, timedelta(hours=1)) == []
    assert (empty.statistics()["segments"], empty.head()) == (0, 0)
    assert not empty.coverage("h", [TelemetryKind.DNS], ALWAYS)[0].is_present
    assert empty.append([], batch="1") == Appended(new=0, duplicates=0, ingest=None)
