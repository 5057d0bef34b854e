"""The same bad input through each door, an import, a sender and a hunt: one rule, one answer."""

# ruff: noqa: F811 -- fixtures of the door's tests

import json

import pytest

from detections.imports import import_captures
from detections.models import QuarantinedRecord
from tests.detections.door.conftest import pairs, send, stored, token  # noqa: F401 -- fixtures
from tests.detections.hunt.test_command import hunt, rule_file

AT = '"@timestamp": "2026-03-18T09:41:00Z"'
NEIGHBOUR = f'{{{AT}, "event": {{"category": ["process"]}}, "process": {{"name": "neighbour.exe"}}}}'
KEYS = ", ".join(f'"k{number}": 1' for number in range(50_000))
REFUSED = {
    "10 MB": (f'{{{AT}, "a": "{"x" * 10_000_000}"}}', "longer than 1,048,576 bytes"),
    "nested 10,000 deep": (f'{{{AT}, "a": {"[" * 10_000}{"]" * 10_000}}}', "nested deeper than 100 levels"),
    "50,000 keys": (f"{{{AT}, {KEYS}}}", "more than 5,000 keys"),
    "invalid UTF-8": (f'{{{AT}, "a": "\udcff\udcfe"}}', "no valid JSON"),
    "NaN": (f'{{{AT}, "a": NaN}}', "no valid JSON"),
    "beyond 64 bits": (f'{{{AT}, "a": {10**30}}}', "beyond 64 bits"),
    "before 1601": ('{"@timestamp": "1600-12-31T23:59:59Z"}', "outside of the years"),
    "after 9999": ('{"@timestamp": "10000-01-01T00:00:00Z"}', "is not an ISO 8601"),
}
TAKEN = {
    "duplicate keys": f'{{{AT}, "n": 1, "n": 2, "x": {{"y": "first"}}, "x": {{"y": "last"}}}}',
    "an object here": f'{{{AT}, "x": {{"y": "last"}}}}',
    "a text there": f'{{{AT}, "x": "text"}}',
    "an array of objects": f'{{{AT}, "x": [{{"y": "one"}}, {{"y": "last"}}]}}',
}


def lines(*texts):
    return "".join(f"{text}\n" for text in texts).encode(errors="surrogateescape")


@pytest.fixture
def bad(tmp_path):
    def bad(*texts):
        path = tmp_path / "bad.ndjson"
        path.write_bytes(lines(*texts))
        return path

    return bad


@pytest.mark.parametrize("name", REFUSED)
def test_an_import_and_a_sender_refuse_it_by_the_same_reason_and_keep_its_neighbour(
    name, bad, store, product, send, stored
):
    text, reason = REFUSED[name]
    summary = import_captures([bad(text, NEIGHBOUR)], actor=product, store=store)
    assert (summary.new, summary.bad) == (1, 1)
    told = QuarantinedRecord.objects.get()
    assert (told.position, reason in told.reason) == ("line 1", True)
    action = '{"create": {"_index": "logs-test-default"}}'
    answer = send(lines(action, text, action, NEIGHBOUR.replace("neighbour", "sent")))
    refused, taken = (item["create"] for item in answer["items"])
    assert (refused["status"], reason in refused["error"]["reason"], taken["status"]) == (400, True, 201)
    assert [one["process"]["name"] for one in stored()] == ["neighbour.exe", "sent.exe"]


def test_a_hunt_passes_over_what_is_refused_and_finds_its_neighbours(bad, tmp_path):
    rule = rule_file(tmp_path, 'process where process.name == "neighbour.exe"')
    texts = [text for one, _ in REFUSED.values() for text in (one, NEIGHBOUR)]
    answer = hunt(bad(*texts), "--rules", rule, "--format", "tsv")
    assert [row[3] for row in answer.rows] == [f"L{2 * number + 2}" for number in range(len(REFUSED))]
    assert f"{len(REFUSED)} bad" in answer.told


def test_what_is_taken_is_stored_whole_and_found_by_any_door(bad, store, product, send, stored, tmp_path):
    import_captures([bad(*TAKEN.values())], actor=product, store=store)
    documents = [json.loads(text) for text in TAKEN.values()]
    assert stored() == documents
    answer = send(pairs(*TAKEN.values(), ids=list("abcd")))
    assert (answer["errors"], [one["x"] for one in stored()]) == (False, [one["x"] for one in documents] * 2)
    rule = rule_file(tmp_path, 'any where x.y == "last"')
    found = hunt(bad(*TAKEN.values()), "--rules", rule, "--format", "tsv")
    assert [row[3] for row in found.rows] == ["L1", "L2", "L4"]
