"""Open capture files by what they hold, and find them in folders."""

import gzip
import io
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from detections.errors import RecordError, SourceError
from detections.ingest import evtx, identity, ndjson, winlog
from detections.ingest.windows_json import Value
from detections.ingest.windows_record import WindowsRecord
from detections.ingest.windows_time import Clock
from detections.stores.base import MappedEvent

SUFFIXES = (".evtx", ".ndjson", ".jsonl", ".json")
_GZIP = b"\x1f\x8b"
_HEAD = 64 * 1024
_LINE_OF_JSON = re.compile(rb"^(?:\xef\xbb\xbf)?[ \t]*\{", re.MULTILINE)
_JSON_OVER_LINES = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{[ \t]*\r?\n\s*"')
_OTHER_FORMATS = (
    (b"PK\x03\x04", "a zip archive; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd; unpack it first"),
    (b"\xfd7zXZ\0", "packed with xz; unpack it first"),
    (b"BZh", "packed with bzip2; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"\x1f\x8b", "packed twice with gzip; unpack it once"),
    (b"PAR1", "a Parquet file; write one document a line"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\xff\xfe\0\0", "UTF-32 text; save it as UTF-8"),
    (b"\xff\xfe", "UTF-16 text; save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text; save it as UTF-8"),
    (b"{\0", "UTF-16 text; save it as UTF-8"),
    (b"\0{", "UTF-16 text; save it as UTF-8"),
    (b"MZ", "a Windows program"),
    (b"regf", "a registry hive"),
    (b"LfLe", "an event log of Windows XP or 2003, which is not supported"),
    (b"[", "a JSON array; write one document a line (jq -c '.[]')"),
    (b"<", "XML; export the log as .evtx instead"),
)


# Where a tar archive says that it is one.
_TAR = slice(257, 262)

# Asking the system for the position takes as long as parsing a record.
_TOLD_EVERY = 100


class Capture:
    """One file of events. Iterate once; `position` of `size` bytes tells how far the reading is.

    Yields a MappedEvent for each good record and a RecordError for each bad one. Raises SourceError, after
    all that is readable, where the file itself is wrong: empty, torn, or neither EVTX nor NDJSON.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.position = path, 0
        self.size = path.stat().st_size

    def __iter__(self) -> Iterator[MappedEvent | RecordError]:
        try:
            with self.path.open("rb") as file:
                stream = _opened(file)
                for number, item in enumerate(self._items(stream)):
                    if number % _TOLD_EVERY == 0:
                        self.position = file.tell()
                    yield item
        except OSError as error:
            raise SourceError(f"The file can't be read: {error.strerror or error}.") from error
        self.position = self.size

    def _items(self, stream: io.BufferedReader) -> Iterator[MappedEvent | RecordError]:
        kind = _kind(_peeked(stream))
        told = "evtx" if self.path.name.lower().removesuffix(".gz").endswith(".evtx") else "ndjson"
        if kind != told and self.path.name.lower().removesuffix(".gz").endswith(SUFFIXES):
            yield RecordError(
                f"The name says {told.upper()}, the content is {kind.upper()}; it was read as {kind.upper()}."
            )
        yield from (
            _windows_events(stream, self.path.name)
            if kind == "evtx"
            else ndjson.events(stream, self.path.name, Clock(self._flattened_values))
        )

    def _flattened_values(self) -> Iterator[Value]:
        """A pass of its own over the file, which does not move this one's position."""
        with self.path.open("rb") as file:
            yield from ndjson.flattened_values(_opened(file))


def open_capture(path: Path) -> Capture:
    """A capture file, to be iterated. Raises SourceError if there is no such file."""
    if path.is_dir():
        raise SourceError(f"{path}: the folder can't be listed.")
    if not path.is_file():
        what = "it is no file" if path.exists() else "there is no such file"
        raise SourceError(f"{path}: {what}.")
    return Capture(path)


def captures_in(paths: Iterable[Path]) -> list[Path]:
    """The capture files among files and folders, each once, in order of their names.

    A file that is named is taken whatever its name; in a folder, those that end in one of SUFFIXES (also
    with .gz). Links to folders are not followed. Raises SourceError for a path that does not exist or a
    folder without captures.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = sorted(_captures_below(path))
            if not inside:
                raise SourceError(f"{path}: the folder has no capture files ({', '.join(SUFFIXES)}).")
            found.update(dict.fromkeys(inside))
        elif path.exists():
            found[path] = None
        else:
            raise SourceError(f"{path}: there is no such file or folder.")
    return list(found)


def _captures_below(folder: Path) -> Iterator[Path]:
    """A folder that can't be listed comes itself, so that whoever opens it says that it was not searched."""
    unlisted: list[Path] = []

    def take(error: OSError) -> None:
        unlisted.append(Path(error.filename))

    for parent, _, names in os.walk(folder, onerror=take):
        for name in names:
            if name.lower().removesuffix(".gz").endswith(SUFFIXES):
                yield Path(parent, name)
    yield from unlisted


def _opened(file: io.BufferedReader) -> io.BufferedReader:
    """The content, unpacked if it is gzip."""
    start = file.read(2)
    file.seek(0)
    if start == _GZIP:
        return io.BufferedReader(gzip.GzipFile(fileobj=file), _HEAD)
    return io.BufferedReader(file, _HEAD)


def _peeked(stream: io.BufferedReader) -> bytes:
    try:
        return stream.peek(_HEAD)[:_HEAD]
    except (EOFError, OSError) as error:
        raise SourceError(f"The file can't be unpacked: {error}.") from error


def _kind(head: bytes) -> Literal["evtx", "ndjson"]:
    if not head.strip():
        raise SourceError("The file is empty.")
    if head.startswith(evtx.MAGIC):
        return "evtx"
    text = head.lstrip()
    for start, meaning in _OTHER_FORMATS:
        if text.startswith(start):
            raise SourceError(f"The file is neither EVTX nor NDJSON but {meaning}.", position="byte 0")
    if head[_TAR] == b"ustar":
        raise SourceError("The file is a tar archive; unpack it first.", position="byte 0")
    if _JSON_OVER_LINES.match(head):
        raise SourceError(
            "The file is JSON over several lines; write one document a line (jq -c .).", position="line 1"
        )
    if _LINE_OF_JSON.search(head):
        return "ndjson"
    raise SourceError(
        "The file is neither EVTX (it lacks the header) nor NDJSON (no line starts with a brace).",
        position="byte 0",
    )


def _windows_events(stream: BinaryIO, name: str) -> Iterator[MappedEvent | RecordError]:
    try:
        for item in evtx.records(stream):
            yield item if isinstance(item, RecordError) else _windows_event(item, name)
    except EOFError as error:
        raise SourceError(f"The file ends too early: {error}.") from error


def _windows_event(record: WindowsRecord, name: str) -> MappedEvent | RecordError:
    try:
        document = winlog.document_of(record)
    except RecordError as error:
        return error
    known_as = identity.of_windows_record(
        record.computer, record.channel, record.record_id, record.time_created
    )
    return MappedEvent(known_as, document, f"{name} record {record.record_id}", record.record_id)
