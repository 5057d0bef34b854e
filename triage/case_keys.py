"""Which case an alert belongs to. Source: design 6b, case key."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from detections import ecs
from detections.journal import canonical_json
from detections.models import Alert

# Tried in this order where the rule does not join, or an event lacks what it joins by.
_FALLBACKS = (("host.id", "process.entity_id"), ("host.id", "user.id"))


@dataclass(frozen=True, slots=True)
class CaseKey:
    """fields: what the case is about, readable. sha256: over the rule's id and the fields."""

    sha256: str
    fields: tuple[tuple[str, str], ...]


def case_key(alert: Alert) -> CaseKey:
    """The rule's join keys; else host and process; else host and user; else the alert alone.

    The time basis plays no part: a clock-repaired match and its strict twin are the same case.
    """
    joined = [(str(field), value) for field, value in alert.join_keys]
    if joined and all(value not in (None, "") for _field, value in joined):
        return _key(alert, [(field, str(value)) for field, value in joined])
    for fields in _FALLBACKS:
        values = [_agreed(alert, field) for field in fields]
        if all(values):
            return _key(alert, zip(fields, values, strict=True))
    return _key(alert, [("alert", alert.alert_id)])


def storm_key(alert: Alert) -> CaseKey:
    """The case that takes what goes past the rule's cap: one at a time for each rule."""
    return _key(alert, [("storm", rule_identity(alert))])


def split_key(alert: Alert, by: str, value: str) -> CaseKey:
    """The case that takes what a person splits off a storm."""
    return _key(alert, [("storm", rule_identity(alert)), (by, value)])


def rule_identity(alert: Alert) -> str:
    return alert.rule.rule_id if alert.rule else alert.external_rule_id


def _key(alert: Alert, fields: Iterable[tuple[str, str]]) -> CaseKey:
    kept = tuple(fields)
    content = canonical_json([rule_identity(alert), [list(pair) for pair in kept]])
    return CaseKey(hashlib.sha256(content.encode()).hexdigest(), kept)


def _agreed(alert: Alert, field: str) -> str:
    """The value that all events with the field share, or ""."""
    found = {ecs.text(event["document"], field) for event in alert.events} - {""}
    return found.pop() if len(found) == 1 else ""
