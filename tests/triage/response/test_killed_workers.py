"""The worker's process is killed at a random moment of an action: it is done at most once.

The order goes to a real receiver over HTTP, which counts what it carried out. 100 kills by `make faults`.
"""

import os
import random
import signal
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
from tests.faults import keep_figure, number
from triage.models import ResponseAction

pytestmark = pytest.mark.django_db(transaction=True)
BEFORE_IT_ACTS = AFTER_IT_ACTED = 0.02


class Firewall(Receiver):
    """Carries out each order as often as it comes, and can be asked by key."""

    def __init__(self):
        self.carried_out = Counter()
        super().__init__()

    def answer(self, handler):
        method, path, headers, _body = self.got[-1]
        key = path.rpartition("/")[2] if method == "GET" else headers["Idempotency-Key"]
        if method == "GET":
            found = self.carried_out[key]
            self.answers = [(200, {}, {"result": "done"}) if found else (404, {}, {})]
        else:
            time.sleep(BEFORE_IT_ACTS)
            self.carried_out[key] += 1
            time.sleep(AFTER_IT_ACTED)
            self.answers = [(200, {}, {"result": "done", "says": "Done."})]
        return super().answer(handler)


@pytest.fixture
def firewall(settings, monkeypatch):
    made = Firewall()
    settings.ALLOWED_TARGETS = [made.entry]
    monkeypatch.setenv("CONNECTOR_FIREWALL", "key")
    config = {"url": f"{made.url}/orders", "status_url": f"{made.url}/orders"}
    connect("block_destination", "webhook", config, {"signing_key": "CONNECTOR_FIREWALL"}, per_minute=10_000)
    yield made
    made.stop()


def in_a_worker(*, killed_after=None):
    """Deliver what is due in a process of its own, killed after so many seconds. How long it took."""
    connections.close_all()
    began = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            outbox.drain()
        finally:
            os._exit(0)
    if killed_after is not None:
        time.sleep(killed_after)
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return time.monotonic() - began


def claims_expire():
    """What thirty seconds do to the claim of a process that was killed."""
    past = timezone.now() - timedelta(seconds=1)
    OutboxRow.objects.filter(claimed_until__isnull=False).update(claimed_until=past)


def moment(action, firewall):
    """Where the kill struck, as the ledger and the receiver have it."""
    if action.state == "running":
        return "after it was done" if firewall.carried_out[action.send_key] else "before it was done"
    return {"approved": "before it began", "succeeded": "after it was stored"}[action.state]


def test_a_killed_worker_repeats_nothing(firewall, make_case, analyst, lead):
    case = make_case()
    approved(case, analyst, lead)
    whole = in_a_worker()
    chance, struck = random.Random(8), Counter()
    for _round in range(number(4, 100)):
        action = approved(case, analyst, lead)
        in_a_worker(killed_after=chance.uniform(0, whole))
        action.refresh_from_db()
        struck[moment(action, firewall)] += 1
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
    keep_figure("killed workers", kills=struck.total(), moments=dict(struck), doubled=0, took_ms=whole * 1000)
