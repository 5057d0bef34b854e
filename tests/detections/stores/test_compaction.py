"""Merged segments answer as their batches did, whatever is merged when."""

from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detections.enums import TimeBasis
from detections.errors import StoreError
from detections.stores.base import Clause, Filters, Region
from detections.stores.embedded import ManifestMovedError, compacting, merge_plan, segment_files
from detections.stores.embedded.merge_plan import IN_TIME, SORTED
from detections.stores.embedded.sweeping import GRACE
from tests.detections.stores.events import ALWAYS, T0, at, event, names
from tests.detections.stores.test_eql_search import PAIR, matches, pair
from tests.detections.stores.test_regions import QUERIES, STEPS, History

LATER = 3 * 3600
HOUR = 3600


def everything(store):
    return store.search(Filters(((),)), ALWAYS, limit=1000)


def segments(store):
    return store.reader.manifest.segments()


class Clock:
    def __init__(self, seconds=0):
        self.seconds = seconds

    def __call__(self):
        return at(self.seconds)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def many(new_store, clock):
    """Ten batches, one second apart in event time, one minute in arrival."""
    store = new_store(clock=clock)
    for number in range(10):
        clock.seconds = number * 60
        store.append(
            [event(f"e{number}", 10 - number, process__name="x" * number, rare={f"f{number}": 1})],
            batch=str(number),
        )
    return store


def test_recent_batches_become_one_segment_in_the_order_of_time(many):
    before = everything(many).events
    assert (many.compact().sources, [one.level for one in segments(many)]) == (10, [IN_TIME])
    assert everything(many).events == before
    assert [one.ingest for one in before] == list(range(10, 0, -1))
    assert many.compact().sources == 0


def test_a_row_group_has_the_texts_of_its_own_rows_alone(new_store, clock, monkeypatch):
    monkeypatch.setattr(compacting, "ROWS_IN_GROUP", 2)
    store = new_store(clock=clock)
    for number in range(8):
        store.append([event(f"e{number}", number, process__name=f"p{number // 2}")], batch=str(number))
    store.compact()
    [one] = segments(store)
    file = pq.ParquetFile(store.reader.files.absolute(one.path), read_dictionary=["s.process.name"])
    groups = [file.read_row_group(number)["s.process.name"].chunk(0) for number in range(4)]
    assert [group.dictionary.to_pylist() for group in groups] == [["p0"], ["p1"], ["p2"], ["p3"]]


def test_closed_hours_are_sorted_and_answer_the_same(many, clock):
    before = everything(many).events
    clock.seconds = LATER
    assert (many.compact().files, [one.level for one in segments(many)]) == (1, [SORTED])
    assert everything(many).events == before
    assert many.compact().sources == 0


def test_each_row_keeps_its_number_and_arrival(many, clock):
    clock.seconds = LATER
    many.compact()
    region = Region(after=at(HOUR), until=at(2 * HOUR), mark=4, head=7)
    assert matches(many, "any where true", region) == [["e6"], ["e5"], ["e4"]]
    window = Region(after=at(3.5), until=at(6.5), mark=10, head=10)
    assert matches(many, "any where true", window) == [["e6"], ["e5"], ["e4"]]
    first = Region(after=at(3.5), until=at(6.5), mark=0, head=3)
    assert matches(many, "any where true", first) == [["e0"]]


def test_what_was_merged_is_known_and_not_added_again(many, clock):
    clock.seconds = LATER
    many.compact()
    assert many.append([event("e3", 7), event("new", 1)], batch="again").new == 1
    assert many.append([event("e4", 6)], batch="4").new == 0


def test_a_sequence_is_found_across_merged_and_fresh_segments(many, clock):
    first, second = pair("h", 100, 30)
    many.append([second], batch="second")
    clock.seconds = LATER
    many.compact()
    many.append([first], batch="first")
    late = Region(after=at(HOUR), until=at(2 * LATER), mark=11, head=12)
    assert matches(many, PAIR, late) == [["h1", "h2"]]


