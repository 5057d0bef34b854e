"""The worker's process is killed at a random moment of an action: it is done at most once.

The order goes to a real receiver over HTTP, which counts what it carried out. 102 kills by `make faults`.
"""

import os
import random
import signal
import threading
import time
import warnings
from collections import Counter
from datetime import timedelta

import pytest
import time_machine
from django.db import connections
from django.utils import timezone

from detections import invariants, outbox
from detections.models import OutboxRow
from tests.factories.actions import approved, connect
from tests.factories.receivers import Receiver
from tests.faults import IS_FULL, keep_figure, number
from triage.models import ResponseAction

pytestmark = pytest.mark.django_db(transaction=True)
BEFORE_IT_ACTS = AFTER_IT_ACTED = 0.02
STRETCHES = ("begun, before it was sent", "sent, before its answer", "answered, before it was stored")
# Longest pauses before the kill, from what is waited for.
UNTIL_SENT, UNTIL_STORED = 0.001, 0.015


class Firewall(Receiver):
    """Carries out each order as often as it comes, and can be asked by key. It tells the test where it is."""

    def __init__(self):
        self.carried_out, self.has_come, self.has_answered = Counter(), threading.Event(), threading.Event()
        super().__init__()

    def answer(self, handler):
        method, path, headers, _body = self.got[-1]
        key = path.rpartition("/")[2] if method == "GET" else headers["Idempotency-Key"]
        if method == "GET":
            found = self.carried_out[key]
            self.answers = [(200, {}, {"result": "done"}) if found else (404, {}, {})]
            return super().answer(handler)
        self.has_come.set()
        time.sleep(BEFORE_IT_ACTS)
        self.carried_out[key] += 1
        time.sleep(AFTER_IT_ACTED)
        self.answers = [(200, {}, {"result": "done", "says": "Done."})]
        super().answer(handler)
        self.has_answered.set()
        return None

    def forget_where(self):
        self.has_come.clear()
        self.has_answered.clear()


@pytest.fixture
def firewall(settings, monkeypatch):
    made = Firewall()
    settings.ALLOWED_TARGETS = [made.entry]
    monkeypatch.setenv("CONNECTOR_FIREWALL", "key")
    config = {"url": f"{made.url}/orders", "status_url": f"{made.url}/orders"}
    connect("block_destination", "webhook", config, {"signing_key": "CONNECTOR_FIREWALL"}, per_minute=10_000)
    yield made
    made.stop()


def in_a_worker(kill_when=None):
    """Deliver what is due in a process of its own; it is killed when that function returns."""
    connections.close_all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            outbox.drain()
        finally:
            os._exit(0)
    if kill_when is not None:
        kill_when()
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def is_running(action):
    """Whether the worker has written that it begins."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        if ResponseAction.objects.filter(pk=action.pk, state="running").exists():
            return
        time.sleep(0.0002)


def moments(action, firewall, chance):
    """Three stretches of an action that a kill may strike in, each waited for, then a random pause."""

    def before_send():
        is_running(action)
        time.sleep(chance.uniform(0, UNTIL_SENT))

    def after_send():
        firewall.has_come.wait(5)
        time.sleep(chance.uniform(0, BEFORE_IT_ACTS + AFTER_IT_ACTED))

    def before_store():
        firewall.has_answered.wait(5)
        time.sleep(chance.uniform(0, UNTIL_STORED))

    return [before_send, after_send, before_store]


def claims_expire():
    """What thirty seconds do to the claim of a process that was killed."""
    past = timezone.now() - timedelta(seconds=1)
    OutboxRow.objects.filter(claimed_until__isnull=False).update(claimed_until=past)


def struck_at(action, firewall):
    """Where the kill struck, as the ledger and the receiver have it."""
    if action.state == "approved":
        return "before it began"
    if action.state == "succeeded":
        return "after it was stored"
    assert action.state == "running"
    if not firewall.has_come.is_set():
        return "begun, before it was sent"
    time.sleep(BEFORE_IT_ACTS + AFTER_IT_ACTED)
    return (
        "answered, before it was stored" if firewall.answered_before_the_kill else "sent, before its answer"
    )


def test_a_killed_worker_repeats_nothing(firewall, make_case, analyst, lead):
    case = make_case()
    chance, struck = random.Random(8), Counter()
    for round_ in range(number(3, 102)):
        action = approved(case, analyst, lead)
        firewall.forget_where()
        wait = moments(action, firewall, chance)[round_ % 3]

        def kill_when(wait=wait):
            wait()
            firewall.answered_before_the_kill = firewall.has_answered.is_set()

        in_a_worker(kill_when)
        action.refresh_from_db()
        struck[struck_at(action, firewall)] += 1
        claims_expire()
        now = timezone.now()
        for minute in range(8):
            with time_machine.travel(now + timedelta(minutes=minute), tick=True):
                outbox.drain()
    done = firewall.carried_out
    for action in ResponseAction.objects.select_related("kind").filter(kind__key="block_destination"):
        was_done = done[action.send_key]
        assert was_done <= 1
        assert action.state == ("succeeded" if was_done else "failed"), action.says
        assert was_done or action.says.endswith("Ask for it again if it is still wanted.")
    assert set(done.values()) == {1}
    assert list(invariants.broken()) == []
    # Every stretch is struck, or the test says nothing about it.
    assert not IS_FULL or min(struck[where] for where in STRETCHES) >= 10, struck
    keep_figure("killed workers", kills=struck.total(), moments=dict(struck), doubled=0)
