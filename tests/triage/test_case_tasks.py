"""Tasks: opened once, shown to whom they are for, finished once with a note."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from detections.actors import NotPermittedError
from detections.models import JournalEntry
from tests.conftest import person
from triage.case_tasks import finish_task, of_actor, open_task
from triage.errors import TriageError
from triage.journal import case_journal
from triage.models import CaseTask

pytestmark = pytest.mark.django_db


def opened(product, **more):
    told = {"kind": "review", "title": "Look again", "actor": product, "key": "k1", **more}
    with transaction.atomic():
        return open_task(**told)


def test_the_same_key_is_the_same_task_and_written_down_once(make_case, product, analyst):
    case = make_case()
    assert opened(product, case=case).pk == opened(product, case=case, title="Other").pk
    assert CaseTask.objects.get().title == "Look again"
    assert [line.verb for line in case_journal(case, actor=analyst)] == ["task_opened"]


def test_a_task_without_a_case_is_in_a_chain_of_its_own(product):
    opened(product)
    assert JournalEntry.objects.get().stream.name == "tasks"


def test_it_is_finished_once_with_a_note(make_case, product, analyst, ana):
    case = make_case()
    task = opened(product, case=case)
    with pytest.raises(TriageError, match="with a note"):
        finish_task(task, actor=analyst, note="  ")
    done = finish_task(task, actor=analyst, note="Looked, nothing new.")
    assert (done.done_by, done.done_note) == (ana, "Looked, nothing new.")
    with pytest.raises(TriageError, match="finished this task already"):
        finish_task(task, actor=analyst, note="again")
    line = case_journal(case, actor=analyst)[0]
    assert (line.verb, line.subject, line.reason) == ("task_finished", "Look again", "Looked, nothing new.")


def test_who_sees_and_finishes_what(product, analyst, lead, ana, outsider):
    ben = person("ben", "Analyst")
    mine = opened(product, key="mine", owner=ana)
    everybodys = opened(product, key="all")
    leads = opened(product, key="lead", for_permission="triage.approve")
    bens = opened(product, key="ben", owner=ben)
    assert set(of_actor(analyst)) == {mine, everybodys}
    assert set(of_actor(lead)) == {everybodys, leads}
    assert list(of_actor(outsider)) == []
    with pytest.raises(NotPermittedError, match="for anybody who may approve"):
        finish_task(leads, actor=analyst, note="done")
    with pytest.raises(NotPermittedError, match="for Ben"):
        finish_task(bens, actor=analyst, note="done")
    assert finish_task(bens, actor=lead, note="He is away.").done_by == lead.user
    with pytest.raises(NotPermittedError):
        finish_task(everybodys, actor=product, note="done")


def test_overdue(product):
    now = timezone.now()
    late = opened(product, key="late", due_at=now - timedelta(hours=1))
    opened(product, key="soon", due_at=now + timedelta(hours=1))
    assert list(CaseTask.objects.overdue(now=now)) == [late]
