"""Alert copies and the canary in data streams of their own, and what a cluster is asked before all that."""

import json
import re
import uuid
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from detections import canary, outbox, superseding
from detections.actors import system
from detections.enums import OutboxState, RunStatus
from detections.models import Alert, Canary, OutboxRow, Rule
from tests.elasticsearch.conftest import NO_CREDENTIAL
from tests.elasticsearch.events import admin, fill
from tests.elasticsearch.front import Fault
from tests.factories.events import attack

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
STREAM = "logs-casewright.alerts-default"


def manage(*arguments):
    said = StringIO()
    call_command("elasticsearch", *arguments, stdout=said)
    return said.getvalue()


def deliver():
    for row in OutboxRow.objects.filter(kind="alert_copy", state=OutboxState.PENDING):
        outbox.deliver(row.pk)
    return list(OutboxRow.objects.filter(kind="alert_copy").values_list("state", "error"))


def copies(server, alert):
    admin(server, "POST", f"/{STREAM}/_refresh")
    asked = {"query": {"term": {"casewright.alert.id": alert.alert_id}}}
    return [hit["_source"] for hit in admin(server, "POST", f"/{STREAM}/_search", asked)["hits"]["hits"]]


@pytest.mark.parametrize("depth", [3, 60])
def test_an_alert_is_copied_once_whatever_its_event_holds(deployment, server, depth):
    manage("setup")
    rule = deployment.rule()
    start, connection = attack(deployment.now)
    deployment.fill(start, connection)
    deployment.run(rule)
    alert = Alert.objects.get()
    # What no mapping takes: a number and an object in one place, and objects deeper than any limit.
    odd = deep = {"numbers": [1, "two", {"three": None}]}
    for _ in range(depth):
        deep["in"] = deep = {}
    alert.events[0]["document"]["odd"] = odd
    alert.save(update_fields=["events"])
    assert deliver() == [(OutboxState.DONE, "")]
    [copy] = copies(server, alert)
    assert (copy["event"]["kind"], copy["rule"]["id"]) == ("signal", rule.rule_id)
    assert json.loads(copy["casewright"]["events_json"])[0]["document"]["odd"] == odd
    assert ("events" in copy["casewright"]) == (depth < 50)
    OutboxRow.objects.update(state=OutboxState.PENDING, attempts=0)
    assert deliver() == [(OutboxState.DONE, "")]
    assert len(copies(server, alert)) == 1


def test_a_copy_is_no_telemetry(deployment, server, settings):
    manage("setup")
    rule = deployment.rule(query='any where event.kind == "signal"', maxspan=None)
    settings.ELASTICSEARCH_INDICES = ["logs-*"]
    deployment.fill(*attack(deployment.now))
    Alert.objects.all().delete()
    [run, *_] = deployment.run(rule)
    assert (run.status, run.matches_found) == (RunStatus.SUCCEEDED, 0)


def test_a_refused_copy_is_told_and_without_a_credential_none_is_asked_for(deployment, settings):
    settings.ELASTICSEARCH_CREDENTIALS["write"] = {**settings.ELASTICSEARCH_CREDENTIALS["detect"]}
    rule = deployment.rule()
    deployment.fill(*attack(deployment.now))
    deployment.run(rule)
    [(state, said)] = deliver()
    assert state == OutboxState.PENDING
    assert f"documents in {STREAM}" in said or "security_exception" in said
    settings.ELASTICSEARCH_CREDENTIALS["write"] = NO_CREDENTIAL
    deployment.fill(*attack(deployment.now, entity="p-2"))
    deployment.run(rule)
    assert Alert.objects.count() == 2
    assert OutboxRow.objects.filter(kind="alert_copy").count() == 1


def test_the_canary_flies_through_the_cluster(deployment, server, settings):
    manage("setup")
    settings.CANARY_SECONDS = 3600
    now = deployment.now = timezone.now()
    sent = canary.send_if_due(actor=system("test"), now=now)
    assert sent.sent_at is not None
    admin(server, "POST", "/logs-casewright.canary-default/_refresh")
    rule = Rule.objects.get(is_canary=True)
    runs = deployment.run(rule, minutes=2)
    assert runs[0].status == RunStatus.SUCCEEDED
    [alert] = Alert.objects.filter(rule=rule, events__0__identity=sent.identities[0])
    assert canary.claim(alert, now=now)
    assert Canary.objects.get().found_at == now
    assert not OutboxRow.objects.filter(kind="alert_copy").exists()


def test_nothing_of_a_cluster_is_marked_as_superseded(deployment):
    rule = deployment.rule()
    deployment.fill(*attack(deployment.now))
    [first, *_] = deployment.run(rule)
    # A later start of the same process would take the connection over, if it could be told.
    start, _connection = attack(deployment.now)
    deployment.fill({**start, "@timestamp": Alert.objects.get().first_event_at.isoformat()})
    [again, *_] = deployment.run(rule)
    for run in (first, again):
        assert superseding.mark(run, actor=system("test")) == 0
    assert not Alert.objects.filter(superseded_at__isnull=False).exists()
    assert not OutboxRow.objects.filter(kind=superseding.KIND).exists()


