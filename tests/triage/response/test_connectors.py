"""Each connector, and what every fault of its target makes of an action: right state, right words."""

import base64
import json
import re
import time
from datetime import timedelta

import pytest
import stix2
import time_machine
from django.core import mail
from django.utils import timezone

from detections import invariants, outbox
from detections.models import OutboxRow
from tests.factories.actions import WHY, approved, connect, done, observable, preserved
from tests.factories.receivers import cut, dripping, receiver, silent
from triage import reply_links
from triage.actions.outcomes import Result
from triage.actions.webhook import signature
from triage.models import (
    Asset,
    Confirmation,
    Connector,
    ReplyLink,
    ResponseAction,
)
from triage.response import actions as response_actions
from triage.response import block_feed, connectors, executors
from triage.response import checks as response_checks
from triage.response import results as response_results
from triage.response import running as response_running
from triage.response import undo as response_undo
from triage.response.actions import Wish
from triage.response.executors import Executor

pytestmark = pytest.mark.django_db


@pytest.fixture
def hook(settings, monkeypatch):
    monkeypatch.setenv("CONNECTOR_HOOK", "shared-key")
    settings.PUBLIC_URL = "https://casewright.example"
    with receiver(settings) as target:
        config = {"url": f"{target.url}/orders", "seconds": 0.5}
        connect("block_destination", "webhook", config, {"signing_key": "CONNECTOR_HOOK"})
        yield target


def test_an_order_is_signed_and_says_all_of_it(make_case, analyst, lead, hook):
    case = make_case()
    action = approved(case, analyst, lead)
    assert done(action) == ("succeeded", "Done.")
    _method, path, headers, body = hook.got[0]
    at = int(headers["Casewright-Timestamp"])
    assert (path, headers["Idempotency-Key"]) == ("/orders", action.send_key)
    assert headers["Casewright-Signature"] == signature("shared-key", at, body)
    assert abs(time.time() - at) < 60
    order = json.loads(body)
    call_back = order.pop("call_back")
    assert call_back.startswith("https://casewright.example/actions/result/")
    assert order == {
        "version": 1,
        "key": action.send_key,
        "action": action.number,
        "kind": "block_destination",
        "case": case.number,
        "title": action.title,
        "target": {"type": "ip", "value": "203.0.113.57"},
        "parameters": {"host": case.host_name},
        "reason": WHY,
        "undoes": None,
    }


@pytest.mark.parametrize(
    ("answer", "state", "says"),
    [
        (silent(1.5), "unknown", "gave no whole answer within 0.5 s"),
        (dripping(1.5), "unknown", "It may have been done."),
        (cut, "unknown", "gave no whole answer"),
        ((500, {}, {"message": "Oh no"}), "unknown", "answered 500: it may have been done. Oh no"),
        ((429, {"Retry-After": "90"}, {}), "approved", "takes no order now (429). Try 1 of 5"),
        ((503, {}, {}), "approved", "takes no order now (503). Try 1 of 5"),
        ((200, {}, b"<html>fine</html>"), "unknown", "is not the JSON that was agreed"),
        ((200, {}, {"result": "maybe"}), "unknown", "is not the JSON that was agreed"),
        ((302, {"Location": "http://169.254.169.254/"}, {}), "failed", "answered with a redirect (302)"),
        ((403, {}, {"error": "Wrong key"}), "failed", "refused it (403). Wrong key"),
        ((200, {}, {"result": "failed", "says": "No such firewall."}), "failed", "No such firewall."),
        ((202, {}, b""), "running", "took it, and says later what came of it"),
    ],
)
def test_each_fault_of_a_target_has_its_state_and_its_words(
    answer, state, says, make_case, analyst, lead, hook
):
    hook.answers = [answer]
    action = approved(make_case(), analyst, lead)
    found = done(action)
    assert found[0] == state
    assert says in found[1]
    assert len(hook.got) == 1


def test_a_target_that_is_away_is_tried_again_and_then_given_up(make_case, analyst, lead, hook):
    hook.server.shutdown()
    hook.server.server_close()
    action = approved(make_case(), analyst, lead)
    state, says = done(action)
    assert state == "approved"
    assert re.search(r"could not be reached .* Nothing was sent\. Try 1 of 5", says)
    for minute in range(1, 40):
        with time_machine.travel(timezone.now() + timedelta(minutes=minute), tick=False):
            outbox.drain()
    assert done(action)[0] == "failed"
    assert Connector.objects.get().failures == 5


