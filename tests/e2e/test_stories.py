"""The stories that cases tell, worked in a browser as an analyst works them.

Attack, lawful twin and unclear case are the shipped scenarios; LethalHTA is a real capture of 2019; the two
others are public rules, with a structured and with a free-form guide, over invented scenarios.
"""

import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.content.test_worked_examples import EXAMPLES
from tests.e2e.browser import Faults, sign_in
from tests.instance import Instance, wait_for
from tests.shared import shared

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SCENARIOS = Path(__file__).parent / "scenarios"
HIVES = "credential_access_dump_registry_hives"
CERTUTIL = "defense_evasion_suspicious_certutil_commands"
RULES = {HIVES: "Credential Acquisition via Registry Hive Dumping", CERTUTIL: "Suspicious CertUtil Commands"}
DLL = r"C:\\Users\\adm-kline\\AppData\\Local\\Temp\\dfcache64.dll"
SECOND_STAGE = r"C:\\Users\\Public\\Libraries\\winupd.exe"
# What each check says that has to fire on the attack, and what stands in the document that made it fire.
FIRED = {
    "source_events": {
        "mshta accepted TCP from an address other than loopback": "connection_accepted",
        "A remote machine called the RPC endpoint mapper on port 135": "svchost.exe",
    },
    "identity": {},
    "session": {},
    "retrieval": {
        "mshta resolved a name to a public address.": "cdn-assets-sync.example",
        "mshta connected out to a public address.": "203.0.113.57",
        "A process that mshta started connected out to a public address.": "powershell.exe",
    },
    "artifacts": {
        "mshta wrote script or program content into a folder": DLL,
        "mshta wrote a Windows program or library.": DLL,
        "mshta wrote a file that Windows marked as coming from the internet.": "INetCache",
        "A process that mshta started wrote script or program content": SECOND_STAGE,
        "A process that mshta started wrote a Windows program or library.": SECOND_STAGE,
        "A process that mshta started wrote a file that Windows marked": SECOND_STAGE,
        "A file that mshta wrote was started or loaded.": DLL,
    },
    "execution": {
        "mshta started a shell or a script host.": "powershell.exe",
        "A process that mshta started went on to start another.": "whoami.exe",
        "mshta loaded a library whose signature is missing or not trusted.": DLL,
        "mshta loaded a library from a folder that any user may write to.": DLL,
        "mshta loaded a library that was less than an hour old.": DLL,
        "mshta loaded the .NET runtime": "clr.dll",
    },
    "scope": {},
}


@pytest.fixture(scope="module")
def desk(browser, browser_context_args, demo):
    """`desk("lead")`: the page of somebody who is signed in, each person with a browser of their own."""
    pages: dict[str, tuple[Page, Faults]] = {}

    def at(name: str) -> Page:
        if name not in pages:
            page = browser.new_context(**browser_context_args).new_page()
            faults = Faults(page, demo.url)
            sign_in(page, demo, name)
            pages[name] = page, faults
        return pages[name][0]

    yield at
    assert [fault for _page, faults in pages.values() for fault in faults.found] == []
    for page, _faults in pages.values():
        page.context.close()


Desk = Callable[[str], Page]


def case_of(demo: Instance, which: str, *, seconds: float = 90) -> str:
    """The address of the case that the filter finds, once it is there and its pivots have run.

    A further attempt is not waited for: when a case gets another alert they are asked again a minute later.
    """
    found = f"Case.objects.filter({which}).order_by('pk')"
    unfinished = "state__in=['not_run', 'running']"
    waiting = f"PivotRun.objects.filter(case__in={found}, attempt=1, {unfinished}).count()"
    asked = f"({found}.count() > 0, {waiting}, {found}.values_list('pk', flat=True).first())"
    told = wait_for(
        lambda: re.fullmatch(r"\(True, 0, (\d+)\)", demo.ask(asked)), f"a case of {which}", seconds=seconds
    )
    return f"{demo.url}/cases/{told[1]}"


