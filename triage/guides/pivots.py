"""Pivots of a note: `[[transform.investigate]]` entries and inline `!{investigate{...}}` tokens.

Both forms mean the same and end as `$investigate_N` in the text: inline entries are numbered after those of
the file. Osquery entries can't run here; they become text, so that the guide still says what to ask.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from detections.errors import Location, RuleFault
from detections.rule_files.table import date_math
from detections.stores.base import Clause, Filters, Operator
from triage.guides import placeholders, telemetry
from triage.guides.model import Pivot, TimeOffset

TOKEN = re.compile(r"\$(investigate|osquery)_(\d{1,4})")
# The longest published one has some 3,000 characters.
LONGEST_ENTRY = 50_000
_INLINE = re.compile(r"!\{(investigate|osquery)(?=\{)")
# Where a pivot says nothing, it reads the hour before the alert, as most published pivots do.
DEFAULT_FROM = TimeOffset(timedelta(hours=-1))

Entry = Mapping[str, Any]


class Entries:
    """The pivot entries of one guide by sort and number, and the note that refers to them by token only."""

    def __init__(self, note: str, transforms: Sequence[Entry], path: str) -> None:
        self.path = path
        self.faults: list[RuleFault] = []
        self._entries: dict[str, list[Entry]] = {
            sort: [entry for entry in transforms if entry.get("provider", "investigate") == sort]
            for sort in ("investigate", "osquery")
        }
        self.note = self._without_inline(note)

    @property
    def investigate(self) -> Sequence[Entry]:
        return self._entries["investigate"]

    def has(self, sort: str, number: int) -> bool:
        return number < len(self._entries[sort])

    def osquery_text(self, number: int) -> str:
        """An Osquery entry in words."""
        entry = self._entries["osquery"][number]
        query = " ".join(str(entry.get("query", "")).split())
        fence = "``" if "`" in query else "`"
        return f"Osquery, {entry.get('label', 'without a label')}: {fence}{query}{fence}"

    def fault(self, message: str, remedy: str, line: int | None = None) -> None:
        self.faults.append(RuleFault(Location(f"{self.path} (note)", line), message, remedy))

    def _without_inline(self, note: str) -> str:
        """The note with `$sort_N` where an inline token stood. A broken token stays as it is."""
        parts: list[str] = []
        done, line, counted = 0, 1, 0
        while found := _INLINE.search(note, done):
            parts.append(note[done : found.start()])
            entry, end = _inline_entry(note, found.end())
            if entry is None:
                line, counted = line + note.count("\n", counted, found.start()), found.start()
                self.fault(f"broken !{{{found[1]}{{...}}}} token.", "Write one JSON object in it.", line)
                parts.append(found[0])
                done = found.end()
                continue
            parts.append(f"${found[1]}_{len(self._entries[found[1]])}")
            self._entries[found[1]].append(entry)
            done = end
        return "".join([*parts, note[done:]])


def _inline_entry(note: str, start: int) -> tuple[Entry | None, int]:
    """The JSON object at a place in the note and where its token ends; None if it is none."""
    try:
        # Of a part: an error would count the lines of all that stands before it, for each of many tokens.
        entry, length = json.JSONDecoder().raw_decode(note[start : start + LONGEST_ENTRY])
    except (ValueError, RecursionError):
        return None, start
    end = start + length
    if not isinstance(entry, dict) or not note.startswith("}", end):
        return None, start
    return entry, end + 1


def pivot_of(entry: Entry, number: int) -> Pivot:
    """The pivot that an entry describes. Raises ValueError in words if a part of it is unusable."""
    filters = _filters(entry.get("providers"))
    return Pivot(
        key=f"investigate_{number}",
        label=str(entry.get("label") or f"Pivot {number + 1}"),
        description=str(entry.get("description") or ""),
        question="",
        filters=filters,
        kinds=telemetry.kinds(filters),
        relative_from=offset(entry.get("relativeFrom"), DEFAULT_FROM),
        relative_to=offset(entry.get("relativeTo"), TimeOffset(timedelta())),
        is_signal=telemetry.reads_alerts(filters),
    )


def offset(text: object, default: TimeOffset) -> TimeOffset:
    """A relative time of a pivot. Raises ValueError if it is no date math."""
    if text in (None, ""):
        return default
    found = date_math(str(text))
    if found is None:
        raise ValueError(f"{text!r} is no relative time such as now-1h.")
    return TimeOffset(*found)


def _filters(providers: object) -> Filters:
    if not isinstance(providers, list) or not providers:
        raise ValueError("it has no providers, so it would read everything.")
    groups = tuple(_group(group) for group in providers)
    if not all(groups):
        raise ValueError("a group of its providers is empty, so it would read everything.")
    return Filters(groups)


def _group(group: object) -> tuple[Clause, ...]:
    if not isinstance(group, list) or not all(isinstance(item, dict) for item in group):
        raise ValueError("its providers are not lists of filters.")
    return tuple(_clause(item) for item in group)


def _clause(item: Entry) -> Clause:
    """One filter of a provider. Source: Kibana's investigation guide markdown plugin."""
    field, sort, value = item.get("field"), item.get("queryType", "phrase"), item.get("value")
    if not isinstance(field, str) or not field:
        raise ValueError("a filter names no field.")
    excluded = item.get("excluded") is True
    if sort == "exists":
        return Clause(field, Operator.EXISTS, (), excluded)
    if sort not in ("phrase", "phrases"):
        raise ValueError(f"the filter on {field} is of the sort {sort!r}, which is not supported.")
    values = tuple(
        _typed(one, item.get("valueType")) for one in (value if isinstance(value, list) else [value])
    )
    if not values or any(one is None or one == "" for one in values):
        raise ValueError(f"the filter on {field} has no value.")
    if any(placeholders.is_mixed(one) for one in values):
        raise ValueError(f"the placeholder in the filter on {field} must be the whole value.")
    return Clause(field, Operator.IS_ONE_OF if len(values) > 1 else Operator.IS, values, excluded)


def _typed(value: Any, sort: object) -> Any:
    if sort == "boolean" and isinstance(value, str) and value in ("true", "false"):
        return value == "true"
    if sort == "number" and isinstance(value, str) and not placeholders.placeholder(value):
        return float(value) if "." in value else int(value)
    return value
