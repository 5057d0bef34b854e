"""Rules, as the database holds them."""

from datetime import datetime
from typing import Any

from detections.models import Rule, RuleVersion

SEQUENCE = """
sequence by host.id, process.entity_id with maxspan=1m
  [process where event.type == "start" and process.name : "mshta.exe"]
  [network where event.type == "start" and network.direction == "ingress"]
"""


def rule(
    rule_id: str = "mshta",
    *,
    query: str = SEQUENCE,
    maxspan: float | None = 60,
    covered_until: datetime | None = None,
    **fields: Any,
) -> Rule:
    """An enabled EQL rule with one version."""
    made = Rule.objects.create(
        rule_id=rule_id,
        name=fields.pop("name", f"Rule {rule_id}"),
        type=fields.pop("type", "eql"),
        severity="high",
        risk_score=73,
        enabled=fields.pop("enabled", True),
        covered_until=covered_until,
        **fields,
    )
    made.current = RuleVersion.objects.create(
        rule=made, number=1, query=query, maxspan_seconds=maxspan, source="test", sha256="0" * 64
    )
    made.save(update_fields=["current"])
    return made
