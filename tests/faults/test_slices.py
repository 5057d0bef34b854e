"""F14: a search in slices, however they are cut and wherever one is full, finds what one search finds."""

from datetime import datetime, timedelta
from itertools import count, pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detections.enums import RunStatus
from detections.eql import parse
from detections.eql.execute import ResultPosition, execute
from detections.rule_search import RuleSearch, search
from detections.stores.base import EqlSearch, Region
from detections.stores.embedded import EmbeddedStore, MemoryManifest
from tests.detections.stores.conftest import CATALOGUE
from tests.detections.stores.events import at, event
from tests.faults import number

REACH = timedelta(seconds=10)
QUERIES = {
    "event": 'process where process.name == "a"',
    "pair": 'sequence by host.id with maxspan=10s [any where process.name == "a"] '
    '[any where process.name == "b"]',
    "same": "sequence with maxspan=10s [any where process.pid < 5] [any where true]",
    "triple": 'sequence with maxspan=10s [any where process.name == "a"] [any where true] '
    "[any where process.pid > 5]",
}
# Without maxspan the bound is the look-back: every match whose steps lie no further apart is found.
WITHOUT_MAXSPAN = 'sequence by host.id [any where process.name == "a"] [any where process.name == "b"]'
EVENTS = st.lists(
    st.tuples(st.integers(0, 60), st.sampled_from("ab"), st.sampled_from("xy"), st.integers(0, 9)),
    max_size=25,
)
CUTS = st.lists(st.integers(-1, 61), max_size=6)
EXAMPLES = settings(
    max_examples=number(40, 5_000),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
numbers = count()


def filled(tmp_path_factory, drawn):
    """A store with the drawn events, in two batches, and their documents in ingest order."""
    store = EmbeddedStore(
        tmp_path_factory.mktemp("events"), MemoryManifest(), CATALOGUE, clock=lambda: at(1000)
    )
    events = [
        event(f"{next(numbers)}", second, process__name=name, host__id=host, process__pid=pid)
        for second, name, host, pid in drawn
    ]
    for index, part in enumerate((events[::2], events[1::2])):
        if part:
            store.append(part, batch=f"{index}")
    return store, [one.document for one in (*events[::2], *events[1::2])]


def whole(query, documents):
    rows = execute(
        parse(query),
        documents,
        CATALOGUE,
        tiebreaker_field="process.pid",
        size=10**6,
        result_position=ResultPosition.HEAD,
    )
    return {tuple(document["event"]["id"] for document in row.events) for row in rows}


def in_slices(store, query, cuts, *, limit):
    """Slice after slice as runs make them, each with at most `limit` matches a search."""
    found = set()
    ends = [None, *(at(cut) for cut in sorted(set(cuts))), at(100)]
    for after, until in pairwise(ends):
        one = EqlSearch("r", parse(query), REACH, tiebreaker_field="process.pid")
        rule = RuleSearch(one.query, [one])
        # The mark is at the head: nothing is late, all is found by its position.
        search(store, [rule], Region(after, until, store.head(), store.head()), limit=limit)
        assert (rule.findings.status, rule.findings.error) == (RunStatus.SUCCEEDED, "")
        found |= {
            tuple(event.document["event"]["id"] for event in match.events) for match in rule.findings.matches
        }
    return found


@pytest.mark.timeout(7200)
@EXAMPLES
@given(drawn=EVENTS, cuts=CUTS, query=st.sampled_from(sorted(QUERIES)), limit=st.sampled_from([1, 3, 1000]))
def test_sliced_equals_unsliced(tmp_path_factory, drawn, cuts, query, limit):
    store, documents = filled(tmp_path_factory, drawn)
    assert in_slices(store, QUERIES[query], cuts, limit=limit) == whole(QUERIES[query], documents)


@pytest.mark.timeout(7200)
@EXAMPLES
@given(drawn=EVENTS, cuts=CUTS)
def test_without_maxspan_the_look_back_is_the_bound(tmp_path_factory, drawn, cuts):
    store, documents = filled(tmp_path_factory, drawn)
    moments = {document["event"]["id"]: document["@timestamp"] for document in documents}
    found, everything = in_slices(store, WITHOUT_MAXSPAN, cuts, limit=1000), whole(WITHOUT_MAXSPAN, documents)
    near = {pair for pair in everything if span(moments, pair) <= REACH}
    assert near <= found <= everything


def span(moments, pair):
    first, last = (datetime.fromisoformat(moments[one]) for one in pair)
    return last - first
