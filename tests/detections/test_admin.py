"""The admin of detection: schedules are edited through the rule's form alone."""

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from detections import admin as pages
from detections import outbox, schedules
from detections.actors import system
from detections.enums import OutboxState
from detections.models import Import, JournalEntry, OutboxRow, QuarantinedRecord, Rule
from tests.factories.rules import rule as make_rule

READ_ONLY = ["alert", "rulerun", "coveragegap", "import", "quarantinedrecord", "journalentry", "segment"]


@pytest.fixture
def rule(store):
    return schedules.set_enabled(make_rule(enabled=False), True, actor=system("test"))


@pytest.fixture
def signed_in(client, adi):
    client.force_login(adi)
    return client


def page(rule):
    return reverse("admin:detections_rule_change", args=[rule.pk])


def values(rule, **changed):
    fields = ["interval_seconds", "lookback_seconds", "max_cases", "settle_seconds", "version"]
    return {"enabled": "on", **{name: getattr(rule, name) for name in fields}, **changed}


def test_an_edit_changes_rule_and_beat_entry_with_one_journal_entry(signed_in, rule):
    before = JournalEntry.objects.count()
    signed_in.post(page(rule), values(rule, interval_seconds=120, max_cases=9))
    rule.refresh_from_db()
    entry = PeriodicTask.objects.get(name=schedules.entry_name(rule))
    assert (rule.interval_seconds, rule.max_cases, entry.interval.every) == (120, 9, 120)
    assert [e.verb for e in JournalEntry.objects.order_by("pk")[before:]] == ["schedule_changed"]
    assert JournalEntry.objects.latest("pk").actor == "Adi"


def test_an_admin_disables_a_rule(signed_in, rule):
    changed = values(rule)
    del changed["enabled"]
    signed_in.post(page(rule), changed)
    assert Rule.objects.get().enabled is False
    assert PeriodicTask.objects.get(task=schedules.RULE_TASK).enabled is False


def test_a_look_back_shorter_than_the_interval_is_refused_in_a_sentence(signed_in, rule):
    answer = signed_in.post(page(rule), values(rule, interval_seconds=900))
    assert "A look-back of 540 s is shorter than the interval of 900 s" in answer.content.decode()
    assert Rule.objects.get().interval_seconds == 300


def test_an_edit_over_somebody_else_s_is_refused(signed_in, rule):
    stale = values(rule, max_cases=1)
    schedules.change_schedule(rule, actor=system("other"), max_cases=50)
    answer = signed_in.post(page(rule), stale)
    assert "Somebody else changed this rule meanwhile" in answer.content.decode()
    assert Rule.objects.get().max_cases == 50


def test_a_rule_is_run_from_its_form(signed_in, rule):
    text = signed_in.get(page(rule)).text
    assert f'<form method="post" action="/rules/{rule.pk}/run-now/">' in text
    answer = signed_in.post(f"/rules/{rule.pk}/run-now/", follow=True)
    assert "A run was asked for" in answer.text


def test_times_are_written_on_a_24_hour_clock(signed_in, rule):
    Rule.objects.update(covered_until=datetime(2026, 3, 18, 14, 5, 9, tzinfo=UTC))
    assert "2026-03-18 14:05:09" in signed_in.get(page(rule)).text


def test_the_form_shows_the_lag_tolerance(signed_in, rule):
    assert (
        "An event that arrives up to 3 min late is surely found on schedule."
        in signed_in.get(page(rule)).text
    )
    schedules.change_schedule(rule, actor=system("test"), lookback_seconds=320)
    assert "-40 s, too short" in signed_in.get(reverse("admin:detections_rule_changelist")).text


@pytest.mark.parametrize("who", ["ana", "superuser"])
def test_nobody_else_edits_a_rule(client, rule, ana, who):
    user = ana if who == "ana" else User.objects.create_superuser("root")
    user.is_staff = True
    user.save()
    client.force_login(user)
    client.post(page(rule), values(rule, max_cases=1))
    assert Rule.objects.get().max_cases == 100


