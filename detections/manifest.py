"""The manifest of the embedded store in the product's database."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import Count, Max
from django.utils import timezone

from detections import journal
from detections.actors import system
from detections.enums import SegmentState
from detections.eql.fields import Field, FieldType
from detections.errors import StoreError
from detections.models.segment import IngestCounter, SeenField
from detections.models.segment import Segment as SegmentRow
from detections.stores.embedded.manifest import FAILURES_TO_UNREADABLE, ManifestMovedError, Segment

VISIBLE = (SegmentState.ACTIVE, SegmentState.UNREADABLE)
STREAM = "events"


class DatabaseManifest:
    """Implements `Manifest` over Segment, IngestCounter and SeenField."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[tuple[int, str, str], Segment] = {}
        self._fields: dict[str, Field] = {}
        self._fields_at: tuple[Any, ...] = ()

    def head(self) -> int:
        return IngestCounter.objects.filter(name="events").values_list("head", flat=True).first() or 0

    def segments(self) -> list[Segment]:
        visible = SegmentRow.objects.filter(state__in=VISIBLE).order_by("ingest")
        keys = list(visible.values_list("pk", "path", "state"))
        with self._lock:
            missing = [key for key in keys if key not in self._rows]
            for row in _rows([pk for pk, *_ in missing]):
                self._rows[row.pk, row.path, row.state] = _segment(row)
            # Rows never change but in their state; those that are gone are forgotten.
            self._rows = {key: self._rows[key] for key in keys if key in self._rows}
            return list(self._rows.values())

    def has_batch(self, batch: str) -> bool:
        return SegmentRow.objects.filter(batch=batch).exists()

    def fields(self) -> Mapping[str, Field]:
        with self._lock:
            now = tuple(SeenField.objects.aggregate(Count("pk"), Max("pk"), Max("first_seen_at")).values())
            if now != self._fields_at:
                self._fields_at = now
                seen = SeenField.objects.values_list("name", "type", "is_list")
                self._fields = {name: Field(name, FieldType(kind), many) for name, kind, many in seen}
            return dict(self._fields)

    def commit(
        self, segment: Segment, *, expected_head: int, fields: Iterable[Field], arrived_at: datetime
    ) -> int:
        try:
            with transaction.atomic():
                number = _advance(expected_head)
                _register(fields)
                _row(segment, number, arrived_at).save(force_insert=True)
                return number
        except IntegrityError as error:
            # The batch, or the counter's first row, was somebody else's a moment ago.
            raise ManifestMovedError from error
        except DatabaseError as error:
            raise StoreError(
                f"Batch {segment.batch} could not be entered in the manifest: {error}. Nothing of it is "
                "visible; mend the database, then send it again."
            ) from error

    def report_unreadable(self, path: str, reason: str) -> None:
        with transaction.atomic():
            row = SegmentRow.objects.select_for_update().get(path=path)
            row.failures, row.last_error = row.failures + 1, reason
            if row.state == SegmentState.ACTIVE and row.failures >= FAILURES_TO_UNREADABLE:
                self._turn(row, SegmentState.UNREADABLE, reason)
            row.save(update_fields=["failures", "last_error", "state"])

    def report_readable(self, path: str, *, expected_head: int) -> None:
        with transaction.atomic():
            _advance(expected_head)
            row = SegmentRow.objects.select_for_update().get(path=path)
            if row.state == SegmentState.UNREADABLE:
                self._turn(row, SegmentState.ACTIVE, "its file is whole again")
            row.failures, row.last_error = 0, ""
            row.save(update_fields=["failures", "last_error", "state"])

    def _turn(self, row: SegmentRow, state: SegmentState, reason: str) -> None:
        journal.record(
            STREAM,
            f"segment {state.value}",
            actor=system("event store"),
            before=row.state,
            after=state.value,
            reason=reason,
            data={"path": row.path, "rows": row.rows},
        )
        row.state = state

    def swap(self, sources: Sequence[Segment], merged: Segment, *, expected_head: int | None = None) -> None:
        with transaction.atomic():
            if expected_head is not None:
                _advance(expected_head)
            paths = [segment.path for segment in sources]
            rows = list(SegmentRow.objects.select_for_update().filter(path__in=paths, state__in=VISIBLE))
            if len(rows) != len(paths):
                raise ManifestMovedError
            for row in rows:
                if row.state == SegmentState.UNREADABLE:
                    self._turn(row, SegmentState.ACTIVE, "its file is whole again")
            retire(rows)
            _row(merged, merged.ingest, merged.arrival).save(force_insert=True)

    def retired(self, *, before: datetime) -> list[str]:
        gone = SegmentRow.objects.filter(state=SegmentState.RETIRED, retired_at__lte=before)
        return list(gone.values_list("path", flat=True))

    def forget(self, path: str) -> None:
        SegmentRow.objects.filter(path=path, state=SegmentState.RETIRED).delete()

    def paths(self) -> set[str]:
        return set(SegmentRow.objects.values_list("path", flat=True))


