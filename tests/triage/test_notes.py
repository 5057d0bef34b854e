"""Notes: versions are kept, withdrawn ones stay, and who is mentioned is told once."""

import pytest

from detections.actors import NotPermittedError, of_user
from tests.conftest import person
from triage.errors import StaleEditError, TriageError
from triage.journal import case_journal
from triage.models import Mention
from triage.notes import (
    edit_note,
    mentioned_names,
    mentions_of,
    notes_of,
    read_mentions,
    withdraw_note,
    write_note,
)

pytestmark = pytest.mark.django_db


def test_an_edit_is_a_version_and_the_old_one_stays(make_case, analyst):
    case = make_case()
    note = write_note(case, text="First.", actor=analyst)
    edit_note(note, text="Second.", actor=analyst, version=1)
    with pytest.raises(StaleEditError):
        edit_note(note, text="Third.", actor=analyst, version=1)
    [written] = notes_of(case, actor=analyst).notes
    assert [version.text for version in written.versions] == ["First.", "Second."]
    lines = [(line.verb, line.reason) for line in case_journal(case, actor=analyst)]
    assert lines == [("note_edited", "Second."), ("note_written", "First.")]


def test_only_the_author_edits_and_a_lead_may_withdraw(make_case, analyst, lead):
    case = make_case()
    note = write_note(case, text="Mine.", actor=analyst)
    other = of_user(person("ben", "Analyst"))
    for refused in (
        lambda: edit_note(note, text="Ours.", actor=lead, version=1),
        lambda: withdraw_note(note, actor=other, reason="no"),
    ):
        with pytest.raises(NotPermittedError):
            refused()
    withdraw_note(note, actor=lead, reason="Names a person.")
    [written] = notes_of(case, actor=analyst).notes
    assert (written.text, written.note.withdrawn_reason) == ("Mine.", "Names a person.")
    with pytest.raises(TriageError, match="withdrawn already"):
        edit_note(note, text="Again.", actor=analyst, version=1)


def test_a_mention_tells_once_and_only_who_may_see_the_case(make_case, analyst, lead, otto, lin):
    case = make_case()
    note = write_note(case, text="@lin and @otto, see; @ana too.", actor=analyst)
    edit_note(note, text="@LIN, once more.", actor=analyst, version=1)
    assert [mention.user for mention in Mention.objects.all()] == [lin]
    assert [mention.note for mention in mentions_of(lead)] == [note]
    assert read_mentions(lead, case=case) == 1
    assert read_mentions(lead) == 0


def test_names_in_a_text():
    text = "@lin, ask @a.b-c. Mail x@example.org is no mention, nor @ alone. (@Lin)"
    assert mentioned_names(text) == ["lin", "a.b-c"]


def test_refused(make_case, analyst, outsider, product):
    case = make_case()
    for text, match in ((" ", "empty"), ("x" * 20_001, "20,000")):
        with pytest.raises(TriageError, match=match):
            write_note(case, text=text, actor=analyst)
    with pytest.raises(TriageError, match="no such question"):
        write_note(case, text="x", actor=analyst, question_key="other")
    with pytest.raises(NotPermittedError):
        write_note(case, text="x", actor=outsider)
    assert notes_of(case, actor=outsider).notes == ()
    with pytest.raises(TriageError, match="Only a person"):
        write_note(case, text="x", actor=product)
