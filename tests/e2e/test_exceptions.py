"""The benign workflow of the demo becomes an exception: one proposes, another approves; twins stay cases."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from detections.scenario_days import as_lines, next_day
from tests.e2e.browser import Faults, sign_in
from tests.factories.twins import starting_at, twins
from tests.instance import Instance, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SOURCE = "10.20.2.15"
# Answering seven questions in the browser is another test's subject.
WORKED = f"""
from django.contrib.auth.models import User
from django.utils import timezone
from detections.actors import of_user
from triage.confirmations import add_confirmation
from triage.models import Case, Evidence
from triage.questions import answer_question
case = Case.objects.filter(remote_ip="{SOURCE}").latest("pk")
mira = of_user(User.objects.get(username="analyst"))
said = add_confirmation(
    case, kind="change", reference="CHG-20871", confirmed_by="P. Ahonen", confirmed_at=timezone.now(),
    statement="The roll-out starts mshta on three hosts.", actor=mira)
for question in case.questions.order_by("position"):
    rows = Evidence.objects.filter(pivot__case=case, pivot__question_key=question.key)[:1]
    answer_question(
        question, state="lower", rationale="As the change record says.", actor=mira,
        evidence_ids=[row.pk for row in rows], confirmation_ids=[said.pk], version=question.version)
print(case.pk)
"""


@pytest.fixture(scope="module")
def worked(demo: Instance) -> str:
    """The case, every question of which is lowered."""
    # A further attempt, a minute after a case's next alert, is not waited for.
    waiting = "PivotRun.objects.filter(attempt=1, state__in=['not_run', 'running']).count()"
    cases = f"Case.objects.filter(remote_ip='{SOURCE}').count()"
    wait_for(lambda: demo.ask(f"({cases}, {waiting})") == "(15, 0)", "cases and pivots", seconds=120)
    return demo.manage("shell", "--no-imports", "--command", WORKED).strip()


@pytest.fixture
def lead(browser, demo: Instance):
    """The lead, in a browser of her own."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    faults = Faults(page, demo.url)
    sign_in(page, demo, "lead")
    yield page
    context.close()
    assert faults.found == []


def test_the_benign_workflow_is_hidden_from_the_next_day_on_and_nothing_else(
    analyst: Page, lead: Page, demo: Instance, worked: str, tmp_path
):
    close_as_false_positive(analyst, f"{demo.url}/cases/{worked}")
    item = propose(analyst)
    approve(lead, demo, item)
    demo.manage("demo", "--next-day")
    others = import_others(demo, tmp_path)
    # Three of the workflow are hidden, one of them opened to look at; each of the others becomes a case.
    wait_for(lambda: demo.ask("Suppression.objects.count()") == "3", "the alerts are hidden", seconds=120)
    newer = f"Case.objects.filter(exception_reviews=None, first_event_at__gt='{begun(demo)}').count()"
    wait_for(lambda: demo.ask(newer) == str(others), "the other alerts are cases", seconds=90)
    sources = demo.ask("sorted(set(Suppression.objects.values_list('source', 'version__hits')))")
    assert sources == f"[('{SOURCE}', 3)]"
    lead.goto(item)
    expect(lead.get_by_text("3 in all, 3 in the last 30 days")).to_be_visible()
    expect(lead.locator("#hidden tbody tr")).to_have_count(3)


def begun(demo: Instance) -> str:
    return demo.ask("ExceptionVersion.objects.get(state='active').active_from.isoformat()")


def close_as_false_positive(page: Page, case: str) -> None:
    page.goto(f"{case}/close/")
    page.get_by_role("radio", name=re.compile("^False positive")).check()
    page.get_by_label("Rationale").fill("CHG-20871 rolls software out with mshta on three hosts.")
    page.get_by_role("button", name="Close the case").click()
    expect(page.get_by_text("is closed as false positive")).to_be_visible()
    page.get_by_role("link", name="Propose exception …").click()
    expect(page.locator("fieldset.entry")).to_have_count(8)


def propose(page: Page) -> str:
    """The filled form, back-tested for one host, then for the workflow's three; the version's address."""
    expect(page.get_by_label("Change record")).to_have_value("CHG-20871")
    rows = page.get_by_role("region", name=re.compile("^Would have been hidden")).locator("tbody tr")
    page.get_by_role("button", name="Save and back-test").click()
    expect(rows).to_have_count(5, timeout=60_000)
    page.get_by_role("link", name="Edit the draft").click()
    for box in page.get_by_role("checkbox", name=re.compile("5 alerts")).all():
        box.check()
    page.get_by_role("button", name="Use the ticked hosts").click()
    host = page.locator("fieldset.entry").nth(4)
    expect(host.get_by_label("Operator")).to_have_value("is_one_of")
    assert len(host.get_by_label("Values").input_value().splitlines()) == 3
    page.get_by_role("button", name="Save and back-test").click()
    expect(rows).to_have_count(15, timeout=60_000)
    expect(rows.get_by_role("link", name=re.compile("^CW-"))).to_have_count(15)
    page.get_by_role("button", name="Propose version 1").click()
    expect(page.get_by_text("Another person has to approve it.")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Approve"))).to_have_count(0)
    return page.url


def approve(page: Page, demo: Instance, item: str) -> None:
    page.goto(f"{demo.url}/approvals/")
    page.get_by_role("link", name="Decide").click()
    expect(page).to_have_url(item)
    page.get_by_label("Let it hide more of the rule's alerts than its share").check()
    page.get_by_role("button", name="Approve version 1").click()
    expect(page.get_by_text("is approved and is in force")).to_be_visible()


def import_others(demo: Instance, folder) -> int:
    """What must not be hidden, in the exception's time: the two other scenarios, and the workflow with one
    thing changed each. Returns how many cases they make."""
    first = datetime.now(UTC) + timedelta(seconds=1)
    told = {**twins(), **{name: next_day(name, mark="next") for name in ("malicious", "ambiguous")}}
    path = folder / "others.ndjson"
    path.write_text("".join(as_lines(starting_at(events, first)) for events in told.values()))
    demo.manage("ingest", str(path))
    return len(told)