def retire(rows: Iterable[SegmentRow]) -> None:
    """Take segments out of sight; `sweep` deletes their files after a grace. In the caller's transaction."""
    keys = [row.pk for row in rows]
    SegmentRow.objects.filter(pk__in=keys).update(state=SegmentState.RETIRED, retired_at=timezone.now())


def _rows(keys: list[int]) -> Iterable[SegmentRow]:
    """In portions: a statement takes only so many parameters."""
    for start in range(0, len(keys), 500):
        yield from SegmentRow.objects.filter(pk__in=keys[start : start + 500])


def _advance(expected_head: int) -> int:
    """Take the next number, in the caller's transaction. Raises ManifestMovedError if somebody else did."""
    IngestCounter.objects.get_or_create(name="events")
    counter = IngestCounter.objects.select_for_update().get(name="events")
    if counter.head != expected_head:
        raise ManifestMovedError
    counter.head += 1
    counter.save(update_fields=["head"])
    return int(counter.head)


def _register(fields: Iterable[Field]) -> None:
    """Register new fields. Raises ManifestMovedError if one has another type by now."""
    fresh = {field.name: field for field in fields}
    seen = dict(SeenField.objects.filter(name__in=fresh).values_list("name", "type")) if fresh else {}
    if any(kind != fresh[name].type.value for name, kind in seen.items()):
        raise ManifestMovedError
    SeenField.objects.bulk_create(
        SeenField(name=field.name, type=field.type.value, is_list=field.is_list)
        for field in fresh.values()
        if field.name not in seen
    )


def _row(segment: Segment, ingest: int, arrived_at: datetime) -> SegmentRow:
    return SegmentRow(
        path=segment.path,
        batch=segment.batch,
        ingest=ingest,
        rows=segment.rows,
        bytes=segment.bytes,
        min_timestamp=segment.min_timestamp,
        max_timestamp=segment.max_timestamp,
        min_created=segment.min_created,
        max_created=segment.max_created,
        arrived_at=arrived_at,
        sha256=segment.sha256,
        columns=sorted(segment.columns),
        level=segment.level,
        first_ingest=segment.first_ingest,
        first_arrived_at=segment.first_arrived_at,
    )


def _segment(row: SegmentRow) -> Segment:
    return Segment(
        path=row.path,
        batch=row.batch,
        rows=row.rows,
        bytes=row.bytes,
        min_timestamp=row.min_timestamp,
        max_timestamp=row.max_timestamp,
        min_created=row.min_created,
        max_created=row.max_created,
        sha256=row.sha256,
        columns=frozenset(row.columns),
        ingest=row.ingest,
        arrived_at=row.arrived_at,
        readable=row.state == SegmentState.ACTIVE,
        level=row.level,
        first_ingest=row.first_ingest,
        first_arrived_at=row.first_arrived_at,
    )
