"""Answers, confirmations, drafts, closing: what is refused, and what is written down."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from detections import journal
from detections.actors import NotPermittedError, system
from detections.models import JournalEntry, JournalStream
from tests.factories.cases import alert
from tests.factories.events import attack
from tests.factories.rules import rule
from triage.cases import assign, close_case, outcome
from triage.confirmations import add_confirmation
from triage.errors import AnswerRefusedError, GateClosedError, StaleEditError, TriageError
from triage.journal import case_journal
from triage.models import Case, Draft, Evidence
from triage.questions import (
    answer_question,
    draft_for,
    draft_mark,
    previous_answers,
    save_draft,
    why_not_lower,
)
from triage.routing import route_alerts

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 18, 9, 41, tzinfo=UTC)


def open_cases(count=1):
    """Cases of a rule without a guide: one plain question each."""
    made = rule()
    for number in range(count):
        alert(made, attack(AT, entity=f"p-{number}"), AT, name=f"a{number}")
    route_alerts(actor=system("test"))
    return list(Case.objects.order_by("pk"))


@pytest.fixture
def case(store):
    return open_cases()[0]


def rows(case):
    return [row.pk for row in Evidence.objects.filter(pivot__case=case)]


def say(case, state, actor, *, version=1, rationale="because", **cited):
    return answer_question(
        case.questions.get(), state=state, rationale=rationale, actor=actor, version=version, **cited
    )


def confirm(case, actor, **changes):
    told = {
        "kind": "owner",
        "reference": "by phone, 10:12",
        "confirmed_by": "A. Owner",
        "confirmed_at": timezone.now(),
        "statement": "I ran it.",
    }
    return add_confirmation(case, **{**told, **changes}, actor=actor)


def test_the_first_answer_starts_the_case(case, analyst):
    say(case, "escalate", analyst)
    case.refresh_from_db()
    assert (case.status, case.assignee, case.questions_answered) == ("in_progress", analyst.user, 1)


def test_lowering_needs_a_reason_and_something_cited(case, analyst):
    with pytest.raises(AnswerRefusedError) as refusal:
        say(case, "lower", analyst, rationale=" ")
    assert refusal.value.missing == [
        "Say why: lower needs a rationale.",
        "Cite what shows it: at least one row of evidence, or a confirmation.",
    ]
    answer = say(case, "lower", analyst, evidence_ids=rows(case))
    assert answer.citations.count() == 2
    assert why_not_lower(case.questions.get()) == []


def test_not_applicable_needs_a_reason_and_keeps_benign_closed(case, analyst):
    with pytest.raises(AnswerRefusedError, match="not applicable needs a rationale"):
        say(case, "not_applicable", analyst, rationale="")
    say(case, "not_applicable", analyst)
    with pytest.raises(GateClosedError, match="never counts toward benign"):
        close_case(case, disposition="benign", rationale="x", actor=analyst, version=1)


@pytest.mark.parametrize("state", ["open", "", "benign"])
def test_an_answer_says_something(case, analyst, state):
    with pytest.raises(AnswerRefusedError, match="which way"):
        say(case, state, analyst)


def test_evidence_of_another_case_can_not_be_cited(store, analyst):
    one, other = open_cases(2)
    with pytest.raises(AnswerRefusedError, match="does not belong to this case"):
        say(one, "lower", analyst, evidence_ids=rows(other))
    record = confirm(other, analyst)
    with pytest.raises(AnswerRefusedError, match="does not belong to this case"):
        say(one, "lower", analyst, confirmation_ids=[record.pk])


def test_an_answer_to_what_changed_meanwhile_is_refused(case, analyst, lead):
    say(case, "escalate", analyst)
    with pytest.raises(StaleEditError) as stale:
        say(case, "unresolved", lead, version=1)
    assert (stale.value.theirs.state, stale.value.theirs.version) == ("escalate", 2)
    say(case, "unresolved", lead, version=2)
    (earlier,) = previous_answers(case.questions.get())
    assert (earlier.state, earlier.author) == ("escalate", analyst.user)


def test_who_may_not_answer_changes_nothing(case, outsider, admin):
    for actor in (outsider, admin):
        with pytest.raises(NotPermittedError):
            say(case, "escalate", actor)
        with pytest.raises(NotPermittedError):
            close_case(case, disposition="suspicious", rationale="x", actor=actor, version=1)
        with pytest.raises(NotPermittedError):
            assign(case, to=None, actor=actor, version=1)
    assert JournalEntry.objects.filter(stream__name=case.stream).count() == 1


def test_the_system_answers_nothing(case):
    with pytest.raises(AnswerRefusedError, match="A person has to answer"):
        say(case, "escalate", system("a script"))


def test_a_confirmation_is_complete_and_of_the_past(case, analyst):
    with pytest.raises(AnswerRefusedError) as refusal:
        confirm(
            case,
            analyst,
            kind="hearsay",
            reference="",
            confirmed_by=" ",
            statement="",
            confirmed_at=timezone.now() + timedelta(days=1),
        )
    assert len(refusal.value.missing) == 5


def test_drafts_are_kept_by_person_and_go_with_the_answer(case, analyst, lead):
    question = case.questions.get()
    save_draft(question, content={"rationale": "half a"}, actor=analyst, version=1)
    save_draft(question, content={"rationale": "half a thought"}, actor=analyst, version=1)
    assert draft_for(question, actor=analyst).content == {"rationale": "half a thought"}
    assert draft_for(question, actor=lead) is None
    say(case, "escalate", analyst)
    assert Draft.objects.count() == 0


def test_two_tabs_of_one_person_lose_no_word_of_each_other(case, analyst):
    question = case.questions.get()
    typed = {"one": {"rationale": "The source is", "fields": {"source.ip": "10.0.0.9"}}}
    first = save_draft(question, content=typed["one"], actor=analyst, version=1, seen="")
    other = save_draft(question, content={"rationale": "Ask K."}, actor=analyst, version=1, seen="")
    assert other.content["rationale"] == "Ask K."
    [beside] = other.content["others"]
    assert (beside["rationale"], beside["fields"]) == ("The source is", {"source.ip": "10.0.0.9"})
    # The first tab goes on, and its own text is no longer beside it; the second one's is.
    typed["one"]["rationale"] += " a new host."
    again = save_draft(question, content=typed["one"], actor=analyst, version=1, seen=draft_mark(first))
    assert [one["rationale"] for one in again.content["others"]] == ["Ask K."]
    # A tab that goes on from what stands shortens its own text as it likes.
    cut = save_draft(question, content={"rationale": ""}, actor=analyst, version=1, seen=draft_mark(again))
    assert [one["rationale"] for one in cut.content["others"]] == ["Ask K."]


def test_every_change_is_one_entry_and_the_chain_holds(case, analyst, ana):
    say(case, "escalate", analyst)
    confirm(case, analyst)
    assign(case, to=None, actor=analyst, version=1)
    close_case(case, disposition="malicious", rationale="shown", actor=analyst, version=2)
    lines = case_journal(case, actor=analyst)
    assert [line.verb for line in reversed(lines)] == [
        "case_opened",
        "case_started",
        "question_answered",
        "confirmation_added",
        "case_assigned",
        "case_closed",
    ]
    assert (lines[0].actor, lines[0].sentence, lines[0].after) == ("Ana", "closed the case", "malicious")
    assert journal.verify(JournalStream.objects.get(name=case.stream)) == []


def test_the_journal_is_not_for_strangers(case, outsider):
    assert case_journal(case, actor=outsider) == []
    assert list(Case.objects.visible_to(outsider)) == []


def test_a_closed_case_stays_as_it_is(case, analyst):
    say(case, "escalate", analyst)
    close_case(case, disposition="malicious", rationale="x", actor=analyst, version=1)
    with pytest.raises(TriageError, match="is closed"):
        say(case, "lower", analyst, version=2)
    with pytest.raises(GateClosedError, match="The case is closed"):
        close_case(case, disposition="malicious", rationale="x", actor=analyst, version=2)


def test_two_people_close_at_once_and_one_of_them_decides(case, analyst, lead):
    say(case, "escalate", analyst)
    close_case(case, disposition="malicious", rationale="first", actor=analyst, version=1)
    with pytest.raises(StaleEditError):
        close_case(case, disposition="malicious", rationale="second", actor=lead, version=1)
    case.refresh_from_db()
    assert case.closing_rationale == "first"


def test_closing_needs_a_reason(case, analyst):
    say(case, "escalate", analyst)
    with pytest.raises(GateClosedError, match="Say why"):
        close_case(case, disposition="malicious", rationale=" ", actor=analyst, version=1)


def test_a_duplicate_takes_the_outcome_of_its_twin(store, analyst):
    one, twin = open_cases(2)
    with pytest.raises(GateClosedError, match="Name the case"):
        close_case(one, disposition="duplicate", rationale="same", actor=analyst, version=1)
    with pytest.raises(TriageError, match="is this case"):
        close_case(one, disposition="duplicate", rationale="same", actor=analyst, version=1, duplicate_of=one)
    close_case(one, disposition="duplicate", rationale="same", actor=analyst, version=1, duplicate_of=twin)
    one.refresh_from_db()
    assert (one.disposition, outcome(one)) == ("duplicate", "undetermined")
    say(twin, "escalate", analyst)
    close_case(twin, disposition="malicious", rationale="x", actor=analyst, version=1)
    assert outcome(one) == "malicious"


def test_duplicates_do_not_go_in_circles(store, analyst):
    one, twin = open_cases(2)
    close_case(one, disposition="duplicate", rationale="x", actor=analyst, version=1, duplicate_of=twin)
    with pytest.raises(TriageError, match="itself a duplicate"):
        close_case(twin, disposition="duplicate", rationale="x", actor=analyst, version=1, duplicate_of=one)


def test_a_case_goes_to_somebody_who_can_work_it(case, analyst, lin, otto):
    assign(case, to=lin, actor=analyst, version=1)
    with pytest.raises(TriageError, match="may not answer"):
        assign(case, to=otto, actor=analyst, version=2)
    with pytest.raises(StaleEditError):
        assign(case, to=None, actor=analyst, version=1)
    case.refresh_from_db()
    assert case.assignee == lin
