"""Filters as an overlay writes them: `{ field = "...", is = "..." }`, AND inside a group, OR between."""

from collections.abc import Mapping
from typing import Any

from detections.rule_files.table import Table
from detections.stores.base import Clause, Filters, Operator
from triage.guides import placeholders

_OPERATORS = {
    "is": Operator.IS,
    "is_one_of": Operator.IS_ONE_OF,
    "exists": Operator.EXISTS,
    "in_network": Operator.IN_NETWORK,
}
_REMEDY = 'Write filters = [[{ field = "host.id", is = "{{host.id}}" }]].'


def read_filters(table: Table) -> Filters:
    """The filters of a pivot's table; what is wrong with them becomes faults of the table."""
    groups = table.values.get("filters")
    if not isinstance(groups, list) or not groups or not all(isinstance(group, list) for group in groups):
        table.fault("filters", "must be a list of groups of filters.", _REMEDY)
        return Filters(())
    if not all(groups):
        table.fault("filters", "has an empty group, which would read everything.", _REMEDY)
    return Filters(tuple(tuple(_clauses(table, group)) for group in groups))


def _clauses(table: Table, group: list[Any]) -> list[Clause]:
    clauses: list[Clause] = []
    for item in group:
        try:
            clauses.append(_clause(item))
        except ValueError as error:
            table.fault("filters", str(error), _REMEDY)
    return clauses


def _clause(item: object) -> Clause:
    if not isinstance(item, Mapping) or not isinstance(item.get("field"), str):
        raise ValueError(f"{item!r} names no field.")  # noqa: TRY004 -- a fault of the file
    unknown = set(item) - {"field", "excluded", *_OPERATORS}
    named = [name for name in _OPERATORS if name in item]
    if unknown or len(named) != 1:
        raise ValueError(f"the filter on {item['field']} needs exactly one of {', '.join(_OPERATORS)}.")
    return Clause(
        item["field"], _OPERATORS[named[0]], _values(item, named[0]), excluded=item.get("excluded") is True
    )


def _values(item: Mapping[str, Any], operator: str) -> tuple[Any, ...]:
    if operator == "exists":
        return ()
    found = item[operator]
    values = tuple(found) if isinstance(found, list) else (found,)
    if not values or any(not isinstance(value, str | int | float) or value == "" for value in values):
        raise ValueError(f"the filter on {item['field']} has no usable value.")
    if any(placeholders.is_mixed(value) for value in values):
        raise ValueError(f"the placeholder in the filter on {item['field']} must be the whole value.")
    return values
