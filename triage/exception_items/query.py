"""What an exception means as a query of Elasticsearch: the events that Kibana would leave out by it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from triage.enums import ExceptionOperator
from triage.errors import TriageError
from triage.exception_items.content import Content, Entry, content_of
from triage.exception_items.evaluation import ActiveList
from triage.exception_items.kibana_entries import written_entries
from triage.exception_items.matching import active_lists
from triage.models import ExceptionVersion

_O = ExceptionOperator
# Elasticsearch's own limit of values in one `terms`.
MOST_TERMS = 65_536


def as_query(content: Content) -> dict[str, Any]:
    """A filter in Elasticsearch's query DSL that takes the events which satisfy all entries.

    Raises TriageError with the reason where one event does not say it: evidence around it, `remote.ip`.
    """
    written_entries(content.entries, {})
    lists = active_lists() if any(entry.value_list for entry in content.entries) else {}
    return {"bool": {"filter": [_query(entry, "", lists) for entry in content.entries]}}


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What a version means in Elasticsearch: its query as JSON, or why there is none."""

    query: str = ""
    why_not: str = ""


def elsewhere(version: ExceptionVersion) -> Elsewhere:
    """The query that a version means, for its page. Raises ValueError if its entries can't be read."""
    try:
        return Elsewhere(query=json.dumps(as_query(content_of(version)), indent=2, ensure_ascii=False))
    except TriageError as error:
        return Elsewhere(why_not=str(error))


def _query(entry: Entry, path: str, lists: Mapping[str, ActiveList]) -> dict[str, Any]:
    name = f"{path}{entry.field}"
    if entry.operator is _O.NESTED:
        inner = [_query(one, f"{name}.", lists) for one in entry.inner]
        return {"nested": {"path": name, "query": {"bool": {"filter": inner}}}}
    exists = {"exists": {"field": name}}
    if entry.operator is _O.EXISTS:
        return {"bool": {"must_not": [exists]}} if entry.negated else exists
    positive = _positive(entry, name, lists)
    # A field that is not there satisfies nothing here, negated or not.
    return {"bool": {"filter": [exists], "must_not": [positive]}} if entry.negated else positive


def _positive(entry: Entry, name: str, lists: Mapping[str, ActiveList]) -> dict[str, Any]:
    if entry.operator is _O.MATCHES:
        return {"wildcard": {name: {"value": _escaped(entry.values[0])}}}
    if entry.operator is _O.IN_LIST:
        if entry.value_list not in lists:
            raise TriageError(f"The value list {entry.value_list!r} has no active version.")
        if fault := lists[entry.value_list].fault:
            raise TriageError(fault)
        values = sorted(lists[entry.value_list].values)
        if len(values) > MOST_TERMS:
            raise TriageError(f"The value list {entry.value_list!r} has more values than one query takes.")
        return {"terms": {name: values}}
    if len(entry.values) == 1:
        return {"term": {name: {"value": entry.values[0]}}}
    return {"terms": {name: list(entry.values)}}


def _escaped(pattern: str) -> str:
    """In Elasticsearch a backslash escapes in a wildcard; here it stands for itself."""
    return pattern.replace("\\", "\\\\")
