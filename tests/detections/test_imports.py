"""Imports: what is kept, what is refused, what is counted, and who may."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from detections import imports
from detections.actors import NotPermittedError
from detections.enums import ImportStatus
from detections.errors import SourceError, StoreError
from detections.imports import import_captures
from detections.models import Import, JournalEntry, QuarantinedRecord
from detections.stores.base import Clause, Filters, Operator, Window

EVERYTHING = Filters(((Clause("@timestamp", Operator.EXISTS),),))
ALL_TIME = Window(datetime(1970, 1, 2, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
LETHAL = "LM_DCOM_MSHTA_LethalHTA_Sysmon_3_1.evtx"


def line(n, **more):
    return json.dumps({"@timestamp": f"2026-03-18T09:40:{n:02d}Z", "n": n, **more}) + "\n"


def numbers(store):
    page = store.search(EVERYTHING, ALL_TIME, limit=1000)
    return [event.document["n"] for event in page.events]


@pytest.fixture
def capture(tmp_path):
    path = tmp_path / "a.ndjson"
    path.write_text(line(1) + line(2))
    return path


def test_importing_again_adds_nothing_and_a_grown_file_only_what_is_new(store, capture, product):
    first = import_captures([capture], actor=product, store=store)
    again = import_captures([capture], actor=product, store=store)
    with capture.open("a") as file:
        file.write(line(3))
    grown = import_captures([capture], actor=product, store=store)
    assert [(each.new, each.known, each.bad) for each in (first, again, grown)] == [
        (2, 0, 0),
        (0, 2, 0),
        (1, 2, 0),
    ]
    assert numbers(store) == [1, 2, 3]


def test_a_bad_record_is_quarantined_and_its_neighbours_are_stored(store, capture, product):
    capture.write_text(line(1) + '{"@timestamp": "2026-03-18T09:40:02", "a": "\\u0000"}\n' + line(3))
    summary = import_captures([capture], actor=product, store=store)
    assert (summary.status, summary.new, summary.bad) == (ImportStatus.PARTIAL, 2, 1)
    (bad,) = QuarantinedRecord.objects.all()
    assert (bad.file, bad.position) == (str(capture), "line 2")
    assert bad.reason.startswith("@timestamp: '2026-03-18T09:40:02' has no time zone")
    assert bad.raw == '{"@timestamp": "2026-03-18T09:40:02", "a": "\\u0000"}\n'
    assert numbers(store) == [1, 3]


def test_a_bad_file_costs_no_other(store, capture, product):
    (capture.parent / "b.evtx").write_bytes(b"\0garbage\0" * 99)
    (capture.parent / "c.ndjson").write_bytes(b"")
    summary = import_captures([capture.parent], actor=product, store=store)
    assert [(file.path.name, file.new, file.bad) for file in summary.files] == [
        ("a.ndjson", 2, 0),
        ("b.evtx", 0, 1),
        ("c.ndjson", 0, 1),
    ]
    assert [row.reason for row in QuarantinedRecord.objects.filter(file__endswith="c.ndjson")] == [
        "The file is empty."
    ]


def test_the_row_and_the_journal_tell_what_happened(store, capture, admin):
    summary = import_captures([capture], actor=admin, store=store)
    row = Import.objects.get(pk=summary.import_id)
    assert (row.status, row.events_new, row.bytes_done, row.bytes_total) == (
        ImportStatus.SUCCEEDED,
        2,
        capture.stat().st_size,
        capture.stat().st_size,
    )
    assert (row.started_by, row.files, row.finished_at is not None) == (admin.user, [str(capture)], True)
    entries = JournalEntry.objects.filter(stream__name="imports").order_by("number")
    assert [(entry.verb, entry.actor, entry.after) for entry in entries] == [
        ("import_started", admin.label, "running"),
        ("import_ended", admin.label, "succeeded"),
    ]
    assert entries[1].data == {"import": row.pk, "new": 2, "known": 0, "bad": 0}


def test_an_outsider_may_not_import_nor_see_imports(store, capture, product, outsider, analyst):
    import_captures([capture], actor=product, store=store)
    with pytest.raises(NotPermittedError, match="may not import captures"):
        import_captures([capture], actor=outsider, store=store)
    assert Import.objects.visible_to(outsider).count() == 0
    assert Import.objects.visible_to(analyst).count() == 1


def test_a_path_that_is_not_there_imports_nothing(store, capture, product):
    with pytest.raises(SourceError, match="there is no such file or folder"):
        import_captures([capture, capture.parent / "missing"], actor=product, store=store)
    assert (Import.objects.count(), numbers(store)) == (0, [])


class FullDisk:
    """A store that takes one batch and then has no room."""

    def __init__(self, store):
        self.store, self.batches = store, 0

    def append(self, events, *, batch):
        self.batches += 1
        if self.batches > 1:
            raise StoreError("No space left on the disk.")
        return self.store.append(events, batch=batch)


def test_a_store_that_fails_fails_the_import_and_keeps_what_was_stored(store, capture, product, monkeypatch):
    monkeypatch.setattr(imports, "BATCH", 1)
    with pytest.raises(StoreError):
        import_captures([capture], actor=product, store=FullDisk(store))
    row = Import.objects.get()
    assert (row.status, row.error, row.events_new) == (ImportStatus.FAILED, "No space left on the disk.", 1)
    assert numbers(store) == [1]
    assert import_captures([capture], actor=product, store=store).known == 1


def test_batches_are_small_and_progress_is_told_after_each(store, capture, product, monkeypatch):
    monkeypatch.setattr(imports, "BATCH", 2)
    capture.write_text("".join(line(n) for n in range(5)))
    told = []
    import_captures([capture], actor=product, store=store, progress=told.append)
    assert [(each.events, each.bytes_total) for each in told] == [
        (2, capture.stat().st_size),
        (4, capture.stat().st_size),
        (5, capture.stat().st_size),
    ]


def test_many_bad_records_are_all_counted_and_the_first_are_listed(store, capture, product, monkeypatch):
    monkeypatch.setattr(imports, "QUARANTINED_PER_FILE", 3)
    monkeypatch.setattr(imports, "BATCH", 2)
    capture.write_text("{}\n" * 7)
    summary = import_captures([capture], actor=product, store=store)
    assert (summary.bad, QuarantinedRecord.objects.count(), Import.objects.get().records_bad) == (7, 3, 7)


def test_retiming_moves_all_files_by_one_amount_to_now(store, capture, product):
    (capture.parent / "b.ndjson").write_text(line(12))
    now = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)
    import_captures([capture.parent], actor=product, store=store, retime=now)
    page = store.search(EVERYTHING, ALL_TIME, limit=10)
    assert [now - event.timestamp for event in page.events] == [timedelta(seconds=n) for n in (11, 10, 0)]
    assert Import.objects.get().retimed
    again = import_captures([capture.parent], actor=product, store=store, retime=now)
    assert (again.new, again.known) == (0, 3)


def test_the_lethal_capture_is_stored_with_both_clocks(store, captures, product):
    import_captures([captures / LETHAL], actor=product, store=store)
    page = store.search(EVERYTHING, ALL_TIME, limit=10)
    assert [event.document["winlog"]["record_id"] for event in page.events] == ["17590", "17589"]
    assert [event.document["event"]["created"] for event in page.events] == [
        "2019-05-14T01:29:05.534521Z",
        "2019-05-14T01:29:04.306885Z",
    ]


def test_the_command_ends_well_on_good_files(store, capture):
    out = StringIO()
    call_command("ingest", str(capture), stdout=out)
    assert "succeeded" in out.getvalue()
    assert numbers(store) == [1, 2]


def test_the_command_ends_badly_on_a_bad_record_and_keeps_the_good_ones(store, capture):
    capture.write_text(line(1) + "nonsense\n" + line(2))
    out = StringIO()
    with pytest.raises(CommandError, match="Records that could not be used: 1"):
        call_command("ingest", str(capture), stdout=out)
    assert "a.ndjson: line 2: The line is no valid JSON" in out.getvalue()
    assert numbers(store) == [1, 2]


def test_the_command_names_a_path_that_is_not_there(store, tmp_path):
    with pytest.raises(CommandError, match="there is no such file or folder"):
        call_command("ingest", str(tmp_path / "missing"))
