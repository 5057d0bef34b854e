"""What only looks like the shipped benign workflow: its next day on one host, with one thing changed each."""

import json
import re
from collections.abc import Callable
from datetime import datetime

from detections.ecs import Document
from detections.scenario_days import next_day

SERVER = "10.20.2.15"
HOSTS = (
    "c9f51e79-b5e1-4236-9d58-dbc84998a999",
    "de07984e-a35c-4a2d-8039-9d61d2294e0c",
    "d3a006df-5938-4540-98dd-682c6c21b0ea",
)


def twins() -> dict[str, list[Document]]:
    """By what differs: "source", "destination", "child", "lookups" (there are none). None may be hidden."""
    return {
        "source": _twin("a", _other_source),
        "destination": _twin("b", _other_destination),
        "child": [*_twin("c", lambda event: event), _child("c")],
        "lookups": _twin("d", _without_lookups),
    }


_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")


def starting_at(events: list[Document], first: datetime) -> list[Document]:
    """The same, so that the first of them happens at that moment."""
    shift = first - min(_read(event["@timestamp"]) for event in events)
    moved = _MOMENT.sub(lambda it: f"{_read(it[0]) + shift:%Y-%m-%dT%H:%M:%S.%fZ}", json.dumps(events))
    found: list[Document] = json.loads(moved)
    return found


def _read(text: str) -> datetime:
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+Z$", r"\1Z", text).replace("Z", "+00:00"))


def a_day_later(events: list[Document]) -> list[Document]:
    """The scenarios' last day is the 18th of March."""
    found: list[Document] = json.loads(json.dumps(events).replace("2026-03-18", "2026-03-19"))
    return found


def _twin(mark: str, change: Callable[[Document], Document | None]) -> list[Document]:
    events = [event for event in next_day("benign", mark=mark) if event["host"]["id"] == HOSTS[0]]
    return a_day_later([changed for event in events if (changed := change(event)) is not None])


def _other_source(event: Document) -> Document:
    changed: Document = json.loads(json.dumps(event).replace(f'"ip": "{SERVER}"', '"ip": "10.20.2.77"'))
    return changed


def _other_destination(event: Document) -> Document:
    if event.get("source", {}).get("ip") == "10.20.14.37":
        event["destination"].update(ip="203.0.113.9", address="203.0.113.9")
    return event


def _without_lookups(event: Document) -> Document | None:
    return None if "dns" in event else event


def _child(mark: str) -> Document:
    events = next_day("benign", mark=mark)
    start = next(event for event in events if event["event"]["category"] == ["process"])
    parent = start["process"]
    start["process"] = {
        "name": "cmd.exe",
        "entity_id": f"child{mark}",
        "parent": {"name": "mshta.exe", "entity_id": parent["entity_id"]},
    }
    return a_day_later([start])[0]
