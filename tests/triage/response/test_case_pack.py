"""The case pack: complete, safe to open, and it proves itself on a machine that knows nothing of it."""

import csv
import io
import json
import re
import subprocess
import sys
import zipfile

import pytest
from django.core.management import CommandError, call_command

from detections import outbox
from detections.actors import system
from detections.models import JournalEntry
from tests.factories.actions import approved, done, scripted
from tests.factories.cases import cases_of
from tests.triage.conftest import HOSTILE
from triage import attachments
from triage.enums import PackState, PivotState
from triage.evidence import document_sha256, run_sha256
from triage.models import Evidence
from triage.preserve import (
    case_pack,
    case_report,
    pack_files,
    pack_verifier,
    preservation,
    preserved,
    preserving,
    spreadsheets,
)
from triage.response import clock as response_clock

pytestmark = pytest.mark.django_db

BASE = {
    "README.txt",
    "attachments/index.ndjson",
    "case.json",
    "evidence/evidence.csv",
    "evidence/rows.ndjson",
    "evidence/runs.ndjson",
    "journal.ndjson",
    "manifest.json",
    "observables.csv",
    "observables.ndjson",
    "report.html",
    "verify.py",
}


@pytest.fixture(autouse=True)
def files_and_no_pdf(settings, tmp_path, monkeypatch):
    """Laying a PDF out takes seconds; one test does it."""
    settings.DATA_DIR = tmp_path / "data"
    monkeypatch.setattr(case_report, "to_pdf", lambda html: (b"", "not in this test"))


@pytest.fixture
def case(make_case, make_pivot):
    """A case with hostile evidence whose hashes are true."""
    made = make_case()
    run = make_pivot(made, PivotState.HITS, rows=3, kinds=["file"])
    rows = list(run.rows.order_by("position"))
    for row in rows:
        row.sha256 = document_sha256(row.document)
    Evidence.objects.bulk_update(rows, ["sha256"])
    run.sha256 = run_sha256(run, [row.sha256 for row in rows])
    run.save()
    return made


def packed(case, actor, tmp_path):
    """The pack, where a person would have put it."""
    preserving.preserve(case, actor=actor)
    outbox.drain()
    pack = case.packs.latest("number")
    assert pack.state == PackState.SUCCEEDED, pack.reason
    target = tmp_path / pack.name
    with pack_files.open_checked(pack) as file:
        target.write_bytes(file.read())
    return pack, target


