"""Two texts of one rule, compared in the parts that a person reviews."""

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from detections.rule_files import RuleFile

CONTEXT = 3
MORE = "…"

# Read by their own names elsewhere, or Kibana's own bookkeeping: no part of what a rule says.
_READ = """
rule_id name description type language query index severity risk_score interval from to max_signals
version tags references author license setup note threat false_positives timestamp_override
tiebreaker_field timestamp_field event_category_override building_block_type
"""
_BOOKKEEPING = """
id created_at created_by updated_at updated_by enabled revision rule_source immutable meta actions
execution_summary output_index exceptions_list throttle
"""
_NO_CONTENT = frozenset((_READ + _BOOKKEEPING).split())


@dataclass(frozen=True, slots=True)
class DiffLine:
    """A line of a unified difference. sort: `add`, `del`, `same`, or `skip` for what is left out."""

    sort: str
    text: str

    def __str__(self) -> str:
        return {"add": "+", "del": "-", "same": " ", "skip": "@"}[self.sort] + self.text


@dataclass(frozen=True, slots=True)
class Change:
    """One part of a rule that differs."""

    part: str
    lines: tuple[DiffLine, ...]


def same_content(one: RuleFile, other: RuleFile) -> bool:
    """Whether two texts say the same rule, whatever their format and Kibana's bookkeeping."""
    if one.sha256 == other.sha256:
        return True
    return one.overlay == other.overlay and _parts(one, other) == _parts(other, one)


def changes(before: RuleFile, after: RuleFile) -> tuple[Change, ...]:
    """What differs between two texts of one rule, part by part; empty where they say the same."""
    old, new = _parts(before, after), _parts(after, before)
    return tuple(
        Change(part, tuple(difference(old[part], new[part]))) for part in new if old[part] != new[part]
    )


def is_older(offered: RuleFile, installed: RuleFile) -> str:
    """Why the offered text is older than the installed one, or "".

    By the author's version where both say one; else by the date of the last change that TOML files carry.
    """
    old, new = _table(installed.source), _table(offered.source)
    if "version" in old and "version" in new:
        if offered.version < installed.version:
            return f"its version is {offered.version}, installed is {installed.version}."
        return ""
    before, after = old.get("updated_date"), new.get("updated_date")
    if isinstance(before, str) and isinstance(after, str) and after < before:
        return f"it was last changed on {after}, the installed one on {before}."
    return ""


def difference(old: str, new: str) -> Iterator[DiffLine]:
    """The lines in which two texts differ, with a few around them."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), n=CONTEXT, lineterm="")
    for number, line in enumerate(line for line in lines if not line.startswith(("--- ", "+++ "))):
        if line.startswith("@@"):
            if number:
                yield DiffLine("skip", MORE)
        else:
            yield DiffLine({"+": "add", "-": "del"}.get(line[:1], "same"), line[1:])


def _parts(rule: RuleFile, other: RuleFile) -> dict[str, str]:
    """A rule's texts by part. `other`: the version counts only where both say one."""
    versions = "version" in _table(rule.source) and "version" in _table(other.source)
    about = {
        "Name": rule.name,
        "Type": rule.type.value,
        "Severity": f"{rule.severity.value}, risk score {rule.risk_score}",
        "Building block": "yes" if rule.building_block else "no",
        "Version": str(rule.version) if versions else "",
        "Description": rule.description,
    }
    searched = {
        "Language": rule.language or "none",
        "Indices": ", ".join(rule.index),
        "Time": " ".join((rule.timestamp_field, rule.timestamp_override, rule.tiebreaker_field)).strip(),
        "Category": rule.event_category_override,
    }
    return {
        "Description": _lines(about),
        "Query": rule.query.strip(),
        "Searched": _lines(searched),
        "Schedule": _schedule(rule),
        "Guide": rule.note,
        "Pivots": _json(rule.transforms),
        "Mapping": "\n".join(_mapping(rule)),
        "Tags": "\n".join(rule.tags),
        "Setup and references": "\n".join(
            (rule.setup, *rule.references, *rule.false_positives, *rule.author, rule.license)
        ).strip(),
        "Other settings": _rest(rule.source),
    }


def _lines(values: Mapping[str, str]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in values.items() if value)


def _schedule(rule: RuleFile) -> str:
    spans = {"Every": rule.interval, "Look-back": rule.lookback}
    said = [f"{name}: {_span(value)}" for name, value in spans.items()]
    return "\n".join([*said, f"Cases a run: at most {rule.max_signals}"])


def _span(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _mapping(rule: RuleFile) -> Iterator[str]:
    for entry in rule.threat:
        yield " ".join(_named(entry.get("tactic")))
        for technique in _dicts(entry.get("technique")):
            yield "  " + " ".join(_named(technique))
            yield from ("    " + " ".join(_named(sub)) for sub in _dicts(technique.get("subtechnique")))


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _named(value: Any) -> tuple[str, str]:
    values = value if isinstance(value, dict) else {}
    return str(values.get("id", "")), str(values.get("name", ""))


def _rest(source: str) -> str:
    table = _table(source)
    rest = {
        key: value
        for key, value in table.items()
        if key not in _NO_CONTENT and key != "updated_date" and value not in ([], {}, "", None)
    }
    return _json(rest) if rest else ""


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True, default=str, ensure_ascii=False) if value else ""


@lru_cache(maxsize=64)
def _table(source: str) -> dict[str, Any]:
    """The raw keys of a rule's text, with the date of the last change; {} for a text that is none."""
    try:
        if source.lstrip().startswith("{"):
            return dict(json.loads(source))
        values = tomllib.loads(source)
    except (ValueError, RecursionError):
        return {}
    metadata = values.get("metadata")
    date = metadata.get("updated_date") if isinstance(metadata, dict) else None
    return {**values.get("rule", {}), "updated_date": date}
