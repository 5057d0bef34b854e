"""What one document of Elastic Security's alert index says. Pure: asks nobody, stores nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from detections import ecs
from detections.ecs import Document
from detections.enums import Severity
from detections.eql.parser import parse
from detections.errors import CasewrightError, EqlError
from detections.ingest import identity
from detections.ingest.moments import TimeError, moment
from detections.stores.base import StoredEvent
from detections.stores.elasticsearch.answers import INGEST, data_stream

RULE = "kibana.alert.rule"
ORIGINAL = "kibana.alert.original_event"
# Said in full by other columns, or a second copy of the rule.
_LEFT_OUT = (f"{RULE}.note", f"{RULE}.parameters")


class UnreadableAlertError(CasewrightError):
    """One alert document can't become an alert here; the others can. `uuid` names it."""

    def __init__(self, message: str, *, uuid: str) -> None:
        self.uuid = uuid
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Reference:
    """Where an alert says that one of its events lies."""

    index: str
    document_id: str

    @property
    def stream(self) -> str:
        """The data stream (else the index): what moves an index to another tier leaves it as it is."""
        return data_stream(self.index)


@dataclass(frozen=True, slots=True)
class Raised:
    """One alert of Elastic Security. events: where its events lie, in order. blocks: ids of the building
    blocks that it is made of. document: the whole of it."""

    uuid: str
    index: str
    document_id: str
    raised_at: datetime
    rule_id: str
    rule_name: str
    rule_type: str
    severity: Severity
    risk_score: int
    note: str
    workflow_status: str
    events: tuple[Reference, ...]
    blocks: tuple[str, ...]
    document: Document

    @property
    def about(self) -> Document:
        """What Elastic Security says of the alert itself, without the copies of rule and event."""
        kept = {
            name: value
            for name, value in _flat(self.document).items()
            if name.startswith("kibana.") and not name.startswith((*_LEFT_OUT, f"{ORIGINAL}."))
        }
        return {str(name): ecs.storable(value) for name, value in sorted(kept.items())}


def read(hit: Mapping[str, Any]) -> Raised:
    """One hit of the alert index. Raises UnreadableAlertError if it has no source, time or rule."""
    document_id, document = str(hit.get("_id", "")), hit.get("_source")
    if not isinstance(document, dict):
        raise UnreadableAlertError(f"Alert {document_id} came without its _source.", uuid=document_id)
    uuid = ecs.text(document, "kibana.alert.uuid") or document_id
    rule_id = ecs.text(document, f"{RULE}.rule_id") or ecs.text(document, f"{RULE}.uuid")
    raised_at = _time(ecs.get(document, "@timestamp"))
    if not rule_id or raised_at is None:
        lacks = "names no rule" if not rule_id else "has no time that can be read"
        raise UnreadableAlertError(f"Alert {uuid} {lacks}.", uuid=uuid)
    ancestors = _ancestors(document)
    return Raised(
        uuid=uuid,
        index=str(hit.get("_index", "")),
        document_id=document_id,
        raised_at=raised_at,
        rule_id=rule_id,
        rule_name=ecs.text(document, f"{RULE}.name") or rule_id,
        rule_type=ecs.text(document, f"{RULE}.type") or ecs.text(document, f"{RULE}.parameters.type"),
        severity=_severity(document),
        risk_score=_risk(document),
        note=ecs.text(document, f"{RULE}.note") or ecs.text(document, f"{RULE}.parameters.note"),
        workflow_status=ecs.text(document, "kibana.alert.workflow_status") or "open",
        events=_events(ancestors),
        blocks=tuple(dict.fromkeys(str(one.get("id", "")) for one in ancestors if _is_alert(one))),
        document=document,
    )


def _ancestors(document: Document) -> list[dict[str, Any]]:
    found = node(document, "kibana.alert.ancestors")
    return [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict)]


def _is_alert(ancestor: Mapping[str, Any]) -> bool:
    return ancestor.get("type") == "signal" and bool(ancestor.get("id"))


def _events(ancestors: Iterable[Mapping[str, Any]]) -> tuple[Reference, ...]:
    """The events at the root: an alert on alerts names those, and below them what they were raised on."""
    found = (
        Reference(str(one.get("index") or ""), str(one["id"]))
        for one in ancestors
        if not _is_alert(one) and one.get("id")
    )
    return tuple(dict.fromkeys(found))


