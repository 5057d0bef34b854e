"""Entries of Kibana's items <-> entries here. What has no counterpart is refused with the reason."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from triage.enums import ExceptionOperator, ExceptionQuantity, ExceptionScope
from triage.errors import TriageError
from triage.exception_items.content import REMOTE_IP, Entry
from triage.exception_items.evaluation import is_address

_O = ExceptionOperator
OS_FIELD = "host.os.type"
_SORTS = ("match", "match_any", "exists", "wildcard", "list", "nested")
_INNER_SORTS = ("match", "match_any", "exists", "wildcard")


def read_entries(raw: Any, os_types: Sequence[str] = ()) -> tuple[Entry, ...]:
    """Kibana's entries, each about an event of the alert; `os_types` become the first. Raises TriageError."""
    if not isinstance(raw, list) or not raw:
        raise TriageError("It has no entries, so it would hide everything.")
    found = [_read(each) for each in raw]
    if os_types:
        found.insert(0, Entry(ExceptionScope.EVENT, OS_FIELD, _O.IS_ONE_OF, tuple(os_types)))
    return tuple(found)


def _read(raw: Any, *, is_inner: bool = False) -> Entry:
    sort = raw.get("type") if isinstance(raw, Mapping) else None
    if sort not in (_INNER_SORTS if is_inner else _SORTS) or not isinstance(raw.get("field"), str):
        raise TriageError(f"It has an entry of a kind that is not known here: {sort or raw}.")
    if raw.get("operator", "included") not in ("included", "excluded"):
        raise TriageError(f"The operator {raw['operator']!r} of {raw['field']} is not known here.")
    made = Entry(ExceptionScope.EVENT, raw["field"], _O.EXISTS, negated=raw.get("operator") == "excluded")
    if sort == "exists":
        return made
    if sort == "nested":
        inner = raw.get("entries")
        if not isinstance(inner, list) or not inner:
            raise TriageError(f"The nested entry of {made.field} has no entries.")
        return replace(made, operator=_O.NESTED, inner=tuple(_read(one, is_inner=True) for one in inner))
    if sort == "list":
        named = raw.get("list")
        return replace(made, operator=_O.IN_LIST, value_list=_text(named, "id", made.field))
    if sort == "match_any":
        return _any(made, raw.get("value"))
    value = _text(raw, "value", made.field)
    if sort == "wildcard":
        return replace(made, operator=_O.MATCHES, values=(value,))
    is_network = is_address(made.field) and "/" in value
    return replace(made, operator=_O.CIDR if is_network else _O.IS, values=(value,))


def _any(made: Entry, values: Any) -> Entry:
    if not isinstance(values, list) or not values or not all(isinstance(one, str) and one for one in values):
        raise TriageError(f"The values of {made.field} are no list of texts.")
    is_network = is_address(made.field) and any("/" in one for one in values)
    return replace(made, operator=_O.CIDR if is_network else _O.IS_ONE_OF, values=tuple(values))


def _text(raw: Any, key: str, name: str) -> str:
    value = raw.get(key) if isinstance(raw, Mapping) else None
    if not isinstance(value, str) or not value:
        raise TriageError(f"The entry of {name} has no {key}.")
    return value


def written_entries(entries: Iterable[Entry], list_types: Mapping[str, str]) -> list[dict[str, Any]]:
    """Entries as Kibana writes them. list_types: Kibana's type of each value list. Raises TriageError."""
    held = list(entries)
    scopes = {entry.scope for entry in held}
    if scopes - {ExceptionScope.EVENT}:
        says = ", ".join(sorted(scope.label for scope in scopes - {ExceptionScope.EVENT}))
        raise TriageError(
            f"It speaks of {says}: in Kibana an exception sees one event, and nothing around it."
        )
    return [_written(entry, list_types) for entry in held]


def _written(entry: Entry, list_types: Mapping[str, str], *, is_inner: bool = False) -> dict[str, Any]:
    if entry.field == REMOTE_IP:
        raise TriageError(
            "remote.ip is worked out here from both ends of a connection: no field of Kibana's."
        )
    if entry.quantity is not ExceptionQuantity.SOME:
        raise TriageError("It speaks of events that are not there, which Kibana can't.")
    made: dict[str, Any] = {"field": entry.field}
    if entry.operator is _O.NESTED:
        if is_inner or entry.negated:
            raise TriageError(f"The negated nested entry of {entry.field} can't be said in Kibana.")
        inner = [_written(one, list_types, is_inner=True) for one in entry.inner]
        return {**made, "type": "nested", "entries": inner}
    made["operator"] = "excluded" if entry.negated else "included"
    match entry.operator:
        case _O.EXISTS:
            return {**made, "type": "exists"}
        case _O.MATCHES:
            return {**made, "type": "wildcard", "value": entry.values[0]}
        case _O.IN_LIST:
            kind = list_types.get(entry.value_list, "keyword")
            return {**made, "type": "list", "list": {"id": entry.value_list, "type": kind}}
        case _O.IS_ONE_OF:
            return {**made, "type": "match_any", "value": list(entry.values)}
    if len(entry.values) > 1:
        return {**made, "type": "match_any", "value": list(entry.values)}
    return {**made, "type": "match", "value": entry.values[0]}


def lines_of(content: bytes) -> Iterator[str]:
    """The lines of a file. Not splitlines: JSON may hold U+2028, which ends no line here."""
    for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        yield line.decode(errors="replace")
