"""The way of an action: asked for, decided by another, done once, taken back; a case waits for it."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import IntegrityError, transaction
from django.utils import timezone

from detections import invariants, outbox
from detections.actors import NotPermittedError, system
from detections.models import JournalEntry
from tests.factories.actions import WHY, approved, observable, preserved, requested, scripted
from triage import case_tasks, cases
from triage.actions.outcomes import Outcome, Proof, Result
from triage.enums import CheckOutcome
from triage.errors import GateClosedError, StaleEditError, TriageError
from triage.models import CaseTask, ResponseAction
from triage.response import actions as response_actions
from triage.response import clock as response_clock
from triage.response import results as response_results
from triage.response import undo as response_undo
from triage.response.actions import PreconditionError, Wish

pytestmark = pytest.mark.django_db


def state(action):
    action.refresh_from_db()
    return action.state


def verbs(case):
    entries = JournalEntry.objects.filter(stream__name=case.stream, verb__startswith="action_")
    return list(entries.order_by("number").values_list("verb", flat=True))


def test_an_action_is_asked_for_approved_done_and_proven(make_case, analyst, lead):
    target = scripted()
    case = make_case()
    action = requested(case, analyst)
    assert (state(action), target.sent) == ("requested", [])
    response_actions.approve(action, actor=lead, seen_sha256=action.content_sha256)
    outbox.drain()
    assert (state(action), action.says, target.sent) == ("succeeded", "Done.", [action.send_key])
    response_clock.watch(actor=system("test"))
    outbox.drain()
    action.refresh_from_db()
    assert (action.proof, action.proof_says) == ("holding", "It holds.")
    assert verbs(case)[-5:] == [
        "action_requested", "action_approved", "action_begun", "action_succeeded", "action_checked",
    ]  # fmt: skip
    assert list(invariants.broken()) == []


def test_who_asked_can_not_approve_nor_can_an_analyst(make_case, analyst, lead):
    case = make_case()
    action = requested(case, lead)
    with pytest.raises(NotPermittedError, match="asked for this"):
        response_actions.approve(action, actor=lead, seen_sha256=action.content_sha256)
    with pytest.raises(NotPermittedError, match=r"triage\.approve"):
        response_actions.approve(action, actor=analyst, seen_sha256=action.content_sha256)
    assert state(action) == "requested"


def test_the_database_refuses_what_the_functions_refuse(make_case, analyst, ana):
    action = requested(make_case(), analyst)
    for change in (
        {"state": "approved"},
        {"state": "running", "started_at": timezone.now()},
        {"approved_by": ana, "approved_at": timezone.now(), "approved_sha256": action.content_sha256},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            ResponseAction.objects.filter(pk=action.pk).update(**change)


def test_an_approval_is_for_what_was_shown(make_case, analyst, lead):
    action = requested(make_case(), analyst)
    with pytest.raises(StaleEditError, match="changed after it was shown"):
        response_actions.approve(action, actor=lead, seen_sha256="0" * 64)
    ResponseAction.objects.filter(pk=action.pk).update(target_value="198.51.100.1")
    with pytest.raises(TriageError, match="does not have the content"):
        response_actions.approve(action, actor=lead, seen_sha256=action.content_sha256)


def test_a_group_can_be_named_that_decides(make_case, analyst, lead):
    from django.contrib.auth.models import Group

    action = requested(make_case(), analyst)
    action.kind.approver_group = Group.objects.create(name="Managers")
    action.kind.save()
    with pytest.raises(NotPermittedError, match="decided by Managers"):
        response_actions.approve(action, actor=lead, seen_sha256=action.content_sha256)


def test_a_request_is_declined_with_a_reason_or_withdrawn(make_case, analyst, lead):
    action = requested(make_case(), analyst)
    with pytest.raises(TriageError, match="Say why"):
        response_actions.decline(action, actor=lead, reason=" ", seen_sha256=action.content_sha256)
    response_actions.decline(action, actor=lead, reason="Not yet.", seen_sha256=action.content_sha256)
    assert (state(action), action.says) == ("declined", "Declined: Not yet.")
    other = requested(action.case, analyst)
    response_actions.cancel(other, actor=analyst)
    assert state(other) == "cancelled"
    with pytest.raises(StaleEditError, match="is cancelled"):
        response_actions.approve(other, actor=lead, seen_sha256=other.content_sha256)


def test_a_request_that_nobody_decides_lapses(make_case, analyst, lead):
    action = requested(make_case(), analyst)
    later = action.expires_at + timedelta(seconds=1)
    with time_machine.travel(later, tick=False), pytest.raises(StaleEditError, match="lapsed before"):
        response_actions.approve(action, actor=lead, seen_sha256=action.content_sha256)
    response_clock.watch(actor=system("test"), now=later)
    assert (state(action), action.says) == ("expired", "It lapsed: nobody decided it in time.")


def test_an_undo_is_an_action_of_its_own(make_case, analyst, lead):
    target = scripted()
    action = approved(make_case(), analyst, lead)
    outbox.drain()
    undo = response_undo.undo(action, actor=analyst, reason="It was benign.")
    with pytest.raises(StaleEditError, match="being taken back already"):
        response_undo.undo(action, actor=analyst, reason="Again.")
    target.answers = [Outcome(Result.FAILED, "The rule is locked.")]
    outbox.drain()
    assert (state(undo), undo.says, state(action)) == ("failed", "The rule is locked.", "succeeded")
    response_actions.retry(undo, actor=analyst)
    outbox.drain()
    assert (state(undo), state(action), action.says) == ("succeeded", "undone", f"Undone by {undo.number}.")
    assert list(invariants.broken()) == []


def close(case, actor, **given):
    case.refresh_from_db()
    return cases.close_case(
        case,
        disposition="suspicious",
        rationale="Handed on.",
        escalated_to="The incident team",
        preserved="All of it",
        actor=actor,
        version=case.version,
        **given,
    )


def test_a_case_can_not_close_over_an_open_containment(make_case, analyst, lead):
    scripted()
    case = make_case()
    action = approved(case, analyst, lead)
    with pytest.raises(GateClosedError, match=r"is approved\. Wait for it, or withdraw it"):
        close(case, analyst)
    outbox.drain()
    with pytest.raises(GateClosedError, match=r"is in force: undo it, or hand it over by name"):
        close(case, analyst)
    with pytest.raises(TriageError, match="Name who looks after it"):
        response_undo.hand_over(action, to="", actor=analyst, reason="It stays.")
    response_undo.hand_over(action, to="Firewall team", actor=analyst, reason="It stays for a month.")
    assert close(case, analyst).status == "closed"
    assert list(invariants.broken()) == []
    undo = response_undo.undo(action, actor=analyst, reason="A month is over.")
    outbox.drain()
    assert (state(undo), state(action)) == ("succeeded", "undone")


def test_a_containment_that_is_over_reminds_once_or_ends_by_itself(make_case, analyst, lead):
    scripted()
    action = approved(make_case(), analyst, lead)
    outbox.drain()
    action.refresh_from_db()
    later = action.ends_at + timedelta(minutes=1)
    for _twice in range(2):
        response_clock.watch(actor=system("test"), now=later)
    assert CaseTask.objects.filter(kind="containment_over").count() == 1
    response_undo.extend(action, until=later + timedelta(days=1), actor=analyst, reason="Still needed.")
    ResponseAction.objects.update(auto_undo=True)
    response_clock.watch(actor=system("test"), now=later + timedelta(days=2))
    outbox.drain()
    assert state(action) == "undone"
    assert CaseTask.objects.get(kind="containment_over").for_permission == case_tasks.LEAD


def test_a_broken_containment_alarms_until_it_holds(make_case, analyst, lead):
    from triage.response import alarms as response_alarms
    from triage.response import checks as response_checks

    target = scripted()
    action = approved(make_case(), analyst, lead)
    outbox.drain()
    target.proof = Proof(CheckOutcome.BROKEN, "The rule is gone.")
    response_checks.prove_now(action, actor=analyst)
    assert [alarm.kind for alarm in response_alarms.standing()] == ["containment_broken"]
    target.proof = Proof(CheckOutcome.UNKNOWN, "Nobody answers.")
    response_checks.prove_now(action, actor=analyst)
    assert [alarm.kind for alarm in response_alarms.standing()] == ["containment_broken"]
    target.proof = Proof(CheckOutcome.HOLDING, "It is back.")
    response_checks.prove_now(action, actor=analyst)
    assert list(response_alarms.standing()) == []
    assert [check.result for check in action.checks.all()] == ["broken", "unknown", "holding"]


def test_what_people_do_needs_a_proof(make_case, analyst, lead):
    action = approved(make_case(), analyst, lead)
    outbox.drain()
    assert state(action) == "running"
    with pytest.raises(TriageError, match="Say what shows it"):
        response_results.record_result(action, succeeded=True, proof=" ", actor=analyst)
    response_results.record_result(action, succeeded=True, proof="Rule 4711 is in.", actor=analyst)
    action.refresh_from_db()
    assert (action.state, action.proof, action.proof_says) == ("succeeded", "holding", "Rule 4711 is in.")


def test_a_target_that_does_not_take_it_is_tried_five_times(make_case, analyst, lead):
    target = scripted()
    target.answers = [Outcome(Result.NOT_TAKEN, "Too busy.") for _ in range(9)]
    action = approved(make_case(), analyst, lead)
    for minute in range(30):
        with time_machine.travel(timezone.now() + timedelta(minutes=minute * 2), tick=False):
            outbox.drain()
    assert (state(action), len(target.sent), target.done) == ("failed", 5, [])
    assert action.says == "Too busy. It was tried 5 times."


def test_five_failures_in_a_row_rest_the_connector(make_case, analyst, lead):
    from triage.models import Connector

    target = scripted()
    Connector.objects.update(failures=5, open_until=timezone.now() + timedelta(minutes=5))
    action = approved(make_case(), analyst, lead)
    outbox.drain()
    assert (state(action), target.sent) == ("approved", [])
    assert "failed 5 times in a row: it rests until" in action.says
    Connector.objects.update(open_until=timezone.now())
    with time_machine.travel(timezone.now() + timedelta(minutes=6), tick=False):
        outbox.drain()
    assert state(action) == "succeeded"


def test_no_more_than_its_rate_goes_through_a_connector(make_case, analyst, lead):
    target = scripted(per_minute=1)
    case = make_case()
    actions = [
        approved(case, analyst, lead, target=str(observable(case, f"203.0.113.{number}").pk))
        for number in range(3)
    ]
    outbox.drain()
    assert len(target.sent) < 3
    assert any("takes 1 actions a minute at most" in one.says for one in ResponseAction.objects.all())
    for minute in range(1, 9):
        with time_machine.travel(timezone.now() + timedelta(seconds=61 * minute), tick=False):
            outbox.drain()
    assert sorted(target.done) == sorted(
        one.send_key for one in ResponseAction.objects.filter(pk__in=actions_of(actions))
    )


def actions_of(actions):
    return [action.pk for action in actions]


def test_a_dry_run_sends_nothing_and_does_not_count_as_done(make_case, analyst, lead):
    target = scripted(dry_run=True)
    action = approved(make_case(), analyst, lead)
    outbox.drain()
    assert (state(action), target.sent) == ("failed", [])
    assert "nothing was sent, nothing was done" in action.says


def test_an_override_needs_the_permission_and_stays_visible(make_case, analyst, lead):
    case = make_case()
    row = observable(case)
    wish = Wish("block_destination", WHY, target=str(row.pk), override="The shop is burning down now.")
    with pytest.raises(NotPermittedError, match="override_precondition"):
        response_actions.request(case, wish, actor=analyst)
    with pytest.raises(PreconditionError, match="Preserve the evidence first"):
        response_actions.request(case, Wish("block_destination", WHY, target=str(row.pk)), actor=lead)
    action = response_actions.request(case, wish, actor=lead)
    assert action.override_reason == "The shop is burning down now."
    assert action.overrode == ["Preserve the evidence first: containing and removing changes what is there."]


def test_a_target_is_one_of_the_case_s_observables(make_case, analyst):
    case, other = make_case(1), make_case(2)
    preserved(case)
    foreign = observable(other, "198.51.100.9")
    with pytest.raises(TriageError, match="Choose what it is done to"):
        response_actions.request(case, Wish("block_destination", WHY, target=str(foreign.pk)), actor=analyst)
    with pytest.raises(TriageError, match="Say why it is asked for"):
        response_actions.request(case, Wish("block_destination", " "), actor=analyst)


def watch(case, value, kind, analyst):
    row = observable(case, value, kind)
    action = response_actions.request(case, Wish("watch_entity", WHY, target=str(row.pk)), actor=analyst)
    outbox.drain()
    assert state(action) == "succeeded"
    return action


def test_watching_raises_new_alerts_for_a_time(make_case, analyst):
    from triage.response import watching

    action = watch(make_case(), "host-1", "host", analyst)
    assert watching.raised("medium", host_name="HOST-1").severity == "high"
    assert watching.raised("medium", host_name="HOST-1").says == (
        f"One level more: {action.number} watches host-1 more closely."
    )
    assert watching.raised("medium", host_name="host-2").severity == "medium"
    later = action.ends_at + timedelta(minutes=1)
    with time_machine.travel(later, tick=False):
        assert watching.raised("medium", host_name="host-1").severity == "medium"
        response_clock.watch(actor=system("test"))
        outbox.drain()
    assert state(action) == "undone"


@pytest.mark.parametrize(
    ("watched", "alerting", "is_same"),
    [
        ("corp\\mira", "CORP\\Mira", True),
        ("corp\\mira", "mira", True),
        ("mira", "corp\\mira", True),
        ("corp\\mira", "other\\mira", False),
        ("corp\\mira", "corp\\m", False),
        ("mira", "", False),
    ],
)
def test_a_watched_account_is_known_with_and_without_its_domain(
    make_case, analyst, watched, alerting, is_same
):
    from triage.response import watching

    watch(make_case(), watched, "user", analyst)
    assert (watching.raised("high", user=alerting).severity == "critical") == is_same


def test_alerts_of_a_watched_host_weigh_more_in_new_cases_and_in_open_ones(store, make_case, analyst):
    from tests.factories.cases import alert
    from tests.factories.events import attack
    from tests.factories.rules import rule as make_rule
    from triage.models import Case
    from triage.routing import deliver_route

    rule, at = make_rule(), datetime(2026, 3, 18, 9, 41, tzinfo=UTC)
    alert(rule, attack(at, entity="p-1"), at, name="a1", severity="medium")
    deliver_route(None)
    first = Case.objects.latest("pk")
    before, due = first.severity, first.due_at
    action = watch(first, first.host_name, "host", analyst)
    alert(rule, attack(at, entity="p-1"), at, name="a2", severity="medium")
    alert(rule, attack(at, entity="p-2"), at, name="a3", severity="medium")
    deliver_route(None)
    new = Case.objects.latest("pk")
    first.refresh_from_db()
    assert (before, first.severity, new.severity) == ("medium", "high", "high")
    assert first.due_at < due
    told = f"One level more: {action.number} watches {first.host_name} more closely."
    written = JournalEntry.objects.filter(reason=told).values_list("verb", flat=True)
    assert sorted(written) == ["case_opened", "occurrence_added"]
