"""Every public pair of a Windows event and its ECS document, equal but for the differences listed here.

Each difference stands in docs/telemetry.md with its reason. One that is not listed fails, and so does one
that is listed and does not occur.
"""

import fnmatch
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from detections.ingest import ndjson, readers
from tests.shared import shared

DOCS = Path(__file__).resolve().parents[3] / "docs" / "telemetry.md"
ANY = ("json", "evtx")

Holds = Callable[[Any, Any], bool]


@dataclass(frozen=True)
class Difference:
    """fields: patterns. kind: here, there or differ. codes: of the events it concerns, () for all. sources:
    where it occurs. holds: what is true of our value and theirs all the same."""

    fields: tuple[str, ...]
    kind: str
    reason: str
    codes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ANY
    holds: Holds = lambda ours, theirs: True

    def takes(self, source: str, kind: str, field: str, code: str, ours: Any, theirs: Any) -> bool:
        return (
            source in self.sources
            and kind == self.kind
            and (not self.codes or code in self.codes)
            and any(fnmatch.fnmatchcase(field, pattern) for pattern in self.fields)
            and self.holds(ours, theirs)
        )


def same_but_for_digits(ours: str, theirs: str) -> bool:
    cut = min(len(ours), len(theirs)) - 1
    return ours[:cut] == theirs[:cut] and cut >= len("2019-11-07T10:37:04.226")


def without_quotes(ours: list[str], theirs: list[str]) -> bool:
    return ours == [argument.strip('"') for argument in theirs]


def only_nameless_more(ours: list[dict[str, str]], theirs: list[dict[str, str]]) -> bool:
    return [answer for answer in ours if "type" in answer] == theirs


DIFFERENCES = (
    Difference(
        ("casewright.derived", "host.id"), "here", "derived from the computer's name",
        holds=lambda ours, theirs: ours == ["host.id"] or ours == ours.lower(),
    ),
    Difference(("data_stream.*", "host.os.*"), "here", "an agent adds them"),
    Difference(("event.dataset", "event.module"), "here", "an agent adds them"),
    Difference(("host.name",), "here", "the sender adds it in the newest pair", ("7",), ("json",)),
    Difference(("event.created",), "here", "one clock over all logs"),
    Difference(("ecs.version",), "differ", "the version that this mapping follows"),
    Difference(("@timestamp",), "differ", "all digits of the source", holds=same_but_for_digits),
    Difference(
        ("@timestamp",), "here", "a UtcTime with a T is read too", ("22",), ("json",),
        holds=lambda ours, theirs: ours == "2000-01-01T00:00:00.000Z",
    ),
    Difference(("event.action",), "here", "no rendered task in the event",
               ("1", "2", "3", "4", "5", "7", "13", "16", "22", "23", "24", "25", "26")),
    Difference(
        ("event.category",), "differ", "an image load is a library too", ("7",),
        holds=lambda ours, theirs: ours == ["process", "library"] and theirs == ["process"],
    ),
    Difference(
        ("event.type",), "differ", "an image load is no process start", ("7",), ("json",),
        holds=lambda ours, theirs: ours == ["change"] and theirs == ["change", "start"],
    ),
    Difference(("dll.*",), "here", "what rules on libraries read", ("7",)),
    Difference(("dns.question.*",), "there", "needs a list of public suffixes", ("22",),
               holds=lambda ours, theirs: ours is None),
    Difference(("dns.answers",), "differ", "nothing of an answer is dropped", ("22",),
               holds=only_nameless_more),
    Difference(("process.args",), "differ", "one splitter for both logs", ("4688",), holds=without_quotes),
    Difference(("process.args_count",), "here", "one splitter for both logs", ("4688",)),
    Difference(("process.executable", "process.name"), "there", "a hyphen is no path", ("4624", "4905"),
               holds=lambda ours, theirs: theirs == "-"),
    Difference(("process.executable", "process.name", "process.pid"), "here", "the caller is the process",
               ("4798", "4799")),
    Difference(
        ("user.target.domain",), "differ", "the whole domain of a distinguished name",
        holds=lambda ours, theirs: ours.endswith(f".{theirs}"),
    ),
    Difference(("winlog.event_data.AccessMaskDescription",), "differ", "the rights that the messages name",
               ("4674",), holds=lambda ours, theirs: ours == ["READ_CONTROL", "ACCESS_SYS_SEC"]),
    Difference(("winlog.event_data.ClientAddress",), "differ", "data stays as logged", ("4778",), ("json",),
               holds=lambda ours, theirs: (ours, theirs) == ("LOCAL", "127.0.0.1")),
    Difference(("winlog.event_data.*Sd?acl?",), "there", "the descriptor stays as its own text",
               ("4670", "4817", "4907")),
    Difference(("related.user",), "differ", "a name guessed from a descriptor", ("4817",),
               holds=lambda ours, theirs: [*ours, "Administrator"] == [*sorted(theirs, reverse=True)]),
    Difference(("winlog.event_data.SidListDesc",), "there", "the SIDs stay", ("4908",)),
    Difference(("winlog.time_created",), "there", "it is event.created", sources=("json",)),
    Difference(("message", "winlog.api", "winlog.task"), "there", "rendered or added by the sender",
               sources=("evtx",)),
    Difference(("winlog.user.name", "winlog.user.domain", "winlog.user.type"), "there",
               "looked up by the sender", sources=("evtx",)),
)  # fmt: skip