def verified(*arguments, cwd):
    """What the pack's own verifier says with a bare Python: no packages, no environment."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_pack_verifies_itself_and_every_tampered_member_is_found(case, analyst, tmp_path):
    attachments.attach(case, name="../../etc/mail.eml", content=io.BytesIO(b"From: me"), actor=analyst)
    pack, path = packed(case, analyst, tmp_path)
    assert pack.name == f"{case.number}-pack-1.zip"
    folder = tmp_path / "apart"
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        (sent,) = set(names) - BASE
        assert sent.startswith("attachments/")
        assert sent.endswith("-mail.eml")
        assert set(names) >= BASE
        archive.extractall(folder)
    code, told = verified("verify.py", cwd=folder)
    assert (code, "Everything is as it was written down." in told) == (0, True), told
    assert "3 evidence rows" in told
    for name in names:
        held = (folder / name).read_bytes()
        (folder / name).write_bytes(held[:-2] + bytes([held[-2] ^ 1]) + held[-1:])
        assert pack_verifier.main([str(folder)]) != 0, f"{name} was changed and not found"
        (folder / name).unlink()
        assert pack_verifier.main([str(folder)]) != 0, f"{name} was removed and not found"
        (folder / name).write_bytes(held)
    (folder / "added.txt").write_text("by somebody")
    assert "added.txt: not in the manifest" in verified("verify.py", cwd=folder)[1]


def test_who_makes_the_manifest_fit_is_found_by_the_chains(case, analyst, tmp_path):
    """A forger who also rewrites the manifest still breaks the hashes inside."""
    _pack, path = packed(case, analyst, tmp_path)
    for name, old, new in (
        ("journal.ndjson", "Ana", "Bob"),
        ("evidence/rows.ndjson", '"number":2', '"number":9'),
        ("evidence/runs.ndjson", '"operator":"is"', '"operator":"exists"'),
    ):
        forged = tmp_path / "forged.zip"
        _forge(path, forged, name, old.encode(), new.encode())
        code, told = verified(tmp_path / "verify.py", forged, cwd=tmp_path)
        assert code == 1, f"{name}: {told}"
        assert "manifest" not in told.split("FOUND", 1)[1]


def _forge(path, target, name, old, new):
    import hashlib

    with zipfile.ZipFile(path) as archive:
        held = {one: archive.read(one) for one in archive.namelist()}
    (target.parent / "verify.py").write_bytes(held["verify.py"])
    assert old in held[name]
    held[name] = held[name].replace(old, new)
    manifest = json.loads(held["manifest.json"])
    manifest["files"][name] = {"sha256": hashlib.sha256(held[name]).hexdigest(), "size": len(held[name])}
    manifest.pop("manifest_sha256")
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    manifest["manifest_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    held["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(target, "w") as archive:
        for one, content in held.items():
            archive.writestr(one, content)


def test_the_command_checks_a_pack_and_knows_its_own(case, analyst, tmp_path, capsys):
    _pack, path = packed(case, analyst, tmp_path)
    call_command("verify", str(path))
    assert f"It is pack 1 of {case.number}, made here, byte for byte." in capsys.readouterr().out
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(CommandError, match="can't be read as a zip"):
        call_command("verify", str(path))
    with pytest.raises(CommandError, match="can't be read"):
        call_command("verify", str(tmp_path / "nothing.zip"))


def test_a_zip_whose_names_leave_the_folder_is_told_and_not_unpacked(case, analyst, tmp_path):
    _pack, path = packed(case, analyst, tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.extract("verify.py", tmp_path)
        for name in ("../outside.txt", "/etc/outside", "a\\..\\b", "c:evil"):
            archive.writestr(name, "x")
    code, told = verified(tmp_path / "verify.py", path, cwd=tmp_path)
    assert (code, told.count("leaves the folder")) == (1, 4)
    assert not (tmp_path.parent / "outside.txt").exists()


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\evil.exe", "evil.exe"),
        ("..", "file"),
        (".bashrc", "bashrc"),
        ("a\x00b\u202egpj.exe", "a_b_gpj.exe"),
        ("ÄÖ 'quoted\".txt", "quoted_.txt"),
        ("x" * 300 + ".txt", "x" * 76 + ".txt"),
        ("", "file"),
    ],
)
def test_names_of_files_are_safe_in_a_zip(name, kept):
    assert case_pack.safe_name(name) == kept


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\x00"])
def test_no_cell_and_no_heading_is_a_formula(start):
    value = f"{start}cmd|' /C calc'!A0"
    (heading, row) = csv.reader(io.StringIO("".join(spreadsheets.lines([value], [[value]]))))
    assert heading == row
    assert row[0].startswith("'")


def test_a_separator_of_another_country_splits_no_cell():
    (line,) = spreadsheets.lines(['a;=1+1"'], [])
    assert line == '"a;=1+1"""\r\n'


def test_the_report_in_a_pack_is_escaped_and_asks_for_nothing(case, analyst, tmp_path):
    case.title = HOSTILE
    case.host_name = f"{HOSTILE}'\"></style><img src=http://evil.example/x>"
    case.save()
    _pack, path = packed(case, analyst, tmp_path)
    with zipfile.ZipFile(path) as archive:
        html = archive.read("report.html").decode()
        table = archive.read("evidence/evidence.csv").decode()
    assert "<script" not in html
    assert "<img" not in html
    assert "src=" not in html.replace("src=http://evil.example/x", "")
    assert "href=" not in html
    assert "default-src &#x27;none&#x27;" in html or "default-src 'none'" in html
    # A copy of the true value is kept in an attribute; what is read shows what hides.
    assert "evil\u202e" not in re.sub(r'data-full="[^"]*"', "", html)
    assert all(row.startswith('"') for row in table.splitlines())


