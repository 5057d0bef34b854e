"""The demo, walked in a browser: from the case that the due run found to a closed, justified decision."""

import re
import time

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import sign_in_by

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ATTACKER = "10.20.9.118"
AMBIGUOUS = "10.20.2.77"
BENIGN_SOURCE = "10.20.2.15"
QUESTIONS = 7
GUIDE_PIVOTS = ["network", "files", "children", "libraries", "host_alerts"]


def search(page: Page, url: str, words: str, *, tab: str = "all"):
    """The queue's rows for a search."""
    page.goto(f"{url}/?tab={tab}&q={words}")
    return page.locator("tr[data-case]")


def wait_for_rows(page: Page, url: str, words: str, count: int, *, seconds: float = 60):
    """As an analyst does who reloads the queue until the cases are there."""
    deadline = time.monotonic() + seconds
    while (rows := search(page, url, words)).count() != count and time.monotonic() < deadline:
        time.sleep(1)
    expect(rows).to_have_count(count)
    return rows


def open_case(page: Page, url: str, words: str) -> str:
    """Open the one case that the search finds; its address."""
    wait_for_rows(page, url, words, 1).get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="Your answer")).to_be_visible()
    return page.url.split("/questions/")[0]


def wait_for_pivots(page: Page) -> None:
    """The cards fill themselves."""
    expect(page.get_by_text("Waits for the worker")).to_have_count(0, timeout=60_000)
    expect(page.locator(".pill.s-running")).to_have_count(0, timeout=60_000)


@pytest.fixture(scope="module")
def all_pivots_ran(demo):
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        waiting = demo.ask("PivotRun.objects.filter(state__in=['not_run', 'running']).count()")
        if int(demo.ask("Case.objects.count()")) >= 17 and waiting == "0":
            return
        time.sleep(1)
    pytest.fail("the cases and their pivots were not there in time")


def test_a_printed_link_signs_in_once(watched, demo):
    sign_in_by(watched, demo.links["lead"])
    expect(watched.get_by_role("button", name="Sanna Lindqvist, account")).to_be_visible()
    watched.context.clear_cookies()
    watched.goto(demo.links["lead"])
    watched.get_by_role("button", name="Sign in").click()
    expect(watched.get_by_role("alert").filter(has_text="used before; each works once")).to_be_visible()


def test_the_due_run_finds_the_attack_within_a_minute(analyst, demo):
    row = wait_for_rows(analyst, demo.url, ATTACKER, 1)
    expect(row).to_contain_text("fin-ws-0412")
    found_by = demo.ask("sorted(set(Alert.objects.values_list('run__trigger', flat=True)))")
    assert found_by in {"['schedule']", "['import']", "['import', 'schedule']"}
    assert demo.ask("Alert.objects.filter(run__isnull=True).count()") == "0"


def test_the_benign_deployment_is_fifteen_alerts_in_fifteen_cases_on_three_hosts(analyst, demo):
    wait_for_rows(analyst, demo.url, BENIGN_SOURCE, 15)
    counts = demo.ask(
        f"[(Occurrence.objects.filter(case__in=cases).count(), cases.values('host_id').distinct().count())"
        f" for cases in [Case.objects.filter(remote_ip='{BENIGN_SOURCE}').order_by()]]"
    )
    assert counts == "[(15, 3)]"


def test_the_guide_s_pivots_have_run_by_themselves(demo, all_pivots_ran):
    states = demo.ask(
        f"sorted(PivotRun.objects.filter(case__remote_ip='{ATTACKER}', key__in={GUIDE_PIVOTS})"
        ".values_list('state', flat=True))"
    )
    assert states == str(["hits"] * 5)


