"""The attack answered in a browser: preserved, contained, isolated, not closed over it, released, closed."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import Faults, sign_in
from tests.e2e.test_demo import ATTACKER, open_case, pin_a_fact, wait_for_pivots
from tests.factories.receivers import Kibana, Receiver
from tests.instance import Instance, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
SET_UP = """
from triage.models import ActionKind, Asset, Connector
hook = Connector.objects.create(key="soar", name="SOAR", adapter="webhook", enabled=True,
    config={{"url": "{hook}/orders"}}, secrets={{"signing_key": "CONNECTOR_HOOK"}})
defend = Connector.objects.create(key="defend", name="Elastic Defend", adapter="elastic_defend", enabled=True,
    config={{"url": "{kibana}"}}, secrets={{"api_key": "CONNECTOR_KIBANA"}})
ActionKind.objects.filter(key__in=["contain_source", "release_source"]).update(connector=hook)
ActionKind.objects.filter(key__in=["isolate_host", "release_host"]).update(connector=defend)
Asset.objects.create(host_name="fin-ws-0412", role="workstation", isolation_permitted=True)
Asset.objects.create(host_name="ops-old", addresses=["{attacker}"], isolation_permitted=True)
"""


@pytest.fixture(scope="module")
def hook():
    made = Receiver()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def kibana():
    made = Kibana()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def answered(tmp_path_factory, hook, kibana):
    """A demo that may reach the two systems."""
    instance = Instance(
        tmp_path_factory.mktemp("response") / "data",
        demo=True,
        CASEWRIGHT_ALLOWED_TARGETS=f"{hook.entry},{kibana.entry}",
        CONNECTOR_HOOK="shared-key",
        CONNECTOR_KIBANA=kibana.key,
    ).start()
    instance.manage("shell", "-c", SET_UP.format(hook=hook.url, kibana=kibana.url, attacker=ATTACKER))
    yield instance
    instance.stop()


def state(instance, kind):
    return instance.ask(
        f"list(ResponseAction.objects.filter(kind__key='{kind}').values_list('state', flat=True))"
    )


def request(page, case, label, *, target="", button="Request"):
    page.goto(f"{case}/response/")
    line = page.locator("li.action").filter(has=page.locator("b", has_text=re.compile(f"^{label}")))
    line.get_by_role("link", name="Request").first.click()
    if target:
        page.locator(".targets li").filter(has_text=target).get_by_role("radio").first.check()
    page.get_by_label("Why").first.fill("The checks point at it.")
    page.get_by_role("button", name=button).click()
    expect(page.get_by_role("heading", name=re.compile("^RA-"))).to_be_visible()
    return page.url


def test_the_attack_is_contained_released_and_closed(browser, answered, hook, kibana):
    analyst, lead = browser.new_context().new_page(), browser.new_context().new_page()
    faults = [Faults(page, answered.url) for page in (analyst, lead)]
    sign_in(analyst, answered, "analyst")
    sign_in(lead, answered, "lead")

    case = open_case(analyst, answered.url, ATTACKER)
    wait_for_pivots(analyst)
    pin_a_fact(analyst)
    analyst.get_by_role("radio", name=re.compile("^Escalate")).check()
    analyst.get_by_label("Rationale").fill("A peer that manages nothing reached the endpoint mapper.")
    analyst.get_by_role("button", name=re.compile("^Save")).click()
    expect(analyst.locator("nav[aria-label='Case'] .count").first).to_have_text("1/7")

    analyst.goto(f"{case}/response/")
    analyst.get_by_label("Why").fill("Started over the network, fetched a script, ran PowerShell.")
    analyst.get_by_role("button", name="It is malicious").click()
    expect(analyst.get_by_role("button", name="Take the verdict back")).to_be_visible()
    expect(analyst.get_by_text("Preserve the evidence first").first).to_be_visible()

    preserve = request(analyst, case, "Export the case with its evidence", button="Do it")
    wait_for(lambda: state(answered, "preserve_evidence") in ("['succeeded']", "['running']"), "it is begun")
    analyst.goto(preserve)
    if analyst.get_by_role("button", name="Record it").count():
        analyst.get_by_label("What shows it").fill("The pack is on the evidence share.")
        analyst.get_by_role("button", name="Record it").click()
    wait_for(lambda: state(answered, "preserve_evidence") == "['succeeded']", "the evidence is preserved")

    source = request(analyst, case, "Contain the source system", target=ATTACKER)
    target = request(analyst, case, "Isolate the target", target="fin-ws-0412")
    expect(analyst.get_by_text("You asked for it, so another person must decide.")).to_be_visible()
    for page in (source, target):
        lead.goto(page)
        lead.get_by_role("button", name="Approve").click()
        expect(lead.get_by_text("is approved, and begins.")).to_be_visible()
    for kind in ("contain_source", "isolate_host"):
        wait_for(lambda kind=kind: state(answered, kind) == "['succeeded']", f"{kind} is done", seconds=90)
    order = json.loads(hook.got[0][3])
    assert order["target"] == {"type": "ip", "value": ATTACKER}
    assert len(hook.got) == len(kibana.isolated) == 1

    analyst.goto(target)
    analyst.get_by_role("button", name="Prove now").click()
    expect(analyst.get_by_text("The endpoint reports that it is isolated.").first).to_be_visible()

    def close():
        analyst.goto(f"{case}/close/")
        analyst.get_by_role("radio", name=re.compile("^Malicious")).check()
        analyst.get_by_label("Rationale").fill("Contained, and handed to the owners.")
        analyst.get_by_role("button", name="Close the case").click()

    close()
    expect(analyst.get_by_text("The case is not closed.")).to_be_visible()
    expect(analyst.get_by_text("is in force: undo it, or hand it over by name").first).to_be_visible()
    for page in (source, target):
        analyst.goto(page)
        analyst.get_by_label("Why it is taken back").fill("Rebuilt.")
        analyst.get_by_role("button", name="Undo").click()
    for kind in ("contain_source", "isolate_host"):
        wait_for(lambda kind=kind: state(answered, kind) == "['undone']", f"{kind} is undone", seconds=90)
    assert (len(hook.got), kibana.isolated) == (2, set())
    close()
    expect(analyst.get_by_text("is closed as malicious")).to_be_visible()
    assert [fault.found for fault in faults] == [[], []]
