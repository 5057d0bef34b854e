"""The attack answered in a browser: preserved, contained, scoped, blocked, removed, released, closed.

The pack is taken out, and proves itself with a Python that knows nothing of the product.
"""

import json
import re
import subprocess
import sys
import urllib.request
import zipfile

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import Faults, sign_in
from tests.e2e.test_demo import ATTACKER, open_case, pin_a_fact, wait_for_pivots
from tests.factories.receivers import Kibana, Receiver
from tests.instance import Instance, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
FEED_TOKEN = "f" * 40
DOMAIN = "cdn-assets-sync.example"
SECOND = "hr-ws-0220"
SET_UP = """
from triage.models import ActionKind, Asset, Connector
hook = Connector.objects.create(key="soar", name="SOAR", adapter="webhook", enabled=True,
    config={{"url": "{hook}/orders"}}, secrets={{"signing_key": "CONNECTOR_HOOK"}})
defend = Connector.objects.create(key="defend", name="Elastic Defend", adapter="elastic_defend", enabled=True,
    config={{"url": "{kibana}"}}, secrets={{"api_key": "CONNECTOR_KIBANA"}})
feed = Connector.objects.create(key="feed", name="Block list", adapter="blocklist", enabled=True)
for connector, kinds in (
    (hook, ["contain_source", "release_source"]),
    (defend, ["isolate_host", "release_host"]),
    (feed, ["block_indicators", "unblock_indicators"]),
):
    ActionKind.objects.filter(key__in=kinds).update(connector=connector)
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
        CASEWRIGHT_FEED_TOKEN=FEED_TOKEN,
        CONNECTOR_HOOK="shared-key",
        CONNECTOR_KIBANA=kibana.key,
    ).start()
    instance.manage("shell", "-c", SET_UP.format(hook=hook.url, kibana=kibana.url, attacker=ATTACKER))
    yield instance
    instance.kill()


def state(instance, kind):
    return instance.ask(
        f"list(ResponseAction.objects.filter(kind__key='{kind}').values_list('state', flat=True))"
    )


def is_done(instance, kind, wanted="succeeded"):
    wait_for(lambda: state(instance, kind) == f"['{wanted}']", f"{kind} is {wanted}", seconds=240)


def line(page, label):
    return page.locator("li.action").filter(has=page.locator("b", has_text=re.compile(f"^{label}"))).first


def request(page, case, label, *, target):
    page.goto(f"{case}/response/")
    line(page, label).get_by_role("link", name="Request").click()
    page.locator(".targets li").filter(has_text=target).get_by_role("radio").first.check()
    page.get_by_label("Why").first.fill("The checks point at it.")
    page.get_by_role("button", name="Request").click()
    expect(page.get_by_role("heading", name=re.compile("^RA-"))).to_be_visible()
    expect(page.get_by_text("You asked for it, so another person must decide.")).to_be_visible()
    return page.url


def approve_all(lead, url, *, waiting):
    """As a lead does from the inbox, one after another."""
    for left in range(waiting, 0, -1):
        lead.goto(f"{url}/approvals/?kind=response action")
        expect(lead.locator("li.request")).to_have_count(left)
        lead.get_by_role("link", name="Decide").first.click()
        lead.get_by_role("button", name="Approve").click()
        expect(lead.get_by_text("is approved, and begins.")).to_be_visible()


def feed(instance):
    asked = urllib.request.Request(
        f"{instance.url}/feeds/blocklist.txt", headers={"Authorization": f"Bearer {FEED_TOKEN}"}
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return answer.read().decode().split()


def the_verdict_is_given(page, case):
    wait_for_pivots(page)
    pin_a_fact(page)
    page.get_by_role("radio", name=re.compile("^Escalate")).check()
    page.get_by_label("Rationale").fill("A peer that manages nothing reached the endpoint mapper.")
    page.get_by_role("button", name=re.compile("^Save")).click()
    expect(page.locator("nav[aria-label='Case'] .count").first).to_have_text("1/7")
    page.goto(f"{case}/response/")
    page.get_by_label("Why").fill("Started over the network, fetched a script, ran PowerShell.")
    page.get_by_role("button", name="It is malicious").click()
    expect(page.get_by_role("button", name="Take the verdict back")).to_be_visible()


def the_evidence_is_preserved_at_one_click(page):
    """And the page says so by itself."""
    expect(page.get_by_text("Preserve the evidence first").first).to_be_visible()
    line(page, "Export the case with its evidence").get_by_role("button").click()
    expect(page.get_by_text(re.compile(r"pack-1\.zip is made: \d+ of \d+"))).to_be_visible(timeout=240_000)
    expect(page.get_by_text("Preserve the evidence first")).to_have_count(0)


def the_second_host_is_found_and_taken_up(page, case):
    """Removal waits for the search; the search finds the second host, which joins the case."""
    page.goto(f"{case}/response/")
    waits = page.get_by_text("Nobody has searched the other hosts yet")
    expect(waits.first).to_be_visible()
    expect(line(page, "Delete the identified files").get_by_role("link", name="Request")).to_have_count(0)
    line(page, "Search other hosts for the source").get_by_role("button").click()
    expect(page.get_by_text(re.compile(r"^\s*Search 1: \d+ other hosts of \d+"))).to_be_visible(
        timeout=240_000
    )
    expect(waits).to_have_count(0)
    page.goto(f"{case}/scope/?run=1")
    page.get_by_role("link", name=SECOND).first.click()
    page.get_by_role("button", name="Add to this case").click()
    expect(page.get_by_text("Evidence of this case now")).to_be_visible()
    page.get_by_role("button", name="Open a linked case").click()
    expect(page.get_by_text(re.compile("is open for .* and linked"))).to_be_visible()


def files_are_deleted_by_hand(analyst, lead, answered, case):
    address = request(analyst, case, "Delete the identified files", target="")
    approve_all(lead, answered.url, waiting=1)
    is_done(answered, "delete_files", "running")
    analyst.goto(address)
    analyst.get_by_label("What shows it").fill("Deleted by the endpoint team, ticket 4711.")
    analyst.get_by_role("button", name="Record it").click()
    expect(analyst.get_by_text("is done.").first).to_be_visible()


def close(page, case):
    page.goto(f"{case}/close/")
    page.get_by_role("radio", name=re.compile("^Malicious")).check()
    page.get_by_label("Rationale").fill("Contained, and handed to the owners.")
    page.get_by_role("button", name="Close the case").click()


def the_pack_proves_itself(page, answered, case, folder):
    page.goto(f"{case}/report/")
    page.get_by_role("button", name="Preserve and make a pack").click()
    with page.expect_download(timeout=240_000) as download:
        page.get_by_role("link", name=re.compile(r"pack-2\.zip")).click(timeout=240_000)
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder / "apart")
    bare = [sys.executable, "-I", "-S", "verify.py"]
    done = subprocess.run(bare, cwd=folder / "apart", capture_output=True, text=True, check=False)
    assert (done.returncode, "Everything is as it was written down." in done.stdout) == (0, True), done.stdout
    journal = (folder / "apart" / "journal.ndjson").read_text()
    for verb in ("action_approved", "action_undone", "action_handed_over", "scope_finished", "case_closed"):
        assert verb in journal
    assert "is as it was written down" in answered.manage("verify", str(path))
    assert answered.manage("verify").strip() == "Everything is as it was written down."
    assert "invariants hold." in answered.manage("check_invariants")


def test_the_attack_is_contained_scoped_removed_released_and_closed(
    browser, answered, hook, kibana, tmp_path
):
    analyst, lead = browser.new_context().new_page(), browser.new_context().new_page()
    faults = [Faults(page, answered.url) for page in (analyst, lead)]
    sign_in(analyst, answered, "analyst")
    sign_in(lead, answered, "lead")
    case = open_case(analyst, answered.url, ATTACKER)
    the_verdict_is_given(analyst, case)
    the_evidence_is_preserved_at_one_click(analyst)

    source = request(analyst, case, "Contain the source system", target=ATTACKER)
    target = request(analyst, case, "Isolate the target", target="fin-ws-0412")
    approve_all(lead, answered.url, waiting=2)
    is_done(answered, "contain_source")
    is_done(answered, "isolate_host")
    order = json.loads(hook.got[0][3])
    assert order["target"] == {"type": "ip", "value": ATTACKER}
    assert len(hook.got) == len(kibana.isolated) == 1
    analyst.goto(target)
    analyst.get_by_role("button", name="Prove now").click()
    expect(analyst.get_by_text("The endpoint reports that it is isolated.").first).to_be_visible()

    the_second_host_is_found_and_taken_up(analyst, case)
    assert feed(answered) == []
    block = request(analyst, case, "Block malicious names", target=DOMAIN)
    approve_all(lead, answered.url, waiting=1)
    is_done(answered, "block_indicators")
    assert feed(answered) == [DOMAIN]
    files_are_deleted_by_hand(analyst, lead, answered, case)

    close(analyst, case)
    expect(analyst.get_by_text("The case is not closed.")).to_be_visible()
    expect(analyst.get_by_text("is in force: undo it, or hand it over by name").first).to_be_visible()
    lead.goto(f"{answered.url}/approvals/")
    expect(lead.get_by_text(re.compile("In force for"))).to_have_count(3)
    for page in (source, target):
        analyst.goto(page)
        analyst.get_by_label("Why it is taken back").fill("Rebuilt.")
        analyst.get_by_role("button", name="Undo").click()
    is_done(answered, "contain_source", "undone")
    is_done(answered, "isolate_host", "undone")
    assert (len(hook.got), kibana.isolated) == (2, set())
    analyst.goto(block)
    analyst.get_by_label("Who looks after it").fill("Firewall team")
    analyst.get_by_label("Why it stays").fill("The domain stays blocked for good.")
    analyst.get_by_role("button", name="Hand over").click()
    expect(analyst.get_by_text("looks after").first).to_be_visible()
    close(analyst, case)
    expect(analyst.get_by_text("is closed as malicious")).to_be_visible()
    the_pack_proves_itself(analyst, answered, case, tmp_path)
    assert [fault.found for fault in faults] == [[], []]