def flat(node: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(node, dict):
        return {path: sorted(node) if path.startswith("related.") else node}
    return {
        name: value
        for key, below in node.items()
        for name, value in flat(below, f"{path}.{key}" if path else key).items()
    }


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> Iterator[tuple[str, str, Any, Any]]:
    mine, golden = flat(ours), flat(theirs)
    for field in sorted({*mine, *golden}):
        if field not in golden:
            yield "here", field, mine[field], None
        elif field not in mine:
            yield "there", field, None, golden[field]
        elif mine[field] != golden[field]:
            yield "differ", field, mine[field], golden[field]


def goldens(module: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for path in sorted((shared("telemetry/ecs_fixtures") / module / "ingest").glob("*.golden.json")):
        yield path.name.removesuffix(".golden.json"), json.loads(path.read_text())


def mapped(raw: dict[str, Any]) -> dict[str, Any]:
    (event,) = ndjson.events(io.BytesIO(json.dumps(raw).encode()), "x.ndjson")
    assert not isinstance(event, Exception), event
    return event.document


def json_pairs() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Winlogbeat's events before any pipeline, and the newest pair of the agent."""
    folder = shared("telemetry/ecs_fixtures")
    for module in ("sysmon", "security"):
        for name, golden in goldens(module):
            raw = json.loads((folder / module / "collection" / f"{name}.evtx.golden.json").read_text())
            for event, document in zip(raw, golden, strict=True):
                yield mapped(event), document
    newest = folder / "integration" / "test-image-loaded-failed-signature.json"
    expected = json.loads((newest.parent / f"{newest.name}-expected.json").read_text())["expected"]
    for event, document in zip(json.loads(newest.read_text())["events"], expected, strict=True):
        yield mapped(event), document


def evtx_pairs() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The logs themselves, by record number. Some goldens were made without a log."""
    folder = shared("telemetry/ecs_fixtures")
    for module in ("sysmon", "security"):
        for name, golden in goldens(module):
            log = folder / module / "collection" / f"{name}.evtx"
            if not log.exists():
                continue
            theirs = {document["winlog"]["record_id"]: document for document in golden}
            for event in readers.open_capture(log):
                assert not isinstance(event, Exception), event
                yield event.document, theirs.pop(event.document["winlog"]["record_id"])
            assert theirs == {}


@pytest.mark.parametrize(
    ("source", "pairs", "count"), [("json", json_pairs, 356), ("evtx", evtx_pairs, 319)], ids=["json", "evtx"]
)
def test_every_pair_is_equal_but_for_the_listed_differences(source, pairs, count):
    unlisted, occurred, seen = [], set(), 0
    for ours, theirs in pairs():
        seen += 1
        code = theirs["event"]["code"]
        for kind, field, mine, golden in differences(ours, theirs):
            taken = [d for d in DIFFERENCES if d.takes(source, kind, field, code, mine, golden)]
            occurred.update(DIFFERENCES.index(d) for d in taken)
            if not taken:
                unlisted.append((code, kind, field, mine, golden))
    assert unlisted == []
    listed = {n for n, difference in enumerate(DIFFERENCES) if source in difference.sources}
    assert [DIFFERENCES[n] for n in sorted(listed - occurred)] == []
    assert seen == count


def test_every_listed_difference_is_documented_with_its_reason():
    text = DOCS.read_text()
    missing = [field for difference in DIFFERENCES for field in difference.fields if f"`{field}`" not in text]
    assert missing == []


def test_documents_of_the_endpoint_agent_stay_as_they_are():
    samples = sorted((shared("telemetry/ecs_fixtures") / "endpoint").glob("*.json"))
    read = [(json.loads(path.read_text()), path) for path in samples]
    assert len(read) == 6
    for document, path in read:
        assert mapped(document) == json.loads(path.read_text())


def test_a_document_that_a_pipeline_has_mapped_stays_as_it_is():
    for module in ("sysmon", "security"):
        for _, golden in goldens(module):
            for document in golden:
                if "@timestamp" in document:
                    assert mapped(document) == document
