"""Events that come to a cluster late are found by the pass that follows, and by no other search."""

from datetime import timedelta

import pytest

from detections import health, true_up
from detections.actors import system
from detections.enums import RunStatus, RunTrigger
from detections.models import Alert, CoverageGap, RuleRun, TrueUp
from tests.elasticsearch.front import Fault, error
from tests.factories.events import attack

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
EQL = "_eql/search"
ACTOR = system("true-up")


def ingested(documents, at):
    return [{**one, "event": {**one["event"], "ingested": at.isoformat()}} for one in documents]


def step(deployment, rule, minutes=5):
    """A wake: the run on schedule, and what the passes owe."""
    deployment.run(rule, minutes=minutes)
    return true_up.run_due(actor=ACTOR, now=deployment.now)


def searched(deployment, since):
    """The EQL requests since then."""
    return [one for one in list(deployment.front.requests)[since:] if EQL in one[1]]


def test_late_events_are_found_by_the_first_pass_and_only_their_time_is_searched(deployment):
    rule = deployment.rule()
    began = deployment.now
    for _ in range(4):
        deployment.fill(*ingested(attack(deployment.now + timedelta(minutes=1), entity="x"), deployment.now))
        step(deployment, rule)
    found = Alert.objects.count()
    # Two hours of quiet, in which something that is an hour old comes in.
    deployment.now = began + timedelta(minutes=50)
    step(deployment, rule)
    late = began + timedelta(minutes=7)
    deployment.fill(*ingested(attack(late, entity="late"), deployment.now))
    deployment.now = began + timedelta(minutes=58)
    before = len(deployment.front.requests)
    step(deployment, rule)
    assert Alert.objects.count() == found
    passes = step(deployment, rule, minutes=10)
    [new] = [run for run in passes if run.alerts_new]
    assert (new.trigger, new.alerts_new) == (RunTrigger.TRUE_UP, 1)
    assert new.window_start < late <= new.window_end
    alert = Alert.objects.get(run=new)
    assert alert.late_seconds == pytest.approx((began + timedelta(minutes=55) - late).total_seconds() - 2)
    asked = [one[2].decode() for one in searched(deployment, before)]
    assert len(asked) < 6
    assert CoverageGap.objects.filter(filled_at__isnull=True).count() == 0


def test_events_that_do_not_say_when_they_came_are_searched_again_whole(deployment):
    rule = deployment.rule()
    step(deployment, rule, minutes=30)
    late = deployment.now - timedelta(minutes=20)
    deployment.fill(*attack(late, entity="late"))
    assert Alert.objects.count() == 0
    deployment.now += timedelta(minutes=60)
    step(deployment, rule)
    assert Alert.objects.get().run.trigger == RunTrigger.TRUE_UP
    step(deployment, rule, minutes=60)
    assert Alert.objects.count() == 1


def test_a_pass_that_fails_stays_where_it_is_and_says_so(deployment):
    rule = deployment.rule()
    step(deployment, rule)
    deployment.fill(*attack(deployment.now - timedelta(minutes=2), entity="late"))
    where = TrueUp.objects.get(delay_seconds=3600).searched_until
    deployment.run(rule, minutes=70)
    body = error(403, "security_exception", "action is unauthorized")
    deployment.front.inject(Fault(EQL, status=403, body=body, times=99))
    failed = true_up.run_due(actor=ACTOR, now=deployment.now)
    # Where nothing came late, nothing had to be searched.
    assert [run.window_start for run in failed if run.status == RunStatus.FAILED] == [where]
    assert TrueUp.objects.get(delay_seconds=3600).searched_until == where
    [said] = true_up.troubles()
    assert said.startswith("Rule ")
    assert "late are not looked for. The credential may not run EQL searches" in said
    # How a pass ended says nothing of the schedule.
    assert health.newest_runs([rule], ACTOR)[0].status == RunStatus.SUCCEEDED
    assert true_up.run_due(actor=ACTOR, now=deployment.now) == []
    deployment.front.faults.clear()
    true_up.run_due(actor=ACTOR, now=deployment.now + timedelta(minutes=6))
    assert (Alert.objects.count(), true_up.troubles()) == (1, [])


def test_a_rule_edited_meanwhile_keeps_its_place(deployment, monkeypatch):
    rule = deployment.rule()
    step(deployment, rule, minutes=90)
    where = list(TrueUp.objects.values_list("delay_seconds", "searched_until"))
    deployment.run(rule, minutes=90)
    search = true_up._search

    def edited(*arguments):
        search(*arguments)
        type(rule).objects.filter(pk=rule.pk).update(fence=10**6)

    monkeypatch.setattr(true_up, "_search", edited)
    runs = true_up.run_due(actor=ACTOR, now=deployment.now)
    assert {run.error for run in runs} == {
        "The rule was edited meanwhile; the next pass searches the same time."
    }
    assert list(TrueUp.objects.values_list("delay_seconds", "searched_until")) == where


def test_a_rule_that_does_without_is_left_alone(deployment):
    rule = deployment.rule(true_up=False)
    deployment.run(rule, minutes=120)
    assert true_up.run_due(actor=ACTOR, now=deployment.now) == []
    assert not RuleRun.objects.filter(trigger=RunTrigger.TRUE_UP).exists()


@pytest.mark.parametrize(("chosen", "requests"), [(False, 1), (True, 2)])
def test_the_order_of_event_created_is_searched_where_the_rule_asks_for_it(deployment, chosen, requests):
    rule = deployment.rule(clock_repaired=chosen)
    before = len(deployment.front.requests)
    [run, *_] = deployment.run(rule)
    asked = searched(deployment, before)
    assert run.status == RunStatus.SUCCEEDED
    assert len(asked) == requests * len(RuleRun.objects.all())
