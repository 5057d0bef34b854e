"""Structured filters as Elasticsearch's query language. Values go in as values: never into a query text."""

import ipaddress
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from detections.eql.fields import Field, FieldType
from detections.errors import StoreError
from detections.stores.base import Clause, Filters, Operator, Window

TIMESTAMP = "@timestamp"
INGESTED = "event.ingested"
NOTHING: dict[str, Any] = {"match_none": {}}


def time(moment: datetime) -> str:
    """A moment as the cluster reads it, to the microsecond."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


def between(
    *,
    field: str = TIMESTAMP,
    since: datetime | None = None,
    after: datetime | None = None,
    until: datetime | None = None,
) -> dict[str, Any]:
    """A range: `since` and `until` are included, `after` is not."""
    bounds = {"gte": since, "gt": after, "lte": until}
    limits = {name: time(moment) for name, moment in bounds.items() if moment is not None}
    return {"range": {field: {**limits, "format": "strict_date_optional_time_nanos"}}}


def in_window(window: Window) -> dict[str, Any]:
    return between(since=window.start, until=window.end)


def query(filters: Filters, fields: Mapping[str, Field], *also: dict[str, Any]) -> dict[str, Any]:
    """Groups OR, clauses AND; `also` must hold in any case. No group at all finds nothing."""
    groups = [_all([_clause(clause, fields) for clause in group]) for group in filters.groups]
    anyone = {"bool": {"should": groups, "minimum_should_match": 1}} if groups else NOTHING
    return {"bool": {"filter": [*also, anyone]}}


def _all(conditions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"bool": {"filter": list(conditions)}} if conditions else {"match_all": {}}


def _clause(clause: Clause, fields: Mapping[str, Field]) -> dict[str, Any]:
    condition = _condition(clause, fields.get(clause.field))
    return {"bool": {"must_not": [condition]}} if clause.excluded else condition


def _condition(clause: Clause, field: Field | None) -> dict[str, Any]:
    if field is None:
        return NOTHING
    if clause.operator is Operator.EXISTS:
        return {"exists": {"field": clause.field}}
    if clause.operator is Operator.IN_NETWORK:
        return _networks(clause, field)
    values = [value for value in (_fitted(value, field.type) for value in clause.values) if value is not None]
    return {"terms": {clause.field: values}} if values else NOTHING


def _networks(clause: Clause, field: Field) -> dict[str, Any]:
    if field.type is not FieldType.IP:
        raise StoreError(
            f"{clause.field} is mapped as {field.type.value} here, so no network can be looked for in it. "
            "Map it as ip in its index template."
        )
    networks = []
    for value in clause.values:
        try:
            networks.append(str(ipaddress.ip_network(str(value), strict=False)))
        except ValueError:
            continue
    return {"terms": {clause.field: networks}} if networks else NOTHING


def _fitted(value: Any, type_: FieldType) -> Any:
    """The value as the field's type takes it, None for one that no value of the field can equal."""
    if type_ is FieldType.IP:
        try:
            return str(ipaddress.ip_address(str(value)))
        except ValueError:
            return None
    if type_ in (FieldType.LONG, FieldType.DOUBLE):
        try:
            return int(value) if type_ is FieldType.LONG else float(value)
        except (TypeError, ValueError):
            return None
    if type_ is FieldType.BOOLEAN:
        return {"true": True, "false": False}.get(str(value).lower())
    return value if isinstance(value, bool) else str(value)
