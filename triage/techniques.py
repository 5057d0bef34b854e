"""MITRE ATT&CK as the rule of a case names it."""

from dataclasses import dataclass
from typing import Any

from detections import ecs
from triage.models import Case


@dataclass(frozen=True, slots=True)
class Technique:
    id: str
    name: str
    reference: str
    tactic: str


def techniques_of(case: Case) -> tuple[Technique, ...]:
    """The most exact techniques of the rule's ATT&CK mapping, each once."""
    found: dict[str, Technique] = {}
    for threat in case.rule_version.threat if case.rule_version else []:
        tactic = ecs.text(threat, "tactic.name")
        for technique in _list(threat, "technique"):
            for one in _list(technique, "subtechnique") or [technique]:
                if key := str(one.get("id", "")):
                    made = Technique(key, str(one.get("name", "")), str(one.get("reference", "")), tactic)
                    found.setdefault(key, made)
    return tuple(found.values())


def _list(entry: Any, key: str) -> list[dict[str, Any]]:
    value = entry.get(key) if isinstance(entry, dict) else None
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
