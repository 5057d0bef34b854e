"""The queue's page."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from detections.models import RuleRun, RuleVersion
from tests.factories.events import attack, mapped

pytestmark = pytest.mark.django_db


def queries(client, url: str) -> int:
    client.get(url)
    with CaptureQueriesContext(
        connection,
    ) as seen:
        assert client.get(url).status_code == 200
    return len(seen)


def test_more_cases_need_no_more_queries(as_analyst, make_case, ana):
    make_case(1, assignee=ana)
    one = queries(as_analyst, "/")
    make_case(2, assignee=ana)
    make_case(3)
    assert queries(as_analyst, "/") == one


def test_the_rail_says_where_one_is(as_analyst):
    here = [
        as_analyst.get(url).text.count('href="/" aria-current="page"') for url in ("/", "/rules/", "/health/")
    ]
    assert here == [1, 0, 0]


def test_an_outsider_sees_no_case(client, otto, make_case):
    case = make_case(title="Secret thing")
    client.force_login(otto)
    shown = client.get("/").text
    assert "Secret thing" not in shown
    assert "Your account sees no cases" in shown
    assert "nothing has been searched" not in shown
    assert "No rule" not in shown
    for name in ("case", "case_peek", "case_evidence", "case_journal", "case_close"):
        assert client.get(reverse(name, args=[case.pk])).status_code == 404
    assert client.get(reverse("question", args=[case.pk, "verdict"])).status_code == 404


def test_nothing_searched_yet_is_said(as_analyst):
    assert "No cases, because nothing has been searched yet" in as_analyst.get("/").text


def finished_run(rule):
    version = RuleVersion.objects.create(rule=rule, number=1, source="", sha256="0" * 64)
    at = timezone.now()
    return RuleRun.objects.create(
        rule=rule,
        rule_version=version,
        trigger="schedule",
        status="succeeded",
        fence=1,
        window_end=at,
        mark_from=0,
        mark_to=0,
        started_at=at,
        finished_at=at,
    )


def test_searched_and_nothing_found_is_said_with_the_time(as_analyst, rule, store):
    store.append(mapped(*attack(timezone.now())), batch="b")
    run = finished_run(rule)
    shown = as_analyst.get("/").text
    assert "Searched, and found nothing" in shown
    assert f"{run.started_at:%H:%M:%S} UTC" in shown


def test_rules_that_ran_over_an_empty_store_have_not_searched_anything(as_analyst, rule):
    finished_run(rule)
    shown = as_analyst.get("/").text
    assert "No cases, because there is no telemetry to search" in shown
    assert "Searched, and found nothing" not in shown


def test_a_search_without_result_is_said(as_analyst, make_case):
    make_case()
    shown = as_analyst.get("/?q=elsewhere").text
    assert "matches the search" in shown
    assert "nothing has been searched" not in shown


def test_the_peek_panel_opens_with_the_page_and_alone(as_analyst, make_case):
    case = make_case(7)
    assert f'aria-label="{case.number}, selected case"' in as_analyst.get(f"/?case={case.pk}").text
    alone = as_analyst.get(reverse("case_peek", args=[case.pk])).text
    assert "<html" not in alone
    assert "host-7" in alone


def test_ticked_cases_are_assigned_to_the_person(as_analyst, make_case, ana):
    one, two, other = make_case(1), make_case(2), make_case(3)
    reply = as_analyst.post("/queue/assign/", {"cases": [one.pk, two.pk], "back": "/?tab=unassigned"})
    assert reply.url == "/?tab=unassigned"
    for case, owner in ((one, ana), (two, ana), (other, None)):
        case.refresh_from_db()
        assert case.assignee == owner


def test_writing_needs_a_post(as_analyst, make_case):
    case = make_case()
    for name in ("case_assign",):
        assert as_analyst.get(reverse(name, args=[case.pk])).status_code == 405
    assert as_analyst.get("/queue/assign/").status_code == 405


def test_who_may_not_assign_is_told_so(client, adi, make_case):
    case = make_case()
    client.force_login(adi)
    reply = client.post("/queue/assign/", {"cases": [case.pk]})
    assert reply.status_code == 403
    assert "may not assign cases" in reply.text


def test_hostile_values_are_shown_and_harmless(as_analyst, make_case):
    make_case(host_name="a\u202eb<script>", title="T\u200b<img>")
    shown = as_analyst.get("/").text
    assert "<script>alert" not in shown
    assert "b<script>" not in shown
    assert "U+202E" in shown
    assert "U+200B" in shown


def test_no_page_carries_inline_code(as_analyst, make_case):
    case = make_case()
    for url in (
        "/",
        f"/cases/{case.pk}/questions/verdict/",
        "/health/",
        "/imports/",
        "/rules/",
        "/next-steps/",
    ):
        reply = as_analyst.get(url)
        assert " style=" not in reply.text
        assert "<style" not in reply.text
        assert " onclick=" not in reply.text
        assert "script-src 'self'" in reply["Content-Security-Policy"]
