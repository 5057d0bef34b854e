"""Our own data streams in the cluster, and the roles that need no more than they must."""

from collections.abc import Sequence
from typing import Any

from detections.stores.elasticsearch.connection import Access, Cluster

COPIES_NAME = "logs-casewright.alerts"
COPIES = f"{COPIES_NAME}-*"
COPIES_STREAM = f"{COPIES_NAME}-default"
CANARY_NAME = "logs-casewright.canary"
CANARY_STREAM = f"{CANARY_NAME}-default"
READ = ("read", "view_index_metadata")
CREATE = ("create_doc", "auto_configure")
UPDATE = ("read", "write")
KEY_EXPIRES = "90d"
# Above those of Elastic's own templates for logs-*, and of what most people put over them.
PRIORITY = 700

_KEYWORD: dict[str, Any] = {"type": "keyword", "ignore_above": 1024}
_DATE: dict[str, Any] = {"type": "date"}
_STREAM = {"properties": dict.fromkeys(("type", "dataset", "namespace"), _KEYWORD)}
_EVENT: dict[str, Any] = {
    "properties": {
        **dict.fromkeys(("kind", "category", "type", "dataset", "action", "module"), _KEYWORD),
        "created": _DATE,
        "ingested": _DATE,
    }
}
_HOST = {"properties": {"id": _KEYWORD, "name": _KEYWORD}}
_COPY: dict[str, Any] = {
    "properties": {
        "alert": {
            "properties": {
                **dict.fromkeys(("id", "title", "severity", "origin", "time_basis"), _KEYWORD),
                "risk_score": {"type": "long"},
                "first_event_at": _DATE,
                "last_event_at": _DATE,
                "late_seconds": {"type": "double"},
            }
        },
        # Nothing in a source event can conflict with this mapping: all its leaves are keywords.
        "events": {"type": "flattened", "ignore_above": 8191, "depth_limit": 50},
        "events_json": {"type": "keyword", "index": False, "doc_values": False},
    }
}


def templates() -> dict[str, dict[str, Any]]:
    """The composable index templates of our streams, by name. Fields that they do not name are kept, not
    mapped, so that no document is refused for what it holds.
    """
    rule = {"properties": {"id": _KEYWORD, "name": _KEYWORD, "version": _KEYWORD}}
    shared = {"@timestamp": _DATE, "data_stream": _STREAM, "event": _EVENT, "message": {"type": "text"}}
    trace = {"properties": {"id": _KEYWORD}}
    return {
        "casewright-alerts": _template(COPIES, {**shared, "host": _HOST, "rule": rule, "casewright": _COPY}),
        "casewright-canary": _template(f"{CANARY_NAME}-*", {**shared, "host": _HOST, "trace": trace}),
    }


def _template(pattern: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "index_patterns": [pattern],
        "data_stream": {},
        "priority": PRIORITY,
        "_meta": {"managed_by": "casewright"},
        "template": {"mappings": {"dynamic": False, "properties": properties}},
    }


def needs(access: Access, cluster: Cluster) -> dict[str, tuple[str, ...]]:
    """The privileges of an access, by index pattern: these and no others."""
    if access is Access.WRITE:
        return {COPIES: CREATE, **({_behind(cluster.alerts_index): UPDATE} if cluster.writes_back else {})}
    if access is Access.CANARY:
        return {f"{CANARY_NAME}-*": CREATE}
    found: dict[str, tuple[str, ...]] = dict.fromkeys(
        (one for one in cluster.patterns if ":" not in one and not one.startswith("-")), READ
    )
    if access is Access.PIVOT and cluster.alerts_index:
        found[cluster.alerts_index] = READ
    return found


def _behind(alerts_index: str) -> str:
    """The indices behind an alias of Elastic Security: documents are updated there."""
    return f".internal{alerts_index}" if alerts_index.startswith(".alerts-") else alerts_index


def role(access: Access, cluster: Cluster) -> dict[str, Any]:
    """A role for one access, as `PUT /_security/role/NAME` takes it; also the role descriptor of a key."""
    indices: dict[tuple[str, ...], list[str]] = {}
    for pattern, privileges in needs(access, cluster).items():
        indices.setdefault(privileges, []).append(pattern)
    found: dict[str, Any] = {
        "cluster": [],
        "indices": [{"names": names, "privileges": list(given)} for given, names in indices.items()],
    }
    if remote := _remote(cluster.patterns) if access in (Access.DETECT, Access.PIVOT) else {}:
        found["remote_indices"] = [
            {"clusters": [name], "names": names, "privileges": [*READ, "read_cross_cluster"]}
            for name, names in remote.items()
        ]
    return found


def _remote(patterns: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in patterns:
        cluster, colon, name = one.partition(":")
        if colon:
            found.setdefault(cluster, []).append(name)
    return found
