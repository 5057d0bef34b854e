"""Elastic Defend, against a stand-in that speaks the endpoint actions API and fails in every way."""

import json
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from detections.models import JournalEntry, OutboxRow
from tests.factories.actions import WHY, connect, done, observable, permitted, preserved
from tests.factories.receivers import Kibana, cut, silent
from triage import observables, verdicts
from triage.actions.elastic_defend import ElasticDefend
from triage.actions.outcomes import Order, Result
from triage.enums import PivotState
from triage.models import EventSummary, Question, ResponseAction
from triage.response import actions as response_actions
from triage.response import checks as response_checks
from triage.response import results as response_results
from triage.response import running as response_running
from triage.response import undo as response_undo
from triage.response.actions import Wish

pytestmark = pytest.mark.django_db
AGENT = "1f183e6b-3ff3-4de8-b20a-9e7540698084"


@pytest.fixture
def kibana(settings, monkeypatch):
    monkeypatch.setenv("CONNECTOR_KIBANA", "kibana-secret")
    target = Kibana()
    settings.ALLOWED_TARGETS = [target.entry]
    kinds = ["isolate_host", "release_host", "kill_process", "collect_file", "list_processes"]
    connect(kinds, "elastic_defend", {"url": target.url, "seconds": 0.5}, {"api_key": "CONNECTOR_KIBANA"})
    yield target
    target.stop()


@pytest.fixture
def ready(make_case, make_pivot, analyst):
    """A malicious case on a host that may be isolated, whose agent is in the evidence."""
    case = make_case(host_name="fin-ws-0412", host_id="h1")
    run = make_pivot(case, PivotState.HITS, 1)
    row = run.rows.get()
    row.document = {
        "@timestamp": "2026-03-18T09:41:00Z",
        "event": {"category": ["process"], "type": ["start"], "kind": "event"},
        "agent": {"id": AGENT, "type": "endpoint"},
        "host": {"id": "h1", "name": "fin-ws-0412"},
        "process": {
            "entity_id": "E1",
            "pid": 7312,
            "name": "mshta.exe",
            "executable": "C:\\Windows\\mshta.exe",
        },
    }
    row.save()
    observables.collect(case)
    assert EventSummary.objects.filter(case=case).exists()
    permitted(case)
    preserved(case)
    Question.objects.filter(case=case).update(state="escalate")
    case.refresh_from_db()
    return verdicts.confirm_malicious(case, reason="It is.", actor=analyst, version=case.version)


def isolate(case, analyst, lead):
    host = observable(case, "fin-ws-0412", "host")
    host = type(host).objects.filter(case=case, type="host").first()
    action = response_actions.request(
        case, Wish("isolate_host", WHY, "confirmed_malicious", str(host.pk)), actor=analyst
    )
    return response_actions.approve(action, actor=lead, seen_sha256=action.content_sha256)


def passing(action, seconds=30):
    with time_machine.travel(timezone.now() + timedelta(seconds=seconds), tick=False):
        return done(action)


def test_a_host_is_isolated_proven_and_released(ready, analyst, lead, kibana):
    action = isolate(ready, analyst, lead)
    assert action.parameters == {"host": "fin-ws-0412", "host_id": "h1", "agent_id": AGENT}
    assert done(action)[0] == "running"
    assert passing(action) == ("succeeded", "The endpoint says that it is done.")
    assert kibana.isolated == {AGENT}
    assert (
        response_checks.prove_now(action, actor=analyst).says == "The endpoint reports that it is isolated."
    )
    kibana.isolated.clear()
    response_checks.prove_now(action, actor=analyst)
    action.refresh_from_db()
    assert action.proof == "broken"
    kibana.isolated.add(AGENT)
    undo = response_undo.undo(action, actor=analyst, reason="Cleaned.")
    done(undo)
    assert passing(undo)[0] == "succeeded"
    assert (done(action)[0], kibana.isolated) == ("undone", set())


