"""One NDJSON file as Kibana exports it: rules, exception lists, connectors, and a closing line that counts.

8.x and 9.x end with `exported_count` and a count of each sort; older ones count rules alone. The closing line
is how a file that was cut off between two lines is told from a whole one.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from detections.errors import Location, RuleFault, RuleFileError
from detections.rule_files.loading import OVER_LINES
from detections.rule_files.model import RuleFile
from detections.rule_files.reading import load_json_rule

RULE = "rule"
SUMMARY = "closing line"
EXCEPTION_LIST = "exception list"
EXCEPTION_ITEM = "exception item"
CONNECTOR = "action connector"
SAVED_OBJECT = "saved object"
BROKEN = "broken line"

# The closing line's name of a count, for what it counts.
_COUNTED = {
    EXCEPTION_LIST: "exported_exception_list_count",
    EXCEPTION_ITEM: "exported_exception_list_item_count",
    CONNECTOR: "exported_action_connector_count",
}


@dataclass
class Export:
    """What a file holds. `torn` says why nothing of it may be used, or is None.

    exceptions: the lines of exception lists and items as they stand, for the importer of exceptions.
    """

    path: str
    rules: list[tuple[RuleFile, Location]] = field(default_factory=list)
    refused: list[RuleFault] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    torn: RuleFault | None = None
    exceptions: list[str] = field(default_factory=list)


def read_export(content: bytes, path: str) -> Export:
    """Read a file line by line. Never raises: a bad line is refused, a torn file is `torn`."""
    export = Export(path)
    # Not splitlines: JSON text may hold U+2028, which is no end of a line here.
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if lines[0].strip() in (b"{", b"["):
        export.torn = RuleFault(Location(path, 1), *OVER_LINES)
        return export
    last = max((number for number, line in enumerate(lines, 1) if line.strip()), default=0)
    totals: Counter[str] = Counter()
    has_summary = False
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        text, values, why = _parsed(line)
        sort = BROKEN if why else _sort(values)
        export.counts[sort] += 1
        if sort == BROKEN and number == last:
            export.torn = _cut(path, number, why)
            return export
        if sort == BROKEN:
            export.refused.append(RuleFault(Location(path, number), why, "Export the rules again."))
        elif sort == RULE:
            _take(export, text, number)
        elif sort in (EXCEPTION_LIST, EXCEPTION_ITEM):
            export.exceptions.append(text)
        elif sort == SUMMARY:
            has_summary = True
            _count(totals, values)
            _note_missing(export, values)
    export.torn = _mismatch(export, totals, last) if has_summary else None
    if not has_summary and export.counts[RULE]:
        export.notes.append(
            f"{path}: no closing line counts its rules, so it can't be told whether the file is whole. "
            f"It has {export.counts[RULE]}."
        )
    return export


def _parsed(line: bytes) -> tuple[str, dict[str, Any], str]:
    """The text of a line, its values, and why it has none."""
    try:
        text = line.decode()
        values = json.loads(text)
    except UnicodeDecodeError:
        return "", {}, "not UTF-8 text."
    except (ValueError, RecursionError) as error:
        return "", {}, f"not JSON: {error}."
    if not isinstance(values, dict):
        return "", {}, "not a rule: one JSON object a line is expected."
    return text.strip(), values, ""


def _sort(values: dict[str, Any]) -> str:
    if "rule_id" in values:
        return RULE
    if "exported_count" in values or "exported_rules_count" in values:
        return SUMMARY
    if "list_id" in values:
        return EXCEPTION_ITEM if "entries" in values or "item_id" in values else EXCEPTION_LIST
    if isinstance(values.get("attributes"), dict):
        return CONNECTOR if values.get("type") == "action" else SAVED_OBJECT
    # The reader of rules says what is missing.
    return RULE


def _take(export: Export, text: str, number: int) -> None:
    try:
        rule = load_json_rule(text, export.path, number)
    except RuleFileError as error:
        export.refused.extend(error.faults)
    else:
        export.rules.append((rule, Location(export.path, number)))


def _count(totals: Counter[str], values: dict[str, Any]) -> None:
    names = {
        RULE: "exported_rules_count" if "exported_rules_count" in values else "exported_count",
        **_COUNTED,
    }
    for sort, name in names.items():
        if isinstance(values.get(name), int):
            totals[sort] += values[name]


def _note_missing(export: Export, values: dict[str, Any]) -> None:
    missing = values.get("missing_rules")
    if isinstance(missing, list) and missing:
        export.notes.append(f"{export.path}: Kibana says that {len(missing)} rules could not be exported.")


def _cut(path: str, number: int, why: str) -> RuleFault:
    message = f"the file ends in the middle of a line ({why.rstrip('.')}): nothing of it is imported."
    return RuleFault(Location(path, number), message, "Export the rules again, or copy the whole file.")


def _mismatch(export: Export, totals: Counter[str], last: int) -> RuleFault | None:
    """A fault where the closing line counts other than what stands there. A broken line may be a rule."""
    for sort, total in totals.items():
        has = export.counts[sort] + (export.counts[BROKEN] if sort == RULE else 0)
        if has != total:
            message = (
                f"the closing line counts {total} of sort {sort}, the file has {has}: "
                "nothing of it is imported."
            )
            return RuleFault(Location(export.path, last), message, "Export the rules again.")
    return None
