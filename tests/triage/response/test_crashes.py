"""The worker is lost at any moment of an action, and deliveries repeat: it is done at most once."""

import random
from datetime import timedelta

import pytest
import time_machine
from django.db import IntegrityError
from django.utils import timezone

from detections import invariants, outbox
from detections.models import OutboxRow
from tests.factories.actions import approved, scripted
from tests.faults import keep_figure
from tests.faults import number as number_of
from triage.response import running as response_running
from triage.response.actions import retry

pytestmark = pytest.mark.django_db
ROUNDS = number_of(10, 100)
MOMENTS = ["before_begin", "before_send", "after_send", "before_store", "after_store", "never"]


class Lost(BaseException):
    """The process is gone: nothing of it runs any more."""


def strike():
    raise Lost


def crash(target, monkeypatch, moment):
    """Lose the worker at that moment of its next delivery."""
    monkeypatch.undo()
    target.before_send = target.after_send = None
    if moment == "before_begin":
        monkeypatch.setattr(response_running, "_take", lambda _pk: strike())
    elif moment == "before_send":
        target.before_send = staticmethod(strike)
    elif moment == "after_send":
        target.after_send = staticmethod(strike)
    elif moment == "before_store":
        monkeypatch.setattr(response_running, "store", lambda *_given, **_named: strike())
    elif moment == "after_store":
        keep = response_running.store

        def lose(*given, **named):
            keep(*given, **named)
            strike()

        monkeypatch.setattr(response_running, "store", lose)


def deliver_all():
    """Deliver what is due, as a worker that may be lost at it."""
    try:
        outbox.drain()
    except Lost:
        return


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_an_action_is_done_at_most_once_and_its_state_is_right(seed, make_case, analyst, lead, monkeypatch):
    chance = random.Random(seed)
    target = scripted()
    action = approved(make_case(), analyst, lead)
    now = timezone.now()
    for step in range(chance.randint(1, 3)):
        crash(target, monkeypatch, chance.choice(MOMENTS))
        with time_machine.travel(now + timedelta(minutes=step), tick=False):
            deliver_all()
    crash(target, monkeypatch, "never")
    for step in range(3, 20):
        with time_machine.travel(now + timedelta(minutes=step), tick=False):
            # Every delivery comes twice.
            OutboxRow.objects.filter(kind=response_running.RUN).update(
                state="pending", claimed_until=None, attempts=0, not_before=timezone.now()
            )
            deliver_all()
    action.refresh_from_db()
    keys = target.done
    assert len(keys) == len(set(keys)) <= 1
    assert action.state == ("succeeded" if keys else "failed"), action.says
    if action.state == "failed":
        assert action.says.endswith("It was not done. Ask for it again if it is still wanted.")
        retry(action, actor=analyst)
        with time_machine.travel(now + timedelta(hours=1), tick=False):
            deliver_all()
        action.refresh_from_db()
        assert (action.state, len(target.done)) == ("succeeded", 1)
    assert list(invariants.broken()) == []


def test_no_two_actions_have_one_key(make_case, analyst, lead):
    scripted()
    action, other = approved(make_case(), analyst, lead), approved(make_case(2), analyst, lead)
    with pytest.raises(IntegrityError):
        type(other).objects.filter(pk=other.pk).update(idempotency_key=action.idempotency_key)


def test_what_is_unknown_is_asked_for_and_never_repeated(make_case, analyst, lead, monkeypatch):
    from triage.errors import TriageError

    target = scripted()
    action = approved(make_case(), analyst, lead)
    crash(target, monkeypatch, "after_send")
    deliver_all()
    with time_machine.travel(timezone.now() + timedelta(seconds=31), tick=False):
        outbox.deliver_ready()
        action.refresh_from_db()
        assert (action.state, target.asked) == ("unknown", [])
        with pytest.raises(TriageError, match="asked for, never repeated"):
            retry(action, actor=analyst)
    with time_machine.travel(timezone.now() + timedelta(seconds=40), tick=False):
        outbox.drain()
    action.refresh_from_db()
    assert (action.state, target.sent, target.asked) == ("succeeded", [action.send_key], [action.send_key])


@pytest.mark.django_db(transaction=True)
def test_of_twenty_who_decide_at_once_one_wins(make_case, analyst):
    """100 rounds by `make faults`."""
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    from django.db import connection

    from tests.factories.actions import leads, requested
    from triage.errors import TriageError
    from triage.models import ResponseAction
    from triage.response import actions as response_actions

    scripted()
    people = leads(20)
    rounds = number_of(2, 100)
    for number in range(rounds):
        action = requested(make_case(number + 1), analyst)
        barrier = Barrier(len(people))

        def decide(position, action=action, barrier=barrier):
            barrier.wait()
            try:
                if position % 3 == 2:
                    response_actions.decline(
                        action, actor=people[position], reason="No.", seen_sha256=action.content_sha256
                    )
                else:
                    response_actions.approve(
                        action, actor=people[position], seen_sha256=action.content_sha256
                    )
            except TriageError as error:
                return str(error)
            finally:
                connection.close()
            return "won"

        with ThreadPoolExecutor(len(people)) as pool:
            results = list(pool.map(decide, range(len(people))))
        assert results.count("won") == 1
        assert all(results)
        assert ResponseAction.objects.get(pk=action.pk).state in ("approved", "declined")
    keep_figure("approval races", rounds=rounds, deciders=20, winners_a_round=1)
