"""Copies of our alerts in the cluster, for whoever looks there. Ours stay the ones that count.

A copy is created once (`op_type=create`): one that is there already is done. Where the whole event can't be
mapped, it is kept as text, so that nothing in an event can lose its alert.
"""

from typing import Any

from detections import outbox
from detections.errors import CasewrightError
from detections.event_store import cluster_store
from detections.journal import canonical_json
from detections.models import Alert, RuleRun

KIND = "alert_copy"
DATASET = "casewright.alerts"


class CopyError(CasewrightError):
    """A copy that can't be written now; it is tried again."""


def ask(run: RuleRun) -> None:
    """Ask for copies of the alerts that a run stored, in the caller's transaction.

    Nothing where no credential of its own may write them, or for the canary.
    """
    if run.rule.is_canary or not _are_wanted():
        return
    outbox.put_many(KIND, Alert.objects.filter(run=run).values_list("pk", flat=True))


def _are_wanted() -> bool:
    from django.conf import settings

    if not settings.ELASTICSEARCH_URL:
        return False
    from detections.cluster_settings import writes_copies

    return writes_copies()


@outbox.handler(KIND)
def deliver_copy(alert_id: int | None) -> None:
    """Outbox: create an alert's copy. Raises StoreError, to be tried again, if it could not be."""
    from detections.stores.elasticsearch.refusals import DocumentRefusedError
    from detections.stores.elasticsearch.streams import COPIES_STREAM

    assert alert_id is not None
    alert = Alert.objects.select_related("rule", "rule_version").filter(pk=alert_id).first()
    if alert is None or not _are_wanted():
        return
    store = cluster_store()
    if store is None:
        raise CopyError("No cluster is named any more.")
    document = copy_of(alert)
    action = {"create": {"_id": alert.alert_id}}
    try:
        store.create(COPIES_STREAM, [action, document])
    except DocumentRefusedError:
        # The events' text is there in any case.
        store.create(COPIES_STREAM, [action, {**document, "casewright": _without_events(document)}])


def _without_events(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document["casewright"].items() if name != "events"}


def copy_of(alert: Alert) -> dict[str, Any]:
    """The document of an alert's copy: ECS for what ECS names, the rest under `casewright`."""
    rule, version = alert.rule, alert.rule_version
    return {
        "@timestamp": alert.detected_at.isoformat(),
        "data_stream": {"type": "logs", "dataset": DATASET, "namespace": "default"},
        "event": {
            "kind": "signal",
            "module": "casewright",
            "dataset": DATASET,
            "created": alert.detected_at.isoformat(),
        },
        "host": {"id": alert.host_id, "name": alert.host_name},
        "rule": {
            "id": rule.rule_id if rule else alert.external_rule_id,
            "name": rule.name if rule else alert.title,
            "version": str(version.number) if version else "",
        },
        "message": alert.title,
        "casewright": {
            "alert": {
                "id": alert.alert_id,
                "title": alert.title,
                "severity": alert.severity,
                "risk_score": alert.risk_score,
                "origin": alert.origin,
                "time_basis": alert.time_basis,
                "first_event_at": alert.first_event_at.isoformat(),
                "last_event_at": alert.last_event_at.isoformat(),
                "late_seconds": alert.late_seconds,
            },
            "events": alert.documents,
            "events_json": canonical_json(alert.events),
        },
    }