def test_the_attack_is_worked_and_closed_as_malicious(analyst, demo, all_pivots_ran):
    case = open_case(analyst, demo.url, ATTACKER)
    for number in range(1, QUESTIONS + 1):
        expect(analyst.get_by_text(f"Question {number} of {QUESTIONS}")).to_be_visible()
        wait_for_pivots(analyst)
        pin_a_fact(analyst)
        analyst.get_by_role("radio", name=re.compile("^Escalate")).check()
        analyst.get_by_label("Rationale").fill(
            f"Question {number}: the evidence speaks against a known workflow."
        )
        analyst.get_by_role("button", name=re.compile("^Save")).click()
        expect(analyst.locator("nav[aria-label='Case'] .count").first).to_have_text(f"{number}/{QUESTIONS}")

    analyst.goto(f"{case}/close/")
    analyst.get_by_role("radio", name=re.compile("^Malicious")).check()
    analyst.get_by_label("Rationale").fill("Started over the network, fetched a script, ran PowerShell.")
    analyst.get_by_role("button", name="Close the case").click()
    expect(analyst.get_by_text("is closed as malicious")).to_be_visible()

    analyst.get_by_role("link", name=re.compile("^Journal")).click()
    expect(analyst.get_by_role("main")).to_contain_text("Mira Okafor")
    closed = demo.ask(f"Case.objects.get(remote_ip='{ATTACKER}').disposition")
    assert closed == "malicious"


def pin_a_fact(page: Page) -> None:
    """Pin the first row of the first card that has one, and see it among the cited facts."""
    pins = page.get_by_role("button", name=re.compile("^Pin the event"))
    if pins.count() and pins.first.is_visible():
        pins.first.click()
        expect(page.get_by_role("button", name=re.compile("^Unpin the event")).first).to_be_visible()


def test_what_has_no_telemetry_is_shown_as_missing(analyst, demo, all_pivots_ran):
    case = open_case(analyst, demo.url, AMBIGUOUS)
    for question, kind in (("retrieval", "dns"), ("artifacts", "file"), ("session", "logon")):
        analyst.goto(f"{case}/questions/{question}/")
        expect(
            analyst.get_by_text("We can't see this, so an empty answer means nothing here.").first
        ).to_be_visible()
        expect(analyst.locator(".evidence-none").first).to_contain_text(
            re.compile(f"no {kind} telemetry", re.IGNORECASE)
        )


def test_the_gate_refuses_to_close_it_as_benign_and_says_why(analyst, demo, all_pivots_ran):
    case = open_case(analyst, demo.url, AMBIGUOUS)
    analyst.goto(f"{case}/close/")
    benign = analyst.get_by_role("radio", name=re.compile("^Benign"))
    expect(benign).to_have_attribute("aria-disabled", "true")
    reasons = analyst.locator("#why-benign")
    for kind in ("dns", "file", "logon"):
        expect(reasons).to_contain_text(re.compile(f"no {kind} telemetry", re.IGNORECASE))


def test_the_queue_works_by_keyboard(analyst, demo, all_pivots_ran):
    search(analyst, demo.url, BENIGN_SOURCE)
    analyst.keyboard.press("j")
    expect(analyst.locator("tr[aria-selected='true']")).to_have_count(1)
    analyst.keyboard.press("Enter")
    expect(analyst.get_by_role("heading", name="Your answer")).to_be_visible()


def test_a_theme_once_chosen_stays(analyst):
    analyst.emulate_media(color_scheme="light")
    analyst.get_by_role("button", name="Theme").click()
    chosen = analyst.locator("html").get_attribute("data-theme")
    assert chosen in {"light", "dark"}
    analyst.reload()
    expect(analyst.locator("html")).to_have_attribute("data-theme", chosen)


def test_no_page_scrolls_sideways_on_a_phone(analyst, demo, all_pivots_ran):
    case = open_case(analyst, demo.url, AMBIGUOUS)
    analyst.set_viewport_size({"width": 390, "height": 844})
    for address in (
        f"{demo.url}/",
        analyst.url,
        f"{case}/close/",
        f"{case}/evidence/",
        f"{demo.url}/health/",
    ):
        analyst.goto(address)
        overflow = analyst.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow <= 0, address


def test_a_second_start_doubles_nothing(demo, all_pivots_ran):
    # The canary's own alerts come by the clock, whoever starts what.
    counts = (
        "(Alert.objects.filter(rule__is_canary=False).count(), Case.objects.count(), Import.objects.count())"
    )
    before = demo.ask(counts)
    demo.manage("demo")
    assert demo.ask(counts) == before
