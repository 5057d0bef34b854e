"""Killed writers, missing and damaged files, full disks."""

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from detections.enums import TelemetryKind
from detections.errors import SegmentUnreadableError, StoreError
from detections.stores.base import Clause, Filters, MappedEvent, Window
from detections.stores.embedded import EmbeddedStore, identities, segment_files
from tests.detections.stores.embedded.writer import batch_of, merge, open_store
from tests.detections.stores.events import ALWAYS, at, event, identity, names
from tests.faults import number

ROOT = Path(__file__).resolve().parents[4]


def everything(store):
    return store.search(Filters(((),)), ALWAYS, limit=100_000)


def killed_after(folder, seconds):
    """Let a writer work for a moment, kill it, and return the batches that it said were stored."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.detections.stores.embedded.writer", str(folder)]
    writer = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert writer.stdout.readline() == "ready\n"
    time.sleep(seconds)
    writer.send_signal(signal.SIGKILL)
    told = writer.stdout.read().split("\n")[:-1]
    writer.wait()
    writer.stdout.close()
    return len(told)


def killed_and_whole(folder, attempt):
    """Kill a writer that also merges; what it said was stored must be there, once, and the rest go on."""
    told = killed_after(folder, random.Random(attempt).uniform(0.02, 0.9))
    store = open_store(folder)
    counts = Counter(one.identity for one in everything(store).events)
    assert set(counts.values()) <= {1}
    assert len(counts) in {told * 20, (told + 1) * 20}
    assert {one.identity for number in range(told) for one in batch_of(number)} <= set(counts)
    store.append(batch_of(told), batch=str(told))
    assert everything(store).total == (told + 1) * 20
    assert list(store.faults()) == []
    merge(store)
    assert everything(store).total == (told + 1) * 20


@pytest.mark.parametrize("attempt", range(3))
def test_a_kill_at_some_moment_loses_and_doubles_nothing(tmp_path, attempt):
    killed_and_whole(tmp_path, attempt)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kills_at_random_moments_lose_and_double_nothing(tmp_path):
    for attempt in range(100, 100 + number(10, 50)):
        killed_and_whole(tmp_path / str(attempt), attempt)


def test_what_a_killed_writer_left_is_swept_after_an_hour(empty, tmp_path):
    empty.append([event("a")], batch="1")
    folder = tmp_path / "events" / "segments"
    for name, age in (("old.tmp", 3700), ("old.parquet", 3700), ("young.parquet", 60)):
        (folder / name).write_bytes(b"PAR1")
        os.utime(folder / name, (time.time() - age,) * 2)
    assert empty.sweep().deleted == ("old.parquet", "old.tmp")
    assert (everything(empty).total, len(list(folder.iterdir()))) == (1, 2)


def segment_file(folder):
    return next((folder / "events" / "segments").glob("*.parquet"))


def test_a_missing_segment_is_named(empty, tmp_path):
    empty.append([event("a")], batch="1")
    path = segment_file(tmp_path)
    path.rename(tmp_path / "aside")
    with pytest.raises(SegmentUnreadableError, match="the file is missing") as caught:
        everything(empty)
    assert Path(caught.value.path).name == path.name


@pytest.mark.parametrize("cut", [0, 4, 100, -1])
def test_a_torn_segment_is_named(empty, tmp_path, cut):
    empty.append([event("a")], batch="1")
    path = segment_file(tmp_path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(SegmentUnreadableError, match=r"bytes instead of"):
        everything(empty)


def test_after_three_failures_the_answer_is_partial_until_the_file_is_back(empty, tmp_path):
    empty.append([event("a")], batch="1")
    empty.append([event("b", 1)], batch="2")
    lost = next(iter(empty.reader.manifest.segments())).path
    (tmp_path / "events" / lost).rename(tmp_path / "aside")
    for _ in range(3):
        with pytest.raises(SegmentUnreadableError):
            everything(empty)
    page = everything(empty)
    assert (names(page.events), page.completeness.missing) == (["b"], (lost,))
    assert not page.completeness.is_complete
    assert empty.sweep().unreadable == (lost,)
    (tmp_path / "aside").rename(tmp_path / "events" / lost)
    assert empty.sweep().recovered == (lost,)
    assert names(everything(empty).events) == ["a", "b"]


@pytest.mark.parametrize("sent_again", [["a"], ["a", "b"], ["b", "d"]])
def test_what_is_sent_again_while_its_segment_is_unreadable_is_there_once_when_it_is_back(
    empty, tmp_path, sent_again
):
    empty.append([event("a", 0), event("b", 1)], batch="1")
    [lost] = [segment.path for segment in empty.reader.manifest.segments()]
    (tmp_path / "events" / lost).rename(tmp_path / "aside")
    for _ in range(3):
        empty.reader.manifest.report_unreadable(lost, "gone")
    empty.append([event(name, ord(name) - ord("a")) for name in sent_again], batch="2")
    (tmp_path / "aside").rename(tmp_path / "events" / lost)
    assert empty.sweep().recovered == (lost,)
    held = sorted({"a", "b", *sent_again})
    assert (names(everything(empty).events), empty.statistics()["rows"]) == (held, len(held))
    assert empty.append([event("a", 0), event("b", 1), event("c", 2)], batch="3").new == 1


def between(monkeypatch, manifest, step, meddle):
    """Have something happen once, just before a step of the manifest."""
    unwrapped = getattr(manifest, step)

    def wrapped(*given, **named):
        monkeypatch.setattr(manifest, step, unwrapped)
        meddle()
        return unwrapped(*given, **named)

    monkeypatch.setattr(manifest, step, wrapped)


@pytest.mark.parametrize("sent_before", [[], ["a"]])
def test_what_is_sent_again_while_its_segment_is_taken_back_is_there_once(
    empty, tmp_path, monkeypatch, sent_before
):
    empty.append([event("a", 0), event("b", 1)], batch="1")
    manifest = empty.reader.manifest
    [lost] = [segment.path for segment in manifest.segments()]
    for _ in range(3):
        manifest.report_unreadable(lost, "gone")
    if sent_before:
        empty.append([event(name, 0) for name in sent_before], batch="2")
    step = "swap" if sent_before else "report_readable"
    between(monkeypatch, manifest, step, lambda: empty.append([event("b", 1)], batch="3"))
    assert empty.sweep().recovered == (lost,)
    assert (names(everything(empty).events), empty.statistics()["rows"]) == (["a", "b"], 2)


def test_a_writer_that_looked_before_a_segment_was_taken_back_looks_into_it_too(empty, monkeypatch):
    empty.append([event("a", 0)], batch="1")
    manifest = empty.reader.manifest
    [lost] = [segment.path for segment in manifest.segments()]
    for _ in range(3):
        manifest.report_unreadable(lost, "gone")
    between(monkeypatch, manifest, "commit", empty.sweep)
    assert empty.append([event("a", 0), event("b", 1)], batch="2").new == 1
    assert names(everything(empty).events) == ["a", "b"]


def test_every_answer_names_what_it_could_not_read(empty, tmp_path):
    empty.append([event("a", host__id="h")], batch="1")
    empty.append([event("b", 1, host__id="h")], batch="2")
    lost = next(iter(empty.reader.manifest.segments())).path
    for _ in range(3):
        empty.reader.manifest.report_unreadable(lost, "gone")
    [there] = empty.coverage("h", [TelemetryKind.PROCESS], Window(at(0), at(9)))
    [later] = empty.coverage("h", [TelemetryKind.DNS], Window(at(10**6), at(10**6)))
    counts = empty.histogram(Filters(((),)), ALWAYS, timedelta(hours=1))
    found = empty.fetch([identity("a"), identity("b")], ALWAYS)
    assert ((there.during, there.missing), later.missing) == ((1, (lost,)), ())
    assert ([one.count for one in counts], counts.missing) == ([1], (lost,))
    assert (list(found), found.missing) == ([identity("b")], (lost,))


def test_a_segment_that_was_replaced_meanwhile_is_found_again(empty, monkeypatch):
    empty.append([event("a")], batch="1")
    manifest = empty.reader.manifest
    now, calls = manifest.segments(), []
    gone = [type(now[0])(**{**{n: getattr(now[0], n) for n in now[0].__slots__}, "path": "segments/gone"})]
    monkeypatch.setattr(manifest, "segments", lambda: calls.append(1) or (gone if len(calls) == 1 else now))
    assert everything(empty).total == 1


def test_a_full_disk_says_so_and_stores_nothing(empty, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(segment_files.pq.ParquetWriter, "write_table", full)
    with pytest.raises(StoreError, match=r"No space left on device.*make room"):
        empty.append([event("a")], batch="1")
    monkeypatch.undo()
    assert list((tmp_path / "events" / "segments").iterdir()) == []
    assert empty.append([event("a")], batch="1").new == 1


def test_a_forked_child_opens_its_own_engine(empty):
    empty.append([event("a")], batch="1")
    assert everything(empty).total == 1
    child = os.fork()
    if child == 0:
        os._exit(0 if everything(empty).total == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert everything(empty).total == 1


@pytest.mark.parametrize("room", [0, 1, 1000])
def test_a_store_opened_later_knows_what_is_there(empty, tmp_path, monkeypatch, room):
    monkeypatch.setattr(identities, "MAX_KEYS", room)
    empty.append([event("a")], batch="1")
    empty.append([event("b", 1), event("c", 2)], batch="2")
    later = EmbeddedStore(tmp_path / "events", empty.reader.manifest, empty.catalogue)
    assert later.append([event("c", 2), event("d", 3)], batch="3").new == 1
    assert empty.append([event("d", 3), event("a")], batch="4").new == 0
    assert names(everything(later).events) == ["a", "b", "c", "d"]


def test_identities_that_agree_in_eight_bytes_are_two_events(empty):
    one, other = ("0123456789abcdef" + digit * 48 for digit in "12")
    document = event("a").document
    empty.append([MappedEvent(one, document)], batch="1")
    assert empty.append([MappedEvent(other, document)], batch="2").new == 1


def test_a_long_search_is_stopped(empty):
    from detections.errors import SearchTimeoutError
    from detections.stores.embedded.connection import Connection

    with (
        pytest.raises(SearchTimeoutError, match=r"longer than 0\.2 s"),
        Connection().cursor(timedelta(seconds=0.2)) as cursor,
    ):
        cursor.execute("SELECT count(*) FROM range(10000000) a, range(100000) b").fetchall()


def test_extensions_are_never_fetched(empty):
    from detections.stores.embedded.connection import Connection

    with Connection().cursor() as cursor:
        rows = cursor.execute(
            "SELECT name, value FROM duckdb_settings() WHERE name LIKE 'auto%known_extensions'"
        ).fetchall()
        loaded = cursor.execute("SELECT loaded FROM duckdb_extensions() WHERE extension_name = 'parquet'")
        assert ({value for _, value in rows}, loaded.fetchall()) == ({"false"}, [(True,)])


def test_an_excluded_clause_over_an_unreadable_store_is_no_answer(empty, tmp_path):
    empty.append([event("a")], batch="1")
    segment_file(tmp_path).unlink()
    with pytest.raises(StoreError):
        empty.search(Filters(((Clause("host.id", values=("h",), excluded=True),),)), ALWAYS, limit=1)
