"""Late evidence: looked for twice, told, and never mixed into what was decided."""

from datetime import timedelta

import pytest
import time_machine

from detections import outbox
from detections.models import JournalEntry
from tests.factories.events import attack, mapped, mshta_start
from tests.triage.test_pivots import AT, newest, open_case
from triage import late_evidence
from triage.enums import PivotState, QuestionState
from triage.evidence import latest_runs
from triage.models import Answer, CaseTask, CheckResult, PivotRun, Question
from triage.questions import answer_question

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def child(at):
    document = mshta_start(at, entity="p-child")
    document["process"] |= {"name": "cmd.exe", "executable": "C:\\Windows\\cmd.exe"}
    document["process"]["parent"] = {"entity_id": "p-1"}
    return document


@pytest.fixture
def clock():
    with time_machine.travel(AT + timedelta(minutes=5), tick=False) as moved:
        yield moved


@pytest.fixture
def case(store, clock):
    store.append(mapped(*attack(AT)), batch="b")
    made = open_case()
    outbox.drain()
    clock.shift(timedelta(minutes=70))
    outbox.drain()
    return made


def decide(case, ana_actor, state=QuestionState.UNRESOLVED):
    question = case.questions.get(key="execution")
    answer_question(question, state=state, rationale="seen", actor=ana_actor, version=question.version)
    return question


def test_both_looks_run_and_find_nothing_new(store, clock, case):
    before = {run.key: run.attempt for run in latest_runs(case)}
    clock.shift(25 * HOUR)
    outbox.drain()
    after = {run.key: run.attempt for run in latest_runs(case)}
    assert after["children"] == before["children"] + 1
    assert after["alert"] == 1
    case.refresh_from_db()
    assert case.has_new_evidence is False


def test_late_rows_reopen_what_was_answered_on_nothing(store, clock, case, analyst):
    assert newest(case, "children").state == PivotState.NO_HITS
    question = decide(case, analyst)
    store.append(mapped(child(AT + timedelta(seconds=9))), batch="c")
    clock.shift(25 * HOUR)
    outbox.drain()
    question.refresh_from_db()
    case.refresh_from_db()
    assert (question.state, question.has_new_evidence, case.has_new_evidence) == ("open", True, True)
    assert question.reopened_at is not None
    assert [row.is_new for row in newest(case, "children").rows.all()] == [True]
    assert Answer.objects.get(question=question).state == QuestionState.UNRESOLVED
    entry = JournalEntry.objects.get(verb="question_reopened")
    assert (entry.before, entry.after) == ("unresolved", "open")
    assert entry.reason.startswith("Reopened: new evidence in pivot ")
    decide(case, analyst, QuestionState.ESCALATE)
    case.refresh_from_db()
    question.refresh_from_db()
    assert (case.has_new_evidence, question.has_new_evidence, question.reopened_at) == (False, False, None)


def test_an_escalation_stands_and_is_marked(store, clock, case, analyst):
    question = decide(case, analyst, QuestionState.ESCALATE)
    store.append(mapped(child(AT + timedelta(seconds=9))), batch="c")
    clock.shift(25 * HOUR)
    outbox.drain()
    question.refresh_from_db()
    assert (question.state, question.has_new_evidence) == ("escalate", True)


def test_a_closed_case_changes_nothing_and_a_lead_is_asked(store, clock, case):
    type(case).objects.update(status="closed", disposition="malicious", closed_at=AT + HOUR)
    store.append(mapped(child(AT + timedelta(seconds=9))), batch="c")
    held = list(CheckResult.objects.order_by("pk").values())
    runs = [run.pk for run in latest_runs(case)]
    clock.shift(25 * HOUR)
    outbox.drain()
    case.refresh_from_db()
    late = PivotRun.objects.get(case=case, key="children", is_after_closing=True)
    assert (late.state, late.kept, late.added, late.counts) == (PivotState.HITS, 1, 1, False)
    assert list(CheckResult.objects.order_by("pk").values()) == held
    assert [run.pk for run in latest_runs(case)] == runs
    assert case.has_new_evidence is False
    tasks = list(CaseTask.objects.filter(kind="new_evidence", case=case))
    assert f"new_evidence:{late.pk}" in [task.key for task in tasks]
    assert {task.for_permission for task in tasks} == {"triage.approve"}


def test_a_look_that_is_delivered_twice_asks_once(store, clock, case, product):
    clock.shift(25 * HOUR)
    first = late_evidence.look_again(case.pk, HOUR, actor=product)
    assert len(first) > 3
    assert late_evidence.look_again(case.pk, HOUR, actor=product) == []
    outbox.drain()
    assert late_evidence.look_again(case.pk, HOUR, actor=product) == []


def test_a_storm_is_not_looked_at_again(store, clock, case, product):
    type(case).objects.update(is_storm=True)
    clock.shift(25 * HOUR)
    assert late_evidence.look_again(case.pk, HOUR, actor=product) == []
    assert Question.objects.filter(has_new_evidence=True).count() == 0