def _severity(document: Document) -> Severity:
    said = ecs.text(document, "kibana.alert.severity") or ecs.text(document, f"{RULE}.severity")
    return Severity(said) if said in Severity.values else Severity.MEDIUM


def _risk(document: Document) -> int:
    for field in ("kibana.alert.risk_score", f"{RULE}.risk_score"):
        value = ecs.get(document, field)
        if isinstance(value, int | float):
            return min(max(int(value), 0), 100)
    return 0


def _time(value: Any) -> datetime | None:
    try:
        return moment(str(value))
    except TimeError:
        return None


# -- events, as the alert itself has them


def copied_event(raised: Raised, reference: Reference | None = None) -> StoredEvent:
    """The event as the alert copied it, for when the original is gone. Without a reference the alert speaks
    of many events or of none in particular (a threshold, an anomaly): then its own document stands for them.
    """
    if reference is None or not _has_original(raised.document):
        return _own_document(raised)
    document = _without_kibana(raised.document)
    event: Document = {}
    for name, value in _flat(raised.document).items():
        if name.startswith(f"{ORIGINAL}."):
            ecs.put(event, name.removeprefix(f"{ORIGINAL}."), value)
    happened = _time(ecs.get(raised.document, "kibana.alert.original_time")) or raised.raised_at
    document |= {"@timestamp": happened.isoformat(), "event": event}
    dataset = identity.dataset_of(document) or reference.stream
    return _stored(identity.of_source(dataset, reference.document_id), document, happened)


def _has_original(document: Document) -> bool:
    return ecs.get(document, "kibana.alert.original_time") is not None and any(
        name.startswith(f"{ORIGINAL}.") for name in _flat(document)
    )


def _own_document(raised: Raised) -> StoredEvent:
    document = _without_kibana(raised.document) | raised.about
    happened = _time(ecs.get(raised.document, "kibana.alert.original_time")) or raised.raised_at
    if not ecs.text(document, "message"):
        ecs.put(document, "message", ecs.text(raised.document, "kibana.alert.reason"))
    return _stored(identity.of_source("kibana.alert", raised.uuid), document, happened)


def _without_kibana(document: Document) -> Document:
    return {
        name: value for name, value in document.items() if name != "kibana" and not name.startswith("kibana.")
    }


def _stored(key: str, document: Document, happened: datetime) -> StoredEvent:
    arrived = _time(ecs.get(document, "event.ingested")) or happened
    return StoredEvent(key, document, happened, INGEST, arrived)


# -- what the alert is about


def join_keys(raised: Raised, events: Sequence[StoredEvent]) -> list[list[Any]]:
    """What ties alerts of the rule to one case: what a sequence joins by, what a threshold counts by.

    Named as this product's own runs name it, so that an alert from there and one from here meet in one case.
    """
    counted = node(raised.document, "kibana.alert.threshold_result.terms")
    if isinstance(counted, list):
        terms = [one for one in counted if isinstance(one, dict) and one.get("field")]
        return [[str(one["field"]), ecs.storable(one.get("value"))] for one in terms]
    if raised.rule_type != "eql" or not events:
        return []
    try:
        stages = parse(ecs.text(raised.document, f"{RULE}.parameters.query")).stages
    except EqlError:
        return []
    names = [key.name for key in stages[0].keys] if stages else []
    return [[name, ecs.storable(ecs.get(events[0].document, name))] for name in names]


# -- documents with dotted keys


def node(document: Any, path: str) -> Any:
    """What stands at a dotted path, objects and lists as they are; None where nothing does."""
    if not path:
        return document
    if not isinstance(document, dict):
        return None
    cut = len(path)
    while cut > 0:
        if path[:cut] in document:
            found = node(document[path[:cut]], path[cut + 1 :])
            if found is not None:
                return found
        cut = path.rfind(".", 0, cut)
    return None


def _flat(document: Mapping[str, Any], prefix: str = "") -> Document:
    """Every leaf by its dotted name; lists are leaves."""
    found: Document = {}
    for name, value in document.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict) and value:
            found |= _flat(value, f"{path}.")
        else:
            found[path] = value
    return found
