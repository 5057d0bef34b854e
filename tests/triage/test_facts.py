"""The facts panel."""

from datetime import UTC, datetime, timedelta

import pytest

from detections.models import Rule
from tests.factories.cases import ACTOR, alert, cases_of, shipped_rule
from tests.factories.events import attack, mshta_connection, mshta_start
from tests.factories.rules import rule
from triage.facts import case_facts
from triage.models import Asset, Case
from triage.routing import route_alerts

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 18, 9, 41, tzinfo=UTC)


def facts_of(documents, made=None, **fields):
    made = made or Rule.objects.first() or rule()
    alert(made, documents, AT, **fields)
    route_alerts(actor=ACTOR)
    return case_facts(Case.objects.order_by("-pk")[0], actor=ACTOR)


def test_the_attack_in_facts(store):
    Asset.objects.create(host_name="FIN-WS-0412", role="workstation", isolation_permitted=True)
    Asset.objects.create(host_name="unknown", addresses=["10.20.9.118"])
    (case,) = cases_of("malicious")
    facts = case_facts(case, actor=ACTOR)
    assert (facts.host.name, facts.host.addresses) == ("fin-ws-0412", ("10.20.14.37",))
    assert facts.host.asset.role == "workstation"
    assert (facts.user.name, facts.user.session) == ("CORP\\adm-kline", "0x5f3c2a1")
    assert (facts.process.pid, facts.process.parent_pid) == ("7312", "852")
    assert (facts.remote.ip, facts.remote.port, facts.remote.asset.host_name) == (
        "10.20.9.118",
        "50213",
        "unknown",
    )
    assert next((one.ip, one.port, one.names) for one in facts.reached) == (
        "203.0.113.57",
        "80",
        ("cdn-assets-sync.example",),
    )
    assert "cdn-assets-sync.example" in facts.dns_names
    assert [one.id for one in facts.techniques] == ["T1021.003", "T1218.005", "T1559.001"]
    assert all(kind.present for kind in facts.coverage)


def test_the_attacker_is_not_the_host_whichever_end_sysmon_calls_the_source(store):
    """An old Sysmon writes the local side first."""
    connection = mshta_connection(AT)
    connection["source"] = {"ip": "10.0.2.16", "port": 49168, "domain": "IEWIN7"}
    connection["destination"] = {"ip": "10.0.2.17", "port": 55683}
    connection["host"]["name"] = "IEWIN7"
    facts = facts_of([mshta_start(AT), connection])
    assert facts.remote.ip == "10.0.2.17"


def test_a_clock_repaired_match_says_so_in_plain_words(store):
    connection = mshta_connection(AT - timedelta(seconds=3.975))
    facts = facts_of([mshta_start(AT), connection], time_basis="clock_repaired")
    assert facts.time_basis_note.startswith("Clock repaired: by their own clock (@timestamp)")
    assert "Event 2 claims to be 3.975 s earlier than event 1" in facts.time_basis_note
    assert facts_of(attack(AT, entity="p-2"), name="a2").time_basis_note == ""


def test_a_missing_host_id_is_told(store):
    start = mshta_start(AT)
    del start["host"]["id"]
    facts = facts_of([start])
    assert "Event 1 of the alert has no host.id, user.name." in facts.missing_fields


def test_a_derived_host_id_and_late_telemetry_are_told(store):
    start = mshta_start(AT)
    start["casewright"] = {"derived": ["host.id"]}
    facts = facts_of([start], late_seconds=7200)
    assert facts.host.is_derived is True
    assert facts.notes == (
        "host.id is derived from the computer's name: the record carries none.",
        "The telemetry arrived 2 hours after the events took place.",
    )
    ahead = facts_of([mshta_start(AT, entity="p-2")], name="a2", late_seconds=-40)
    assert ahead.notes == (
        "The host's clock ran 40.0 seconds ahead of this system's when the events arrived.",
    )


def test_related_cases_share_the_host_or_the_remote_side_and_are_visible(store, outsider):
    made = shipped_rule()
    alert(made, attack(AT, host="host-1", entity="p-1"), AT, name="a1")
    alert(made, attack(AT, host="host-2", entity="p-2"), AT, name="a2")
    route_alerts(actor=ACTOR)
    one, other = Case.objects.order_by("pk")
    assert case_facts(one, actor=ACTOR).related == (other,)
    assert case_facts(one, actor=outsider).related == ()


def test_coverage_that_nobody_looked_for_is_not_called_missing(store):
    facts = facts_of(attack(AT), shipped_rule())
    assert {kind.present for kind in facts.coverage} == {None}
