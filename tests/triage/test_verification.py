"""`verify` finds what was done behind the product's back: raw SQL, with the triggers taken off."""

import io
import json
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from detections import anchors, integrity, journal
from detections.actors import system
from detections.journal import entry_hash
from detections.models import JournalEntry, JournalStream
from tests.factories.cases import alert
from tests.factories.events import attack
from tests.factories.rules import rule
from triage.attachments import attach, path_of
from triage.confirmations import add_confirmation
from triage.evidence import document_sha256
from triage.models import Case, Evidence
from triage.notes import write_note
from triage.questions import answer_question
from triage.routing import route_alerts
from triage.verification import verify_all, verify_case

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 18, 9, 41, tzinfo=UTC)


@pytest.fixture
def case(store, product, analyst, tmp_path, settings):
    """A case with evidence, a file, a note, a confirmation and an answer."""
    settings.DATA_DIR = tmp_path
    alert(rule(), attack(AT), AT)
    route_alerts(actor=product)
    case = Case.objects.get()
    attach(case, name="mail.txt", content=io.BytesIO(b"words"), actor=analyst)
    write_note(case, text="A note.", actor=analyst)
    add_confirmation(
        case,
        kind="owner",
        reference="by phone",
        confirmed_by="A. Owner",
        confirmed_at=timezone.now(),
        statement="I ran it.",
        actor=analyst,
    )
    answer_question(case.questions.get(), state="escalate", rationale="Bad.", actor=analyst, version=1)
    case.refresh_from_db()
    return case


@pytest.fixture
def sql():
    """Run statements as somebody with the database in hands: the triggers are off."""

    def run(*statements):
        integrity.remove(connection)
        with connection.cursor() as cursor:
            for statement, *values in statements:
                cursor.execute(statement, values)

    yield run
    integrity.install(connection)


def entries(case):
    return list(JournalEntry.objects.filter(stream__name=case.stream).order_by("number"))


def stream(case):
    return JournalStream.objects.get(name=case.stream)


def test_nothing_is_found_where_nothing_was_done(case, capsys):
    anchors.write()
    assert list(verify_case(case)) == []
    assert list(verify_all()) == []
    call_command("verify", case.number)
    assert capsys.readouterr().out == f"{case.number} is as it was written down.\n"


def test_a_changed_evidence_row(case, sql):
    row = Evidence.objects.filter(pivot__case=case).order_by("pk").first()
    changed = json.dumps({**row.document, "host": {"name": "other"}})
    sql(("UPDATE triage_evidence SET document = %s WHERE id = %s", changed, row.pk))
    said = f"{case.number}: evidence row 1 of pivot {row.pivot_id} (Events of the alert) was changed."
    assert list(verify_case(case)) == [said]
    sql(
        ("UPDATE triage_evidence SET sha256 = %s WHERE id = %s", document_sha256(json.loads(changed)), row.pk)
    )
    assert list(verify_case(case)) == [
        f"{case.number}: pivot {row.pivot_id} (Events of the alert): query, window or rows are not those "
        "that ran."
    ]


def test_a_changed_entry(case, sql):
    second = entries(case)[1]
    sql(("UPDATE detections_journalentry SET actor = 'Eve' WHERE id = %s", second.pk))
    assert list(verify_case(case)) == [f"{case.stream}: entry 2 was changed."]


def test_a_deleted_entry(case, sql):
    note = next(entry for entry in entries(case) if entry.verb == "note_written")
    sql(("DELETE FROM detections_journalentry WHERE id = %s", note.pk))
    assert list(verify_case(case)) == [
        f"{case.stream}: entry {note.number} is missing.",
        f"{case.stream}: entry {note.number + 1} does not follow the one before.",
    ]


def test_reordered_entries(case, sql):
    second, third = entries(case)[1:3]
    sql(
        ("UPDATE detections_journalentry SET number = 999 WHERE id = %s", second.pk),
        ("UPDATE detections_journalentry SET number = 2 WHERE id = %s", third.pk),
        ("UPDATE detections_journalentry SET number = 3 WHERE id = %s", second.pk),
    )
    found = list(verify_case(case))
    assert f"{case.stream}: entry 2 was changed." in found
    assert f"{case.stream}: entry 3 was changed." in found