def test_a_status_address_is_asked_where_nothing_was_answered(make_case, analyst, lead, hook, settings):
    Connector.objects.update(
        config={"url": f"{hook.url}/orders", "status_url": f"{hook.url}/status", "seconds": 0.5}
    )
    hook.answers = [silent(1.5), (200, {}, {"result": "done", "says": "Rule 7 is in.", "holding": True})]
    action = approved(make_case(), analyst, lead)
    assert done(action)[0] == "unknown"
    with time_machine.travel(timezone.now() + timedelta(seconds=5), tick=False):
        assert done(action) == ("succeeded", "Rule 7 is in.")
    assert [entry[1] for entry in hook.got] == ["/orders", f"/status/{action.send_key}"]
    hook.answers = [(200, {}, {"result": "done", "holding": False})]
    proof = response_checks.prove_now(action, actor=analyst)
    assert proof.says.startswith("It does not hold any more.")


def test_a_target_that_can_not_be_asked_is_looked_at_once_and_left_to_people(
    make_case, analyst, lead, hook, client, ana
):
    hook.answers = [(500, {}, {"message": "Oh no"})]
    action = approved(make_case(), analyst, lead)
    now = timezone.now()
    state, sent = done(action)
    says = f"It can't be asked what became of {action.number}: look there, then say what you found."
    for days in (1, 2, 20):
        with time_machine.travel(now + timedelta(days=days), tick=False):
            assert done(action) == (state, f"{sent} {says}")
    looks = OutboxRow.objects.filter(kind=response_running.ASK, subject=action.pk)
    assert (state, len(hook.got), looks.count()) == ("unknown", 1, 1)
    client.force_login(ana)
    page = client.get(f"/actions/{action.pk}/").content.decode()
    assert "the target is asked, where it can be." in page
    client.post(f"/actions/{action.pk}/ask/")
    assert done(action) == (state, f"{sent} {says}")
    assert (looks.count(), looks.filter(state="done").count()) == (2, 2)
    response_results.record_result(action, succeeded=True, proof="The rule is in.", actor=analyst)
    action.refresh_from_db()
    assert action.state == "succeeded"
    assert list(invariants.broken()) == []


def test_an_action_of_our_own_that_can_not_be_asked_is_looked_at_once(
    make_case, analyst, lead, hook, monkeypatch
):
    hook.answers = [(500, {}, {})]
    action = approved(make_case(), analyst, lead)
    _state, sent = done(action)
    cut_off = Executor(execute=lambda _action: pytest.fail("It is repeated."))
    monkeypatch.setitem(executors._executors, action.kind.key, cut_off)
    for days in (1, 2):
        with time_machine.travel(timezone.now() + timedelta(days=days), tick=False):
            assert done(action) == (
                "unknown",
                f"{sent} It was cut off, and can't be asked. Look, then say what you found.",
            )
    assert OutboxRow.objects.filter(kind=response_running.ASK, subject=action.pk).count() == 1


def test_a_target_calls_back_once_with_its_signed_address(make_case, analyst, lead, hook, client):
    hook.answers = [(202, {}, b"")]
    action = approved(make_case(), analyst, lead)
    done(action)
    address = json.loads(hook.got[0][3])["call_back"].removeprefix("https://casewright.example")
    assert client.post("/actions/result/forged/", "{}", "application/json").status_code == 409
    assert client.post(address, '{"result": "perhaps"}', "application/json").status_code == 409
    told = client.post(address, '{"result": "done", "says": "Rule 8."}', "application/json")
    assert (told.status_code, told.json()) == (200, {"action": action.number, "state": "succeeded"})
    again = client.post(address, '{"result": "failed"}', "application/json")
    assert (again.status_code, again.json()["error"]) == (409, f"{action.number} is settled already.")
    assert done(action) == ("succeeded", "Rule 8.")


# -- block list


@pytest.fixture
def listed(settings):
    settings.FEED_TOKEN = "feed-token"
    connect(["block_destination", "block_indicators", "unblock_destination"], "blocklist", {})


def feed(client, name="txt", token="feed-token"):
    return client.get(f"/feeds/blocklist.{name}", headers={"authorization": f"Bearer {token}"})


