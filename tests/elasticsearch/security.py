"""Elastic Security as it stands in a cluster: its hidden alerts index, events, and one alert of each type."""

import json
import uuid
from datetime import timedelta

from django.utils import timezone

from detections.models import OutsideAlert
from detections.outside_alerts import taking
from tests.elasticsearch.events import admin, fill
from tests.factories import elastic_alerts as elastic

STREAM = "logs-outside-default"
KEYWORDS = [
    "kibana.alert.uuid", "kibana.alert.workflow_status", "kibana.alert.building_block_type",
    "kibana.alert.group.id", "kibana.alert.rule.rule_id", "kibana.alert.rule.name", "host.id", "host.name",
    "event.kind", "user.name",
]  # fmt: skip


class Security:
    """Elastic Security with a space of its own in the server: an alias over one hidden index."""

    def __init__(self, server, name):
        self.server, self.host = server, uuid.uuid4().hex
        self.index = f".internal.alerts-security.alerts-{name}-000001"
        self.alias = f".alerts-security.alerts-{name}"
        properties = {one: {"type": "keyword"} for one in KEYWORDS}
        properties |= {
            "@timestamp": {"type": "date"},
            "kibana.alert.original_time": {"type": "date"},
            "kibana.alert.rule.parameters": {"type": "object", "enabled": False},
        }
        body = {
            "settings": {"index.hidden": True, "number_of_replicas": 0},
            "mappings": {"dynamic": False, "properties": properties},
            "aliases": {self.alias: {"is_write_index": True, "is_hidden": True}},
        }
        admin(server, "PUT", f"/{self.index}", body)

    def raises(self, *hits):
        lines = []
        for key, document in hits:
            lines += [json.dumps({"create": {"_id": key}}), json.dumps(document)]
        answer = admin(
            self.server, "POST", f"/{self.index}/_bulk?refresh=true", "\n".join(lines) + "\n", lines=True
        )
        assert not answer["errors"], answer["items"]

    def standing(self, key):
        return admin(self.server, "GET", f"/{self.index}/_doc/{key}")["_source"]

    def event(self, seconds=0, **more):
        """An event of this host in the cluster: its `_id` and document."""
        at = timezone.now() - timedelta(minutes=10) + timedelta(seconds=seconds)
        document = {
            "@timestamp": at.isoformat(),
            "event": {"category": ["process"], "type": ["start"], "kind": "event"},
            "data_stream": {"type": "logs", "dataset": "outside", "namespace": "default"},
            "host": {"id": self.host, "name": "web-1"},
            "process": {"name": "x.exe", "entity_id": uuid.uuid4().hex},
            **more,
        }
        key = uuid.uuid4().hex
        fill(self.server, STREAM, [(key, document)])
        return key, document

    def simple(self, at=None, *, name="query", **more):
        """An alert on an event of its own."""
        key, document = self.event()
        rule = elastic.rule_fields(name, "query")
        where = [elastic.ancestor(f".ds-{STREAM}-2026.01.01-000001", key)]
        return elastic.alert(at or timezone.now(), rule, where, event=document, **more)


def take(product, **options):
    return taking.take(actor=product, **options)


def uuids():
    return list(OutsideAlert.objects.order_by("alert__pk").values_list("uuid", flat=True))


def all_types(security):
    """One alert of each type, in order of time: what it is, and the ids of its events."""
    now = timezone.now()
    first, second = security.event(0), security.event(5)
    ds = f".ds-{STREAM}-2026.01.01-000001"
    query = elastic.rule_fields(
        "eql", "eql",
        parameters={"query": "sequence by host.id [any where true] [any where true]", "language": "eql"},
    )  # fmt: skip
    counted = {
        "kibana.alert.threshold_result": {
            "terms": [{"field": "user.name", "value": "svc"}], "count": 40,
            "from": (now - timedelta(minutes=9)).isoformat(),
        },
        "kibana.alert.original_time": now.isoformat(),
    }  # fmt: skip
    terms, matched = security.event(7), security.event(8)
    anomaly = {"@timestamp": now.isoformat(), "host": {"id": security.host, "name": "web-1"}, "event": {}}
    hits = [
        [security.simple(now - timedelta(seconds=60))],
        elastic.sequence(now - timedelta(seconds=50), query, ds, [first, second]),
        [elastic.alert(now - timedelta(seconds=40), elastic.rule_fields("threshold", "threshold"),
                       [elastic.ancestor("logs-*,winlogbeat-*", uuid.uuid4().hex)],
                       user={"name": "svc"}, **counted)],
        [elastic.alert(now - timedelta(seconds=30), elastic.rule_fields("new_terms", "new_terms"),
                       [elastic.ancestor(ds, terms[0])], event=terms[1], kibana__alert__new_terms=["x.exe"])],
        [elastic.alert(now - timedelta(seconds=20), elastic.rule_fields("ml", "machine_learning"),
                       [elastic.ancestor(".ml-anomalies-custom-x", "job_1")], event=anomaly)],
        [elastic.alert(now - timedelta(seconds=10), elastic.rule_fields("indicator", "threat_match"),
                       [elastic.ancestor(ds, matched[0])], event=matched[1])],
    ]  # fmt: skip
    security.raises(*(hit for group in hits for hit in group))
    return [group[-1][0] for group in hits], [first, second]