def test_an_inserted_entry(case, sql):
    """With numbers and head set so that they fit, and a hash that holds."""
    last = entries(case)[-1]
    forged = JournalEntry(
        stream=stream(case), number=last.number + 1, at=timezone.now(), actor="Eve", verb="case_started",
        previous_hash="0" * 64,
    )  # fmt: skip
    forged.hash = entry_hash(forged)
    forged.save()
    sql(
        ("UPDATE detections_journalstream SET head_number = %s, head_hash = %s WHERE name = %s",
         forged.number, forged.hash, case.stream)
    )  # fmt: skip
    assert f"{case.stream}: entry {forged.number} does not follow the one before." in list(verify_case(case))


def cut(case, sql, keep):
    """The end of the chain off, with the head turned back as well."""
    last = entries(case)[keep - 1]
    sql(
        ("DELETE FROM detections_journalentry WHERE stream_id = %s AND number > %s", stream(case).pk, keep),
        ("UPDATE detections_journalstream SET head_number = %s, head_hash = %s WHERE name = %s",
         keep, last.hash, case.stream),
    )  # fmt: skip


def test_a_truncated_tail(case, sql):
    last = entries(case)[-1]
    sql(("DELETE FROM detections_journalentry WHERE id = %s", last.pk))
    assert f"{case.stream}: the end of the chain is missing." in list(verify_case(case))


def test_a_truncated_tail_whose_head_was_turned_back(case, sql):
    anchors.write()
    number = len(entries(case))
    cut(case, sql, number - 2)
    said = (
        f"{case.stream}: the end of the chain is missing: entry {number} was anchored "
        "(line 1 of journal.jsonl) and is not there."
    )
    assert journal.verify(stream(case)) == []
    assert said in [fault.replace("(line 2 ", "(line 1 ") for fault in verify_case(case)]
    with transaction.atomic():
        for _ in range(2):
            journal.record(case.stream, "note_written", actor=system("forger"))
    assert any("is not the one that was anchored" in fault for fault in verify_all())


def test_a_cut_chain_without_an_anchor_contradicts_the_case(case, sql):
    number = len(entries(case))
    cut(case, sql, number - 2)
    assert f"{case.number}: question 1 stands as escalate; its journal says open." in list(verify_case(case))


def test_anchors_are_added_only_where_a_chain_grew_and_are_a_chain_themselves(case, analyst):
    first = anchors.write()
    assert (first > 0, anchors.write()) == (True, 0)
    write_note(case, text="More.", actor=analyst)
    assert anchors.write() == 1
    lines = anchors.path().read_text().splitlines()
    assert len(lines) == first + 1
    anchors.path().write_text("\n".join(lines[1:]) + "\n")
    assert "anchors: line 1 of journal.jsonl does not follow the one before." in list(verify_all())


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE triage_answer SET rationale = 'Good.'", "answer "),
        ("UPDATE triage_confirmation SET statement = 'I did not.'", "confirmation "),
        ("UPDATE triage_noteversion SET text = 'Other.'", "note "),
        ("UPDATE triage_attachment SET sha256 = '00'", "file "),
    ],
)
def test_what_people_wrote_is_changed(case, sql, statement, said):
    sql((statement,))
    found = list(verify_case(case))
    assert any(said in fault and fault.endswith("says something else than the journal.") for fault in found)


def test_a_state_that_nobody_gave(case, sql):
    sql(("UPDATE triage_case SET status = 'open', disposition = 'benign'",))
    assert list(verify_case(Case.objects.get())) == [
        f"{case.number} stands as open, benign; by its journal it is in_progress, undetermined."
    ]


def test_a_changed_file_and_the_command(case, capsys):
    path = path_of(case.attachments.get().sha256)
    path.chmod(0o600)
    path.write_bytes(b"other")
    with pytest.raises(CommandError, match=r"^1 finding\.$"):
        call_command("verify", "--all")
    assert "its SHA-256 differs" in capsys.readouterr().out
    with pytest.raises(CommandError, match="There is no case CW-99999"):
        call_command("verify", "CW-99999")