def answer(page: Page, state: str, rationale: str, *, confirmed: bool = False) -> None:
    """Answer the question on the page, citing a row that is pinned or its first, and the record if it is
    told to."""
    pinned = page.locator("#cited input[name='evidence']").first
    first = page.get_by_role("button", name=re.compile("^Pin the event")).first
    if not pinned.count() and first.count() and first.is_visible():
        first.click()
        expect(pinned).to_be_visible()
    if pinned.count():
        pinned.check()
    if confirmed:
        page.locator("input[name='confirmations']").first.check()
    page.locator(f"input[name='state'][value='{state}']").check()
    page.get_by_label("Rationale").fill(rationale)
    page.get_by_role("button", name=re.compile("^Save")).click()


def fired(page: Page) -> list[tuple[str, list[str]]]:
    """The checks that point to escalate, each with the addresses of its rows."""
    found = page.locator("#checks li").filter(has_text="Points to escalate")
    return [
        (
            line.locator("b").first.inner_text(),
            [str(row.get_attribute("href")) for row in line.get_by_role("link").all()],
        )
        for line in found.all()
    ]


def document(demo: Instance, row: str) -> str:
    """The frozen document behind a link to a row, on the page or elsewhere."""
    number = re.search(r"\d+", row)
    assert number, row
    return demo.ask(f"__import__('json').dumps(Evidence.objects.get(pk={number[0]}).document)")


def test_the_attack_makes_every_check_fire_on_the_right_rows_and_escalates(desk: Desk, demo):
    page, case = desk("analyst"), case_of(demo, "remote_ip='10.20.9.118'")
    for key, expected in FIRED.items():
        page.goto(f"{case}/questions/{key}/")
        seen = fired(page)
        assert len(seen) == len(expected), (key, seen)
        for says, holds in expected.items():
            [rows] = [rows for said, rows in seen if said.startswith(says)]
            assert rows, says
            for row in rows:
                assert holds in document(demo, row), says
    page.goto(f"{case}/questions/retrieval/")
    if page.locator("input[name='state']").count():
        answer(page, "escalate", "It fetched script from 203.0.113.57, which no workflow here names.")
    page.goto(f"{case}/close/")
    if demo.ask(f"Case.objects.get(pk={case.rsplit('/', 1)[1]}).is_open") == "True":
        assert opening(page, "Benign").get_attribute("aria-disabled") == "true"
        assert opening(page, "Malicious").get_attribute("aria-disabled") is None


def opening(page: Page, name: str) -> Locator:
    return page.get_by_role("radio", name=re.compile(f"^{name}")).first


def test_the_rollout_closes_as_benign_only_with_the_owner_s_confirmation_and_the_record(desk: Desk, demo):
    page = desk("analyst")
    case = case_of(demo, "remote_ip='10.20.2.15', host_name='fin-ws-0419', status='open'")
    page.goto(f"{case}/questions/source_events/")
    lower = page.locator("input[name='state'][value='lower']")
    expect(lower).to_have_attribute("aria-disabled", "true")
    expect(page.locator("#why-not-lower")).to_contain_text(
        "No confirmation record is cited, and the guide demands one."
    )
    page.get_by_label("Rationale").fill("The distribution server of CHG-20871 enrols this host.")
    record(page)
    # What was typed is kept, and the record is cited in it.
    expect(page.get_by_label("Rationale")).to_have_value(re.compile("CHG-20871"))
    expect(page.locator("input[name='confirmations']")).to_be_checked()
    page.goto(f"{case}/close/")
    expect(opening(page, "Benign")).to_have_attribute("aria-disabled", "true")
    for number, key in enumerate(FIRED, start=1):
        page.goto(f"{case}/questions/{key}/")
        answer(page, "lower", f"As CHG-20871 says: {key}.", confirmed=key in {"source_events", "session"})
        expect(page.locator("nav[aria-label='Case'] .count").first).to_have_text(f"{number}/7")
    page.goto(f"{case}/close/")
    opening(page, "Benign").check()
    page.get_by_label("Rationale").fill("CHG-20871: the owner confirmed source, host, process and time.")
    page.get_by_role("button", name="Close the case").click()
    expect(page.get_by_text("is closed as benign")).to_be_visible()


