"""A frozen event in short: what the timeline, the process tree and the facts read instead of documents."""

from typing import Any

from detections import ecs
from detections.ecs import Document
from detections.enums import TelemetryKind
from detections.ingest.remote import remote_side
from detections.telemetry_kinds import kind_of
from triage.models import EventSummary, Evidence

_K = TelemetryKind
_OUTWARD = ("egress", "outgoing", "outbound")
# Per kind, the fields of which the first that is there tells an event from its neighbours.
_WHAT: dict[TelemetryKind | None, tuple[str, ...]] = {
    _K.ALERT: ("rule.name", "kibana.alert.rule.name"),
    _K.LOGON: ("user.name", "winlog.event_data.TargetUserName"),
    _K.DNS: ("dns.question.name",),
    _K.FILE: ("file.path", "file.name"),
    _K.LIBRARY: ("dll.path", "dll.name", "file.path"),
    _K.REGISTRY: ("registry.path", "registry.key"),
    _K.PROCESS: ("process.command_line", "process.executable", "process.name"),
    None: ("event.action", "message"),
}


def summary_of(row: Evidence, case_id: int, case_host: str) -> EventSummary:
    """The short form of a row, unsaved. case_host: only its own outbound connections count as reached."""
    document = row.document
    kind = kind_of(document)
    types = {str(value) for value in ecs.values(document, "event.type")}
    return EventSummary(
        evidence=row,
        case_id=case_id,
        pivot_id=row.pivot_id,
        identity=row.identity,
        event_at=row.event_at,
        host=(ecs.text(document, "host.name") or ecs.text(document, "host.id"))[:255],
        kind=kind.value if kind else "",
        action=ecs.text(document, "event.action")[:64],
        is_start=kind is _K.PROCESS and ("start" in types or not types),
        is_end="end" in types,
        what=_what(document, kind)[:200],
        dns_name=ecs.text(document, "dns.question.name")[:255],
        resolved=[str(value)[:64] for value in ecs.values(document, "dns.resolved_ip")[:20]],
        remote=_reached(document, case_host),
        **_process(document),
    )


def _process(document: Document) -> dict[str, Any]:
    host = ecs.text(document, "host.id")
    return {
        "process_name": _name(document, "process"),
        "process_key": _key(document, "process", host),
        "pid": ecs.text(document, "process.pid")[:20],
        "parent_name": _name(document, "process.parent"),
        "parent_key": _key(document, "process.parent", host),
        "parent_pid": ecs.text(document, "process.parent.pid")[:20],
    }


def _name(document: Document, prefix: str) -> str:
    name = ecs.text(document, f"{prefix}.name") or ecs.text(document, f"{prefix}.executable")
    return name.rsplit("\\", 1)[-1][:255]


def _key(document: Document, prefix: str, host: str) -> str:
    """The entity id; a process without one goes by its number on its host, which is used again in time."""
    entity, pid = ecs.text(document, f"{prefix}.entity_id"), ecs.text(document, f"{prefix}.pid")
    return (entity or (f"pid {pid} {host}" if pid else ""))[:255]


def _what(document: Document, kind: TelemetryKind | None) -> str:
    if kind is _K.CONNECTION:
        ends = [_end(document, side) for side in ("source", "destination")]
        return " to ".join(end for end in ends if end)
    text = next(filter(None, (ecs.text(document, field) for field in _WHAT[kind])), "")
    if kind is _K.DNS and (answers := ecs.values(document, "dns.resolved_ip")):
        return f"{text} is {', '.join(str(one) for one in answers[:3])}"
    return text


def _end(document: Document, side: str) -> str:
    ip, port = ecs.text(document, f"{side}.ip"), ecs.text(document, f"{side}.port")
    shown = f"[{ip}]" if ":" in ip and port else ip
    return f"{shown}:{port}" if ip and port else ip


def _reached(document: Document, case_host: str) -> str:
    is_own = ecs.text(document, "host.id") == case_host
    direction = ecs.text(document, "network.direction").lower()
    if not is_own or direction not in _OUTWARD or ecs.get(document, "dns.question.name"):
        return ""
    side = remote_side(document)
    return f"{side.ip} {side.port or ''}"[:80] if side else ""
