"""Which fields the mappings of the cluster know, and which patterns have an index: asked once in a while."""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from detections.eql.fields import Field, FieldCatalogue, FieldType
from detections.stores.elasticsearch.connection import Access, Connection
from detections.stores.elasticsearch.streams import COPIES, COPIES_NAME

FIELDS_FRESH_SECONDS = 300.0
INDICES_FRESH_SECONDS = 60.0
_TYPES = {
    "keyword": FieldType.KEYWORD,
    "constant_keyword": FieldType.KEYWORD,
    "wildcard": FieldType.KEYWORD,
    "flattened": FieldType.KEYWORD,
    "text": FieldType.TEXT,
    "match_only_text": FieldType.TEXT,
    "boolean": FieldType.BOOLEAN,
    "date": FieldType.DATE,
    "date_nanos": FieldType.DATE,
    "ip": FieldType.IP,
    "version": FieldType.VERSION,
    "unsigned_long": FieldType.LONG,
    **dict.fromkeys(("long", "integer", "short", "byte"), FieldType.LONG),
    **dict.fromkeys(("double", "float", "half_float", "scaled_float"), FieldType.DOUBLE),
}


class Mappings:
    """What the mappings of some patterns say. Threads may share it."""

    def __init__(self, connection: Connection, patterns: Sequence[str], catalogue: FieldCatalogue) -> None:
        self.connection, self.patterns, self.catalogue = connection, list(patterns), catalogue
        self._lock = threading.Lock()
        self._fields: tuple[float, FieldCatalogue, dict[str, Field]] | None = None
        self._existing: dict[str, tuple[float, bool]] = {}

    def known(self) -> FieldCatalogue:
        """ECS, the declared integration fields, and what the mappings have."""
        return self._read()[1]

    def mapped(self) -> Mapping[str, Field]:
        """Only what the mappings have: a field that is not here is in no document."""
        return self._read()[2]

    def existing(self, patterns: Sequence[str]) -> list[str]:
        """Those of the patterns that at least one index matches, and what they leave out.

        A name without a wildcard stays: searching it says that it is missing. Our own copies of alerts are
        left out unless a pattern names them: what was found once is no new telemetry.
        """
        wanted = [one for one in patterns if not one.startswith("-")]
        found = [one for one in wanted if "*" not in one or self._exists(one)]
        left_out = [one for one in patterns if one.startswith("-")]
        is_local = any("*" in one and ":" not in one for one in found)
        if is_local and not any(COPIES_NAME in one for one in wanted):
            left_out.append(f"-{COPIES}")
        return [*found, *left_out] if found else []

    def missing(self, patterns: Sequence[str]) -> list[str]:
        """Those of the patterns that no index matches."""
        return [one for one in patterns if not one.startswith("-") and not self._exists(one)]

    def _exists(self, pattern: str) -> bool:
        now = time.monotonic()
        known = self._existing.get(pattern)
        if known is not None and now - known[0] < INDICES_FRESH_SECONDS:
            return known[1]
        client = self.connection.client(Access.DETECT, "patterns")
        answer = self.connection.ask(
            "see which indices there are",
            lambda: client.field_caps(
                index=pattern, fields="@timestamp", ignore_unavailable=True, allow_no_indices=True
            ),
        ).body
        found = bool(answer.get("indices"))
        self._existing[pattern] = (now, found)
        return found

    def _read(self) -> tuple[float, FieldCatalogue, dict[str, Field]]:
        with self._lock:
            if self._fields is None or time.monotonic() - self._fields[0] > FIELDS_FRESH_SECONDS:
                fields = self._ask()
                self._fields = time.monotonic(), self.catalogue.merged(fields.values()), fields
            return self._fields

    def _ask(self) -> dict[str, Field]:
        client = self.connection.client(Access.PIVOT, "fields")
        answer: Mapping[str, Any] = self.connection.ask(
            "see the fields of the indices",
            lambda: client.field_caps(
                index=",".join(self.patterns), fields="*", ignore_unavailable=True, allow_no_indices=True
            ),
        ).body
        found = {}
        for name, types in answer.get("fields", {}).items():
            type_ = next((_TYPES[one] for one in types if one in _TYPES), None)
            if type_ is not None and not name.startswith("_"):
                known = self.catalogue.get(name)
                found[name] = Field(name, type_, known.is_list if known else False)
        return found

    def forget(self) -> None:
        """Ask again next time."""
        with self._lock:
            self._fields = None
            self._existing.clear()
