"""An empty instance: the first account, what to do next, and a real capture by hand."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import Faults
from tests.instance import wait_for
from tests.shared import shared

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
PASSWORD = "correct horse battery staple"


@pytest.fixture
def admin(page, empty):
    """The first admin: made on the first-run page by the first test that needs one."""
    faults = Faults(page, empty.url)
    page.goto(empty.url)
    if page.get_by_role("heading", name="Make the first account").is_visible():
        page.get_by_label("User name").fill("ren")
        page.get_by_label("Full name").fill("Ren Tanaka")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("Password again").fill(PASSWORD)
        page.get_by_role("button", name="Make the account").click()
    else:
        page.get_by_label("User name").fill("ren")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Ren Tanaka, account")).to_be_visible()
    yield page
    assert faults.found == []


def test_the_first_run_page_makes_the_first_admin_and_says_what_to_do_next(admin, empty):
    for step in ("Import a capture", "Load rules"):
        expect(admin.get_by_role("main").get_by_text(re.compile(step, re.IGNORECASE)).first).to_be_visible()
    assert (
        empty.ask("__import__('django.contrib.auth.models').contrib.auth.models.User.objects.count()") == "1"
    )


def test_there_is_no_second_first_account(admin, empty):
    admin.context.clear_cookies()
    admin.goto(f"{empty.url}/first-run/")
    expect(admin.get_by_role("heading", name="Sign in")).to_be_visible()


def test_an_empty_queue_says_whether_anything_was_searched(admin, empty):
    admin.goto(empty.url)
    words = "Searched, and found nothing|no telemetry to search|nothing has been searched"
    expect(admin.get_by_role("heading", name=re.compile(words))).to_be_visible()


def test_a_capture_whose_clocks_disagree_opens_a_case_that_says_so(admin, empty):
    empty.manage("ingest", str(shared("telemetry/captures")), check=False)
    found = "Case.objects.filter(time_basis='clock_repaired', remote_ip='10.0.2.17')"
    wait_for(lambda: empty.ask(f"{found}.count()") == "1", "the case opens", seconds=90)
    admin.goto(f"{empty.url}/cases/{empty.ask(f'{found}.get().pk')}/")
    expect(admin.get_by_text(re.compile("clocks? of this case (was|were) repaired"))).to_be_visible()
    expect(admin.get_by_label("Facts and journal")).to_contain_text("10.0.2.17")


def test_the_rule_s_schedule_is_edited_in_the_admin(admin, empty):
    """The lag tolerance is told while it is typed; what leaves time unsearched is refused, and kept."""
    admin.goto(f"{empty.url}/admin/detections/rule/")
    admin.get_by_role("link", name=re.compile("mshta", re.IGNORECASE)).first.click()
    told = admin.locator(".field-lag_tolerance .readonly")
    expect(told).to_have_text("An event that arrives up to 3 min late is surely found on schedule.")
    admin.get_by_label("Runs every (seconds)").fill("900")
    expect(told).to_have_text("Refused: a look-back of 540 s is shorter than the interval of 900 s.")
    admin.get_by_label("Cases opened per run, at most").fill("7")
    admin.get_by_label("Settle time (seconds)").fill("20")
    admin.get_by_role("button", name="Save and continue editing").click()
    expect(admin.get_by_text("Set it to 900 s or more.")).to_be_visible()
    expect(admin.get_by_label("Cases opened per run, at most")).to_have_value("7")
    admin.get_by_label("Look-back (seconds)").fill("990")
    expect(told).to_have_text(re.compile("^Only 30 s: "))
    admin.get_by_role("button", name="Save and continue editing").click()
    expect(admin.get_by_text(re.compile("lag tolerance: Only 30 s"))).to_be_visible()
    asked = (
        "Rule.objects.filter(is_canary=False).values_list('interval_seconds', 'max_cases', 'settle_seconds')"
    )
    assert empty.ask(f"list({asked})") == "[(900, 7, 20)]"
    beat = "__import__('django_celery_beat.models').models.PeriodicTask.objects"
    assert empty.ask(f"{beat}.filter(name__startswith='rule ', interval__every=900).count()") == "1"
