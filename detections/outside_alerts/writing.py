"""Write a workflow status back to the alerts of Elastic Security. It only ever goes forward.

The credential `write` updates documents in the indices that hold the alerts; nothing else is written there.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.utils import timezone

from detections.errors import StoreError
from detections.models import OutsideAlert
from detections.outside_alerts.index import IDS_A_REQUEST, PURPOSE, STATUS, AlertsIndex, alerts_index
from detections.outside_alerts.reading import node
from detections.stores.elasticsearch import Access
from detections.stores.elasticsearch.answers import require_whole

REASON = "kibana.alert.workflow_reason"
UPDATED = "kibana.alert.workflow_status_updated_at"
OPEN, ACKNOWLEDGED, CLOSED = "open", "acknowledged", "closed"
_ORDER = {OPEN: 0, "": 0, ACKNOWLEDGED: 1, "in-progress": 1, CLOSED: 2}


def write(alerts: Sequence[OutsideAlert], status: str, reason: str = "") -> int:
    """Bring the alerts in the cluster to a status. Returns how many were changed.

    What stands there already, or further, stays: a person closed it. One that is gone is passed over.
    Raises StoreError if the cluster refuses, or if somebody changed an alert in the same moment; it may be
    called again.
    """
    index = alerts_index()
    if index is None:
        raise StoreError("ELASTICSEARCH_ALERTS_INDEX names no index of alerts any more.")
    changed = 0
    for start in range(0, len(alerts), IDS_A_REQUEST):
        lines = list(_lines(index, alerts[start : start + IDS_A_REQUEST], status, reason))
        if lines:
            _send(index, lines)
            changed += len(lines) // 2
    return changed


def _lines(
    index: AlertsIndex, alerts: Sequence[OutsideAlert], status: str, reason: str
) -> Iterator[Mapping[str, Any]]:
    now = timezone.now().isoformat()
    for hit in _standing(index, [alert.document_id for alert in alerts]):
        if _ORDER.get(str(node(hit["_source"], STATUS) or ""), 0) >= _ORDER[status]:
            continue
        fields = {STATUS: status, UPDATED: now} | ({REASON: reason} if reason else {})
        yield {
            "update": {
                "_index": hit["_index"],
                "_id": hit["_id"],
                "if_seq_no": hit["_seq_no"],
                "if_primary_term": hit["_primary_term"],
            }
        }
        yield {"doc": fields if STATUS in hit["_source"] else _nested(fields)}


def _nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    """As a document with nested objects has them: a dotted key beside them would be a second value."""
    alert = {name.removeprefix("kibana.alert."): value for name, value in fields.items()}
    return {"kibana": {"alert": alert}}


def _standing(index: AlertsIndex, ids: Sequence[str]) -> list[Mapping[str, Any]]:
    client = index.connection.client(Access.PIVOT, PURPOSE)
    answer = index.connection.ask(
        "read the status of the alerts",
        lambda: client.search(
            index=index.pattern,
            query={"ids": {"values": list(ids)}},
            size=len(ids),
            source_includes=[STATUS],
            seq_no_primary_term=True,
            allow_partial_search_results=False,
        ),
    ).body
    require_whole(answer)
    hits: list[Mapping[str, Any]] = answer["hits"]["hits"]
    return hits


def _send(index: AlertsIndex, lines: Sequence[Mapping[str, Any]]) -> None:
    client = index.connection.client(Access.WRITE, PURPOSE)
    answer = index.connection.ask(
        "write the status of alerts", lambda: client.bulk(operations=list(lines), refresh="wait_for")
    ).body
    refused = [item["update"] for item in answer["items"] if item["update"]["status"] not in (200, 201, 404)]
    if refused:
        error = refused[0].get("error") or {}
        raise StoreError(
            f"{len(refused)} of {len(lines) // 2} alerts kept their status: {error.get('type')}: "
            f"{error.get('reason')}. The credential `write` needs `read` and `write` on the indices behind "
            f"{index.pattern}, which are named .internal.alerts-security.alerts-*."
        )
