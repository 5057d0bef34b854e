"""Runs over regions, against the same query over everything that such a run may see."""

from datetime import timedelta
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detections.enums import TimeBasis
from detections.eql import parse
from detections.eql.execute import ResultPosition, execute
from detections.stores.base import EqlSearch, Region
from detections.stores.embedded import compacting
from detections.stores.embedded.merge_plan import IN_TIME, SORTED, Merge
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
    "runs": 'sequence by host.id with maxspan=10s [any where process.name == "a"] with runs=3',
    "until": 'sequence with maxspan=10s [any where process.name == "a"] [any where process.name == "b"] '
    "until [any where process.pid == 9]",
}

EVENTS = st.lists(
    st.tuples(
        st.one_of(st.integers(-25, 3), st.integers(-25, 3), st.just(-500), st.just(200)),
        st.sampled_from("ab"),
        st.sampled_from("xy"),
        st.integers(0, 9),
        st.one_of(st.none(), st.integers(-6, 6)),
    ),
    max_size=6,
)
# A batch of events relative to its moment, how long its commit took, or a run.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("batch"), st.integers(0, 12), EVENTS, st.integers(0, 8)),
        st.tuples(st.just("run"), st.integers(0, 12)),
    ),
    max_size=12,
)


class History:
    """A store, a rule's state, and the plain facts beside them."""

    def __init__(self, new_store, query, basis):
        self.now, self.arrival, self.numbers = 0, 0, count()
        self.store = new_store(clock=lambda: at(self.arrival))
        self.search = EqlSearch("r", parse(query), REACH, basis, tiebreaker_field="process.pid")
        self.clock = "@timestamp" if basis is TimeBasis.STRICT else "event.created"
        self.after, self.mark, self.rows, self.found = None, 0, [], set()

    def batch(self, events, lag):
        sent = []
        for offset, name, host, pid, drift in events:
            seconds = self.now + offset
            created = {} if drift is None else {"event__created": at(seconds + drift).isoformat()}
            one = event(
                f"{next(self.numbers)}",
                seconds,
                process__name=name,
                host__id=host,
                process__pid=pid,
                **created,
            )
            sent.append(one)
        self.arrival = self.now - lag
        stored = self.store.append(sent, batch=f"b{next(self.numbers)}")
        for one, (offset, *_, drift) in zip(sent, events, strict=True):
            clock = self.now + offset + (0 if self.clock == "@timestamp" else drift or 0)
            has_clock = self.clock == "@timestamp" or drift is not None
            if has_clock:
                self.rows.append((one, min(clock, self.arrival), stored.ingest))

    def oracle(self, allowed):
        documents = [one.document for one, *_ in allowed]
        found = execute(
            self.search.query,
            documents,
            CATALOGUE,
            timestamp_field=self.clock,
            tiebreaker_field="process.pid",
            size=100_000,
            result_position=ResultPosition.HEAD,
        )
        return {tuple(document["event"]["id"] for document in row.events) for row in found}

    def run(self):
        head, until = self.store.head(), self.now - 2
        region = Region(None if self.after is None else at(self.after), at(until), self.mark, head)
        [answer] = self.store.search_eql([self.search], region, limit=100_000)
        assert answer.error == ""
        as_a_set = self.store.search_eql([self.search] * 4, region, limit=100_000)
        assert [one.matches for one in as_a_set] == [answer.matches] * 4
        found = {tuple(one.document["event"]["id"] for one in match.events) for match in answer.matches}
        assert found == self._expected(head, until)
        self.found |= found
        self.after, self.mark = until, head

    def merge(self, is_sorted):
        """Merge all segments into one, as if they were many, or hours old."""
        sources = tuple(self.store.reader.manifest.segments())
        if sources:
            compacting.merge(self.store.reader, Merge(sources, SORTED if is_sorted else IN_TIME))

    def _expected(self, head, until):
        allowed = [row for row in self.rows if row[2] <= head and row[1] <= until]
        searched = {
            one.document["event"]["id"]
            for one, position, ingest in allowed
            if self.after is None or position > self.after or ingest > self.mark
        }
        return {match for match in self.oracle(allowed) if searched & set(match)}


@settings(
    max_examples=number(60, 500), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=STEPS,
    query=st.sampled_from(sorted(QUERIES)),
    basis=st.sampled_from([TimeBasis.STRICT, TimeBasis.CLOCK_REPAIRED]),
)
def test_no_match_is_lost_however_events_arrive(new_store, tmp_path_factory, steps, query, basis):
    history = History(new_store, QUERIES[query], basis)
    for kind, pause, *rest in steps:
        history.now += pause
        history.batch(*rest) if kind == "batch" else history.run()
    history.now += 1000
    history.run()
    if query != "until":
        assert history.found >= history.oracle(history.rows)
