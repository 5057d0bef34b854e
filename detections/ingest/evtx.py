"""Read a Windows event log chunk by chunk, so that memory stays constant and damage stays local.

A file is a header of 4 KiB and chunks of 64 KiB. Each chunk is handed to the decoder as a file of its own:
a damaged chunk loses itself only, a torn one gives what it still holds. Times and numbers come from the
System block of the event; the headers around the records carry other ones.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import orjson
from evtx import PyEvtxParser

from detections.errors import RecordError, SourceError
from detections.ingest import windows_record
from detections.ingest.windows_record import WindowsRecord

MAGIC = b"ElfFile\0"
_CHUNK_MAGIC = b"ElfChnk\0"
_HEADER_SIZE, _CHUNK_SIZE, _CHUNK_HEADER_SIZE = 4096, 65536, 512
_RESERVED = bytes(_CHUNK_SIZE)


def records(stream: BinaryIO) -> Iterator[WindowsRecord | RecordError]:
    """The events of a log, and a RecordError for each record or chunk that can't be decoded.

    Raises SourceError where the file is no event log, and, after all that is readable, where it is torn.
    """
    header = _read(stream, _HEADER_SIZE)
    if not header.startswith(MAGIC):
        raise SourceError("The file does not start with an event log's header.", position="byte 0")
    if len(header) < _HEADER_SIZE:
        raise SourceError("The file ends within the event log's header.", position=f"byte {len(header)}")
    number = 0
    while chunk := _read(stream, _CHUNK_SIZE):
        number += 1
        yield from _chunk(header, chunk, number)
        if len(chunk) < _CHUNK_SIZE:
            raise SourceError(
                "The file ends within a chunk; copy it again from its source.",
                position=f"byte {_HEADER_SIZE + (number - 1) * _CHUNK_SIZE + len(chunk)}",
            )
    # Windows counts chunks in 16 bits and updates the count late, so more chunks than told are normal.
    told = struct.unpack_from("<H", header, 42)[0]
    if number < told:
        raise SourceError(
            f"The file holds {number} of the {told} chunks that its header tells.",
            position=f"byte {_HEADER_SIZE + number * _CHUNK_SIZE}",
        )


def _read(stream: BinaryIO, size: int) -> bytes:
    """Exactly `size` bytes, fewer only at the end."""
    parts = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _chunk(header: bytes, chunk: bytes, number: int) -> Iterator[WindowsRecord | RecordError]:
    where = f"chunk {number}"
    if not chunk.startswith(_CHUNK_MAGIC) or len(chunk) < _CHUNK_HEADER_SIZE:
        if chunk == _RESERVED[: len(chunk)]:
            return  # space that Windows reserved ahead
        yield RecordError("The chunk has no valid header; its records are lost.", position=where)
        return
    torn = len(chunk) < _CHUNK_SIZE
    found = 0
    for item in _decoded(_alone(header, chunk.ljust(_CHUNK_SIZE, b"\0")), where):
        if torn and isinstance(item, RecordError):
            break  # the tear itself: told once, by the SourceError that ends the file
        found += 1
        yield item
    first, last = struct.unpack_from("<QQ", chunk, 8)
    if not torn and found < (expected := last - first + 1) <= _CHUNK_SIZE:
        yield RecordError(f"{expected - found} of the chunk's {expected} records are lost.", position=where)


def _alone(header: bytes, chunk: bytes) -> bytes:
    """A log of this one chunk: the header with a chunk count of one and its checksum made right."""
    single = bytearray(header)
    struct.pack_into("<QQ", single, 8, 0, 0)
    struct.pack_into("<H", single, 42, 1)
    struct.pack_into("<I", single, 124, zlib.crc32(bytes(single[:120])))
    return bytes(single) + chunk


def _decoded(log: bytes, where: str) -> Iterator[WindowsRecord | RecordError]:
    try:
        decoder = iter(PyEvtxParser(io.BytesIO(log), number_of_threads=1).records_json())
    except (OSError, RuntimeError) as error:
        yield RecordError(f"The chunk can't be decoded: {error}", position=where)
        return
    while True:
        try:
            raw = next(decoder)
        except StopIteration:
            return
        except (OSError, RuntimeError) as error:
            yield RecordError(f"The record can't be decoded: {_first_line(error)}", position=where)
            continue
        yield _record(raw or {}, where)


def _record(raw: dict[str, Any], where: str) -> WindowsRecord | RecordError:
    text = str(raw.get("data", ""))
    try:
        return windows_record.of_decoded(orjson.loads(text))
    except orjson.JSONDecodeError as error:
        return RecordError(f"The record is no valid text: {error}", position=where, raw=text)
    except RecordError as error:
        return RecordError(str(error), position=where, raw=text)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