def test_a_rule_s_beat_entry_is_read_only(client, rule):
    client.force_login(User.objects.create_superuser("root"))
    entry = PeriodicTask.objects.get(task=schedules.RULE_TASK)
    url = reverse("admin:django_celery_beat_periodictask_change", args=[entry.pk])
    shown = client.get(url)
    assert (shown.status_code, "periodic-task-overrides" in shown.content.decode()) == (200, False)
    assert client.post(url, {"enabled": ""}).status_code == 403
    interval = reverse("admin:django_celery_beat_intervalschedule_change", args=[entry.interval.pk])
    assert client.post(interval, {"every": 9, "period": "hours"}).status_code == 403
    assert IntervalSchedule.objects.get(pk=entry.interval.pk).every == 300


@pytest.mark.parametrize("name", READ_ONLY)
def test_facts_are_listed_and_never_edited(signed_in, name):
    assert signed_in.get(reverse(f"admin:detections_{name}_changelist")).status_code == 200
    assert signed_in.get(reverse(f"admin:detections_{name}_add")).status_code == 403


def test_the_quarantine_is_searched(signed_in):
    from detections.models import Import

    capture = Import.objects.create(status="partial")
    for name in ("torn.evtx", "whole.ndjson"):
        QuarantinedRecord.objects.create(capture=capture, file=name, position="line 3", reason="not JSON")
    shown = signed_in.get(reverse("admin:detections_quarantinedrecord_changelist"), {"q": "torn"})
    assert ("torn.evtx" in shown.content.decode(), "whole.ndjson" in shown.content.decode()) == (True, False)


def test_given_up_work_is_tried_again(signed_in):
    row = OutboxRow.objects.create(
        kind="x", key="k", state=OutboxState.FAILED, attempts=8, not_before="2026-01-01T00:00Z", error="no"
    )
    url = reverse("admin:detections_outboxrow_changelist")
    signed_in.post(url, {"action": "try_again", "_selected_action": [row.pk]})
    row.refresh_from_db()
    assert (row.state, row.attempts) == ("pending", 0)
    assert JournalEntry.objects.get().verb == "outbox_retried"
    assert outbox.MAX_ATTEMPTS == 8
    assert pages.RuleAdmin.actions is None


@pytest.mark.parametrize(
    ("lookback", "says"),
    [
        (540, "An event that arrives up to 3 min late is surely found on schedule."),
        (400, "Only 40 s: events are often later than that."),
        (300, "Negative by 1 min: two events that arrive in time can still be missed together."),
    ],
)
def test_the_tolerance_is_explained_in_a_sentence_and_a_small_one_warned_of(signed_in, rule, lookback, says):
    answer = signed_in.post(page(rule), values(rule, lookback_seconds=lookback), follow=True)
    warned = [str(one) for one in answer.context["messages"] if one.level_tag == "warning"]
    assert any(says in one for one in warned) is (lookback != 540)
    assert says in signed_in.get(page(rule)).content.decode()


def test_the_form_brings_the_script_that_works_the_tolerance_out(signed_in, rule):
    shown = signed_in.get(page(rule)).content.decode()
    assert "js/rule_form.js" in shown
    assert shown.count('data-maxspan="60"') == 2


def test_the_canary_s_rule_is_not_edited(signed_in, rule):
    Rule.objects.update(is_canary=True)
    assert signed_in.get(page(rule)).status_code == 302


def test_a_hidden_character_is_shown_in_lists_and_on_the_page(signed_in):
    """A right-to-left override would make a name read as another one."""
    capture = Import.objects.create()
    record = QuarantinedRecord.objects.create(
        capture=capture, file="cod\u202egpj.exe", reason="torn", raw="a\nb"
    )
    for url in (
        reverse("admin:detections_quarantinedrecord_changelist"),
        reverse("admin:detections_quarantinedrecord_change", args=[record.pk]),
    ):
        html = signed_in.get(url).content.decode()
        assert ("cod\u2039U+202E\u203agpj.exe" in html, "\u202e" in html) == (True, False)
    record.refresh_from_db()
    assert record.file == "cod\u202egpj.exe"
