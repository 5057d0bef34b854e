"""Whether telemetry was there, told by tallies, equals what counting event by event tells."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detections.enums import TelemetryKind
from detections.eql.known import catalogue
from detections.stores.base import Clause, Filters, MappedEvent, Window
from detections.stores.embedded import EmbeddedStore, MemoryManifest
from detections.stores.embedded.reporting import asked_kind
from detections.stores.embedded.tallies import Tallies
from detections.telemetry_kinds import KIND_FILTERS
from tests.detections.stores.events import T0

HOSTS = ("h1", "h2", "")
MINUTES = st.integers(-3000, 3000)
EVENTS = st.lists(
    st.tuples(MINUTES, st.sampled_from(HOSTS), st.sampled_from(("process", "network", "file"))), max_size=12
)


def event(number: int, minutes: int, host: str, category: str) -> MappedEvent:
    document = {
        "@timestamp": (T0 + timedelta(minutes=minutes)).isoformat(),
        "event": {"category": [category], "dataset": f"test.{category}"},
    }
    if host:
        document["host"] = {"id": host}
    return MappedEvent(f"{number:064x}", document)


@pytest.fixture(scope="module")
def fill(tmp_path_factory):
    def filled(batches, *, most: int) -> EmbeddedStore:
        store = EmbeddedStore(tmp_path_factory.mktemp("store"), MemoryManifest(), catalogue())
        store.tallies = Tallies(most)
        number = 0
        for place, batch in enumerate(batches):
            events = []
            for one in batch:
                number += 1
                events.append(event(number, *one))
            if events:
                store.append(events, batch=str(place))
        return store

    return filled


@settings(max_examples=15, deadline=None)
@given(batches=st.lists(EVENTS, max_size=3), start=MINUTES, length=st.integers(0, 300))
def test_tallies_and_files_say_the_same(fill, batches, start, length):
    window = Window(T0 + timedelta(minutes=start), T0 + timedelta(minutes=start + length))
    kinds = [TelemetryKind.PROCESS, TelemetryKind.CONNECTION, TelemetryKind.FILE, TelemetryKind.DNS]
    others = Filters(
        tuple(
            (*group, Clause("host.id", values=("h1",), excluded=True))
            for group in KIND_FILTERS[TelemetryKind.PROCESS].groups
        )
    )
    told = [
        (
            store.coverage("h1", kinds, window),
            store.spread(KIND_FILTERS[TelemetryKind.CONNECTION], window),
            store.spread(others, window),
        )
        for store in (fill(batches, most=1000), fill(batches, most=0))
    ]
    assert told[0] == told[1]


def test_only_filters_that_spell_a_kind_are_told_by_tallies():
    kind = TelemetryKind.DNS
    without = Clause("host.id", values=("h1",), excluded=True)
    spelt = Filters(tuple((*group, without) for group in KIND_FILTERS[kind].groups))
    assert asked_kind(KIND_FILTERS[kind]) == (kind, "")
    assert asked_kind(spelt) == (kind, "h1")
    assert asked_kind(Filters(((Clause("host.id", values=("h1",)),),))) is None
    assert asked_kind(Filters(spelt.groups[:1])) is None


def test_an_event_that_two_alternatives_find_is_found_once(fill):
    store = fill([[(0, "h1", "process"), (1, "h2", "process"), (2, "h1", "file")]], most=1000)
    either = Filters(
        (
            (Clause("event.dataset", values=("test.process",)),),
            (Clause("event.dataset", values=("test.process",)), Clause("host.id", values=("h1",))),
            (Clause("event.dataset", values=("test.file",)),),
        )
    )
    window = Window(T0, T0 + timedelta(minutes=2))
    page = store.search(either, window, limit=2)
    assert ([event.identity for event in page.events], page.total) == ([f"{n:064x}" for n in (1, 2)], 3)
    assert store.search(either, window, limit=10).total == 3
