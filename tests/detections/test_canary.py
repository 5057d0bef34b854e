"""The canary: what is sent by the front door comes out as an alert, and nothing else passes for it."""

import copy
from datetime import timedelta
from hashlib import sha256

import pytest
from django.utils import timezone

from detections import canary, health, invariants, run
from detections.enums import RunTrigger
from detections.models import Alert, Canary, Rule
from detections.stores.base import MappedEvent
from triage import routing
from triage.models import Case

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def hourly(settings):
    settings.CANARY_SECONDS = 3600


def fly(product, sent):
    """The canary's rule runs a minute later, and its alerts are routed."""
    now = sent.created_at + timedelta(minutes=1)
    runs = run.run_rules(
        Rule.objects.filter(is_canary=True), actor=product, trigger=RunTrigger.SCHEDULE, now=now
    )
    routing.route_alerts(actor=product)
    return runs


def test_what_was_sent_comes_out_as_an_alert_and_opens_no_case(store, product):
    sent = canary.send_if_due(actor=product)
    assert sent.sent_at is not None
    [ended] = fly(product, sent)
    sent.refresh_from_db()
    assert (ended.status, ended.alerts_new, ended.error) == ("succeeded", 1, "")
    assert sent.alert == Alert.objects.get()
    assert sent.latency_seconds > 0
    assert sent.nonce in str(sent.alert.events)
    assert (Case.objects.count(), Alert.objects.unrouted().count()) == (0, 0)
    assert list(invariants.broken()) == []


def test_it_is_sent_once_an_interval(store, product):
    first = canary.send_if_due(actor=product)
    assert canary.send_if_due(actor=product) is None
    again = canary.send_if_due(actor=product, now=first.created_at + timedelta(hours=1))
    assert again.nonce != first.nonce


def test_one_that_a_killed_worker_left_half_sent_is_finished(store, product, monkeypatch):
    monkeypatch.setattr(canary, "_store", lambda _row: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        canary.send_if_due(actor=product)
    monkeypatch.undo()
    assert Canary.objects.get().sent_at is None
    sent = canary.send_if_due(actor=product)
    assert Canary.objects.get() == sent
    fly(product, sent)
    assert Canary.objects.get().alert == Alert.objects.get()


def test_somebody_else_s_events_open_a_case(store, product):
    """The whole shape is right, data stream and nonce included: only the identities tell."""
    sent = canary.send_if_due(actor=product)
    forged = [copy.deepcopy(document) for document in sent.events]
    for document in forged:
        document["message"] = "Not Casewright's."
    store.append(
        [MappedEvent(sha256(repr(one).encode()).hexdigest(), one, "x") for one in forged], batch="forged"
    )
    fly(product, sent)
    sent.refresh_from_db()
    claimed = {sent.alert_id} - {None}
    assert Case.objects.count() == Alert.objects.exclude(pk__in=claimed).count() == 1


def test_a_nonce_counts_once(store, product):
    sent = canary.send_if_due(actor=product)
    fly(product, sent)
    alert = Alert.objects.get()
    alert.pk, alert.alert_id, alert.run = None, "f" * 64, None
    alert.routed_at = None
    alert.save(force_insert=True)
    routing.route_alerts(actor=product)
    assert Case.objects.count() == 1


def test_an_alert_of_another_rule_is_no_canary(store, product):
    sent = canary.send_if_due(actor=product)
    Rule.objects.update(is_canary=False)
    run.run_rules(
        Rule.objects.all(),
        actor=product,
        trigger=RunTrigger.SCHEDULE,
        now=sent.created_at + timedelta(minutes=1),
    )
    routing.route_alerts(actor=product)
    assert (Canary.objects.get().found_at, Case.objects.count()) == (None, 1)


def test_absence_is_an_alarm(store, product):
    sent = canary.send_if_due(actor=product)
    soon, later = (sent.created_at + timedelta(minutes=minutes) for minutes in (2, 30))
    assert canary.missing(now=soon) == ""
    assert canary.missing(now=later) == (
        f"The canary of {sent.created_at:%Y-%m-%d %H:%M:%S} UTC is in the event store, "
        "but no rule has found it."
    )
    fly(product, sent)
    assert canary.missing(now=later) == ""
    much_later = sent.created_at + timedelta(hours=2)
    assert canary.missing(now=much_later).startswith("No canary has been sent since")


def test_switched_off_nothing_is_sent_and_nothing_is_missed(store, product, settings):
    sent = canary.send_if_due(actor=product)
    settings.CANARY_SECONDS = 0
    assert canary.send_if_due(actor=product, now=timezone.now() + timedelta(hours=2)) is None
    assert Canary.objects.count() == 1
    assert Rule.objects.get(is_canary=True).enabled is False
    assert canary.missing(now=sent.created_at + timedelta(days=1)) == ""


def test_the_canary_s_rule_is_not_among_people_s_rules(store, product, client, ana):
    canary.send_if_due(actor=product)
    assert health.strip(actor=product).rules_enabled == 0
    assert health.rule_health(actor=product) == []
    client.force_login(ana)
    assert "Casewright canary" not in client.get("/rules/").text