def record(page: Page) -> None:
    """Record what the owner confirmed."""
    page.get_by_text("Record a confirmation").click()
    page.get_by_label("What it is").select_option("change")
    page.get_by_label("Reference").fill("CHG-20871")
    page.get_by_label("Confirmed by").fill("K. Distribution, owner of swdist01")
    page.get_by_label("When, UTC").fill("2026-01-05T10:00")
    page.get_by_label("What exactly was confirmed").fill(
        "swdist01 (10.20.2.15) enrols fin-ws-0419 by mshta, daily."
    )
    page.get_by_role("button", name="Record it with the case").click()
    expect(page.get_by_text("The confirmation is recorded")).to_be_visible()


def test_the_unclear_case_stays_shut_names_what_is_missing_and_is_handed_on(desk: Desk, demo):
    page, case = desk("analyst"), case_of(demo, "remote_ip='10.20.2.77'")
    page.goto(f"{case}/questions/identity/")
    page.keyboard.press("j")
    expect(page).to_have_url(f"{case}/questions/session/")
    page.wait_for_load_state()
    page.keyboard.press("e")
    expect(page.locator("input[name='state']:focus")).to_have_count(1)
    expect(page.locator("#checks")).to_contain_text("names NTLM as the package of its session")
    record(page)
    for key, kind in (("session", "logon"), ("retrieval", "DNS"), ("artifacts", "file")):
        page.goto(f"{case}/questions/{key}/")
        expect(page.locator("#why-not-lower")).to_contain_text(f"No {kind} telemetry from host ops-ws-0217")
        answer(page, "unresolved", f"Without {kind} telemetry nobody can say.")
    page.goto(f"{case}/close/")
    expect(opening(page, "Benign")).to_have_attribute("aria-disabled", "true")
    for kind in ("logon", "DNS", "file"):
        expect(page.locator("#why-benign")).to_contain_text(f"no {kind} telemetry from host ops-ws-0217")
    opening(page, "Suspicious").check()
    page.get_by_label("Rationale").fill("Source and package do not fit; logon, DNS and files are not seen.")
    page.get_by_role("button", name="Close the case").click()
    expect(page.get_by_role("alert")).to_contain_text("Say to whom the case is escalated")
    page.get_by_label("Escalated to").fill("S. Lindqvist")
    page.get_by_role("textbox", name="What was preserved").fill("Source events and connections, frozen.")
    page.get_by_role("button", name="Close the case").click()
    expect(page.get_by_text("is closed as suspicious")).to_be_visible()


def test_a_real_capture_whose_clock_was_wrong_shows_the_true_remote_side(desk: Desk, demo):
    capture = shared("telemetry/captures/LM_DCOM_MSHTA_LethalHTA_Sysmon_3_1.evtx")
    page = desk("analyst")
    ingest(page, demo, capture, retime=False)
    case = case_of(demo, "remote_ip='10.0.2.17'")
    page.goto(f"{case}/questions/source_events/")
    explained = page.get_by_role("main")
    expect(explained).to_contain_text("The clock of this case was repaired.")
    expect(explained).to_contain_text("Event 2 claims to be 3.975 s earlier than event 1")
    facts = page.get_by_label("Facts and journal")
    expect(facts).to_contain_text("10.0.2.17:55683")
    expect(facts).to_contain_text("IEWIN7")


def ingest(page: Page, demo: Instance, capture: Path, *, retime: bool) -> None:
    """Import a capture by the page."""
    page.goto(f"{demo.url}/imports/")
    page.locator("#id_captures").set_input_files(capture)
    page.locator("input[name='retime']").set_checked(retime)
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("waiting to be imported")).to_be_visible()


@pytest.fixture(scope="module")
def public_rules(desk: Desk, demo, tmp_path_factory):
    """Two public rules, imported and enabled by the admin through the pages, and what they shall find.

    Both at once: the search for one goes on while the other's case is worked.
    """
    folder, page = tmp_path_factory.mktemp("rules"), desk("admin")
    with tarfile.open(shared("rules/elastic-rules.tar.gz")) as archive:
        for member in archive:
            source = archive.extractfile(member) if Path(member.name).stem in (HIVES, CERTUTIL) else None
            if source is not None:
                (folder / Path(member.name).name).write_bytes(source.read())
    page.goto(f"{demo.url}/rules/import/")
    page.locator("#id_rules").set_input_files(sorted(folder.iterdir()))
    page.get_by_role("button", name="Look at what would change").click()
    page.get_by_role("button", name="Import 2 rules").click()
    expect(page.get_by_text("2 new and 0 changed rules are imported. New ones are disabled.")).to_be_visible()
    overlay_by_two(desk, demo, RULES[HIVES])
    for name in RULES.values():
        enable(page, demo, name)
    for scenario in ("registry_hives", "certutil"):
        ingest(desk("analyst"), demo, SCENARIOS / f"{scenario}.ndjson", retime=True)


