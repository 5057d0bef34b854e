"""A shipped scenario goes on: its last day once more, as other processes and other events."""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from detections import ecs
from detections.ecs import Document

SCENARIOS = Path(__file__).parent / "scenarios"


def next_day(name: str, *, mark: str) -> list[Document]:
    """The events of a scenario's last day, with the times of that day: an import moves them to where they
    are wanted. mark: makes ids of events and of processes that begin on that day others; the same mark gives
    the same events. Raises FileNotFoundError for a scenario that is none.
    """
    path = SCENARIOS / f"{name}.ndjson"
    events = [json.loads(line) for line in path.read_text().splitlines() if line]
    day = max(event["@timestamp"][:10] for event in events)
    last = [event for event in events if event["@timestamp"].startswith(day)]
    renamed = {old: _id(old, mark) for old in _begun(last)}
    return [_marked(event, renamed, mark) for event in last]


def as_lines(events: Iterable[Document]) -> str:
    """Events as a capture in NDJSON."""
    return "".join(f"{json.dumps(event)}\n" for event in events)


def _begun(events: Iterable[Document]) -> Iterator[str]:
    """Entity ids of processes that start among the events."""
    for event in events:
        if "start" in ecs.values(event, "event.type") and "process" in ecs.values(event, "event.category"):
            yield ecs.text(event, "process.entity_id")


def _id(old: str, mark: str) -> str:
    return base64.b64encode(hashlib.sha256(f"{mark}:{old}".encode()).digest()).decode()


def _marked(event: Document, renamed: dict[str, str], mark: str) -> Document:
    made: Document = _renamed(event, renamed)
    if "id" in made["event"]:
        made["event"] = {**made["event"], "id": _id(made["event"]["id"], mark)[:24]}
    return {**made, "labels": {**made.get("labels", {}), "day": mark}}


def _renamed(node: Any, renamed: dict[str, str]) -> Any:
    """The same with every id of a process exchanged, wherever it stands."""
    if isinstance(node, dict):
        return {key: _renamed(value, renamed) for key, value in node.items()}
    if isinstance(node, list):
        return [_renamed(value, renamed) for value in node]
    return renamed.get(node, node) if isinstance(node, str) else node
