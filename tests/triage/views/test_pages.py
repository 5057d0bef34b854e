"""Rules, health, first steps, and the pages for what went wrong."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from detections.models import Canary, CoverageGap, CoveredWindow, Rule
from tests.factories.cases import alert, shipped_rule
from tests.factories.events import attack
from tests.factories.rules import rule as make_rule
from triage.views.health import _stretch

pytestmark = pytest.mark.django_db


def test_the_rule_s_page_shows_query_and_guide(as_analyst):
    rule = shipped_rule()
    shown = as_analyst.get(reverse("rule", args=[rule.pk])).text
    assert '<span class="q-keyword">sequence</span> <span class="q-keyword">by</span>' in shown
    assert shown.count("Escalate when") == 7
    assert "Rules are edited by admins." in shown


def test_admins_get_to_the_rule_s_form(as_admin):
    rule = shipped_rule()
    link = reverse("admin:detections_rule_change", args=[rule.pk])
    assert link in as_admin.get(reverse("rule", args=[rule.pk])).text
    assert as_admin.get(link).status_code == 200


def test_a_rule_that_does_not_run_here_says_so(as_analyst):
    rule = Rule.objects.create(rule_id="t", name="T", type="threshold", severity="low", risk_score=1)
    assert "don't run here" in as_analyst.get("/rules/").text
    assert "don't run here" in as_analyst.get(reverse("rule", args=[rule.pk])).text


def test_an_instance_without_rules_says_how_to_load_them(as_analyst):
    shown = as_analyst.get("/rules/").text
    assert "No rules are loaded, so nothing is searched" in shown


def test_health_tells_a_gap_with_its_reason(as_analyst, rule):
    now = timezone.now()
    Rule.objects.update(enabled=True, covered_until=now)
    CoveredWindow.objects.create(rule=rule, start=None, end=now)
    CoverageGap.objects.create(
        rule=rule,
        from_time=now - timedelta(hours=2),
        to_time=now - timedelta(hours=1),
        mark_to=1,
        reason="truncated",
        detail="at 1,000 matches",
    )
    shown = as_analyst.get("/health/?period=6h").text
    assert "Truncated" in shown
    assert "at 1,000 matches" in shown
    assert 'class="f-orange" x="66.67%" width="16.67%"' in " ".join(shown.split())


def test_a_stretch_outside_of_the_picture_is_not_drawn():
    now = timezone.now()
    day = timedelta(days=1)
    assert _stretch(now - day, now, now - 3 * day, now - 2 * day, "f-red") is None
    whole = _stretch(now - day, now, None, now + day, "f-cover")
    assert whole is not None
    assert (whole.x, whole.width) == ("0.00%", "100.00%")


def test_first_steps_say_what_this_version_can_not_do(as_admin):
    shown = " ".join(as_admin.get("/next-steps/").text.split())
    assert "Events that are in an Elasticsearch already stay there" in shown
    assert "Load the shipped one" in shown


def test_what_is_not_there_gets_a_page_in_words(as_analyst):
    reply = as_analyst.get("/nowhere/")
    assert reply.status_code == 404
    assert "There is nothing here that you can see" in reply.text


def test_a_broken_page_still_looks_like_the_product(client, ana, monkeypatch):
    def broken(**_):
        raise RuntimeError

    monkeypatch.setattr("triage.views.queue.read_queue", broken)
    client.force_login(ana)
    client.raise_request_exception = False
    reply = client.get("/")
    assert reply.status_code == 500
    assert "Casewright could not make this page" in reply.text


def test_health_charts_the_canaries_and_says_which_is_missing(as_analyst, settings):
    settings.CANARY_SECONDS = 3600
    now = timezone.now()
    alerts = [alert(make_rule(f"r{number}"), attack(now), now, name=f"a{number}") for number in range(2)]
    for number, seconds in enumerate((20, 40)):
        sent = now - timedelta(hours=3 - number)
        Canary.objects.create(
            nonce=f"n{number}",
            created_at=sent,
            sent_at=sent,
            found_at=sent + timedelta(seconds=seconds),
            alert=alerts[number],
        )
    lost = now - timedelta(hours=1)
    Canary.objects.create(nonce="n2", created_at=lost, sent_at=lost)
    shown = " ".join(as_analyst.get("/health/").text.split())
    assert 'x="0" y="50.0" width="8" height="50.0"' in shown
    assert 'class="f-red" x="20" y="0.0" width="8" height="100.0"' in shown
    assert "the slowest took 40.0 s" in shown
    assert "is in the event store, but no rule has found it" in shown
