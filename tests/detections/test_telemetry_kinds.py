"""The kind of an event, and the filters that find the same."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import detections
from detections import ecs
from detections.enums import TelemetryKind as Kind
from detections.stores.base import Operator
from detections.telemetry_kinds import KIND_FILTERS, kind_of

SYSMON, SECURITY = "Microsoft-Windows-Sysmon", "Microsoft-Windows-Security-Auditing"


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"event": {"category": ["process"]}}, Kind.PROCESS),
        ({"event.category": "network"}, Kind.CONNECTION),
        ({"event": {"category": ["network"]}, "dns": {"question": {"name": "a"}}}, Kind.DNS),
        ({"event": {"category": ["process"], "code": "7", "provider": SYSMON}}, Kind.LIBRARY),
        ({"event": {"category": ["process"], "code": "7", "provider": "Other"}}, Kind.PROCESS),
        ({"event": {"category": ["driver"]}}, Kind.LIBRARY),
        ({"event": {"category": ["configuration", "registry"]}}, Kind.REGISTRY),
        ({"event": {"category": ["authentication", "session"]}}, Kind.LOGON),
        ({"event": {"category": ["iam"], "code": "4672", "provider": SECURITY}}, Kind.LOGON),
        ({"event": {"category": ["network", "file"]}}, Kind.FILE),
        ({"event": {"category": ["process"], "kind": "signal"}}, Kind.ALERT),
        ({"event": {"category": ["iam"]}}, None),
        ({"event": "scalar"}, None),
        ({}, None),
    ],
)
def test_kinds(document, kind):
    assert kind_of(document) == kind


CATEGORIES = [
    "process",
    "network",
    "file",
    "library",
    "driver",
    "registry",
    "authentication",
    "session",
    "iam",
]


def satisfies(document, clause):
    values = [str(value) for value in ecs.values(document, clause.field)]
    if clause.operator is Operator.EXISTS:
        found = bool(values)
    else:
        found = any(value in clause.values for value in values)
    return found is not clause.excluded


def found_by(document, kind):
    return any(all(satisfies(document, clause) for clause in group) for group in KIND_FILTERS[kind].groups)


documents = st.fixed_dictionaries(
    {
        "event": st.fixed_dictionaries(
            {},
            optional={
                "kind": st.sampled_from(["event", "signal", "alert"]),
                "category": st.lists(
                    st.sampled_from(CATEGORIES),
                    max_size=3,
                ),
                "code": st.sampled_from(["1", "7", "22", "4672"]),
                "provider": st.sampled_from([SYSMON, SECURITY]),
            },
        )
    },
    optional={"dns": st.just({"question": {"name": "a.example"}})},
)


@given(documents)
def test_the_filters_find_exactly_the_events_of_their_kind(document):
    kind = kind_of(document)
    assert [other for other in Kind if found_by(document, other)] == ([kind] if kind else [])


def test_every_event_of_the_scenarios_has_a_kind():
    folder = Path(detections.__file__).parent / "scenarios"
    kinds = {kind_of(json.loads(line)) for path in folder.glob("*.ndjson") for line in path.open()}
    assert kinds == {Kind.PROCESS, Kind.CONNECTION, Kind.DNS, Kind.FILE, Kind.LIBRARY, Kind.LOGON}