def test_the_files_of_what_was_merged_go_after_a_grace(many, clock, tmp_path):
    folder = tmp_path / "events" / "segments"
    many.compact()
    assert (len(list(folder.iterdir())), many.sweep().deleted) == (11, ())
    clock.seconds = (datetime.now(UTC) - T0 + GRACE) / timedelta(seconds=1)
    assert len(many.sweep().deleted) == 10
    assert (len(list(folder.iterdir())), everything(many).total, many.sweep().deleted) == (1, 10, ())


def test_a_merge_that_lost_a_source_leaves_everything_as_it_was(many, tmp_path, monkeypatch):
    def moved(*_, **__):
        raise ManifestMovedError

    monkeypatch.setattr(many.reader.manifest, "swap", moved)
    assert many.compact().files == 0
    assert (everything(many).total, len(list((tmp_path / "events" / "segments").iterdir()))) == (10, 10)


def test_a_full_disk_stops_a_merge_and_loses_nothing(many, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(segment_files.pq.ParquetWriter, "write_table", full)
    [reason] = many.compact().failed
    assert "No space left on device" in reason
    assert (everything(many).total, len(list((tmp_path / "events" / "segments").iterdir()))) == (10, 10)


def test_an_unreadable_source_is_named_and_the_others_wait(many, tmp_path):
    lost = segments(many)[3].path
    (tmp_path / "events" / lost).unlink()
    for _ in range(3):
        [reason] = many.compact().failed
        assert lost in reason
    assert many.compact().sources == 9
    assert everything(many).completeness.missing == (lost,)


def test_a_search_that_began_before_still_finds_its_files(many, monkeypatch):
    listed = segments(many)
    many.compact()
    monkeypatch.setattr(many.reader.manifest, "segments", lambda: listed)
    assert everything(many).total == 10


def test_what_does_not_fit_in_memory_is_merged_in_parts(many, monkeypatch):
    sizes = [compacting._unpacked(many.reader, one) for one in segments(many)]
    monkeypatch.setattr(compacting, "MOST_UNPACKED", max(sizes) * 4)
    before = everything(many).events
    assert many.compact().sources == 10
    assert (len(segments(many)) > 2, everything(many).events) == (True, before)
    monkeypatch.setattr(compacting, "MOST_UNPACKED", 1)
    assert many.compact().sources == 0


def test_large_segments_are_left_alone(many, monkeypatch):
    monkeypatch.setattr(merge_plan, "MOST_ROWS", 1)
    assert many.compact().sources == 0


def test_excluded_values_and_lists_come_back(new_store, clock):
    store = new_store(clock=clock)
    for number in range(8):
        store.append([event(f"e{number}", number, process__args=["a", str(number)])], batch=str(number))
    store.compact()
    args = Clause("process.args", values=("3",))
    assert names(store.search(Filters(((args,),)), ALWAYS, limit=9).events) == ["e3"]
    store.reader.files.absolute(segments(store)[0].path).unlink()
    with pytest.raises(StoreError, match="the file is missing"):
        everything(store)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=STEPS,
    query=st.sampled_from(sorted(QUERIES)),
    basis=st.sampled_from([TimeBasis.STRICT, TimeBasis.CLOCK_REPAIRED]),
    merged=st.sets(st.integers(0, 12)),
    is_sorted=st.booleans(),
)
def test_no_match_is_lost_however_segments_are_merged(
    new_store, tmp_path_factory, steps, query, basis, merged, is_sorted
):
    history = History(new_store, QUERIES[query], basis)
    for number, (kind, pause, *rest) in enumerate(steps):
        history.now += pause
        history.batch(*rest) if kind == "batch" else history.run()
        if number in merged:
            history.merge(is_sorted)
    history.now += 1000
    history.run()
    if query != "until":
        assert history.found >= history.oracle(history.rows)
