"""Alert documents as Elastic Security writes them: flat `kibana.*` keys beside a copy of the event."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

Hit = tuple[str, dict[str, Any]]
NOTE = """## Triage and analysis

### Investigating what happened

#### Possible investigation steps

- Look at what the host did.
 !{investigate{"label":"Events of the host","providers":[[{"excluded":false,"field":"host.id",\
"queryType":"phrase","value":"{{host.id}}","valueType":"string"}]],"relativeFrom":"now-1h/h","relativeTo":"now"}}
- Ask who used the account.
"""


def rule_fields(name: str, type_: str, **more: Any) -> dict[str, Any]:
    """What every alert says of its rule. more: without their `kibana.alert.rule.`."""
    fields = {
        "name": name,
        "type": type_,
        "rule_id": f"rule-{name}",
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
        "note": NOTE,
        "parameters": {"type": type_, "note": NOTE, "severity": "high", "risk_score": 73},
        **more,
    }
    return {f"kibana.alert.rule.{key}": value for key, value in fields.items()}


def alert(
    at: datetime,
    rule: Mapping[str, Any],
    ancestors: Sequence[Mapping[str, Any]],
    *,
    event: Mapping[str, Any] | None = None,
    **more: Any,
) -> Hit:
    """One alert. event: the document that it copies, as Elastic does."""
    key = str(more.pop("uuid", uuid.uuid4().hex))
    copied = {name: value for name, value in (event or {}).items() if name not in ("@timestamp", "event")}
    original = {
        f"kibana.alert.original_event.{name}": value for name, value in (event or {}).get("event", {}).items()
    }
    document = {
        **copied,
        **original,
        **rule,
        "@timestamp": at.isoformat(),
        "event.kind": "signal",
        "kibana.alert.uuid": key,
        "kibana.alert.ancestors": [dict(one) for one in ancestors],
        "kibana.alert.depth": 1,
        "kibana.alert.status": "active",
        "kibana.alert.workflow_status": "open",
        "kibana.alert.severity": "high",
        "kibana.alert.risk_score": 73,
        "kibana.alert.reason": "an event of the test created high alert.",
        **({"kibana.alert.original_time": event["@timestamp"]} if event else {}),
        **{name.replace("__", "."): value for name, value in more.items()},
    }
    return key, document


def ancestor(index: str, document_id: str, type_: str = "event", depth: int = 0) -> dict[str, Any]:
    return {"id": document_id, "type": type_, "index": index, "depth": depth}


def sequence(at: datetime, rule: Mapping[str, Any], index: str, events: Sequence[Hit]) -> list[Hit]:
    """A shell alert, last, and its building blocks, one an event."""
    group = uuid.uuid4().hex
    parts = {"kibana__alert__group__id": group, "kibana__alert__building_block_type": "default"}
    blocks = [alert(at, rule, [ancestor(index, key)], event=document, **parts) for key, document in events]
    named: list[dict[str, Any]] = []
    for (key, _document), (block, _copy) in zip(events, blocks, strict=True):
        named += [ancestor(index, key), ancestor(".internal.alerts", block, "signal", 1)]
    shared = {name: value for name, value in events[0][1].items() if name == "host"}
    shell = alert(at, rule, named, kibana__alert__group__id=group, kibana__alert__depth=2, **shared)
    return [*blocks, shell]
