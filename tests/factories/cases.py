"""Cases, opened the product's own way: telemetry, a run of the rule, routing, pivots."""

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import detections
from detections import outbox
from detections.actors import system
from detections.enums import RunTrigger
from detections.event_store import event_store
from detections.imports import import_captures
from detections.models import Alert, Rule
from detections.rule_loading import load_rules
from detections.run import run_rules
from triage.models import Case

SHIPPED = Path(detections.__file__).parent
ACTOR = system("test")


def shipped_rule() -> Rule:
    """The shipped DCOM rule with its guide and overlay, enabled."""
    path = SHIPPED / "rules" / "lateral_movement_dcom_mshta.toml"
    summary = load_rules([path], actor=ACTOR, enable=True, shipped=True)
    assert summary.errors == []
    return summary.rules[0]


def cases_of(*scenarios: str) -> list[Case]:
    """The cases that shipped scenarios open, their pivots run."""
    return cases_from([SHIPPED / "scenarios" / f"{name}.ndjson" for name in scenarios], shipped_rule())


def cases_of_a_host(scenario: str, folder: Path) -> list[Case]:
    """The same for the telemetry of the scenario's first host alone: a third of the roll-out's cases."""
    lines = (SHIPPED / "scenarios" / f"{scenario}.ndjson").read_text().splitlines(keepends=True)
    host = json.loads(lines[0])["host"]["id"]
    path = folder / f"{scenario}-{host}.ndjson"
    path.write_text("".join(line for line in lines if json.loads(line)["host"]["id"] == host))
    return cases_from([path], shipped_rule())


def cases_from(paths: list[Path], rule: Rule) -> list[Case]:
    """The cases that a rule opens over imported files."""
    import_captures(paths, store=event_store(), actor=ACTOR)
    return detect(rule)


def detect(rule: Rule) -> list[Case]:
    """Run the rule over what the store holds, and do all that follows from it."""
    rule.refresh_from_db()
    run_rules([rule], actor=ACTOR, trigger=RunTrigger.MANUAL)
    outbox.drain()
    return list(Case.objects.order_by("pk"))


def alert(
    rule: Rule | None,
    documents: Iterable[dict[str, Any]],
    at: datetime,
    *,
    name: str = "a1",
    **fields: Any,
) -> Alert:
    """A stored alert over these documents, not routed yet."""
    held = list(documents)
    host = held[0].get("host", {})
    return Alert.objects.create(
        alert_id=name,
        rule=rule,
        rule_version=rule.current if rule else None,
        external_rule_id="" if rule else "elsewhere",
        title=rule.name if rule else "Elsewhere",
        severity=fields.pop("severity", "high"),
        risk_score=73,
        events=[
            {"identity": f"{name}-{number}", "ingest": 1, "arrived_at": at.isoformat(), "document": document}
            for number, document in enumerate(held)
        ],
        host_id=host.get("id", ""),
        host_name=host.get("name", ""),
        first_event_at=fields.pop("first_event_at", at),
        last_event_at=fields.pop("last_event_at", at),
        detected_at=at,
        **fields,
    )
