"""The list of segments that readers see. The engine knows it by this interface only."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from detections.eql.fields import Field


@dataclass(frozen=True, slots=True)
class Segment:
    """One immutable Parquet file, as its manifest row describes it. `path` is relative to the store's folder.

    columns: the physical columns of the file (see `columns`). readable: False after repeated failures.
    level: how the rows lie, see `merge_plan`. A merged segment holds the rows of several batches, each with
    its own number and arrival; `ingest` and `arrived_at` are then the last of them, `first_ingest` and
    `first_arrived_at` the first.
    """

    path: str
    batch: str
    rows: int
    bytes: int
    min_timestamp: datetime
    max_timestamp: datetime
    min_created: datetime | None
    max_created: datetime | None
    sha256: str
    columns: frozenset[str]
    ingest: int = 0
    arrived_at: datetime | None = None
    readable: bool = True
    level: int = 0
    first_ingest: int | None = None
    first_arrived_at: datetime | None = None

    @property
    def is_merged(self) -> bool:
        """Whether number and arrival are the rows' own."""
        return self.first_ingest is not None

    @property
    def lowest_ingest(self) -> int:
        return self.ingest if self.first_ingest is None else self.first_ingest

    @property
    def first_arrival(self) -> datetime:
        return self.first_arrived_at or self.arrival

    @property
    def arrival(self) -> datetime:
        if self.arrived_at is None:
            raise ValueError(f"{self.path} is not in the manifest yet.")
        return self.arrived_at


class ManifestMovedError(Exception):
    """The manifest is not what the writer saw: look again, then commit again. Nothing was changed."""


class Manifest(Protocol):
    """What the engine asks of the place that lists its segments."""

    def head(self) -> int:
        """The number of the last batch."""
        ...

    def segments(self) -> list[Segment]:
        """The visible segments in the order of their numbers."""
        ...

    def has_batch(self, batch: str) -> bool: ...

    def fields(self) -> Mapping[str, Field]:
        """The fields that events have carried, beyond the catalogue."""
        ...

    def commit(
        self, segment: Segment, *, expected_head: int, fields: Iterable[Field], arrived_at: datetime
    ) -> int:
        """Make a segment visible and register its fields, in one transaction; returns the batch's number.

        Raises ManifestMovedError if the head is not the expected one, if a field has another type by now, or
        if the batch is there already.
        """
        ...

    def report_unreadable(self, path: str, reason: str) -> None:
        """Count a failure to read a segment. The third takes it out of the readable ones."""
        ...

    def report_readable(self, path: str, *, expected_head: int) -> None:
        """The file is whole again. Takes a number, so that writers that began before look into it too.

        Raises ManifestMovedError if the head is not the expected one: the file may hold what came since.
        """
        ...

    def paths(self) -> set[str]:
        """Every path that the manifest still names, in whatever state."""
        ...

    def swap(self, sources: Sequence[Segment], merged: Segment, *, expected_head: int | None = None) -> None:
        """Show one segment instead of several, in one transaction; the files of these are kept for a while.

        A source that was unreadable was read after all; `expected_head` is then as in `report_readable`.
        Raises ManifestMovedError if one is not visible any more.
        """
        ...

    def retired(self, *, before: datetime) -> list[str]:
        """The paths that have not been visible since a time or longer."""
        ...

    def forget(self, path: str) -> None:
        """Drop the row of a retired segment whose file is gone."""
        ...


FAILURES_TO_UNREADABLE = 3


class MemoryManifest:
    """A manifest that lives as long as its process: for hunts without a database, and tests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._segments: list[Segment] = []
        self._fields: dict[str, Field] = {}
        self._failures: dict[str, list[str]] = {}
        self._retired: dict[str, datetime] = {}
        self._head = 0

    def head(self) -> int:
        return self._head

    def segments(self) -> list[Segment]:
        return [replace(segment, readable=self._is_readable(segment.path)) for segment in self._segments]

    def _is_readable(self, path: str) -> bool:
        return len(self._failures.get(path, ())) < FAILURES_TO_UNREADABLE

    def has_batch(self, batch: str) -> bool:
        return any(segment.batch == batch for segment in self._segments)

    def fields(self) -> Mapping[str, Field]:
        return dict(self._fields)

    def commit(
        self, segment: Segment, *, expected_head: int, fields: Iterable[Field], arrived_at: datetime
    ) -> int:
        with self._lock:
            fresh = {field.name: field for field in fields}
            moved = any(self._fields.get(name, field).type != field.type for name, field in fresh.items())
            if moved or self.head() != expected_head or self.has_batch(segment.batch):
                raise ManifestMovedError
            self._fields = {**fresh, **self._fields}
            number = self.head() + 1
            self._segments = [*self._segments, replace(segment, ingest=number, arrived_at=arrived_at)]
            self._head = number
            return number

    def report_unreadable(self, path: str, reason: str) -> None:
        self._failures.setdefault(path, []).append(reason)

    def report_readable(self, path: str, *, expected_head: int) -> None:
        with self._lock:
            self._advance(expected_head)
            self._failures.pop(path, None)

    def _advance(self, expected_head: int) -> None:
        if self._head != expected_head:
            raise ManifestMovedError
        self._head += 1

    def paths(self) -> set[str]:
        return {segment.path for segment in self._segments} | set(self._retired)

    def swap(self, sources: Sequence[Segment], merged: Segment, *, expected_head: int | None = None) -> None:
        with self._lock:
            gone = {segment.path for segment in sources}
            if not gone <= {segment.path for segment in self._segments}:
                raise ManifestMovedError
            if expected_head is not None:
                self._advance(expected_head)
            kept = [segment for segment in self._segments if segment.path not in gone]
            self._segments = sorted([*kept, merged], key=lambda segment: segment.ingest)
            self._retired.update(dict.fromkeys(gone, datetime.now(UTC)))

    def retired(self, *, before: datetime) -> list[str]:
        return [path for path, since in self._retired.items() if since <= before]

    def forget(self, path: str) -> None:
        self._retired.pop(path, None)
