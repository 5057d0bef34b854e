"""Uploaded files go when their import has ended."""

import os
import time

import pytest

from detections import uploads
from detections.models import Import, OutboxRow

pytestmark = pytest.mark.django_db


@pytest.fixture
def upload(settings):
    def make(name):
        folder = settings.UPLOADS_DIR / name
        folder.mkdir(parents=True)
        (folder / "a.evtx").write_bytes(b"x")
        return folder

    return make


def names(settings):
    return sorted(one.name for one in settings.UPLOADS_DIR.iterdir())


@pytest.mark.parametrize(
    ("status", "left"), [("running", ["one"]), ("succeeded", []), ("partial", []), ("failed", [])]
)
def test_files_go_with_the_end_of_their_import(upload, settings, status, left):
    Import.objects.create(status=status, files=[str(upload("one") / "a.evtx")])
    uploads.sweep()
    assert names(settings) == left


def test_files_of_work_that_may_be_asked_for_again_stay(upload, settings):
    row = Import.objects.create(status="failed", files=[str(upload("one") / "a.evtx")])
    OutboxRow.objects.create(
        kind="run_import", key="k", subject=row.pk, state="failed", not_before=row.started_at
    )
    uploads.sweep()
    assert names(settings) == ["one"]


def test_files_without_an_import_go_after_a_day(upload, settings):
    upload("fresh")
    old = upload("old")
    a_day_ago = time.time() - 25 * 3600
    os.utime(old, (a_day_ago, a_day_ago))
    assert uploads.sweep() == 1
    assert names(settings) == ["fresh"]


def test_files_of_a_person_elsewhere_are_left_alone(tmp_path, settings):
    mine = tmp_path / "mine.evtx"
    mine.write_bytes(b"x")
    Import.objects.create(status="succeeded", files=[str(mine)])
    assert uploads.sweep() == 0
    assert mine.exists()
