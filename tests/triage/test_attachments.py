"""Files of a case: what is kept of them, what is refused, and that a changed one is noticed."""

import io
import os

import pytest

from detections.actors import NotPermittedError
from triage.attachments import ChangedFileError, attach, is_unchanged, open_checked, path_of, sweep, withdraw
from triage.errors import TriageError
from triage.file_types import file_type
from triage.journal import case_journal
from triage.models import Attachment

pytestmark = pytest.mark.django_db
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
PE = b"MZ\x90\0" + b"\0" * 60


@pytest.fixture(autouse=True)
def data_folder(tmp_path, settings):
    settings.DATA_DIR = tmp_path


def put(case, actor, name="mail.txt", content=b"From: owner\n"):
    return attach(case, name=name, content=io.BytesIO(content), actor=actor)


def test_it_is_kept_under_its_hash_and_written_down(make_case, analyst, ana):
    case = make_case()
    made = put(case, analyst, name="C:\\Users\\ana\\mail.txt")
    assert (made.name, made.size, made.content_type, made.attached_by) == ("mail.txt", 12, "text/plain", ana)
    assert path_of(made.sha256).read_bytes() == b"From: owner\n"
    assert open_checked(made).read() == b"From: owner\n"
    line = case_journal(case, actor=analyst)[0]
    assert (line.verb, line.subject) == ("file_attached", "mail.txt")


def test_the_same_file_again_is_the_same(make_case, analyst):
    case = make_case()
    assert put(case, analyst).pk == put(case, analyst).pk
    assert len(case_journal(case, actor=analyst)) == 1
    assert put(case, analyst, name="other.txt").pk != put(case, analyst).pk


def test_refused(make_case, analyst, outsider, settings):
    case = make_case()
    settings.ATTACHMENT_BYTES = 1024 * 1024
    with pytest.raises(TriageError, match="larger than 1 MB"):
        put(case, analyst, content=b"x" * (1024 * 1024 + 1))
    with pytest.raises(TriageError, match="empty"):
        put(case, analyst, content=b"")
    with pytest.raises(NotPermittedError):
        put(case, outsider)
    assert not Attachment.objects.exists()
    assert [p for p in (settings.DATA_DIR / "attachments").rglob("*") if p.is_file()] == []


def test_a_changed_or_lost_file_is_not_handed_out(make_case, analyst):
    made = put(make_case(), analyst)
    path = path_of(made.sha256)
    path.chmod(0o600)
    path.write_bytes(b"From: other\n")
    with pytest.raises(ChangedFileError, match="SHA-256 differs"):
        open_checked(made)
    path.unlink()
    with pytest.raises(ChangedFileError, match="can't be read"):
        open_checked(made)
    assert not is_unchanged(made)


def test_it_is_withdrawn_with_a_reason_and_stays(make_case, analyst):
    made = put(make_case(), analyst)
    with pytest.raises(TriageError, match="Say why"):
        withdraw(made, actor=analyst, reason=" ")
    assert withdraw(made, actor=analyst, reason="Wrong mail.").withdrawn_reason == "Wrong mail."
    with pytest.raises(TriageError, match="already"):
        withdraw(made, actor=analyst, reason="again")
    assert is_unchanged(made)
    assert put(made.case, analyst).pk != made.pk


def test_what_a_killed_upload_left_goes_after_a_day(tmp_path):
    folder = tmp_path / "attachments"
    folder.mkdir()
    old, new = folder / ".upload-a", folder / ".upload-b"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    sweep()
    assert list(folder.iterdir()) == [new]


@pytest.mark.parametrize(
    ("name", "head", "content", "claimed", "mismatch"),
    [
        ("a.png", PNG, "image/png", "image/png", False),
        ("a.pdf", PNG, "image/png", "application/pdf", True),
        ("invoice.pdf", PE, "application/x-msdownload", "application/pdf", True),
        ("invoice.pdf.exe", PE, "application/x-msdownload", "application/x-msdownload", False),
        ("a.png", b"<html><script>", "text/html", "image/png", True),
        ("a.txt", b"<html><script>", "text/html", "text/plain", True),
        ("a.json", b'{"a": 1}', "text/plain", "application/json", False),
        ("note", b"words", "text/plain", "", False),
        ("a.pdf", b"\x01\x02\0\x03", "application/octet-stream", "application/pdf", True),
        ("a.txt", "naïve".encode()[:3], "text/plain", "text/plain", False),
        ("Security.evtx", b"ElfFile\0\1", "application/x-evtx", "application/x-evtx", False),
    ],
)
def test_what_a_file_is_and_claims(name, head, content, claimed, mismatch):
    found = file_type(name, head)
    assert (found.by_content, found.by_name, found.is_mismatch) == (content, claimed, mismatch)