def test_an_order_that_was_cut_off_is_found_by_its_key(ready, analyst, lead, kibana):
    """Kibana made the action, and its answer was lost: it is found, not made again."""

    def taken_and_lost(handler):
        kibana._made("isolate", json.loads(kibana.got[-1][3]))
        cut(handler)

    kibana.faults = [taken_and_lost]
    action = isolate(ready, analyst, lead)
    assert done(action)[0] == "unknown"
    assert passing(action) == ("succeeded", "The endpoint says that it is done.")
    assert len(kibana.actions) == 1


def test_an_order_that_never_arrived_may_be_given_again(ready, analyst, lead, kibana):
    kibana.faults = [cut]
    action = isolate(ready, analyst, lead)
    assert done(action)[0] == "unknown"
    assert passing(action)[0] == "unknown"
    assert "may still be on its way" in action.says
    assert passing(action, 300)[0] == "failed"
    response_actions.retry(action, actor=analyst)
    done(action)
    assert passing(action, 301)[0] == "succeeded"
    assert len(kibana.actions) == 1


@pytest.mark.parametrize(
    ("fault", "state", "says"),
    [
        ((401, {}, {"message": "bad key"}), "failed", "Kibana refused it (401). bad key"),
        ((403, {}, {"message": "no privilege"}), "failed", "Kibana refused it (403). no privilege"),
        ((404, {}, {"message": "no endpoint"}), "failed", "Kibana refused it (404). no endpoint"),
        ((429, {}, {}), "approved", "Kibana takes no order now (429)"),
        ((500, {}, {}), "unknown", "Kibana answered 500: it may have been done."),
        ((200, {}, b"not json"), "unknown", "Kibana took it, and its answer is not the JSON"),
        (silent(1.5), "unknown", "gave no whole answer within 0.5 s"),
        ((308, {"Location": "http://10.0.0.1/"}, {}), "failed", "Kibana answered with a redirect (308)"),
    ],
)
def test_each_fault_of_kibana_has_its_state_and_its_words(fault, state, says, ready, analyst, lead, kibana):
    kibana.faults = [fault]
    action = isolate(ready, analyst, lead)
    found = done(action)
    assert found[0] == state
    assert says in found[1]


def test_an_endpoint_that_is_off_is_waited_for_in_words_and_obeys_when_it_is_back(
    ready, analyst, lead, kibana
):
    kibana.is_off = True
    action = isolate(ready, analyst, lead)
    done(action)
    assert passing(action) == (
        "running",
        "Kibana took it and keeps it: the endpoint is offline, last heard of 2026-03-18 07:00 UTC. "
        "It acts when it comes back.",
    )
    state, says = passing(action, 2 * 3600)
    assert (state, says.endswith(response_running.STILL_ASKED)) == ("unknown", True)
    assert "the endpoint is offline" in says
    assert response_results.is_for_people(action)
    kibana.comes_back()
    assert passing(action, 6 * 3600) == ("succeeded", "The endpoint says that it is done.")
    assert len(kibana.actions) == 1


def test_an_endpoint_that_never_comes_back_is_given_up_and_a_person_asked(ready, analyst, lead, kibana):
    kibana.is_off = True
    action = isolate(ready, analyst, lead)
    for hours in (0, *range(1, 30)):
        passing(action, hours * 3600)
    ResponseAction.objects.filter(pk=action.pk).update(looks=response_running.MOST_LOOKS - 1)
    for days in (13, 14, 15):
        passing(action, days * 86_400)
    asked = len(kibana.got)
    state, says = passing(action, 60 * 86_400)
    assert (state, len(kibana.got), says.endswith(response_running.GIVEN_UP)) == ("unknown", asked, True)
    entries = JournalEntry.objects.filter(verb="action_unknown", data__action=action.pk)
    assert entries.count() == 1
    for _ in range(2):
        asked = len(kibana.got)
        response_results.ask_now(action, actor=analyst)
        # Asked at once, and given up again: no look of its own follows.
        state, says = passing(action, 60 * 86_400)
        assert (len(kibana.got) > asked, says.count(response_running.GIVEN_UP)) == (True, 1)
        asked = len(kibana.got)
        passing(action, 61 * 86_400)
        assert len(kibana.got) == asked
    with time_machine.travel(timezone.now() + timedelta(days=61), tick=False):
        response_results.record_result(action, succeeded=False, proof="It was scrapped.", actor=analyst)
    action.refresh_from_db()
    assert action.state == "failed"