def test_what_is_approved_is_pulled_until_it_is_undone(make_case, analyst, lead, listed, client):
    case = make_case()
    preserved(case)
    for value, kind in (
        ("203.0.113.57", "ip"),
        ("evil.example", "domain"),
        ("http://bad.example/a.hta", "url"),
    ):
        approved(case, analyst, lead, target=str(observable(case, value, kind).pk))
    outbox.drain()
    assert feed(client).text == "bad.example\nevil.example\n203.0.113.57\n"
    assert (
        client.get("/feeds/blocklist.txt?type=ip", headers={"authorization": "Bearer feed-token"}).text
        == "203.0.113.57\n"
    )
    bundle = stix2.parse(feed(client, "stix.json").text)
    assert sorted(one.pattern for one in bundle.objects) == [
        "[domain-name:value = 'bad.example']",
        "[domain-name:value = 'evil.example']",
        "[ipv4-addr:value = '203.0.113.57']",
    ]
    action = ResponseAction.objects.get(target_value="203.0.113.57")
    response_undo.undo(action, actor=analyst, reason="It was ours.")
    outbox.drain()
    assert feed(client).text == "bad.example\nevil.example\n"
    assert done(action)[0] == "undone"


def test_the_list_is_for_who_has_the_token(listed, client, settings):
    assert client.get("/feeds/blocklist.txt").status_code == 401
    assert feed(client, token="wrong").status_code == 401
    basic = base64.b64encode(b"firewall:feed-token").decode()
    assert client.get("/feeds/blocklist.txt", headers={"authorization": f"Basic {basic}"}).status_code == 200
    assert client.get("/feeds/blocklist.txt", headers={"authorization": "Basic !"}).status_code == 401
    answer = feed(client)
    again = {"authorization": "Bearer feed-token", "if-none-match": answer["ETag"]}
    assert client.get("/feeds/blocklist.txt", headers=again).status_code == 304
    settings.FEED_TOKEN = ""
    assert feed(client, token="").status_code == 404


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("ip", "127.0.0.1"), ("ip", "0.0.0.0"), ("ip", "169.254.1.1"), ("ip", "224.0.0.1"), ("ip", "::1"),
        ("ip", "10.9.9.9"), ("domain", "com"), ("domain", "evil.example\n10.0.0.1"),
        ("domain", "a'b.example"),
        ("hash", "abc"), ("user", "adm"), ("url", "http://[::1]/"),
    ],
)  # fmt: skip
def test_what_must_not_be_blocked_is_refused(kind, value, db):
    Asset.objects.create(host_name="jump-1", addresses=["10.9.9.9"], is_management_host=True)
    with pytest.raises(block_feed.NotBlockableError):
        block_feed.listable(kind, value)


# -- messages


@pytest.fixture
def post(settings):
    settings.PUBLIC_URL, settings.EMAIL_URL = "https://casewright.example", "smtp://mail.example"
    return connect("ask_owner", "message", {"channel": "email", "domains": ["corp.example"]})


def ask(case, analyst, address="owner@corp.example"):
    typed = {"address": address, "question": "Did you run this?", "confirmation": "owner"}
    return response_actions.request(case, Wish("ask_owner", WHY, typed=typed), actor=analyst)


def link_of(message):
    return re.search(r"https://casewright\.example(/reply/\S+)", message.body)[1]


def test_an_owner_confirms_once_by_the_link(make_case, analyst, post, client):
    case = make_case()
    action = ask(case, analyst)
    assert done(action) == ("running", "Sent to owner@corp.example. Waits for the reply.")
    link = link_of(mail.outbox[0])
    assert "Did you run this?" in client.get(link).text
    assert "Choose whether you confirm it." in client.post(link, {"name": "Olga"}).text
    typed = {"confirms": "yes", "name": "Olga", "statement": ""}
    assert client.post(link, typed).status_code == 422
    assert client.post(link, typed | {"statement": "I ran the inventory."}).status_code == 200
    made = Confirmation.objects.get(case=case)
    assert (made.confirmed_by, made.statement, made.kind) == ("Olga", "I ran the inventory.", "owner")
    assert done(action)[0] == "succeeded"
    assert client.get(link).status_code == 404
    assert "each takes one answer" in client.post(link, typed | {"statement": "Again."}).text
    stored = ReplyLink.objects.get().token_sha256
    assert stored not in link