@pytest.fixture
def for_shipped_rule(server):
    """An index that the shipped rule reads."""
    fill(
        server,
        "logs-endpoint.events.process-default",
        [(uuid.uuid4().hex, {"@timestamp": "2026-01-01T00:00:00Z"})],
    )


def test_check_says_what_each_credential_may_and_what_is_missing(deployment, settings, for_shipped_rule):
    said = manage("check")
    pattern = settings.ELASTICSEARCH_INDICES[0]
    assert f"may: read, view_index_metadata on {pattern}\n" in said
    assert "may: create_doc, auto_configure on logs-casewright.alerts-*\n" in said
    assert deployment.server.version in said
    assert f"1 index: {deployment.stream}" in said
    assert re.search(r"runs; \d+ match(es)? in the last hour\nAll is well\.", said)
    assert "MAY NOT" not in said
    assert "may too" not in said


def test_check_says_what_is_hidden_and_what_an_alert_source_lacks(deployment, settings, for_shipped_rule):
    settings.ELASTICSEARCH_TIERS_LEFT_OUT = ["data_frozen"]
    settings.ELASTICSEARCH_ALERTS_INDEX = ".alerts-security.alerts-default"
    settings.ELASTICSEARCH_ALERTS_WRITE_BACK = True
    said = StringIO()
    with pytest.raises(CommandError, match=r"^1 thing needs"):
        call_command("elasticsearch", "check", stdout=said)
    lines = [line.split(maxsplit=1) for line in said.getvalue().splitlines()]
    assert ["left", "out         tiers data_frozen: rules do not see events there"] in lines
    assert ["MAY", "NOT: read, write on .internal.alerts-security.alerts-default"] in lines


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (
            "http://127.0.0.1:9",
            r"^The cluster could not be reached: no connection \(127\.0\.0\.1:9: .* refused",
        ),
        ("https://{front}", r"speaks no TLS\. ELASTICSEARCH_URL says https"),
    ],
)
def test_check_of_what_is_not_there_is_one_sentence(deployment, settings, monkeypatch, url, says):
    settings.ELASTICSEARCH_URL = url.format(front=deployment.front.url.removeprefix("http://"))
    with pytest.raises(CommandError, match=says) as told:
        manage("check")
    assert str(told.value).count("ELASTICSEARCH_URL") == 1


def test_check_without_a_credential_says_what_to_do(deployment, settings):
    settings.ELASTICSEARCH_CREDENTIALS = dict.fromkeys(settings.ELASTICSEARCH_CREDENTIALS, NO_CREDENTIAL)
    with pytest.raises(CommandError, match=r"^No credential is set\. .*setup --print"):
        manage("check")


def test_check_ends_with_what_needs_to_be_put_right(deployment, settings):
    settings.ELASTICSEARCH_CREDENTIALS["pivot"] = {**settings.ELASTICSEARCH_CREDENTIALS["write"]}
    with pytest.raises(CommandError, match=r"^1 thing needs to be put right"):
        manage("check")


def test_more_rights_than_needed_are_told(deployment, settings, for_shipped_rule):
    settings.ELASTICSEARCH_CREDENTIALS["detect"] = settings.ELASTICSEARCH_CREDENTIALS["setup"]
    said = manage("check")
    assert "may too: " in said
    assert "manage_index_templates, monitor, manage_security in the cluster" in said


def test_setup_prints_what_to_make_and_says_what_it_lacks(deployment, settings):
    said = manage("setup", "--print")
    assert "PUT /_index_template/casewright-alerts" in said
    assert "PUT /_security/role/casewright_detect" in said
    assert "# `encoded` of the answer is ELASTICSEARCH_DETECT_API_KEY.\nPOST /_security/api_key" in said
    settings.ELASTICSEARCH_CREDENTIALS["setup"] = settings.ELASTICSEARCH_CREDENTIALS["write"]
    with pytest.raises(CommandError, match=r"may not install index templates .*setup --print"):
        manage("setup")


def test_a_document_that_the_cluster_refuses_is_an_error(deployment):
    body = {
        "errors": True,
        "items": [{"create": {"status": 400, "error": {"type": "x_exception", "reason": "no"}}}],
    }
    deployment.front.inject(Fault("_bulk", status=200, body=body, times=99))
    rule = deployment.rule()
    deployment.fill(*attack(deployment.now))
    deployment.run(rule)
    [(_state, said)] = deliver()
    assert "1 of 1 documents were refused by logs-casewright.alerts-default: x_exception: no" in said
