"""Merging, expiring and sweeping the product's store, and the command that shows it."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from detections import lease, retention, store_upkeep
from detections.actors import NotPermittedError
from detections.enums import GapReason, SegmentState
from detections.event_store import embedded_store
from detections.models import CoverageGap, Rule, Segment
from detections.models.journal import JournalEntry
from detections.retention import Limits
from detections.stores.base import Filters, Window
from tests.detections.stores.events import ALWAYS, at, event, names
from tests.factories.rules import rule as make_rule

NOW = timezone.now()
OLD = Limits(age=timedelta(days=30))


def fill(store, count=8):
    """One segment an event; the first ones arrived long ago, one a day."""
    for number in range(count):
        store.append([event(f"e{number}", number)], batch=str(number))
    for row in Segment.objects.order_by("ingest"):
        row.arrived_at = NOW - timedelta(days=count - row.ingest + 28)
        row.save()


def left(store):
    return names(embedded_store().search(Filters(((),)), ALWAYS, limit=100).events)


def expire(actor, limit=OLD, held=()):
    return retention.expire(actor=actor, now=NOW, limit=limit, held=held)


def test_a_round_merges_and_counts(store):
    for number in range(8):
        store.append([event(f"e{number}", number)], batch=str(number))
    done = store_upkeep.compact()
    assert (done.sources, done.files, done.rows, done.failed) == (8, 1, 8, ())
    assert Segment.objects.filter(state=SegmentState.RETIRED).count() == 8
    [row] = Segment.objects.filter(state=SegmentState.ACTIVE)
    assert (row.rows, row.first_ingest, row.ingest, row.level) == (8, 1, 8, 1)
    assert left(store) == [f"e{n}" for n in range(8)]


def test_two_workers_do_not_merge_at_once(store):
    with lease.hold(store_upkeep.LEASE):
        assert store_upkeep.compact() is None


def test_replaced_files_go_after_the_grace(store, event_folder):
    for number in range(8):
        store.append([event(f"e{number}", number)], batch=str(number))
    store_upkeep.compact()
    assert store_upkeep.sweep()[1].deleted == ()
    Segment.objects.filter(state=SegmentState.RETIRED).update(retired_at=NOW - timedelta(minutes=16))
    assert len(store_upkeep.sweep()[1].deleted) == 8
    assert (Segment.objects.count(), len(list((event_folder / "segments").iterdir()))) == (1, 1)
    assert left(store) == [f"e{n}" for n in range(8)]


def test_nothing_expires_unless_asked(store, product):
    fill(store)
    assert retention.expire(actor=product).segments == 0
    assert len(left(store)) == 8


def test_what_arrived_long_ago_expires_and_the_journal_says_so(store, product):
    fill(store)
    done = expire(product)
    assert (done.segments, done.rows, done.unsearched) == (5, 5, 0)
    assert left(store) == ["e5", "e6", "e7"]
    entry = JournalEntry.objects.get(verb="telemetry expired")
    assert (entry.data["segments"], entry.reason) == (5, "older than 30 days")
    assert expire(product).segments == 0


def test_what_an_enabled_rule_has_not_searched_stays(store, product):
    fill(store)
    make_rule()
    Rule.objects.update(mark=2)
    assert expire(product).segments == 2
    assert left(store) == ["e2", "e3", "e4", "e5", "e6", "e7"]


def test_what_a_case_may_still_ask_for_stays(store, product):
    fill(store)
    assert expire(product, held=[Window(at(1.5), at(3.5))]).segments == 3
    assert left(store) == ["e2", "e3", "e5", "e6", "e7"]


def test_a_store_that_is_too_large_gives_up_what_was_searched_first(store, product):
    fill(store)
    make_rule()
    Rule.objects.update(mark=6)
    size = sum(Segment.objects.order_by("-ingest").values_list("bytes", flat=True)[:3])
    assert expire(product, Limits(size=size), held=[Window(at(0), at(0))]).segments == 5
    assert left(store) == ["e0", "e6", "e7"]
    assert CoverageGap.objects.count() == 0


def test_under_pressure_what_was_not_searched_goes_and_is_a_gap(store, product):
    fill(store)
    make_rule()
    Rule.objects.update(mark=6)
    assert expire(product, Limits(size=1)).unsearched == 2
    assert left(store) == []
    gaps = CoverageGap.objects.order_by("mark_to").values_list("reason", "mark_from", "mark_to", "to_time")
    assert list(gaps) == [
        (GapReason.EXPIRED_UNSEARCHED, 6, 7, at(6)),
        (GapReason.EXPIRED_UNSEARCHED, 7, 8, at(7)),
    ]


def test_an_open_gap_that_expires_says_so(store, product):
    fill(store)
    rule = make_rule()
    Rule.objects.update(mark=8)
    CoverageGap.objects.create(
        rule=rule, from_time=at(0.5), to_time=at(2), mark_from=0, mark_to=8, reason=GapReason.DID_NOT_RUN
    )
    assert expire(product).unsearched == 2
    expired = CoverageGap.objects.filter(reason=GapReason.EXPIRED_UNSEARCHED)
    assert sorted(expired.values_list("to_time", flat=True)) == [at(1), at(2)]


def test_only_who_may_deletes_telemetry(store, analyst):
    with pytest.raises(NotPermittedError):
        expire(analyst)


def shown(*arguments):
    out, err = StringIO(), StringIO()
    try:
        call_command("store", *arguments, stdout=out, stderr=err)
    except CommandError as error:
        return out.getvalue(), f"{err.getvalue()}{error}"
    return out.getvalue(), err.getvalue()


def test_the_command_shows_what_there_is(store):
    store.append([event("a", acme__risk=1), event("b", 60)], batch="1")
    out, err = shown("--verify")
    assert err == ""
    assert "events               2\n" in out
    assert "segments             1 (1 plain, 0 merged, 0 sorted)\n" in out
    assert "oldest event         2026-03-18 09:41:00 UTC\n" in out
    assert "1 fields beyond ECS" in out
    assert "verified             all files are whole\n" in out


def test_an_empty_store_is_shown_too(store):
    out, err = shown("--verify", "--compact", "--sweep")
    assert ("events               0\n" in out, "oldest event         none\n" in out, err) == (True, True, "")


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x"), "its content has changed"),
        (lambda path: path.unlink(), "the file is missing"),
    ],
)
def test_a_damaged_file_is_named_and_ends_the_command_with_1(store, event_folder, harm, fault):
    store.append([event("a")], batch="1")
    row = Segment.objects.get()
    harm(event_folder / row.path)
    assert shown()[1] == ""
    out, err = shown("--verify")
    assert f"{row.path}: {fault}" in err
    assert "Restore the named files" in err
    assert "1 files are not whole" in out


def test_rows_that_are_not_those_of_the_manifest_are_a_fault(store):
    store.append([event("a")], batch="1")
    Segment.objects.update(rows=2)
    assert "it has 1 rows instead of 2" in shown("--verify")[1]