def test_preserving_asks_for_what_nobody_asked_and_says_what_is_not_there(store, analyst, tmp_path):
    (attack,) = cases_of("malicious")
    assert preservation.evidence_preserved(attack) is False
    assert [one.key for one in preserved.missing(attack)] == ["preserve-neighbours"]
    pack, path = packed(attack, analyst, tmp_path)
    stands = {one["key"]: one["state"] for one in pack.kept}
    assert stands == {
        **dict.fromkeys(
            ("source_events", "neighbours", "identity", "remote", "dns", "connections", "artefacts"), "kept"
        ),
        **dict.fromkeys(("children", "libraries", "sessions"), "kept"),
        "scope": "lacking",
    }
    assert preservation.evidence_preserved(attack) is True
    text = preservation.preserved_text(attack)
    assert pack.sha256 in text
    assert "Not preserved: Other hosts: Nobody has searched the other hosts yet." in text
    made = JournalEntry.objects.get(stream__name=attack.stream, verb="pack_made")
    assert made.data["pack_sha256"] == pack.sha256
    with zipfile.ZipFile(path) as archive:
        archive.extract("verify.py", tmp_path)
    code, told = verified(tmp_path / "verify.py", path, cwd=tmp_path)
    assert code == 0, told


def test_two_clicks_are_one_pack_and_a_later_one_has_the_next_number(case, analyst, tmp_path):
    one = preserving.preserve(case, actor=analyst)
    assert preserving.preserve(case, actor=analyst) == one
    outbox.drain()
    preserving.deliver(one.pk)
    assert case.packs.count() == 1
    packed(case, analyst, tmp_path)
    assert list(case.packs.values_list("number", flat=True)) == [1, 2]


def test_a_changed_attachment_does_not_hide_and_does_not_cost_the_pack(case, analyst, tmp_path):
    file = attachments.attach(case, name="a.txt", content=io.BytesIO(b"what was said"), actor=analyst)
    stored = attachments.path_of(file.sha256)
    stored.chmod(0o600)
    stored.write_bytes(b"something else")
    pack, path = packed(case, analyst, tmp_path)
    assert any("is not what was attached" in told for told in pack.findings)
    with zipfile.ZipFile(path) as archive:
        archive.extract("verify.py", tmp_path)
    code, told = verified(tmp_path / "verify.py", path, cwd=tmp_path)
    assert (code, "was left out when the pack was made" in told) == (1, True)


def test_what_was_done_about_a_case_is_told_in_report_and_pack(case, analyst, lead, tmp_path):
    target = scripted()
    action = approved(case, analyst, lead)
    assert done(action) == ("succeeded", "Done.")
    response_clock.watch(actor=system("test"))
    _pack, path = packed(case, analyst, tmp_path)
    with zipfile.ZipFile(path) as archive:
        html = archive.read("report.html").decode()
        (told,) = json.loads(archive.read("case.json"))["actions"]
    assert target.done == [action.send_key]
    assert "No response action was requested" not in html
    for text in (action.title, action.number, "203.0.113.57", "Verified", "It holds."):
        assert text in html
    assert [told[key] for key in ("number", "state", "requested_by", "approved_by", "checks")] == [
        action.number,
        "succeeded",
        str(action.requested_by),
        str(action.approved_by),
        [
            {
                "at": told["checks"][0]["at"],
                "result": "holding",
                "says": "It holds.",
                "by": told["checks"][0]["by"],
            }
        ],
    ]


@pytest.mark.slow
def test_the_report_is_a_pdf_where_weasyprint_is(case, monkeypatch):
    pytest.importorskip("weasyprint")
    monkeypatch.undo()
    made, why = case_report.to_pdf("<h1>A case</h1><img src='http://127.0.0.1:9/x'>")
    assert (made[:5], why) == (b"%PDF-", "")


def test_without_weasyprint_the_pack_says_so(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    made, why = case_report.to_pdf("<h1>A case</h1>")
    assert (made, "casewright[pdf]" in why) == (b"", True)


def test_packs_left_by_a_killed_worker_are_made_by_the_next(case, analyst, tmp_path, monkeypatch):
    true_build = case_pack.build

    def dies(pack):
        true_build(pack)
        raise SystemExit

    case.host_id = ""  # so that no pivot is asked that would have to end first
    case.save()
    pack = preserving.preserve(case, actor=analyst)
    monkeypatch.setattr(case_pack, "build", dies)
    with pytest.raises(SystemExit):
        preserving.deliver(pack.pk)
    monkeypatch.setattr(case_pack, "build", true_build)
    preserving.deliver(pack.pk)
    pack.refresh_from_db()
    assert pack.state == PackState.SUCCEEDED
    assert JournalEntry.objects.filter(stream__name=case.stream, verb="pack_made").count() == 1