def enable(page: Page, demo: Instance, name: str) -> None:
    page.goto(f"{demo.url}/rules/?q={name}")
    page.get_by_role("checkbox", name=f"Select {name}").check()
    page.get_by_role("button", name="Enable", exact=True).click()
    expect(page.get_by_role("row").filter(has_text=name)).to_contain_text("Enabled")


@pytest.mark.usefixtures("public_rules")
def test_a_public_rule_with_a_structured_guide_is_worked_to_a_close(desk: Desk, demo):
    page = desk("analyst")
    case = case_of(demo, "host_name='hr-srv-03', process__icontains='sam'")
    page.goto(f"{case}/questions/export/")
    says = ["A hive that holds secrets was exported.", "The copy was written to a share or a folder"]
    assert [said for said, _rows in fired(page) for start in says if said.startswith(start)] != []
    assert len(fired(page)) == 2
    page.goto(f"{case}/questions/staging/")
    [(said, rows)] = fired(page)
    assert said == "SYSTEM was exported as well: its boot key opens the other hives."
    assert "y.hiv" in document(demo, rows[0])
    for key in ("export", "staging"):
        page.goto(f"{case}/questions/{key}/")
        answer(page, "escalate", "SAM and SYSTEM left by h.bat.")
    page.goto(f"{case}/close/")
    expect(opening(page, "Benign")).to_have_attribute("aria-disabled", "true")
    opening(page, "Malicious").check()
    page.get_by_label("Rationale").fill("SAM and SYSTEM were saved to the temp folder and packed.")
    page.get_by_role("button", name="Close the case").click()
    expect(page.get_by_text("is closed as malicious")).to_be_visible()


def overlay_by_two(desk: Desk, demo: Instance, name: str) -> None:
    """One lead writes the overlay of the docs, the other one approves it; neither does both."""
    rule = demo.ask(f"Rule.objects.get(name='{name}').pk")
    writer, approver = desk("lead"), desk("lead2")
    writer.goto(f"{demo.url}/rules/{rule}/overlay/")
    writer.get_by_label("Overlay, TOML").fill(EXAMPLES[HIVES])
    writer.get_by_label("Why", exact=True).fill("Checks for what the prose asks.")
    writer.get_by_role("button", name="Propose").click()
    expect(writer.get_by_role("heading", name=re.compile("^Guide overlay 1"))).to_be_visible()
    expect(writer.get_by_role("button", name="Approve for new cases")).to_have_count(0)
    approver.goto(writer.url)
    approver.get_by_role("button", name="Approve for new cases").click()
    expect(approver.get_by_text("Approved by Tomas Reyes").first).to_be_visible()


@pytest.mark.usefixtures("public_rules")
def test_a_public_rule_with_a_free_form_guide_is_worked_to_a_close(desk: Desk, demo):
    page = desk("analyst")
    case = case_of(demo, "host_name='fin-ws-0502'")
    page.goto(f"{case}/close/")
    expect(opening(page, "Benign")).to_have_attribute("aria-disabled", "true")
    for number in range(1, 5):
        page.goto(case)
        answer(page, "lower", "CertAgent empties its cache of revocation lists, as it does every week.")
        expect(page.locator("nav[aria-label='Case'] .count").first).to_have_text(f"{number}/4")
    page.goto(f"{case}/close/")
    opening(page, "Benign").check()
    page.get_by_label("Rationale").fill("CertAgent's own maintenance.")
    page.get_by_role("button", name="Close the case").click()
    expect(page.get_by_text("is closed as benign")).to_be_visible()
