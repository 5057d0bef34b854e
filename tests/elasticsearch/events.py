"""Puts events into a server's data streams, mapped as an integration would map them."""

import json
from collections.abc import Iterable
from typing import Any

import urllib3

from detections.eql.known import catalogue
from tests.elasticsearch.server import ADMIN, Server

SPECIAL = {"host.ip", "source.ip", "destination.ip", "dns.resolved_ip"}
TYPES = {"long": "long", "double": "double", "boolean": "boolean", "date": "date", "ip": "ip"}


def admin(server: Server, method: str, path: str, body: Any = None, *, lines: bool = False) -> Any:
    """A request as the server's admin; fails on any answer of 400 and more but 404."""
    headers = urllib3.make_headers(basic_auth=f"{ADMIN}:{server.password}")
    headers["Content-Type"] = "application/x-ndjson" if lines else "application/json"
    sent = body if lines or body is None else json.dumps(body)
    answer = urllib3.request(method, server.url + path, headers=headers, body=sent, retries=False, timeout=60)
    assert answer.status < 400 or answer.status == 404, answer.data[:2000]
    return json.loads(answer.data) if answer.data else None


def install_template(server: Server) -> None:
    """`logs-*` with ECS types, data streams, and strings as keyword."""
    properties: dict[str, Any] = {}
    for name, known in catalogue().items():
        parts, node = name.split("."), properties
        for part in parts[:-1]:
            node = node.setdefault(part, {}).setdefault("properties", {})
        node.setdefault(parts[-1], {}).setdefault("type", TYPES.get(known.type.value, "keyword"))
    _drop_types_of_objects(properties)
    dynamic = [
        {"strings": {"match_mapping_type": "string", "mapping": {"type": "keyword", "ignore_above": 1024}}}
    ]
    template = {
        "index_patterns": ["logs-*"],
        "data_stream": {},
        "priority": 500,
        "template": {
            "settings": {"number_of_replicas": 0, "mapping.total_fields.limit": 5000},
            "mappings": {"dynamic_templates": dynamic, "properties": properties},
        },
    }
    admin(server, "PUT", "/_index_template/tests", template)


def _drop_types_of_objects(properties: dict[str, Any]) -> None:
    for node in properties.values():
        if "properties" in node:
            node.pop("type", None)
            _drop_types_of_objects(node["properties"])


def fill(server: Server, stream: str, documents: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """Create documents (`_id`, source) in a data stream, and make them searchable."""
    lines = []
    for id_, document in documents:
        lines += [json.dumps({"create": {"_id": id_}}), json.dumps(document)]
    for start in range(0, len(lines), 4000):
        answer = admin(
            server,
            "POST",
            f"/{stream}/_bulk?refresh=true",
            "\n".join(lines[start : start + 4000]) + "\n",
            lines=True,
        )
        assert not answer["errors"], [item for item in answer["items"] if item["create"]["status"] > 299][:2]
    admin(server, "POST", f"/{stream}/_refresh")
