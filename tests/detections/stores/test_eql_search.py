"""Queries over a region: what they find, and how they fail."""

from datetime import timedelta

import pytest

from detections.enums import TimeBasis
from detections.eql import parse
from detections.errors import SearchTimeoutError
from detections.stores.base import EqlSearch, Region
from tests.detections.stores.events import EVERYTHING, at, event, names

PAIR = """sequence by host.id with maxspan=1m
  [process where process.name == "a"] [process where process.name == "b"]"""


def search(query, **options):
    options.setdefault("reach", timedelta(minutes=1))
    return EqlSearch("rule", parse(query), **options)


def matches(store, query, region=EVERYTHING, limit=100, **options):
    asked = search(query, **options)
    [answer] = store.search_eql([asked], region, limit=limit)
    assert answer.error == ""
    as_a_set = store.search_eql([asked] * 4, region, limit=limit)
    assert [(one.error, one.matches) for one in as_a_set] == [("", answer.matches)] * 4
    return [names(match.events) for match in answer.matches]


def pair(host, start, gap, **fields):
    return [
        event(f"{host}1", start, process__name="a", host__id=host, **fields),
        event(f"{host}2", start + gap, process__name="b", host__id=host, **fields),
    ]


def test_an_event_query_lists_events_in_time_order(empty):
    empty.append([event("b", 2), event("a", 1), event("other", 0, event={"id": "o"})], batch="1")
    assert matches(empty, "process where true") == [["a"], ["b"]]
    assert matches(empty, "any where true") == [["o"], ["a"], ["b"]]


def test_maxspan_is_inclusive_to_the_millisecond(empty):
    empty.append([*pair("in", 0, 60), *pair("out", 0, 60.001), *pair("same", 0, 60.0009)], batch="1")
    assert matches(empty, PAIR) == [["in1", "in2"], ["same1", "same2"]]


def test_a_tie_is_broken_by_the_tiebreaker_then_by_arrival(empty):
    empty.append(pair("first", 0, 0), batch="1")
    reversed_pair = pair("tied", 0, 0)[::-1]
    for number, one in enumerate(reversed_pair):
        one.document["event"]["sequence"] = 2 - number
    empty.append(reversed_pair, batch="2")
    assert matches(empty, PAIR) == [["first1", "first2"]]
    tied = matches(empty, PAIR, tiebreaker_field="event.sequence")
    assert sorted(tied) == [["first1", "first2"], ["tied1", "tied2"]]


def test_join_keys_come_with_the_match(empty):
    empty.append(pair("h", 0, 1), batch="1")
    [answer] = empty.search_eql([search(PAIR)], EVERYTHING, limit=1)
    assert answer.matches[0].join_keys == ("h",)


def test_more_than_the_limit_is_truncated_and_says_so(empty):
    empty.append([event(f"{n}", n) for n in range(5)], batch="1")
    [answer] = empty.search_eql([search("process where true")], EVERYTHING, limit=3)
    assert [names(match.events) for match in answer.matches] == [["0"], ["1"], ["2"]]
    assert answer.completeness.truncated
    [exact] = empty.search_eql([search("process where true")], EVERYTHING, limit=5)
    assert exact.completeness.is_complete


def test_a_faulty_query_fails_alone(empty):
    empty.append([event("a")], batch="1")
    searches = [search("process where nobody.knows == 1"), search("process where true")]
    bad, good = empty.search_eql(searches, EVERYTHING, limit=9)
    assert "nobody.knows" in bad.error
    assert (bad.matches, good.error, len(good.matches)) == ((), "", 1)


def test_a_field_that_no_event_has_yet_is_absent_not_unknown(empty):
    empty.append([event("a")], batch="1")
    assert matches(empty, 'process where not source.ip == "10.0.0.1"') == [["a"]]
    assert matches(empty, 'process where process.args : "x"') == []


