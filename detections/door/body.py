"""Read a bulk request: unpack it within bounds, and find its actions before anything is stored."""

import gzip
import hashlib
import io
import re
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Protocol

import orjson

from detections.errors import CasewrightError
from detections.ingest.ndjson import LINE_LIMIT

_CHUNK = 64 * 1024
_IN_MEMORY = 4 * 1024 * 1024
_ACTION_LIMIT = 16 * 1024
_OPERATIONS = ("create", "index", "update", "delete")
_INDEX = re.compile(r"(?!\.\.?$)[^-_+\\/*?\"<>|\s,#:A-Z][^\\/*?\"<>|\s,#:A-Z]*")


class BodyError(CasewrightError):
    """A bulk request that can't be taken as a whole. `type`, `status`: as Elasticsearch would answer it."""

    def __init__(self, reason: str, *, type: str = "illegal_argument_exception", status: int = 400) -> None:
        self.type, self.status = type, status
        super().__init__(reason)


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Body:
    """An unpacked request, in a temporary file where it is large. `sha256`: of the unpacked bytes."""

    file: IO[bytes]
    size: int
    sha256: str

    def line(self, action: "Action") -> bytes:
        """The document of an action; no more than one byte over the limit of a line."""
        self.file.seek(action.offset)
        return self.file.read(min(action.length, LINE_LIMIT + 1))


@dataclass(frozen=True, slots=True)
class Action:
    """One action of a bulk request. offset, length: where its document stands; line: of that, from 1."""

    operation: str
    index: str
    document_id: str | None
    line: int
    offset: int = 0
    length: int = 0


def unpacked(stream: Readable, encoding: str, *, limit: int) -> Body:
    """Read a request to its end, in pieces.

    limit: bytes, of what is sent and of what it unpacks to. Raises BodyError: 413 over the limit, 400 for
    what can't be unpacked or ends too early, 415 for an encoding other than gzip.
    """
    if encoding not in {"", "identity", "gzip", "x-gzip"}:
        raise BodyError(f"Content-Encoding [{encoding}] is not supported; send gzip or none.", status=415)
    # The caller holds it as long as the request lasts; it has no name that could stay behind.
    file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
    digest, size = hashlib.sha256(), 0
    try:
        for chunk in _chunks(stream, packed="gzip" in encoding):
            size += len(chunk)
            if size > limit:
                raise BodyError(
                    f"the request is larger than {limit} bytes unpacked; send it in parts",
                    type="content_too_long_exception",
                    status=413,
                )
            digest.update(chunk)
            file.write(chunk)
    except BodyError:
        file.close()
        raise
    return Body(file, size, digest.hexdigest())


def _chunks(stream: Readable, *, packed: bool) -> Iterator[bytes]:
    source: Any = gzip.GzipFile(fileobj=_Source(stream)) if packed else stream
    try:
        while chunk := source.read(_CHUNK):
            yield chunk
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BodyError(f"the request can't be unpacked: {error}", type="parse_exception") from error
    except OSError as error:
        raise BodyError(f"the request broke off: {error}", type="parse_exception") from error


class _Source(io.RawIOBase):
    """A request as gzip reads it: only forward."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        return self._stream.read(size if size > 0 else _CHUNK)


def actions(body: Body, default_index: str, *, limit: int) -> list[Action]:
    """The actions of a request, in order.

    default_index: from the address. limit: how many there may be. Raises BodyError, as Elasticsearch refuses
    the whole request: for a line that is no action, a document that is missing, no newline at the end.
    """
    found: list[Action] = []
    lines = _lines(body.file)
    for number, offset, line in lines:
        if not line.strip():
            continue
        operation, index, document_id = _action(line, number, default_index)
        if operation == "delete":
            found.append(Action(operation, index, document_id, number, offset, len(line)))
        else:
            found.append(_with_document(lines, operation, index, document_id, number))
        if len(found) > limit:
            raise BodyError(
                f"the request has more than {limit} actions; send it in parts",
                type="content_too_long_exception",
                status=413,
            )
    if not found:
        raise BodyError(
            "Validation Failed: 1: no requests added;", type="action_request_validation_exception"
        )
    return found


def _with_document(
    lines: Iterator[tuple[int, int, bytes]], operation: str, index: str, document_id: str | None, at: int
) -> Action:
    number, offset, head = next(lines, (0, 0, b""))
    if not number:
        raise BodyError(f"The action on line [{at}] has no document after it.")
    return Action(operation, index, document_id, number, offset, len(head))


def _lines(file: IO[bytes]) -> Iterator[tuple[int, int, bytes]]:
    """Number, place and bytes of each line. Of one over the limit only the first LINE_LIMIT + 1 bytes."""
    number = offset = 0
    file.seek(0)
    while line := file.readline(LINE_LIMIT + 1):
        number += 1
        end = line
        following = offset + len(line)
        while not end.endswith(b"\n"):
            end = file.readline(_CHUNK)
            following += len(end)
            if not end:
                raise BodyError("The bulk request must be terminated by a newline [\\n]")
        yield number, offset, line
        offset = following


def _action(line: bytes, number: int, default_index: str) -> tuple[str, str, str | None]:
    """Operation, index and id of an action line."""
    try:
        value = orjson.loads(line) if len(line) <= _ACTION_LIMIT else None
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict) or len(value) != 1:
        raise BodyError(f"Malformed action/metadata line [{number}], expected one JSON object with one key")
    ((operation, told),) = value.items()
    if operation not in _OPERATIONS or not isinstance(told, dict):
        raise BodyError(
            f"Malformed action/metadata line [{number}], expected one of [create, delete, index, update] "
            f"with an object, but found [{operation[:40]}]"
        )
    index, document_id = told.get("_index", default_index), told.get("_id")
    if not isinstance(index, str) or isinstance(document_id, dict | list):
        raise BodyError(f"Malformed action/metadata line [{number}], expected text as _index and _id")
    if not index:
        raise BodyError(
            f"Validation Failed: 1: index is missing on line {number};",
            type="action_request_validation_exception",
        )
    return operation, index, None if document_id is None else str(document_id)


def is_index_name(name: str) -> bool:
    """Whether Elasticsearch would take it as the name of an index or a data stream."""
    return len(name.encode("utf-8", "replace")) <= 255 and _INDEX.fullmatch(name) is not None
