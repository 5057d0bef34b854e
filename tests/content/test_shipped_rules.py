"""What the product ships is tested as code: every rule, guide and overlay."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from detections.enums import RuleType, Severity, TelemetryKind
from detections.rule_files import load_rules
from detections.stores.base import Filters
from tests.shared import shared
from triage.guides import Blocked, fill, parse_guide
from triage.guides.placeholders import fields

RULES = Path(__file__).resolve().parents[2] / "detections" / "rules"
ELASTIC_ID = "622ecb68-fa81-4601-90b5-f8cd661e4520"


@pytest.fixture(scope="module")
def rules():
    loaded = load_rules([RULES])
    assert [str(error) for error in loaded.errors] == []
    return loaded.rules


@pytest.fixture(scope="module")
def dcom(rules):
    return next(rule for rule in rules if ELASTIC_ID in rule.replaces)


@pytest.fixture(scope="module")
def guide(dcom):
    return parse_guide(dcom.note, dcom.transforms, dcom.overlay, path=dcom.path)


def test_every_shipped_guide_parses_without_a_fault(rules):
    for rule in rules:
        found = parse_guide(rule.note, rule.transforms, rule.overlay, path=rule.path)
        assert [str(fault) for fault in found.faults] == []


def test_the_dcom_rule_keeps_its_facts(dcom):
    assert (dcom.type, dcom.severity, dcom.risk_score, dcom.max_signals) == (
        RuleType.EQL,
        Severity.HIGH,
        73,
        100,
    )
    assert (dcom.interval, dcom.lookback) == (timedelta(minutes=5), timedelta(minutes=9))
    assert dcom.index == (
        "winlogbeat-*",
        "logs-endpoint.events.process-*",
        "logs-endpoint.events.network-*",
        "logs-windows.sysmon_operational-*",
    )
    assert (dcom.author, dcom.license, dcom.version) == (("Casewright",), "Apache-2.0", 1)
    assert [
        (entry["tactic"]["id"], entry["technique"][0]["subtechnique"][0]["id"]) for entry in dcom.threat
    ] == [("TA0008", "T1021.003"), ("TA0005", "T1218.005"), ("TA0002", "T1559.001")]


def test_the_dcom_guide_is_complete(guide):
    assert [question.key for question in guide.questions] == [
        "source_events",
        "identity",
        "session",
        "retrieval",
        "artifacts",
        "execution",
        "scope",
    ]
    assert all(
        question.escalate_when and question.lower_when and question.focus.fields
        for question in guide.questions
    )
    assert all(question.missing_means.endswith("never benign.") for question in guide.questions)
    assert [pivot.key for pivot in guide.pivots if not pivot.is_implied] == [
        "network",
        "files",
        "children",
        "libraries",
        "host_alerts",
    ]
    assert guide.closing.startswith("Escalate ")
    assert (len(guide.false_positives.points), len(guide.response), guide.sections) == (3, 7, ())
    assert all(pivot.kinds and pivot.columns for pivot in guide.pivots)


def test_the_first_and_third_question_need_telemetry_and_confirmation(guide):
    both = [key for key, requires in guide.requirements.items() if requires.confirmation]
    assert both == ["source_events", "session"]
    assert all(requires.telemetry and requires.is_declared for requires in guide.requirements.values())
    assert guide.question("retrieval").requires.telemetry == (TelemetryKind.DNS, TelemetryKind.CONNECTION)


def test_every_question_but_the_identity_has_a_pivot_and_all_have_a_check(guide):
    assert [question.key for question in guide.questions if not question.pivots] == ["identity"]
    assert [question.key for question in guide.questions if not guide.checks_of(question.key)] == []


def test_the_overlay_fits_the_rule_that_it_applies_to(dcom):
    public = load_rules([shared("rules/elastic-rules.tar.gz")]).rules
    other = next(rule for rule in public if rule.rule_id == ELASTIC_ID)
    guide = parse_guide(other.note, other.transforms, dcom.overlay, path=other.path)
    assert len(guide.pivots) == 13
    assert [pivot.key for pivot in guide.pivots_of("execution")] == [
        "children",
        "libraries",
        "child_processes",
    ]


def test_our_words_are_our_own(dcom):
    """No sentence of the public rule stands in ours."""
    public = load_rules([shared("rules/elastic-rules.tar.gz")]).rules
    other = next(rule for rule in public if rule.rule_id == ELASTIC_ID)
    theirs = {part.strip() for part in (other.note + other.description).replace(";", ".").split(".")}
    ours = {part.strip() for part in (dcom.note + dcom.description).replace(";", ".").split(".")}
    assert {part for part in theirs & ours if len(part.split()) > 5} == set()


def alert_events(name):
    """The two events of the first alert in a scenario."""
    lines = shared(f"telemetry/scenarios/{name}.ndjson").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    mshta = [event for event in events if event.get("process", {}).get("name") == "mshta.exe"]
    start = next(event for event in mshta if event["event"]["action"] == "start")
    call = next(event for event in mshta if event["event"]["action"] == "connection_accepted")
    return [start, call]


@pytest.mark.parametrize("scenario", ["malicious", "benign", "ambiguous"])
def test_pivots_are_filled_from_the_scenarios(guide, scenario):
    events = alert_events(scenario)
    hits = {"children": [{"process": {"entity_id": "c"}}], "files": [{"file": {"path": "f"}}]}
    hits["child_files"] = hits["files"]
    filled = [fill(pivot, events, hits) for pivot in guide.pivots]
    assert [found for found in filled if isinstance(found, Blocked)] == []
    assert "{{" not in repr(filled)


def test_without_a_host_every_pivot_is_blocked_by_name(guide):
    events = alert_events("malicious")
    for event in events:
        del event["host"]
    hits = {"children": [{"process": {"entity_id": "c"}}], "files": [{"file": {"path": "f"}}]}
    hits["child_files"] = hits["files"]
    blocked = {
        found.field for pivot in guide.pivots if not isinstance(found := fill(pivot, events, hits), Filters)
    }
    assert blocked == {"host.id"}
    assert all("host.id" in fields(pivot) for pivot in guide.pivots)
