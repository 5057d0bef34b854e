"""What machines ask: alive, ready, figures."""

from datetime import timedelta

import pytest
from django.db import DatabaseError
from django.utils import timezone

from detections import health, heartbeat, schedules, wake
from detections.actors import system
from detections.models import Heartbeat, Rule
from tests.factories.rules import rule as make_rule

pytestmark = pytest.mark.django_db


@pytest.fixture
def alive(db):
    for name in health.PROCESSES:
        heartbeat.beat(name)


@pytest.fixture
def ran(store):
    rule = schedules.set_enabled(make_rule(enabled=False), True, actor=system("test"))
    wake.wake()
    return rule


def test_the_web_process_says_that_it_lives(client):
    answer = client.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "ok\n")


def test_detection_is_ready(client, alive, ran):
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "reasons": []})


def test_coverage_that_falls_behind_is_not_ready(client, alive, ran):
    """Interval 300 s, settle 15 s, two wakes of 30 s, a minute of grace: 435 s."""
    now = timezone.now()
    for age, status in ((timedelta(seconds=430), 200), (timedelta(seconds=440), 503)):
        Rule.objects.update(covered_until=now - age)
        assert client.get("/readyz").status_code == status
    said = client.get("/readyz").json()["reasons"]
    until = f"{now - timedelta(seconds=440):%Y-%m-%d %H:%M:%S}"
    assert said == [
        f"Coverage is behind: 1 of 1 enabled rules are not on time, the furthest behind up to {until} UTC."
    ]


def test_a_disabled_rule_is_not_behind(client, alive, ran):
    Rule.objects.update(covered_until=timezone.now() - timedelta(days=2), enabled=False)
    assert client.get("/readyz").status_code == 200


def test_a_silent_worker_is_not_ready(client, alive, ran):
    Heartbeat.objects.filter(name="worker").delete()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["reasons"]) == (
        503,
        ["No sign of life from worker: never seen."],
    )


def test_after_a_start_it_says_that_it_starts_and_later_that_something_is_dead(client, ran):
    heartbeat.beat("beat")
    Heartbeat.objects.update(seen_at=timezone.now() - timedelta(seconds=30))
    heartbeat.beat(health.START)
    assert client.get("/readyz").json()["reasons"] == [
        "Starting: beat has given no sign of life yet since the start.",
        "Starting: worker has given no sign of life yet since the start.",
    ]
    Heartbeat.objects.update(seen_at=timezone.now() - timedelta(seconds=61))
    said = client.get("/readyz").json()["reasons"]
    assert [one.split(":")[0] for one in said] == [
        "No sign of life from beat",
        "No sign of life from worker",
    ]


def test_a_dead_database_is_not_ready(client, monkeypatch):
    def dead(**_):
        raise DatabaseError("gone")

    monkeypatch.setattr(health, "signs", dead)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["reasons"]) == (
        503,
        ["The database does not answer: DatabaseError."],
    )


def test_figures_need_the_token_or_the_permission(client, ana, otto, settings):
    assert client.get("/metrics").status_code == 401
    settings.METRICS_TOKEN = "s3cret"
    tried = ["Bearer wrong", "Basic s3cret", "Bearer ", "Bearer s3cret"]
    assert [client.get("/metrics", headers={"Authorization": one}).status_code for one in tried] == [
        401,
        401,
        401,
        200,
    ]
    client.force_login(otto)
    assert client.get("/metrics").status_code == 403
    client.force_login(ana)
    assert client.get("/metrics").status_code == 200


def test_without_a_token_in_the_settings_none_opens_the_figures(client, settings):
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 401


def test_figures_say_what_is_there(client, ana, alive, ran):
    client.force_login(ana)
    lines = client.get("/metrics").text.splitlines()
    assert 'casewright_rule_runs{status="succeeded"} 1.0' in lines
    assert 'casewright_cases{status="open"} 0.0' in lines
    assert 'casewright_outbox_rows{state="failed"} 0.0' in lines
    assert "casewright_ingest_head 0.0" in lines
    assert "casewright_rules_behind 0.0" in lines
    lag = next(line for line in lines if line.startswith("casewright_rule_coverage_lag_seconds{"))
    assert 'rule_id="mshta"' in lag
    assert 15 <= float(lag.split()[-1]) < 60
    ages = [line for line in lines if line.startswith("casewright_heartbeat_age_seconds{")]
    assert len(ages) == 2