def test_arrays_match_by_any_element(empty):
    empty.append(
        [event("a", 0, process__args=["m", "-Embedding"]), event("b", 1, process__args="-embedding")],
        batch="1",
    )
    assert matches(empty, 'process where process.args : "-Embedding"') == [["a"], ["b"]]


def test_a_sequence_across_two_batches_is_found_by_the_later_one(empty):
    first, second = pair("h", 0, 30)
    empty.append([second], batch="1")
    empty.append([first], batch="2")
    late = Region(after=at(3600), until=at(7200), mark=1, head=2)
    assert matches(empty, PAIR, late) == [["h1", "h2"]]
    assert matches(empty, PAIR, Region(after=at(3600), until=at(7200), mark=2, head=2)) == []


def test_late_rows_do_not_make_the_store_read_what_is_far_away(new_store):
    store = new_store(clock=lambda: at(10_000))
    for number in range(5):
        store.append(pair(f"far{number}", number * 1000, 10), batch=f"far{number}")
    store.append(pair("near", 2000, 10), batch="late")
    region = Region(after=at(20_000), until=at(30_000), mark=5, head=6)
    [answer] = store.search_eql([search(PAIR)], region, limit=9)
    assert [names(match.events) for match in answer.matches] == [["near1", "near2"]]
    assert answer.completeness.rows == 4


def test_a_clock_ahead_of_us_hides_nothing(new_store):
    store = new_store(clock=lambda: at(100))
    store.append(pair("ahead", 9_000, 10), batch="1")
    assert matches(store, PAIR, Region(after=at(0), until=at(150), mark=0, head=1)) == [["ahead1", "ahead2"]]
    assert matches(store, PAIR, Region(after=at(150), until=at(9_999), mark=1, head=1)) == []


def test_the_repaired_pass_goes_by_the_time_of_recording(empty):
    start, connection = pair("h", 4, 0)
    connection.document["@timestamp"] = at(0).isoformat()
    for one, seconds in ((start, 4), (connection, 5)):
        one.document["event"]["created"] = at(seconds).isoformat()
    empty.append([start, connection, *pair("without", 0, 1)], batch="1")
    assert matches(empty, PAIR) == [["without1", "without2"]]
    [answer] = empty.search_eql([search(PAIR, basis=TimeBasis.CLOCK_REPAIRED)], EVERYTHING, limit=9)
    assert [names(match.events) for match in answer.matches] == [["h1", "h2"]]
    assert answer.matches[0].basis is TimeBasis.CLOCK_REPAIRED


def test_a_rule_may_order_by_a_field_of_its_own(empty):
    first, second = pair("h", 0, 5)
    first.document["acme"] = {"at": at(50).isoformat()}
    second.document["acme"] = {"at": at(40).isoformat()}
    empty.append([first, second], batch="1")
    query = PAIR.replace('"a"', '"x"').replace('"b"', '"a"').replace('"x"', '"b"')
    assert matches(empty, query, timestamp_field="event.created") == []
    assert matches(empty, query) == []


def test_a_sample_joins_in_any_order(empty):
    empty.append(pair("h", 0, 5)[::-1], batch="1")
    query = 'sample by host.id [any where process.name == "b"] [any where process.name == "a"]'
    assert matches(empty, query) == [["h2", "h1"]]


def test_pipes_cut_the_matches(empty):
    empty.append([event(f"{n}", n) for n in range(5)], batch="1")
    assert matches(empty, "process where true | tail 2 | head 1") == [["3"]]


def test_a_set_that_takes_too_long_is_stopped(empty):
    empty.append([event("a")], batch="1")
    with pytest.raises(SearchTimeoutError):
        empty.search_eql([search("process where true")], EVERYTHING, limit=1, timeout=timedelta(0))


def test_a_search_of_an_empty_store_is_complete(empty):
    [answer] = empty.search_eql([search(PAIR)], EVERYTHING, limit=1)
    assert (answer.error, answer.matches, answer.completeness.is_complete) == ("", (), True)
