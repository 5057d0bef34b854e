"""What an export of Kibana holds of exceptions: listed with the rules, imported by their own importer."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class KibanaException:
    """An exception list, or an item of one. entries: what the item excepts, in words; "" for a list."""

    is_item: bool
    list_id: str
    name: str
    entries: str = ""
    expires: str = ""


def kibana_exceptions(lines: Iterable[str]) -> Iterator[KibanaException]:
    """The lists and items of an export's lines, in their order."""
    for line in lines:
        values = json.loads(line)
        entries = values.get("entries")
        yield KibanaException(
            is_item=entries is not None or "item_id" in values,
            list_id=str(values.get("list_id", "")),
            name=str(values.get("name", "")),
            entries=" and ".join(_entry(one) for one in entries) if isinstance(entries, list) else "",
            expires=str(values.get("expire_time") or ""),
        )


def _entry(entry: Any, *, is_inner: bool = False) -> str:
    """One condition: match, match_any, exists, wildcard, list, and nested one level deep, as Kibana has."""
    if not isinstance(entry, dict):
        return str(entry)
    field, sort = str(entry.get("field", "")), str(entry.get("type", ""))
    inner = entry.get("entries")
    if sort == "nested" and isinstance(inner, list) and not is_inner:
        return f"{field} with ({' and '.join(_entry(one, is_inner=True) for one in inner)})"
    value = entry.get("list") if sort == "list" else entry.get("value", "")
    shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")
    negated = "not " if entry.get("operator") == "excluded" else ""
    return f"{field} {negated}{sort.replace('_', ' ')} {shown}".strip()
