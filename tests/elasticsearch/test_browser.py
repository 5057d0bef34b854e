"""From detection to a closed case in a browser: two workers, PostgreSQL, Redis with a password over TLS, and
Elasticsearch, all of them real processes. The events are in the cluster, a part of them was imported here."""

import json
import re
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace

import pytest
from playwright.sync_api import expect

from detections.ingest.retime import retimed
from detections.stores.base import MappedEvent
from tests.e2e.browser import Faults, sign_in_by
from tests.e2e.conftest import browser_context_args, browser_type_launch_args  # noqa: F401 -- fixtures
from tests.e2e.test_demo import ATTACKER, QUESTIONS, open_case, pin_a_fact, wait_for_pivots
from tests.elasticsearch.events import admin, fill
from tests.elasticsearch.front import Front
from tests.elasticsearch.server import ADMIN
from tests.instance import wait_for
from tests.redis_server import RedisServer
from tests.shared import shared
from tests.team import running_team

pytestmark = [pytest.mark.live, pytest.mark.e2e, pytest.mark.timeout(600)]
COPIES = "logs-casewright.alerts-default"
PEOPLE = (
    "from django.contrib.auth.models import Group, User;"
    " User.objects.create_user('mira', first_name='Mira', last_name='Okafor')"
    ".groups.add(Group.objects.get(name='Analyst'))"
)


def attack(team, door, folder):
    """The shipped rule's scenario as of now: put into the cluster, but for the events of files, which
    somebody imports."""
    lines = shared("telemetry/scenarios/malicious.ndjson").read_text().splitlines()
    events = [MappedEvent(f"{number:064d}", json.loads(line)) for number, line in enumerate(lines)]
    by_file = []
    for number, event in enumerate(retimed(events, datetime.now(UTC))):
        if event.document["data_stream"]["dataset"] == "endpoint.events.file":
            by_file.append(event.document)
        else:
            stream = f"logs-{event.document['data_stream']['dataset']}-default"
            fill(door, stream, [(f"attack-{number}", event.document)])
    capture = folder / "files.ndjson"
    capture.write_text("".join(f"{json.dumps(one)}\n" for one in by_file))
    team.manage("ingest", str(capture))


def prepared(team, door, folder):
    """The cluster set up and found fit, an analyst, and the attack."""
    team.manage("shell", "--no-imports", "--command", PEOPLE)
    said = team.manage("elasticsearch", "setup")
    assert said.startswith("# Installed index template casewright-alerts.")
    attack(team, door, folder)
    assert "All is well." in team.manage("elasticsearch", "check")


@pytest.fixture(scope="module")
def team(server, tmp_path_factory):
    front = Front(server.url, native=server.native)
    # As an agent would put events there.
    door = SimpleNamespace(url=front.url, password=server.password)
    accesses = {"SETUP": ADMIN, **{name: name.lower() for name in ("DETECT", "PIVOT", "WRITE", "CANARY")}}
    settings = {
        "ELASTICSEARCH_URL": front.url,
        **{f"ELASTICSEARCH_{name}_USER": user for name, user in accesses.items()},
        **{f"ELASTICSEARCH_{name}_PASSWORD": server.password for name in accesses},
    }
    redis = RedisServer()
    folder = tmp_path_factory.mktemp("team")
    try:
        first = partial(prepared, door=door, folder=folder)
        with running_team(folder, redis.url, first=first, **settings) as team:
            yield team
    finally:
        redis.remove()
        front.stop()


@pytest.fixture
def mira(page, team):
    """An analyst at the queue, in a browser that must not err."""
    faults = Faults(page, team.url)
    sign_in_by(page, team.manage("sign_in_link", "mira", "--address", team.url).split()[-1])
    yield page
    assert faults.found == []


def test_from_detection_to_a_closed_case(mira, team, server):
    case = open_case(mira, team.url, ATTACKER)
    came_from = set()
    for number in range(1, QUESTIONS + 1):
        expect(mira.get_by_text(f"Question {number} of {QUESTIONS}")).to_be_visible()
        wait_for_pivots(mira)
        came_from |= {
            place
            for text in mira.get_by_role("main").all_inner_texts()
            for place in re.findall(r"from the cluster|imported here", text)
        }
        pin_a_fact(mira)
        mira.get_by_role("radio", name=re.compile("^Escalate")).check()
        mira.get_by_label("Rationale").fill(f"Question {number}: no known workflow does that.")
        mira.get_by_role("button", name=re.compile("^Save")).click()
        expect(mira.locator("nav[aria-label='Case'] .count").first).to_have_text(f"{number}/{QUESTIONS}")
    assert came_from == {"from the cluster", "imported here"}

    mira.goto(f"{case}/close/")
    mira.get_by_role("radio", name=re.compile("^Malicious")).check()
    mira.get_by_label("Rationale").fill("Started over the network, fetched a script, ran PowerShell.")
    mira.get_by_role("button", name="Close the case").click()
    expect(mira.get_by_text("is closed as malicious")).to_be_visible()
    assert team.count("triage_case WHERE disposition = 'malicious' AND status = 'closed'") == 1
    assert team.count("triage_pivotrun WHERE state = 'failed'") == 0
    assert team.manage("check_invariants")

    def copied():
        admin(server, "POST", f"/{COPIES}/_refresh")
        return admin(server, "GET", f"/{COPIES}/_count")["count"]

    wait_for(copied, "the alert is copied into the cluster")


def test_a_row_says_from_which_data_stream_it_came(mira, team):
    first = "Evidence.objects.filter(pivot__key='network').earliest('pk').pk"
    asked = f"from triage.models import Evidence; print({first})"
    row = team.manage("shell", "--no-imports", "--command", asked).split()[-1]
    shown = mira.request.get(f"{team.url}/evidence/{row}/", headers={"HX-Request": "true"}).text()
    # Other tests' events may be in the same cluster, and first.
    assert re.search(r"data stream logs-\S+-default of the cluster", shown), shown


def test_health_tells_of_the_cluster(mira, team):
    mira.goto(f"{team.url}/health/")
    expect(mira.get_by_role("main")).to_contain_text("Elasticsearch, and what was imported here")
    expect(mira.get_by_role("main")).to_contain_text("8.19.0")
