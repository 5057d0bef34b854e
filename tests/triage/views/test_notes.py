"""The pages of notes, files, links, merges and tasks, and what they refuse."""

import io

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from detections.actors import of_user
from triage.attachments import attach, path_of
from triage.case_tasks import ask
from triage.models import Attachment, CaseTask, GateOverride, Mention, Note
from triage.notes import write_note
from triage.questions import answer_question

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def data_folder(tmp_path, settings):
    settings.DATA_DIR = tmp_path


def queries(client, address):
    client.get(address)
    with CaptureQueriesContext(
        connection,
    ) as caught:
        assert client.get(address).status_code == 200
    return len(caught)


def fill(case, actor, number):
    for at in range(number):
        write_note(case, text=f"Note {at} @lin", actor=actor)
        attach(case, name=f"{at}.txt", content=io.BytesIO(b"words"), actor=actor)
        ask(case, title=f"Task {at}", actor=actor)


def test_as_many_queries_for_many_notes_as_for_few(as_analyst, make_case, analyst, lin):
    few, many = make_case(1), make_case(2)
    fill(few, analyst, 2)
    fill(many, analyst, 9)
    assert queries(as_analyst, f"/cases/{few.pk}/notes/") == queries(as_analyst, f"/cases/{many.pk}/notes/")
    at_few = queries(as_analyst, "/tasks/?tab=all")
    fill(many, analyst, 5)
    assert queries(as_analyst, "/tasks/?tab=all") == at_few


def test_a_note_is_text_whatever_is_in_it(as_analyst, make_case):
    case = make_case()
    text = "<script>alert(1)</script> [x](javascript:1) `a\u202eb` @ana\r\nnext"
    as_analyst.post(f"/cases/{case.pk}/notes/write/", {"text": text})
    shown = as_analyst.get(f"/cases/{case.pk}/notes/").content.decode()
    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt; [x](javascript:1) <code>a<mark" in shown
    assert '<b class="mention">@ana</b>\nnext' in shown


def test_what_was_typed_stays_when_it_is_refused(as_analyst, make_case):
    case = make_case()
    reply = as_analyst.post(f"/cases/{case.pk}/links/", {"other": "CW-999999", "why": "Same mail"})
    assert reply.status_code == 422
    assert "There is no case CW-999999." in reply.content.decode()
    assert 'value="Same mail"' in reply.content.decode()


def test_a_mention_counts_in_the_rail_until_the_case_is_looked_at(client, make_case, analyst, lin):
    case = make_case()
    write_note(case, text="@lin, look.", actor=analyst)
    client.force_login(lin)
    assert ", 1 waiting" in client.get("/notifications/").content.decode()
    client.get(f"/cases/{case.pk}/notes/")
    assert Mention.objects.get().read_at is not None
    assert "waiting</span>" not in client.get("/notifications/").content.decode()


def test_a_file_is_a_download_and_nothing_else(as_analyst, make_case, analyst):
    case = make_case()
    page = io.BytesIO(b"<html><script>alert(1)</script>")
    row = attach(case, name="bericht \u202egpj.html", content=page, actor=analyst)
    reply = as_analyst.get(f"/files/{row.pk}/")
    assert b"".join(reply.streaming_content) == b"<html><script>alert(1)</script>"
    assert reply["Content-Type"] == "application/octet-stream"
    assert reply["Content-Disposition"].startswith("attachment; filename*=utf-8''bericht%20%E2%80%AEgpj")
    assert reply["X-Content-Type-Options"] == "nosniff"
    assert ">U+202E</mark>" in as_analyst.get(f"/cases/{case.pk}/notes/").content.decode()
    path_of(row.sha256).chmod(0o600)
    path_of(row.sha256).write_bytes(b"other")
    refused = as_analyst.get(f"/files/{row.pk}/")
    assert (refused.status_code, "its SHA-256 differs" in refused.content.decode()) == (409, True)


