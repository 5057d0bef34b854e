"""People and workers at the same case in the same moment, on a real database."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier

import pytest
from django.contrib.auth.models import User
from django.db import connection

from detections.actors import of_user, system
from detections.journal import verify
from detections.models import JournalEntry, JournalStream
from tests.conftest import person
from tests.factories.cases import alert
from tests.factories.events import attack
from tests.factories.rules import rule
from triage.cases import close_case
from triage.errors import StaleEditError
from triage.models import Case, Question
from triage.questions import answer_question
from triage.routing import route_alerts

pytestmark = pytest.mark.django_db(transaction=True)
AT = datetime(2026, 3, 18, 9, 41, tzinfo=UTC)


def together(*works):
    """Run the works at once, each on its own connection; what they return or raise."""
    barrier = Barrier(len(works))

    def one(work):
        barrier.wait()
        try:
            return work()
        except StaleEditError as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(one, works))


@pytest.fixture
def case(store):
    alert(rule(), attack(AT), AT)
    route_alerts(actor=system("test"))
    return Case.objects.get()


def test_of_two_who_close_at_once_one_decides(case):
    actors = [of_user(person(name, "Lead")) for name in ("ann", "bob")]
    question = Question.objects.get()
    answer_question(question, state="escalate", rationale="", actor=actors[0], version=1)

    def close(actor):
        return lambda: close_case(
            case, disposition="malicious", rationale=actor.label, actor=actor, version=1
        )

    results = together(*(close(actor) for actor in actors))
    assert sorted(type(result).__name__ for result in results) == ["Case", "StaleEditError"]
    assert JournalEntry.objects.filter(verb="case_closed").count() == 1


def test_of_two_answers_at_once_none_is_lost_silently(case):
    actors = [of_user(person(name, "Lead")) for name in ("ann", "bob")]
    question = Question.objects.get()

    def say(actor):
        return lambda: answer_question(
            question, state="escalate", rationale=actor.label, actor=actor, version=1
        )

    results = together(*(say(actor) for actor in actors))
    assert sorted(type(result).__name__ for result in results) == ["Answer", "StaleEditError"]
    assert Question.objects.get().version == 2


def test_two_routers_open_one_case(store):
    made = rule()
    for number in range(4):
        alert(made, attack(AT), AT, name=f"a{number}")
    together(*[lambda: route_alerts(actor=system("test"))] * 2)
    case = Case.objects.get()
    assert (case.occurrence_count, case.occurrences.count()) == (4, 4)
    assert verify(JournalStream.objects.get(name=case.stream)) == []
    assert User.objects.count() == 0
