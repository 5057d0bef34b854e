"""The page that runs a rule and searches its past."""

import pytest
from django.urls import reverse

from detections import back_search, outbox, schedules
from detections.actors import system
from detections.enums import OutboxState
from detections.models import BackSearch, OutboxRow
from tests.factories.rules import rule as make_rule

STRETCH = {"start": "2026-01-01T00:00", "end": "2026-01-01T10:00"}


@pytest.fixture
def searched(store):
    return schedules.set_enabled(make_rule(enabled=False), True, actor=system("test"))


@pytest.fixture
def page(searched):
    return reverse("searches", args=[searched.pk])


def test_an_admin_asks_for_a_search_sees_it_go_and_cancels_it(as_admin, page):
    assert as_admin.post(page, STRETCH).status_code == 302
    search = BackSearch.objects.get()
    outbox.deliver(OutboxRow.objects.get(kind=back_search.KIND).pk)
    shown = " ".join(as_admin.get(page).text.split())
    assert "1 % searched, 1 slice" in shown
    assert "Cancel" in shown
    row = as_admin.get(reverse("search_row", args=[search.pk])).text
    assert 'hx-trigger="every 1s"' in row
    as_admin.post(reverse("search_cancel", args=[search.pk]))
    row = as_admin.get(reverse("search_row", args=[search.pk])).text
    assert "Cancelled by Adi." in row
    assert "hx-trigger" not in row


def test_a_stretch_that_is_none_is_refused_in_words(as_admin, page):
    answer = as_admin.post(page, {"start": STRETCH["end"], "end": STRETCH["start"]})
    assert answer.status_code == 422
    assert "The stretch ends before it begins" in answer.text


def test_an_admin_asks_for_a_run(as_admin, searched):
    as_admin.post(reverse("rule_run_now", args=[searched.pk]))
    assert OutboxRow.objects.get(kind="run_now").state == OutboxState.PENDING


def test_analysts_read_searches_and_start_none(as_analyst, page, searched):
    assert "You can read searches, not start one" in as_analyst.get(page).text
    assert as_analyst.post(page, STRETCH).status_code == 403
    assert as_analyst.post(reverse("rule_run_now", args=[searched.pk])).status_code == 403
    assert OutboxRow.objects.count() == 0


def test_outsiders_see_none(client, otto, page):
    client.force_login(otto)
    assert client.get(page).status_code == 404
