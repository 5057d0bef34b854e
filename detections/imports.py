"""Import capture files: good events into the store, bad records into quarantine, both counted."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from detections import journal, lease, wake
from detections.actors import Actor, system
from detections.enums import ImportStatus, OutboxState
from detections.errors import CasewrightError, RecordError, SourceError, StaleLeaseError
from detections.ingest import readers, retime
from detections.ingest.readers import Capture
from detections.models import Import, Lease, OutboxRow, QuarantinedRecord
from detections.stores.base import EventStore, MappedEvent

BATCH = 5_000
# Events may have a megabyte each, and a batch is held in memory.
BATCH_BYTES = 32 * 1024**2
QUARANTINED_PER_FILE = 1_000
RAW_LENGTH = 2_000
STREAM = "imports"
RUN_IMPORT = "run_import"
LEASE = "import"
# Between an import's row and its lease lies a moment; a request and its outbox row are one transaction.
LOST_AFTER = timedelta(minutes=1)
LOST = (
    "lost: its process ended without a word. What it stored stays; import the same files again for the rest."
)


@dataclass(slots=True)
class FileSummary:
    """What one file gave. `faults` are the first few of its bad records, as "position: reason"."""

    path: Path
    new: int = 0
    known: int = 0
    bad: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What an import came to."""

    import_id: int
    status: ImportStatus
    files: tuple[FileSummary, ...]

    @property
    def new(self) -> int:
        return sum(file.new for file in self.files)

    @property
    def known(self) -> int:
        return sum(file.known for file in self.files)

    @property
    def bad(self) -> int:
        return sum(file.bad for file in self.files)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import is: bytes read of all bytes, events stored, records refused."""

    file: Path
    bytes_done: int
    bytes_total: int
    events: int
    bad: int


Report = Callable[[Progress], None]


def import_captures(
    paths: Sequence[Path],
    *,
    actor: Actor,
    store: EventStore,
    retime: datetime | None = None,
    progress: Report | None = None,
    row: Import | None = None,
) -> ImportSummary:
    """Import files and folders of captures.

    1. The import's row and its journal entry are written. 2. Each file is read in batches; a batch's events
    are stored, then its bad records quarantined and the row's counts moved on. 3. The end is journalled and
    the rules are woken. Events that the store has are counted as known: killed anywhere, the same import
    again adds only what is missing.

    retime: move all events by one amount so that the newest lands there. progress: called after each batch.
    row: an import that was asked for, or that broke off, to go on with; otherwise a new one.
    Raises NotPermittedError, SourceError for a path that is not there (nothing is imported then), and what
    the store raises; the import then counts as failed, what was stored stays. Raises StaleLeaseError if
    another process is at the same import.
    """
    actor.require("detections.add_import", "import captures")
    captures = [readers.open_capture(path) for path in readers.captures_in(paths)]
    with ExitStack() as held:
        if row is not None:
            held.enter_context(_at_work(row))
            row = _begun(captures, row, actor=actor, retimed=retime is not None)
        else:
            row = _begun(captures, row, actor=actor, retimed=retime is not None)
            held.enter_context(_at_work(row))
        return _finished(_Importing(row, captures, store, progress), retime, actor=actor)


def fail_lost_imports(*, now: datetime | None = None) -> int:
    """Mark imports as failed whose process was killed: running, but nobody is at them and nobody will be.

    An import that works holds a lease and renews it; one that was asked for waits in the outbox, which also
    tries again after a lost worker. Whatever else is running has been left behind. Returns how many. An
    import that was only asleep for long sets its true end afterwards.
    """
    now = now or timezone.now()
    running = Import.objects.filter(status=ImportStatus.RUNNING, started_at__lt=now - LOST_AFTER)
    alive = set(
        Lease.objects.filter(name__startswith=f"{LEASE}:", expires_at__gt=now).values_list("name", flat=True)
    )
    waiting = OutboxRow.objects.filter(kind=RUN_IMPORT, state=OutboxState.PENDING)
    asked_for = set(waiting.values_list("subject", flat=True))
    lost = [row for row in running if row.pk not in asked_for and _lease_name(row) not in alive]
    return sum(_fail_lost(row, now) for row in lost)


def _fail_lost(row: Import, now: datetime) -> bool:
    with transaction.atomic():
        still = Import.objects.filter(pk=row.pk, status=ImportStatus.RUNNING)
        if not still.update(status=ImportStatus.FAILED, error=LOST, finished_at=now):
            return False
        journal.record(
            STREAM,
            "import_ended",
            actor=system("lost import"),
            before=ImportStatus.RUNNING,
            after=ImportStatus.FAILED,
            reason=LOST,
            data={"import": row.pk},
        )
    Lease.objects.filter(name=_lease_name(row)).delete()
    return True


def _lease_name(row: Import) -> str:
    return f"{LEASE}:{row.pk}"


@contextmanager
def _at_work(row: Import) -> Iterator[None]:
    """Show that a process is at the import, as long as it is."""
    with lease.hold(_lease_name(row)) as mine:
        if mine is None:
            raise StaleLeaseError(f"Import {row.pk} is already under way in another process.")
        yield
    Lease.objects.filter(name=_lease_name(row), holder="").delete()


def _finished(work: "_Importing", retime: datetime | None, *, actor: Actor) -> ImportSummary:
    try:
        work.run(retime)
    except BaseException as error:
        _end(work, ImportStatus.FAILED, actor=actor, error=_in_words(error))
        raise
    status = ImportStatus.PARTIAL if any(file.bad for file in work.files) else ImportStatus.SUCCEEDED
    _end(work, status, actor=actor)
    return ImportSummary(work.row.pk, status, tuple(work.files))


@dataclass(slots=True)
class _Batch:
    """What is stored at once."""

    events: list[MappedEvent] = field(default_factory=list)
    faults: list[RecordError] = field(default_factory=list)
    bytes: int = 0

    def add(self, item: MappedEvent | RecordError) -> None:
        if isinstance(item, RecordError):
            self.faults.append(item)
            self.bytes += len(item.raw)
        else:
            self.events.append(item.packed())
            self.bytes += len(item.text)

    @property
    def is_full(self) -> bool:
        return len(self.events) + len(self.faults) >= BATCH or self.bytes >= BATCH_BYTES


class _Importing:
    """One import under way."""

    def __init__(
        self, row: Import, captures: list[Capture], store: EventStore, progress: Report | None
    ) -> None:
        self.row, self.captures, self.store, self.progress = row, captures, store, progress
        self.files: list[FileSummary] = []
        self.batches = 0
        self.bytes_before = 0
        self.shift: retime.Shift | None = None

    def run(self, moved_to: datetime | None) -> None:
        if moved_to is not None:
            newest = _newest(self.captures)
            self.shift = None if newest is None else retime.shift_to(newest, moved_to)
        for capture in self.captures:
            self._file(capture)
            self.bytes_before += capture.size

    def _file(self, capture: Capture) -> None:
        summary = FileSummary(capture.path)
        self.files.append(summary)
        batch = _Batch()
        for item in _items(capture):
            batch.add(self._placed(item))
            if batch.is_full:
                self._store(capture, summary, batch.events, batch.faults)
                batch = _Batch()
        self._store(capture, summary, batch.events, batch.faults)

    def _placed(self, item: MappedEvent | RecordError) -> MappedEvent | RecordError:
        """The event where it belongs in time."""
        if isinstance(item, RecordError) or self.shift is None:
            return item
        try:
            return self.shift.applied(item)
        except RecordError as error:
            return error

    def _store(
        self, capture: Capture, summary: FileSummary, events: list[MappedEvent], faults: list[RecordError]
    ) -> None:
        new = known = 0
        if events:
            self.batches += 1
            appended = self.store.append(events, batch=f"import:{self.row.pk}:{self.batches}")
            new, known = appended.new, appended.duplicates
        room = max(0, QUARANTINED_PER_FILE - summary.bad)
        summary.new, summary.known, summary.bad = (
            summary.new + new,
            summary.known + known,
            summary.bad + len(faults),
        )
        summary.faults.extend(_told(fault) for fault in faults[: max(0, 5 - len(summary.faults))])
        with transaction.atomic():
            QuarantinedRecord.objects.bulk_create(
                [_quarantined(self.row, capture.path, fault) for fault in faults[:room]]
            )
            Import.objects.filter(pk=self.row.pk).update(
                bytes_done=self.bytes_before + capture.position,
                events_new=F("events_new") + new,
                events_known=F("events_known") + known,
                records_bad=F("records_bad") + len(faults),
            )
        self._report(capture)

    def _report(self, capture: Capture) -> None:
        if self.progress is not None:
            stored = sum(file.new + file.known for file in self.files)
            done = self.bytes_before + capture.position
            bad = sum(file.bad for file in self.files)
            self.progress(Progress(capture.path, done, self.row.bytes_total, stored, bad))


def _items(capture: Capture) -> Iterator[MappedEvent | RecordError]:
    """A file's records; what is wrong with the file itself comes last, as one more bad record."""
    try:
        yield from capture
    except SourceError as error:
        yield RecordError(str(error), position=error.position)


