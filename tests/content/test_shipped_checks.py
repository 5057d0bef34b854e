"""The shipped checks over the scenarios: they point where the attack is, and not at its lawful twin."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from detections import ecs
from detections.eql.ast import ANY_CATEGORY, all_stages, fields_used
from detections.eql.evaluate import compile_condition
from detections.eql.fields import Field, FieldCatalogue, FieldType
from detections.eql.verify import verify
from detections.rule_files import load_rules
from tests.shared import shared
from triage.guides import Blocked, fill, parse_guide

RULES = Path(__file__).resolve().parents[2] / "detections" / "rules"
TYPES = {
    "destination.ip": FieldType.IP,
    "source.ip": FieldType.IP,
    "dns.resolved_ip": FieldType.IP,
    "source.port": FieldType.LONG,
    "destination.port": FieldType.LONG,
    "file.Ext.windows.zone_identifier": FieldType.LONG,
    "dll.Ext.relative_file_creation_time": FieldType.DOUBLE,
    "dll.code_signature.exists": FieldType.BOOLEAN,
    "dll.code_signature.trusted": FieldType.BOOLEAN,
    "process.code_signature.exists": FieldType.BOOLEAN,
    "process.code_signature.trusted": FieldType.BOOLEAN,
}


@pytest.fixture(scope="module")
def guide():
    rule = next(rule for rule in load_rules([RULES]).rules if rule.replaces)
    return parse_guide(rule.note, rule.transforms, rule.overlay, path=rule.path)


@pytest.fixture(scope="module")
def catalogue(guide):
    names = {name for check in guide.checks for name, _ in fields_used(check.when)} | {"event.category"}
    return FieldCatalogue(Field(name, TYPES.get(name, FieldType.KEYWORD)) for name in names)


def holds(document, clause):
    wanted = {str(value) for value in clause.values}
    return any(str(value) in wanted for value in ecs.values(document, clause.field)) != clause.excluded


def moment(document):
    return datetime.fromisoformat(document["@timestamp"][:26].rstrip("Z") + "+00:00")


def evidence(guide, name):
    """What every pivot finds in a scenario, for its first alert."""
    lines = shared(f"telemetry/scenarios/{name}.ndjson").read_text().splitlines()
    documents = [json.loads(line) for line in lines]
    mshta = [event for event in documents if ecs.text(event, "process.name") == "mshta.exe"]
    start = next(event for event in mshta if event["event"]["action"] == "start")
    call = next(event for event in mshta if event["event"]["action"] == "connection_accepted")
    hits = {"alert": [start, call]}
    for pivot in guide.pivots:
        filters = fill(pivot, [start, call], hits)
        if isinstance(filters, Blocked):
            continue
        window = pivot.window(moment(start), moment(call))
        hits[pivot.key] = [
            event
            for event in documents
            if window.start <= moment(event) <= window.end
            and any(all(holds(event, clause) for clause in group) for group in filters.groups)
        ]
    return hits


def fired(guide, catalogue, name):
    hits = evidence(guide, name)
    found = set()
    for check in guide.checks:
        if check.rare is not None:  # a condition alone says nothing: it is told by the store
            continue
        (stage,) = all_stages(verify(check.when, catalogue))
        test = compile_condition(stage.condition, catalogue)
        for document in hits.get(check.pivot, []):
            categories = (ANY_CATEGORY, *ecs.values(document, "event.category"))
            if stage.category in categories and test(document):
                found.add(f"{check.points.value} {check.key}")
    return found


COMMON = {"escalate remote_activation", "lower identity_as_shipped"}


def test_the_attack_makes_the_checks_point_at_every_step(guide, catalogue):
    assert fired(guide, catalogue, "malicious") == COMMON | {
        "escalate endpoint_mapper",
        "escalate answer_public",
        "escalate destination_public",
        "escalate child_destination_public",
        "escalate payload_in_writable_folder",
        "escalate program_written",
        "escalate from_internet_zone",
        "escalate child_payload_in_writable_folder",
        "escalate child_program_written",
        "escalate child_from_internet_zone",
        "escalate artifact_used",
        "escalate shell_started",
        "escalate grandchild_started",
        "escalate library_untrusted",
        "escalate library_in_writable_folder",
        "escalate library_new",
        "escalate dotnet_loaded",
    }


def test_the_lawful_twin_shows_the_call_and_nothing_after_it(guide, catalogue):
    assert fired(guide, catalogue, "benign") == COMMON | {
        "escalate endpoint_mapper",
        "escalate source_touched_others",
        "lower intranet_cache",
    }


def test_missing_telemetry_makes_no_check_point(guide, catalogue):
    # The alert's own event says which package the session used, though no logon was recorded.
    assert fired(guide, catalogue, "ambiguous") == COMMON | {"escalate ntlm_of_the_process"}


def test_the_logon_of_the_session_is_found(guide):
    codes = [ecs.text(event, "event.code") for event in evidence(guide, "malicious")["logon_session"]]
    assert codes == ["4624", "4672", "4624"]
