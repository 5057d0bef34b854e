"""Fill a pivot's placeholders from the alert's events, whole or not at all.

`{{host.id}}`             the value that the alert's events agree on
`{{events[1].source.ip}}` the value in the second event of the sequence
`{{pivots.KEY.field}}`    every value among the hits of an earlier pivot
`{{remote.ip}}`           the other side of the alert's connection, worked out (not a field of the events)
`{{a|b}}`                 the first of these that has a value
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from detections import ecs
from detections.ecs import Document
from detections.ingest.remote import remote_side
from detections.stores.base import Clause, Filters, Operator
from triage.guides.model import Pivot

_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
_OF_EVENT = re.compile(r"events\[(\d{1,3})\]\.(.+)")
_OF_PIVOT = re.compile(r"pivots\.([A-Za-z0-9_]+)\.(.+)")
# A pivot that follows more processes than this would be no question any more but a hunt.
MOST_VALUES = 500


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why a pivot can't be asked. field: what has no usable value; reason: in words."""

    field: str
    reason: str


def placeholder(value: Any) -> str:
    """What stands between the braces, or "" if the value is no placeholder."""
    found = _PLACEHOLDER.fullmatch(value) if isinstance(value, str) else None
    return found[1] if found else ""


def is_mixed(value: Any) -> bool:
    """Whether a placeholder stands inside other text: no query text is built from data."""
    return isinstance(value, str) and "{{" in value and not placeholder(value)


def fields(pivot: Pivot) -> tuple[str, ...]:
    """The placeholders of a pivot, each once, in order."""
    found = [
        placeholder(value) for group in pivot.filters.groups for clause in group for value in clause.values
    ]
    return tuple(dict.fromkeys(name for name in found if name))


def fill(
    pivot: Pivot, events: Sequence[Document], earlier: Mapping[str, Sequence[Document]] | None = None
) -> Filters | Blocked:
    """The pivot's filters with values in place of placeholders, or why it is blocked.

    events: the documents of the alert in stage order. earlier: hits of pivots that this one follows, by key;
    a key that is absent has not run. One placeholder without a value blocks the whole pivot.
    """
    groups: list[tuple[Clause, ...]] = []
    for group in pivot.filters.groups:
        clauses: list[Clause] = []
        for clause in group:
            filled = _fill_clause(clause, events, earlier or {})
            if isinstance(filled, Blocked):
                return filled
            clauses.append(filled)
        groups.append(tuple(clauses))
    return Filters(tuple(groups))


def _fill_clause(
    clause: Clause, events: Sequence[Document], earlier: Mapping[str, Sequence[Document]]
) -> Clause | Blocked:
    values: list[Any] = []
    for value in clause.values:
        name = placeholder(value)
        found = _resolve(name, events, earlier) if name else [value]
        if isinstance(found, Blocked):
            return found
        values.extend(found)
    is_list = clause.operator is Operator.IS and len(values) > 1
    return replace(clause, values=tuple(values), operator=Operator.IS_ONE_OF if is_list else clause.operator)


def _resolve(
    name: str, events: Sequence[Document], earlier: Mapping[str, Sequence[Document]]
) -> list[Any] | Blocked:
    """The values of one placeholder; of alternatives the first that has one."""
    refusals: list[Blocked] = []
    for alternative in (part.strip() for part in name.split("|")):
        found = _values(alternative, events, earlier)
        if not isinstance(found, Blocked):
            return found
        refusals.append(found)
    if len(refusals) == 1:
        return refusals[0]
    return Blocked(name, "None of these has a value: " + " ".join(refusal.reason for refusal in refusals))


def _values(
    name: str, events: Sequence[Document], earlier: Mapping[str, Sequence[Document]]
) -> list[Any] | Blocked:
    if of_event := _OF_EVENT.fullmatch(name):
        return _of_event(name, int(of_event[1]), of_event[2], events)
    if of_pivot := _OF_PIVOT.fullmatch(name):
        return _of_pivot(name, of_pivot[1], of_pivot[2], earlier)
    if name in ("remote.ip", "remote.port"):
        return _remote(name, events)
    return _agreed(name, events)


def _remote(name: str, events: Sequence[Document]) -> list[Any] | Blocked:
    """Old Sysmon writes the local side first: `source.ip` may be the host itself."""
    remote = remote_side(list(events))
    if remote is None:
        return Blocked(name, "The other side of the alert's connection can't be told from its events.")
    found = remote.ip if name == "remote.ip" else remote.port
    return [found] if found is not None else Blocked(name, "The alert's connection has no such value.")


def _of_event(name: str, number: int, field: str, events: Sequence[Document]) -> list[Any] | Blocked:
    if number >= len(events):
        return Blocked(name, f"The alert has {len(events)} events, so there is no events[{number}].")
    found = _usable(events[number], field)
    return found or Blocked(name, f"Event {number + 1} of the alert has no {field}.")


def _of_pivot(
    name: str, key: str, field: str, earlier: Mapping[str, Sequence[Document]]
) -> list[Any] | Blocked:
    if key not in earlier:
        return Blocked(name, f"It follows the pivot {key}, which has no result yet.")
    found = list(dict.fromkeys(value for hit in earlier[key] for value in _usable(hit, field)))
    if not found:
        return Blocked(name, f"It follows the hits of the pivot {key}, and none of them has {field}.")
    if len(found) > MOST_VALUES:
        return Blocked(name, f"The pivot {key} gave {len(found)} values of {field}, more than {MOST_VALUES}.")
    return found


def _agreed(field: str, events: Sequence[Document]) -> list[Any] | Blocked:
    """The value of the events that have the field, if these agree. Lists agree as sets."""
    found = [values for values in (_usable(event, field) for event in events) if values]
    if not found:
        return Blocked(field, f"The alert has no {field}.")
    if any(set(values) != set(found[0]) for values in found):
        shown = ", ".join(f"events[{number}].{field}" for number in range(len(events)))
        return Blocked(field, f"{field} differs between the alert's events; name one of {shown}.")
    return found[0]


def _usable(document: Document, field: str) -> list[Any]:
    """Values that can be searched for: an empty text is none."""
    return list(dict.fromkeys(value for value in ecs.values(document, field) if value != ""))


def followed(pivot: Pivot) -> set[str]:
    """The keys of the pivots whose hits this one's placeholders need."""
    parts = [part.strip() for name in fields(pivot) for part in name.split("|")]
    return {found[1] for found in map(_OF_PIVOT.fullmatch, parts) if found}
