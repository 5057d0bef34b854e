"""The DCOM MSHTA query over the scenarios: as many matches as each says."""

import hashlib
import json
from collections import Counter
from datetime import timedelta

import pytest

from detections.eql import parse
from detections.stores.base import EqlSearch, MappedEvent
from tests.detections.stores.events import EVERYTHING
from tests.shared import shared

QUERY = """
sequence with maxspan=1m
  [process where host.os.type == "windows" and event.type == "start" and
     process.name : "mshta.exe" and process.args : "-Embedding"] by host.id, process.entity_id
  [network where host.os.type == "windows" and event.type == "start" and process.name : "mshta.exe" and
     network.direction : ("incoming", "ingress") and network.transport == "tcp" and
     source.port > 49151 and destination.port > 49151 and
     not source.ip in ("127.0.0.1", "::1")] by host.id, process.entity_id
"""


def documents(name):
    with shared(f"telemetry/scenarios/{name}.ndjson").open() as lines:
        return [json.loads(line) for line in lines]


def matches(store, name):
    events = [
        MappedEvent(hashlib.sha256(json.dumps(one, sort_keys=True).encode()).hexdigest(), one)
        for one in documents(name)
    ]
    store.append(events, batch=name)
    search = EqlSearch("rule", parse(QUERY), timedelta(minutes=1), tiebreaker_field="event.sequence")
    [answer] = store.search_eql([search], EVERYTHING, limit=1000)
    assert (answer.error, answer.completeness.is_complete) == ("", True)
    return answer.matches


@pytest.mark.parametrize(("name", "expected"), [("malicious", 1), ("benign", 15), ("ambiguous", 1)])
def test_a_scenario_gives_its_matches(store, name, expected):
    assert len(matches(store, name)) == expected


def test_every_edge_case_gives_what_it_expects(store):
    expected = {one["labels"]["case"]: int(one["labels"]["expected"]) for one in documents("edge_cases")}
    found = Counter(match.events[-1].document["labels"]["case"] for match in matches(store, "edge_cases"))
    assert {case: found[case] for case in expected} == expected