def test_a_no_is_kept_and_confirms_nothing(make_case, analyst, post, client):
    case = make_case()
    action = ask(case, analyst)
    done(action)
    client.post(link_of(mail.outbox[0]), {"confirms": "no", "name": "Olga", "statement": "Not me."})
    assert not Confirmation.objects.exists()
    assert done(action) == ("succeeded", "Olga does not confirm it: Not me.")


def test_a_link_is_over_after_three_days(make_case, analyst, post, client):
    from detections.actors import system
    from triage.response import clock as response_clock

    action = ask(make_case(), analyst)
    done(action)
    link = link_of(mail.outbox[0])
    with time_machine.travel(timezone.now() + reply_links.LASTS + timedelta(seconds=1), tick=False):
        assert "has expired" in client.get(link).text
        response_clock.watch(actor=system("test"))
    assert done(action) == ("failed", "owner@corp.example did not reply in time.")


@pytest.mark.parametrize(
    "address", ["owner@elsewhere.example", "no address", "a@corp.example\nBcc: b@x.example"]
)
def test_only_listed_domains_are_written_to(address, make_case, analyst, post):
    action = ask(make_case(), analyst, address)
    assert done(action)[0] == "failed"
    assert mail.outbox == []


# -- commands


def program(folder, text, name="act"):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return path


def test_commands_are_off_until_a_folder_is_named(make_case, analyst, lead):
    connect("block_destination", "command", {"program": "act"})
    action = approved(make_case(), analyst, lead)
    state, says = done(action)
    assert state == "failed"
    assert "Commands are off here" in says


def test_a_command_gets_fixed_arguments_and_the_order_on_its_input(
    make_case, analyst, lead, settings, tmp_path
):
    settings.COMMANDS_DIR = str(tmp_path)
    program(tmp_path, 'echo "$1"; cat')
    connect("block_destination", "command", {"program": "act", "arguments": ["--now; touch x"]})
    case = make_case()
    action = approved(
        case, analyst, lead, target=str(observable(case, "$(touch pwned).example", "domain").pk)
    )
    assert done(action)[0] == "succeeded"
    first, _, rest = action.output["printed"].partition("\n")
    assert first == "--now; touch x"
    assert json.loads(rest)["target"]["value"] == "$(touch pwned).example"
    assert [path.name for path in tmp_path.iterdir()] == ["act"]


@pytest.mark.parametrize(
    ("text", "state", "says"),
    [("exit 3", "failed", "act ended with 3."), ("sleep 9", "unknown", "it may have done its work")],
)
def test_how_a_command_ends_is_what_the_action_says(
    text, state, says, make_case, analyst, lead, settings, tmp_path
):
    settings.COMMANDS_DIR = str(tmp_path)
    program(tmp_path, text)
    connect("block_destination", "command", {"program": "act", "seconds": 0.3})
    found = done(approved(make_case(), analyst, lead))
    assert found[0] == state
    assert says in found[1]


@pytest.mark.parametrize("name", ["../act", "/bin/sh", "", "missing", "sub/act"])
def test_only_programs_of_the_folder_are_run(name, settings, tmp_path):
    settings.COMMANDS_DIR = str(tmp_path)
    found = connectors.made(Connector(name="C", adapter="command", config={"program": name})).test()
    assert found.result is Result.FAILED


# -- settings


def test_a_connector_is_saved_and_tested_by_one_button(client, adi, hook):
    client.force_login(adi)
    connector = Connector.objects.get()
    page = f"/admin/triage/connector/{connector.pk}/change/"
    assert 'name="_test"' in client.get(page).text
    typed = {
        "key": connector.key,
        "name": "SOAR of the team",
        "adapter": "webhook",
        "config": json.dumps(connector.config),
        "secrets": json.dumps(connector.secrets),
        "enabled": "on",
        "per_minute": "60",
        "_test": "Save and test",
    }
    answer = client.post(page, typed, follow=True)
    connector.refresh_from_db()
    assert (connector.name, connector.tested_ok, len(hook.got)) == ("SOAR of the team", True, 1)
    assert json.loads(hook.got[0][3])["ping"] is True
    assert answer.redirect_chain[-1][0] == page
    assert f"SOAR of the team: {connector.test_says}" in answer.text
