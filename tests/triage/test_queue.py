"""The queue: tabs, search, order, and what it costs."""

from datetime import UTC, datetime

import pytest

from detections.actors import system
from tests.factories.cases import alert
from tests.factories.events import attack
from tests.factories.rules import rule
from triage.models import Case
from triage.queue import queue
from triage.routing import route_alerts

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 18, 9, 41, tzinfo=UTC)


def open_cases(count):
    made = rule()
    for number in range(count):
        alert(made, attack(AT, entity=f"p-{number}", host=f"host-{number}"), AT, name=f"a{number}")
    route_alerts(actor=system("test"))
    return list(Case.objects.order_by("pk"))


def shown(actor, **asked):
    return list(queue(actor=actor, **asked).page)


def test_tabs_count_what_they_hold(store, analyst, ana):
    mine, fresh, blocked, done = open_cases(4)
    Case.objects.filter(pk=mine.pk).update(assignee=ana)
    Case.objects.filter(pk=fresh.pk).update(has_new_evidence=True)
    Case.objects.filter(pk=blocked.pk).update(no_telemetry_count=1)
    Case.objects.filter(pk=done.pk).update(status="closed", disposition="benign", closed_at=AT)
    counts = {tab.key: tab.count for tab in queue(actor=analyst).tabs}
    assert counts == {
        "mine": 1,
        "unassigned": 2,
        "approval": 0,
        "contained": 0,
        "blocked": 1,
        "new": 1,
        "all": 3,
        "closed": 1,
    }
    for tab, count in counts.items():
        assert len(shown(analyst, tab=tab)) == count


@pytest.mark.parametrize(
    "words", ["CW-{pk}", "{pk}", "HOST-1", "10.0.0.9 host-1", "mshta.exe host-1", "rule host-1"]
)
def test_search_finds_a_case_by_what_it_is_known_by(store, analyst, words):
    _, wanted = open_cases(2)
    assert wanted in shown(analyst, search=words.format(pk=wanted.pk))
    assert shown(analyst, search="host-1 host-0") == []


@pytest.mark.parametrize("hostile", ["%", "_", "'; DROP TABLE triage_case; --", "9" * 40, "\x00"])
def test_a_search_is_text_and_nothing_else(store, analyst, hostile):
    open_cases(1)
    assert shown(analyst, search=hostile) == []


def test_the_gravest_come_first(store, analyst):
    low, high = open_cases(2)
    Case.objects.filter(pk=low.pk).update(severity="low")
    assert shown(analyst) == [high, Case.objects.get(pk=low.pk)]
    assert shown(analyst, sort="host") == [low, high]
    assert shown(analyst, sort="nonsense")[0] == high


def test_strangers_see_an_empty_queue(store, outsider):
    open_cases(1)
    page = queue(actor=outsider)
    assert (list(page.page), {tab.count for tab in page.tabs}) == ([], {0})


@pytest.mark.parametrize("count", [1, 3])
def test_the_cost_does_not_grow_with_the_cases(store, analyst, count, django_assert_num_queries):
    open_cases(count)
    with django_assert_num_queries(3):
        for case in queue(actor=analyst).page:
            assert (case.assignee, str(case.rule)) == (None, "Rule mshta")
