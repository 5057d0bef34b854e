"""Our alerts as documents, for pivots that ask for signals. Fields are named as in Elastic's alert index."""

import ipaddress
from collections.abc import Iterable
from typing import Any

from detections import ecs
from detections.ecs import Document
from detections.models import Alert
from detections.stores.base import Clause, Filters, Operator, Window
from triage.models import Case


def related_alerts(
    case: Case, filters: Filters, window: Window, *, limit: int, without: str = ""
) -> tuple[list[Alert], int]:
    """Alerts, other than the case's own, that satisfy the filters and whose last event lies in the window.

    without: an origin that is asked elsewhere. Returns the first `limit` in time order, and how many there
    are.
    """
    alerts = Alert.objects.filter(last_event_at__gte=window.start, last_event_at__lte=window.end)
    if without:
        alerts = alerts.exclude(origin=without)
    hosts = _hosts(filters)
    if hosts is not None:
        alerts = alerts.filter(host_id__in=hosts)
    alerts = alerts.exclude(occurrence__case=case).select_related("rule", "rule_version")
    found: list[Alert] = []
    total = 0
    for alert in alerts.order_by("last_event_at", "pk").iterator(chunk_size=500):
        if satisfies(alert_document(alert), filters):
            total += 1
            if len(found) < limit:
                found.append(alert)
    return found, total


def _hosts(filters: Filters) -> set[str] | None:
    """The host ids that every group names, or None if one leaves it open: lets the database narrow."""
    hosts: set[str] = set()
    for group in filters.groups:
        named = [
            {str(value) for value in clause.values}
            for clause in group
            if clause.field == "host.id"
            and not clause.excluded
            and clause.operator in (Operator.IS, Operator.IS_ONE_OF)
        ]
        if not named:
            return None
        hosts |= named[0]
    return hosts


def alert_document(alert: Alert) -> Document:
    """An alert as an ECS document; its time is that of its last event, not of the detection."""
    document: Document = {}
    for field, value in _fields(alert).items():
        ecs.put(document, field, value)
    return document


def _fields(alert: Alert) -> dict[str, Any]:
    version = alert.rule_version
    threats = version.threat if version else []
    first: Document = alert.events[0]["document"] if alert.events else {}
    return {
        "@timestamp": alert.last_event_at.isoformat(),
        "event.kind": "signal",
        "event.created": alert.detected_at.isoformat(),
        "host.id": alert.host_id,
        "host.name": alert.host_name,
        "user.name": ecs.get(first, "user.name"),
        "user.id": ecs.get(first, "user.id"),
        "process.name": ecs.get(first, "process.name"),
        "process.entity_id": ecs.get(first, "process.entity_id"),
        "rule.id": alert.rule.rule_id if alert.rule else alert.external_rule_id,
        "rule.name": alert.title,
        "kibana.alert.uuid": alert.alert_id,
        "kibana.alert.rule.name": alert.title,
        "kibana.alert.rule.rule_id": alert.rule.rule_id if alert.rule else alert.external_rule_id,
        "kibana.alert.severity": alert.severity,
        "kibana.alert.risk_score": alert.risk_score,
        "kibana.alert.rule.threat.tactic.name": _names(threats, "tactic"),
    }


def _names(threats: Iterable[Any], key: str) -> list[str] | None:
    names = [ecs.text(threat, f"{key}.name") for threat in threats if isinstance(threat, dict)]
    return list(dict.fromkeys(name for name in names if name)) or None


def satisfies(document: Document, filters: Filters) -> bool:
    """Whether a document satisfies structured filters, compared as the store compares: exact, as data."""
    return any(all(_holds(document, clause) for clause in group) for group in filters.groups)


def _holds(document: Document, clause: Clause) -> bool:
    values = ecs.values(document, clause.field)
    if clause.operator is Operator.EXISTS:
        holds = bool(values)
    elif clause.operator is Operator.IN_NETWORK:
        holds = any(_in_network(value, network) for value in values for network in clause.values)
    else:
        holds = any(value == wanted for value in values for wanted in clause.values)
    return holds != clause.excluded


def _in_network(value: Any, network: Any) -> bool:
    try:
        return ipaddress.ip_address(str(value)) in ipaddress.ip_network(str(network), strict=False)
    except ValueError:
        return False
