"""ECS documents of Windows telemetry."""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from detections.stores.base import MappedEvent


def mshta_start(
    at: datetime, *, host: str = "host-1", entity: str = "p-1", created: datetime | None = None
) -> dict[str, Any]:
    """The COM server mshta starts."""
    return {
        **_base(at, created, host),
        "event": _event(at, created, ["process"], ["start"]),
        "process": {
            "name": "mshta.exe",
            "entity_id": entity,
            "executable": "C:\\Windows\\System32\\mshta.exe",
            "args": ["C:\\Windows\\System32\\mshta.exe", "-Embedding"],
            "command_line": "C:\\Windows\\System32\\mshta.exe -Embedding",
            "pid": 4711,
        },
    }


def mshta_connection(
    at: datetime,
    *,
    host: str = "host-1",
    entity: str = "p-1",
    source: str = "10.0.0.9",
    created: datetime | None = None,
) -> dict[str, Any]:
    """Somebody connects to mshta, from a high port to a high port."""
    return {
        **_base(at, created, host),
        "event": _event(at, created, ["network"], ["start"]),
        "process": {"name": "mshta.exe", "entity_id": entity, "pid": 4711},
        "network": {"direction": "ingress", "transport": "tcp"},
        "source": {"ip": source, "port": 50001},
        "destination": {"ip": "10.0.0.5", "port": 50002},
    }


def attack(at: datetime, *, host: str = "host-1", entity: str = "p-1") -> list[dict[str, Any]]:
    """One match of the sequence: a start, and a connection two seconds later."""
    later = at + timedelta(seconds=2)
    return [mshta_start(at, host=host, entity=entity), mshta_connection(later, host=host, entity=entity)]


def mapped(*documents: dict[str, Any]) -> list[MappedEvent]:
    """Documents on their way into the store, each with the identity of its content."""
    return [
        MappedEvent(sha256(repr(document).encode()).hexdigest(), document, "test") for document in documents
    ]


def _base(at: datetime, created: datetime | None, host: str) -> dict[str, Any]:
    return {
        "@timestamp": _text(at),
        "ecs": {"version": "8.17.0"},
        "host": {"id": host, "name": host, "os": {"type": "windows"}},
    }


def _event(at: datetime, created: datetime | None, category: list[str], sort: list[str]) -> dict[str, Any]:
    return {"kind": "event", "category": category, "type": sort, "created": _text(created or at)}


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
