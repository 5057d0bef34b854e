"""Uploading captures, and reading how it went."""

from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from detections.models import Import, QuarantinedRecord
from triage.views.imports import _safe_name

pytestmark = pytest.mark.django_db


def upload(*names: str):
    return [SimpleUploadedFile(name, b'{"a": 1}\n') for name in names]


def test_uploads_are_kept_under_safe_names_and_asked_for(as_analyst, settings):
    reply = as_analyst.post("/imports/", {"captures": upload("one.ndjson", "one.ndjson", "a b.evtx")})
    assert reply.url == "/imports/"
    row = Import.objects.get()
    kept = [Path(name) for name in row.files]
    assert [path.name for path in kept] == ["one.ndjson", "2-one.ndjson", "a_b.evtx"]
    assert {path.parent.parent for path in kept} == {Path(settings.UPLOADS_DIR)}
    assert kept[0].read_bytes() == b'{"a": 1}\n'
    assert row.started_by.username == "ana"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        (".hidden", "hidden"),
        ("..", "upload-1"),
        ("a\x00b;rm.evtx", "abrm.evtx"),
        ("", "upload-1"),
    ],
)
def test_a_name_can_not_lead_out_of_its_folder(name, safe):
    assert _safe_name(name, 1) == safe


def test_no_file_is_said_in_words(as_analyst):
    reply = as_analyst.post("/imports/", {})
    assert reply.status_code == 422
    assert "Choose at least one file." in reply.text


def test_an_outsider_can_not_import(client, otto):
    client.force_login(otto)
    assert client.post("/imports/", {"captures": upload("x.ndjson")}).status_code == 403
    assert Import.objects.count() == 0


def test_a_running_import_asks_again_and_a_finished_one_does_not(as_analyst):
    row = Import.objects.create(files=["/d/x.evtx"], bytes_total=10, bytes_done=4)
    link = reverse("import_row", args=[row.pk])
    assert 'hx-trigger="every 1s"' in as_analyst.get(link).text
    row.status = "succeeded"
    row.save()
    assert "every 1s" not in as_analyst.get(link).text


def test_only_admins_read_the_quarantine(client, ana, adi):
    row = Import.objects.create(files=["/d/x.evtx"], status="partial", records_bad=1)
    QuarantinedRecord.objects.create(
        capture=row, file="/d/x.evtx", position="line 3", reason="no time", raw="<b>raw\u202e"
    )
    link = reverse("quarantine", args=[row.pk])
    client.force_login(ana)
    assert client.get(link).status_code == 403
    assert link not in client.get("/imports/").text
    client.force_login(adi)
    shown = client.get(link).text
    assert "line 3" in shown
    assert "<b>raw" not in shown
    assert "U+202E" in shown


def test_an_empty_file_is_imported_with_the_others_to_be_told_by_its_name(as_analyst):
    files = [SimpleUploadedFile("empty.ndjson", b""), *upload("one.ndjson")]
    assert as_analyst.post("/imports/", {"captures": files}).status_code == 302
    assert [Path(name).name for name in Import.objects.get().files] == ["empty.ndjson", "one.ndjson"]