def test_a_file_that_is_not_what_its_name_says_is_told_of(as_analyst, make_case):
    case = make_case()
    text, first, second = io.BytesIO(b"plain"), io.BytesIO(b"MZ\x90\0"), io.BytesIO(b"MZ\x90\0\0")
    text.name, first.name, second.name = "notes.txt", "invoice.pdf", "in\u2800voice.pdf"
    sent = {"files": [text, first, second]}
    reply = as_analyst.post(f"/cases/{case.pk}/files/", sent, follow=True).content.decode()
    told = "is named as application/pdf, and its content is application/x-msdownload.</p>"
    assert f"<p>invoice.pdf {told}" in reply
    assert f"<p>in\u2039U+2800\u203avoice.pdf {told}" in reply
    assert reply.count("is named as") == 2
    assert "3 files are kept with the case." in reply


def test_an_outsider_sees_none_of_it(client, otto, make_case, analyst):
    case = make_case()
    fill(case, analyst, 1)
    client.force_login(otto)
    row, note, task = Attachment.objects.get(), Note.objects.get(), CaseTask.objects.get()
    for address in (f"/cases/{case.pk}/notes/", f"/files/{row.pk}/"):
        assert client.get(address).status_code == 404
    assert client.post(f"/notes/{note.pk}/withdraw/", {"reason": "x"}).status_code == 404
    assert client.post(f"/tasks/{task.pk}/finish/", {"note": "x"}).status_code == 404
    assert "Task 0" not in client.get("/tasks/?tab=all").content.decode()


def test_two_cases_are_merged_before_the_eyes_and_apart_again(as_analyst, make_case):
    a, b = make_case(1), make_case(2)
    shown = as_analyst.get(f"/cases/{b.pk}/merge/?into={a.number}").content.decode()
    assert f"Move 0 occurrences and close {b.number}" in shown
    itself = as_analyst.get(f"/cases/{b.pk}/merge/?into={b.number}").content.decode()
    assert f"{b.number} is this case. Name the other one." in itself
    assert "occurrences and close" not in itself
    sent = {"into": a.number, "reason": "One intrusion.", "source_version": 1, "target_version": 1}
    stale = as_analyst.post(f"/cases/{b.pk}/merge/", {**sent, "target_version": 9})
    assert (stale.status_code, "One intrusion." in stale.content.decode()) == (409, True)
    as_analyst.post(f"/cases/{b.pk}/merge/", sent)
    b.refresh_from_db()
    assert (b.status, b.disposition) == ("closed", "duplicate")
    made = b.merged_away.get()
    as_analyst.post(f"/cases/{a.pk}/merges/{made.pk}/undo/", {"reason": "Two after all."})
    b.refresh_from_db()
    assert b.status == "open"


def test_a_task_is_asked_for_and_finished_with_a_note(as_analyst, make_case, ana):
    case = make_case()
    as_analyst.post(f"/cases/{case.pk}/tasks/", {"title": "Call the owner", "owner": ana.pk})
    task = CaseTask.objects.get()
    refused = as_analyst.post(f"/tasks/{task.pk}/finish/", {"note": " "})
    assert refused.status_code == 422
    assert "Call the owner" in as_analyst.get("/tasks/").content.decode()
    as_analyst.post(f"/tasks/{task.pk}/finish/", {"note": "Reached her."})
    assert "Reached her." in as_analyst.get("/tasks/?tab=done").content.decode()


def test_an_override_shows_on_the_case_and_in_the_queue(client, lin, make_case):
    case = make_case()
    client.force_login(lin)
    address = f"/cases/{case.pk}/close/"
    sent = {"version": 1, "disposition": "benign", "rationale": "Known.", "override": "short"}
    refused = client.post(address, sent)
    assert refused.status_code == 422
    assert "Say in a sentence why" in refused.content.decode()
    client.post(address, {**sent, "override": "The vendor ran it on our request."})
    assert GateOverride.objects.get().by == lin
    shown = client.get(f"/cases/{case.pk}/questions/verdict/").content.decode()
    assert "Closed against the gate" in shown
    assert "Question 1: it is not answered." in shown
    assert "Against the gate" in client.get("/?tab=closed").content.decode()


