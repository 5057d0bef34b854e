"""Segment files on disk: written whole or not at all, checked, swept."""

import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from detections.errors import StoreError
from detections.stores.embedded.encoding import Encoded
from detections.stores.embedded.manifest import Segment

FOLDER = "segments"
ROWS_IN_GROUP = 10_000
# A writer takes seconds from its first byte to the manifest; an hour spares even one that was suspended.
WRITING_TIME = timedelta(hours=1)
# Columns whose values hardly ever repeat: a dictionary of them only costs time.
_UNIQUE = {"_row", "_key", "_identity", "_raw"}
# Numbers that mostly rise by a little: their differences take a fraction of their bytes.
_RISING = {"_row", "_place", "_timestamp", "_created", "s.@timestamp", "s.event.created", "s.event.sequence"}
# What pivots ask for: one process among thousands, whose id sorts nowhere. A filter in each row group tells
# where it is not, for a byte or two an event.
_SOUGHT = {"s.process.entity_id", "s.process.parent.entity_id"}
_FILTER_MISTAKES = 0.01
_ELEMENT = ".list.element"


@dataclass(frozen=True, slots=True)
class SegmentFiles:
    """The folder that holds the segments of one store."""

    root: Path

    @property
    def folder(self) -> Path:
        return self.root / FOLDER

    def absolute(self, path: str) -> Path:
        return self.root / path

    def write(self, encoded: Encoded, batch: str) -> Segment:
        """Write a table durably under a new name; readers don't know of it yet.

        Raises StoreError when the disk refuses (full, read-only); nothing is left behind then.
        """

        def fill(path: Path) -> None:
            schema = encoded.table.schema
            write_tables(schema, [encoded.table], path, compression_level=1, rows_in_group=ROWS_IN_GROUP)

        def described(file: Path, path: str) -> Segment:
            return _described(encoded, batch, file, path)

        return self.made(fill, described, f"Batch {batch}")

    def made(
        self, fill: Callable[[Path], None], described: Callable[[Path, str], Segment], what: str
    ) -> Segment:
        """Have a file filled under a temporary name and make it durable under its own.

        Raises StoreError when the disk refuses; nothing is left behind then.
        """
        name = uuid.uuid4().hex
        temporary, final = self.folder / f"{name}.tmp", self.folder / f"{name}.parquet"
        try:
            self._prepare()
            fill(temporary)
            segment = described(temporary, f"{FOLDER}/{final.name}")
            temporary.rename(final)
            _sync(self.folder)
        except (OSError, pa.ArrowInvalid) as error:
            self._discard(temporary, final)
            raise StoreError(
                f"{what} could not be written to {self.folder}: {error}. Nothing of it was stored; "
                "make room or mend the disk, then send it again."
            ) from error
        except BaseException:
            self._discard(temporary, final)
            raise
        return segment

    def _prepare(self) -> None:
        if not self.folder.is_dir():
            self.folder.mkdir(parents=True, exist_ok=True)
            _sync(self.root)

    def discard(self, segment: Segment) -> None:
        """Delete the file of a segment that never became visible."""
        self._discard(self.absolute(segment.path))

    def _discard(self, *paths: Path) -> None:
        for path in paths:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def fault(self, segment: Segment) -> str:
        """What is wrong with a segment's file, in words, or "" if it is whole."""
        path = self.absolute(segment.path)
        try:
            size = path.stat().st_size
            if size != segment.bytes:
                return f"it has {size} bytes instead of {segment.bytes}"
            return "" if digest(path) == segment.sha256 else "its content has changed since it was written"
        except FileNotFoundError:
            return "the file is missing"
        except OSError as error:
            return f"it can't be read ({error.strerror})"

    def settled(self) -> Iterator[Path]:
        """The files that no writer can still be working on."""
        limit = time.time() - WRITING_TIME.total_seconds()
        for path in sorted(self.folder.glob("*")) if self.folder.is_dir() else ():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < limit:
                    yield path


# A footer of a hundred columns and a few row groups takes a millisecond to parse. Files never change; the
# size tells one that was damaged and put back.
@lru_cache(maxsize=512)
def metadata_of(path: str, _bytes: int) -> pq.FileMetaData:
    """The footer of a file of so many bytes, read once a process."""
    return pq.read_metadata(path)


def texts_in(metadata: pq.FileMetaData) -> list[str]:
    """The columns of single texts that repeat, which can be read as codes of their dictionary."""
    return [path for path, is_list in _text_leaves(metadata) if not is_list and path not in _UNIQUE]


def lists_of_texts_in(metadata: pq.FileMetaData) -> dict[str, str]:
    """The columns of lists of texts, each with its path in the file."""
    return {path.removesuffix(_ELEMENT): path for path, is_list in _text_leaves(metadata) if is_list}


def _text_leaves(metadata: pq.FileMetaData) -> Iterator[tuple[str, bool]]:
    """The paths of columns of texts, and whether they are lists. Names of fields may look like either."""
    schema = metadata.schema
    for number in range(len(schema)):
        one = schema.column(number)
        if one.physical_type == "BYTE_ARRAY":
            yield one.path, one.max_repetition_level > 0


def write_tables(
    schema: pa.Schema,
    tables: Iterable[pa.Table],
    path: Path,
    *,
    compression_level: int,
    rows_in_group: int,
    page_size: int = 1024**2,
) -> None:
    """Write tables of one schema to a new file, durably. page_size: how much is compressed at once."""
    leaves = {
        entry.name: f"{entry.name}{_ELEMENT}" if pa.types.is_list(entry.type) else entry.name
        for entry in schema
    }
    rising = {entry.name for entry in schema if entry.name in _RISING and _is_whole(entry.type)}
    with path.open("xb") as file:
        with pq.ParquetWriter(
            file,
            schema,
            compression="zstd",
            compression_level=compression_level,
            use_dictionary=[leaf for name, leaf in leaves.items() if name not in _UNIQUE | rising],
            column_encoding=dict.fromkeys(rising, "DELTA_BINARY_PACKED"),
            data_page_size=page_size,
            # The first and last raw document of a row group would only make its footer large.
            write_statistics=[leaf for name, leaf in leaves.items() if name != "_raw"],
            store_schema=False,
            write_page_checksum=True,
            bloom_filter_options={
                name: {"ndv": max(1, rows_in_group // 2), "fpp": _FILTER_MISTAKES}
                for name in _SOUGHT.intersection(schema.names)
            },
        ) as writer:
            for table in tables:
                writer.write_table(table, row_group_size=rows_in_group)
        file.flush()
        os.fsync(file.fileno())


def _is_whole(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_timestamp(kind))


def _described(encoded: Encoded, batch: str, file: Path, path: str) -> Segment:
    created = encoded.created or (None, None)
    return Segment(
        path=path,
        batch=batch,
        rows=encoded.table.num_rows,
        bytes=file.stat().st_size,
        min_timestamp=encoded.timestamps[0],
        max_timestamp=encoded.timestamps[1],
        min_created=created[0],
        max_created=created[1],
        sha256=digest(file),
        columns=frozenset(encoded.table.column_names),
    )


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    """Make names in a folder durable: a rename is only safe once its folder is on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