def test_who_asks_now_brings_the_planned_question_forward(ready, analyst, lead, kibana):
    kibana.is_off = True
    action = isolate(ready, analyst, lead)
    done(action)
    assert passing(action, 2 * 3600)[0] == "unknown"
    waiting = OutboxRow.objects.filter(kind=response_running.ASK, state="pending")
    for _ in range(3):
        response_results.ask_now(action, actor=analyst)
        assert waiting.count() == 1
    asked = len(kibana.got)
    passing(action, 2 * 3600 + 1)
    assert (len(kibana.got) > asked, waiting.count()) == (True, 1)


def test_an_order_that_kibana_gave_up_has_failed(ready, analyst, lead, kibana):
    kibana.is_off = True
    action = isolate(ready, analyst, lead)
    done(action)
    for row in kibana.actions.values():
        row["isExpired"] = True
    assert passing(action) == ("failed", "It lapsed: the endpoint did not answer in time.")


@pytest.mark.parametrize(
    ("kind", "path", "parameters"),
    [
        ("isolate_host", "isolate", None),
        ("release_host", "unisolate", None),
        ("list_processes", "running_procs", None),
        ("kill_process", "kill_process", {"entity_id": "E1"}),
        ("suspend_process", "suspend_process", {"pid": 7312}),
        ("collect_file", "get_file", {"path": "C:\\a.exe"}),
    ],
)
def test_each_command_has_its_address_and_nothing_but_its_fields(kind, path, parameters, kibana):
    given = {
        "kill_process": {"entity_id": "E1", "pid": 7312},
        "suspend_process": {"pid": "7312"},
        "collect_file": {"paths": ["C:\\a.exe", "C:\\b.exe"]},
    }
    way = ElasticDefend({"url": f"{kibana.url}/", "seconds": 2}, {"api_key": kibana.key})
    order = order_for(kind, {"agent_id": AGENT, "host": "h", **given.get(kind, {})})
    assert way.send(order).result is Result.STARTED
    _method, asked, headers, body = kibana.got[-1]
    assert (asked, headers["Elastic-Api-Version"]) == (f"/api/endpoint/action/{path}", "2023-10-31")
    wanted = {"endpoint_ids": [AGENT], "comment": "Casewright CW-1, RA-1: Because. [key-1]"}
    assert json.loads(body) == wanted | ({"parameters": parameters} if parameters else {})
    assert way.look_up(order).result is Result.DONE


def order_for(kind, parameters):
    return Order("key-1", 1, "RA-1", kind, "CW-1", "x", "host", "h", parameters, "Because.")


def test_an_endpoint_that_says_no_is_a_failure_with_its_reason(ready, analyst, lead, kibana):
    kibana.broken = "Agent is tampered with"
    action = isolate(ready, analyst, lead)
    done(action)
    assert passing(action) == ("failed", "The endpoint says that it failed: Agent is tampered with.")


def test_a_process_is_ended_by_its_recorded_id(ready, analyst, lead, kibana):
    from triage.response.kinds import spec_of
    from triage.response.targets import choices

    target = choices(ready, spec_of("kill_process"))[0]
    action = response_actions.request(ready, Wish("kill_process", WHY, target=target.token), actor=analyst)
    assert (action.target_value, action.parameters["entity_id"]) == ("C:\\Windows\\mshta.exe", "E1")
    response_actions.approve(action, actor=lead, seen_sha256=action.content_sha256)
    done(action)
    assert passing(action)[0] == "succeeded"
    assert json.loads(kibana.got[0][3])["parameters"] == {"entity_id": "E1"}
