"""Rule files and exports as Kibana writes them, made by hand."""

import json
from typing import Any


def rule_values(rule_id: str = "a", **changes: Any) -> dict[str, Any]:
    """A rule in the shape of Kibana's export, with its bookkeeping."""
    return {
        "id": f"object-{rule_id}",
        "updated_at": "2026-01-02T03:04:05.000Z",
        "created_by": "elastic",
        "enabled": True,
        "revision": 4,
        "immutable": True,
        "rule_source": {"type": "external", "is_customized": False},
        "actions": [],
        "exceptions_list": [{"id": "x", "list_id": "endpoint_list", "type": "endpoint"}],
        "meta": {"from": "1m"},
        "rule_id": rule_id,
        "name": f"Rule {rule_id}",
        "description": "A rule.",
        "type": "eql",
        "language": "eql",
        "query": 'process where process.name == "x.exe"',
        "index": ["logs-*"],
        "filters": [],
        "severity": "low",
        "risk_score": 21,
        "from": "now-9m",
        "to": "now",
        "interval": "5m",
        "max_signals": 100,
        "version": 3,
        "tags": ["Domain: Endpoint", "Data Source: Sysmon"],
        "threat": [
            {
                "framework": "MITRE ATT&CK",
                "tactic": {"id": "TA0008", "name": "Lateral Movement", "reference": "https://x.test"},
                "technique": [
                    {
                        "id": "T1021",
                        "name": "Remote Services",
                        "subtechnique": [{"id": "T1021.003", "name": "Distributed Component Object Model"}],
                    }
                ],
            }
        ],
        **changes,
    }


def exception_list(**changes: Any) -> dict[str, Any]:
    return {"list_id": "l1", "name": "A list", "type": "detection", "namespace_type": "single", **changes}


def exception_item() -> dict[str, Any]:
    return {"list_id": "l1", "item_id": "i1", "entries": [], "name": "An item", "type": "simple"}


def connector() -> dict[str, Any]:
    return {"id": "c1", "type": "action", "attributes": {"actionTypeId": ".email", "name": "Mail"}}


def closing_line(rules: int, lists: int = 0, items: int = 0, connectors: int = 0) -> dict[str, Any]:
    """The last line of an export of 8.x and 9.x."""
    return {
        "exported_count": rules + lists + items + connectors,
        "exported_rules_count": rules,
        "missing_rules": [],
        "missing_rules_count": 0,
        "exported_exception_list_count": lists,
        "exported_exception_list_item_count": items,
        "missing_exception_list_item_count": 0,
        "exported_action_connector_count": connectors,
        "missing_action_connection_count": 0,
    }


def lines(*documents: dict[str, Any]) -> str:
    """Documents as an export holds them, one a line."""
    return "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)


def toml_rule(rule_id: str = "a", *, updated: str = "2026/01/01", query: str = "", **changes: str) -> str:
    """A rule in the shape of the detection-rules repository."""
    query = query or 'process where process.name == "x.exe"'
    return f'''
[metadata]
creation_date = "2025/01/01"
updated_date = "{updated}"
[rule]
rule_id = "{rule_id}"
name = "{changes.get("name", f"Rule {rule_id}")}"
description = "A rule."
type = "eql"
language = "eql"
query = \'\'\'
{query}
\'\'\'
severity = "low"
risk_score = 21
from = "{changes.get("start", "now-9m")}"
interval = "5m"
note = """
{changes.get("note", "A note.")}
"""
'''