def test_two_answers_are_merged_with_what_both_cited_and_chose(as_analyst, make_case, make_pivot, lead, ana):
    case = make_case()
    rows = list(make_pivot(case, "hits", rows=2).rows.order_by("pk"))
    question = case.questions.get()
    answer_question(
        question, state="escalate", rationale="Theirs.", evidence_ids=[rows[0].pk], actor=lead, version=1
    )
    address = f"/cases/{case.pk}/questions/verdict/answer/"
    mine = {"version": 1, "state": "unresolved", "rationale": "Mine.", "evidence": rows[1].pk}
    reply = as_analyst.post(address, mine)
    shown = reply.content.decode()
    assert reply.status_code == 409
    assert reply.context["both"] == "Theirs.\n\nMine."
    assert reply.context["states"] == ["unresolved", "escalate"]
    assert reply.context["both_evidence"] == [rows[0].pk, rows[1].pk]
    assert shown.count("row 1</a>") == shown.count("row 2</a>") == 1
    draft = question.drafts.get(author=ana)
    assert (draft.content["rationale"], draft.question_version) == ("Mine.", 2)


def test_a_draft_from_before_an_answer_meets_it_when_saved(as_analyst, make_case, lead):
    """Also after the page was loaded anew: the form still sends the version that the draft began with."""
    case = make_case()
    question = case.questions.get()
    base = f"/cases/{case.pk}/questions/verdict/"
    as_analyst.post(f"{base}draft/", {"version": 1, "state": "escalate", "rationale": "Mine."})
    answer_question(question, state="escalate", rationale="Theirs.", actor=lead, version=1)
    shown = as_analyst.get(base)
    assert shown.context["version"] == 1
    sent = {"version": shown.context["version"], "state": "escalate", "rationale": "Mine."}
    assert as_analyst.post(f"{base}answer/", sent).status_code == 409


def test_a_confirmation_keeps_its_file_even_if_it_is_refused(as_analyst, make_case):
    case = make_case()
    address = f"/cases/{case.pk}/questions/verdict/confirm/"
    mail = io.BytesIO(b"From: owner")
    mail.name = "mail.eml"
    sent = {
        "version": 1,
        "kind": "owner",
        "reference": "by mail",
        "confirmed_by": "A. Owner",
        "confirmed_at": timezone.now().strftime("%Y-%m-%dT%H:%M"),
        "statement": "",
    }
    refused = as_analyst.post(address, {**sent, "file": mail})
    kept = Attachment.objects.get()
    assert refused.status_code == 422
    assert f'<option value="{kept.pk}" selected>mail.eml</option>' in refused.content.decode()
    as_analyst.post(address, {**sent, "statement": "I ran it.", "attachment": kept.pk})
    assert case.confirmations.get().attachment == kept
    assert f"/files/{kept.pk}/" in as_analyst.get(f"/cases/{case.pk}/questions/verdict/").content.decode()


def test_a_note_at_a_question_stands_there(as_analyst, make_case, ana):
    case = make_case()
    base = f"/cases/{case.pk}/questions/verdict/"
    reply = as_analyst.post(f"/cases/{case.pk}/notes/write/", {"text": "Here.", "question": "verdict"})
    assert reply.url == base
    assert "Notes at this question (1)" in as_analyst.get(base).content.decode()
    assert Note.objects.get().author == of_user(ana).user


def test_many_notes_are_shown_by_pages_the_newest_first(as_analyst, make_case, analyst, monkeypatch):
    monkeypatch.setattr("triage.notes.A_PAGE", 2)
    case = make_case()
    for number in range(1, 6):
        write_note(case, text=f"Note {number}.", actor=analyst, question_key="verdict" if number > 2 else "")
    pages = [
        as_analyst.get(f"/cases/{case.pk}/notes/{end}").content.decode()
        for end in ("", "?page=1", "?page=99")
    ]
    seen = [[number for number in range(1, 6) if f"Note {number}." in page] for page in pages]
    assert seen == [[5], [1, 2], [5]]
    at_question = as_analyst.get(f"/cases/{case.pk}/questions/verdict/").content.decode()
    assert at_question.count('<li class="note"') == 1
    assert "Notes at this question (3)" in at_question