def _newest(captures: list[Capture]) -> int | None:
    """The newest @timestamp of all good records, in nanoseconds since 1970."""
    times = (
        retime.time_of(item)
        for capture in captures
        for item in _items(capture)
        if not isinstance(item, RecordError)
    )
    return max(times, default=None)


def _begun(captures: list[Capture], row: Import | None, *, actor: Actor, retimed: bool) -> Import:
    names = [str(capture.path) for capture in captures]
    with transaction.atomic():
        if row is None:
            row = Import(started_by=actor.user, retimed=retimed)
        else:
            # What a broken attempt stored is known to this one; what it refused is refused again.
            row.quarantine.all().delete()
            row.status, row.error, row.finished_at = ImportStatus.RUNNING, "", None
            row.bytes_done = row.events_known = row.records_bad = 0
        row.files = names
        row.bytes_total = sum(capture.size for capture in captures)
        row.save()
        journal.record(
            STREAM,
            "import_started",
            actor=actor,
            after=ImportStatus.RUNNING,
            data={"import": row.pk, "files": names, "retimed": row.retimed},
        )
    return row


def _end(work: _Importing, status: ImportStatus, *, actor: Actor, error: str = "") -> None:
    counts = {name: sum(getattr(file, name) for file in work.files) for name in ("new", "known", "bad")}
    with transaction.atomic():
        Import.objects.filter(pk=work.row.pk).update(status=status, error=error, finished_at=timezone.now())
        journal.record(
            STREAM,
            "import_ended",
            actor=actor,
            before=ImportStatus.RUNNING,
            after=status,
            reason=error,
            data={"import": work.row.pk, **counts},
        )
        if counts["new"]:
            wake.request_wake()


def _quarantined(row: Import, path: Path, fault: RecordError) -> QuarantinedRecord:
    return QuarantinedRecord(
        capture=row,
        file=str(path)[-1000:],
        position=fault.position[:100],
        reason=_storable(str(fault)),
        raw=_storable(fault.raw)[:RAW_LENGTH],
    )


def _storable(text: str) -> str:
    """Text that any database takes: PostgreSQL refuses the character zero."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def _told(fault: RecordError) -> str:
    return f"{fault.position}: {fault}" if fault.position else str(fault)


def _in_words(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "Stopped by a person."
    return str(error) if isinstance(error, CasewrightError) else f"{type(error).__name__}: {error}"
