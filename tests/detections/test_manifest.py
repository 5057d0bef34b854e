"""The manifest in the database."""

import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from django.db import connection

from detections.enums import SegmentState
from detections.eql.fields import Field, FieldType
from detections.errors import SegmentUnreadableError, StoreError
from detections.event_store import embedded_store, event_store
from detections.manifest import STREAM, DatabaseManifest
from detections.models.journal import JournalEntry
from detections.models.segment import IngestCounter, SeenField
from detections.models.segment import Segment as SegmentRow
from detections.stores.base import Filters
from detections.stores.embedded import ManifestMovedError, Segment
from tests.detections.stores.events import ALWAYS, event, names

NOW = datetime(2026, 3, 18, tzinfo=UTC)


def segment(batch):
    return Segment(f"segments/{batch}", batch, 1, 1, NOW, NOW, None, None, "0" * 64, frozenset({"_row"}))


def commit(manifest, batch, *, head, fields=()):
    return manifest.commit(segment(batch), expected_head=head, fields=fields, arrived_at=NOW)


@pytest.mark.django_db
def test_numbers_follow_one_another():
    manifest = DatabaseManifest()
    assert (manifest.head(), commit(manifest, "a", head=0), commit(manifest, "b", head=1)) == (0, 1, 2)
    assert [(one.batch, one.ingest) for one in manifest.segments()] == [("a", 1), ("b", 2)]
    assert (manifest.head(), manifest.has_batch("a"), manifest.has_batch("c")) == (2, True, False)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("batch", "head", "kind"),
    [("b", 0, FieldType.LONG), ("a", 1, FieldType.LONG), ("b", 1, FieldType.KEYWORD)],
    ids=["behind", "same batch", "other type"],
)
def test_a_commit_onto_a_manifest_that_moved_changes_nothing(batch, head, kind):
    manifest = DatabaseManifest()
    commit(manifest, "a", head=0, fields=[Field("acme.risk", FieldType.LONG)])
    with pytest.raises(ManifestMovedError):
        commit(manifest, batch, head=head, fields=[Field("new", kind), Field("acme.risk", kind)])
    assert [one.batch for one in manifest.segments()] == ["a"]
    assert list(SeenField.objects.values_list("name", "type")) == [("acme.risk", "long")]
    assert IngestCounter.objects.get().head == 1


@pytest.mark.django_db
def test_a_retired_segment_is_seen_no_more_but_keeps_its_file():
    manifest = DatabaseManifest()
    commit(manifest, "a", head=0)
    SegmentRow.objects.update(state=SegmentState.RETIRED)
    assert (manifest.segments(), manifest.paths()) == ([], {"segments/a"})


def test_the_product_stores_and_finds(store):
    store.append([event("a", acme__risk=7)], batch="1")
    assert names(store.search(Filters(((),)), ALWAYS, limit=9).events) == ["a"]
    assert store.known_fields()["acme.risk"] == Field("acme.risk", FieldType.LONG)
    row = SegmentRow.objects.get()
    assert (row.rows, row.ingest, row.batch, "s.acme.risk" in row.columns) == (1, 1, "1", True)


def test_a_segment_that_fails_three_times_is_set_aside_and_the_journal_says_so(store, event_folder):
    store.append([event("a")], batch="1")
    path = event_folder / SegmentRow.objects.get().path
    aside = path.rename(path.with_suffix(".aside"))
    for _ in range(3):
        with pytest.raises(SegmentUnreadableError):
            store.search(Filters(((),)), ALWAYS, limit=9)
    row = SegmentRow.objects.get()
    assert (row.failures, row.last_error, row.state) == (3, "the file is missing", SegmentState.UNREADABLE)
    assert store.search(Filters(((),)), ALWAYS, limit=9).completeness.missing == (row.path,)
    aside.rename(path)
    assert embedded_store().sweep().recovered == (row.path,)
    assert store.search(Filters(((),)), ALWAYS, limit=9).total == 1
    journal = JournalEntry.objects.filter(stream__name=STREAM).order_by("number")
    assert list(journal.values_list("before", "after")) == [
        ("active", "unreadable"),
        ("unreadable", "active"),
    ]


def test_a_segment_that_is_taken_back_takes_a_number_and_only_from_who_knows_the_last(store):
    store.append([event("a")], batch="1")
    store.append([event("b", 1)], batch="2")
    manifest, [first, second] = DatabaseManifest(), store.reader.manifest.segments()
    with pytest.raises(ManifestMovedError):
        manifest.report_readable(first.path, expected_head=1)
    manifest.report_readable(first.path, expected_head=2)
    with pytest.raises(ManifestMovedError):
        manifest.swap([second], replace(second, path="segments/m", batch="m"), expected_head=2)
    assert (manifest.head(), [one.path for one in manifest.segments()]) == (3, [first.path, second.path])


@pytest.mark.django_db(transaction=True)
def test_two_writers_that_bring_the_same_events_add_them_once(event_folder):
    store, outcomes = embedded_store(), []
    others = type(store)(event_folder, DatabaseManifest(), store.catalogue)
    events = [event(f"e{n:02}", n) for n in range(60)]

    def append(writer, name):
        for start in range(0, 60, 10):
            outcomes.append(writer.append(events[start : start + 10], batch=f"{name}-{start}"))
        connection.close()

    threads = [threading.Thread(target=append, args=pair) for pair in ((store, "x"), (others, "y"))]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sum(outcome.new for outcome in outcomes) == 60
    assert store.search(Filters(((),)), ALWAYS, limit=1).total == 60
    assert sorted(SegmentRow.objects.values_list("ingest", flat=True)) == list(range(1, store.head() + 1))


def test_one_store_a_process(db, event_folder):
    assert event_store() is event_store()


def test_an_unprotected_cluster_is_refused(settings):
    settings.ELASTICSEARCH_URL = "http://example.test:9200"
    with pytest.raises(StoreError, match=r"example\.test:9200 is not encrypted .* Use https, or set both"):
        event_store()
