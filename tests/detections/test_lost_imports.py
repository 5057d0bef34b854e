"""Imports whose process was killed don't stay running for ever."""

from datetime import timedelta

import pytest
from django.utils import timezone

from detections import import_jobs, imports, lease
from detections.enums import ImportStatus, OutboxState
from detections.errors import StaleLeaseError
from detections.imports import fail_lost_imports, import_captures
from detections.models import Import, JournalEntry, Lease, OutboxRow

LATER = imports.LOST_AFTER + timedelta(seconds=1)


@pytest.fixture
def capture(tmp_path):
    path = tmp_path / "a.ndjson"
    path.write_text('{"@timestamp": "2026-03-18T09:40:01Z"}\n')
    return path


def left_behind(**fields):
    row = Import.objects.create(files=["a.ndjson"], **fields)
    Import.objects.filter(pk=row.pk).update(started_at=timezone.now() - LATER)
    return row


def test_an_import_that_nobody_is_at_is_lost_and_the_journal_says_so(db):
    row = left_behind()
    assert (fail_lost_imports(), fail_lost_imports()) == (1, 0)
    row.refresh_from_db()
    assert row.status == ImportStatus.FAILED
    assert row.error.startswith("lost: its process ended without a word.")
    entry = JournalEntry.objects.get(verb="import_ended")
    assert (entry.before, entry.after, entry.data) == ("running", "failed", {"import": row.pk})


def test_an_import_that_works_that_waits_or_that_has_just_begun_is_not_lost(db, product):
    working, requested, fresh = left_behind(), left_behind(), Import.objects.create()
    OutboxRow.objects.create(
        kind=import_jobs.RUN_IMPORT, key="k", subject=requested.pk, not_before=timezone.now()
    )
    left_behind(status=ImportStatus.SUCCEEDED)
    with lease.hold(f"import:{working.pk}"):
        assert fail_lost_imports() == 0
    assert fail_lost_imports() == 1
    OutboxRow.objects.update(state=OutboxState.FAILED)
    assert fail_lost_imports() == 1
    fresh.refresh_from_db()
    assert fresh.status == ImportStatus.RUNNING


def test_a_lease_that_a_killed_process_left_runs_out(db):
    row = left_behind()
    lease.claim(f"import:{row.pk}")
    now = timezone.now()
    assert fail_lost_imports(now=now) == 0
    assert fail_lost_imports(now=now + lease.TERM + timedelta(seconds=1)) == 1
    assert not Lease.objects.filter(name__startswith="import:").exists()


def test_two_processes_are_never_at_one_import_and_no_lease_is_left(store, capture, product):
    row = left_behind()
    with (
        lease.hold(f"import:{row.pk}"),
        pytest.raises(StaleLeaseError, match="already under way in another process"),
    ):
        import_captures([capture], actor=product, store=store, row=row)
    row.refresh_from_db()
    assert (row.status, row.events_new) == (ImportStatus.RUNNING, 0)
    summary = import_captures([capture], actor=product, store=store, row=row)
    assert (summary.status, summary.new) == (ImportStatus.SUCCEEDED, 1)
    assert not Lease.objects.filter(name__startswith="import:").exists()
