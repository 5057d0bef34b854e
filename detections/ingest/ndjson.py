"""Read ECS documents, one JSON object a line, strictly: what can't be meant exactly is refused, not guessed.

A line may also be a search hit of Elasticsearch (`_id`, `_source`). Keys may be dotted or nested. Where an
object repeats a key, its last value counts, as in most readers of JSON.
"""

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import orjson

from detections import ecs
from detections.ecs import Document
from detections.errors import RecordError, SourceError
from detections.ingest import identity, moments, windows_json, winlog
from detections.ingest.windows_json import JsonEvent, Value
from detections.ingest.windows_time import Clock
from detections.stores.base import MappedEvent

LINE_LIMIT = 1024 * 1024
DEPTH_LIMIT = 100
KEY_LIMIT = 5000
_MANY_DIGITS = re.compile(rb"\d{19,}")
# Hardly any line has so many digits in a row. One pass makes all digits zeros and leaves out what opens a
# level, which tells ten times as fast.
_MANY_ZEROS, _DIGITS_AS_ZEROS, _OPENING = b"0" * 19, bytes.maketrans(b"0123456789", b"0" * 10), b"{["
_TOO_DEEP = re.compile("recursion|depth limit", re.IGNORECASE)
_EVENT_TIMES = ("created", "start", "end", "ingested")
_TIMES = ("@timestamp", *(f"event.{name}" for name in _EVENT_TIMES))
_WHOLE_ANSWER = "The line is a whole answer of a search; write one hit a line (jq -c '.hits.hits[]')."
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def events(stream: BinaryIO, name: str, clock: Clock | None = None) -> Iterator[MappedEvent | RecordError]:
    """The documents of a stream, and a RecordError for each line that is none; blank lines are passed over.

    A Windows event that nobody has mapped yet (`windows_json`) is mapped; any other document stays as it is.
    name: the file's, for the events' source. clock: the file's, for events whose times may be off. Raises
    SourceError, after what is readable, where the stream itself breaks (a torn gzip file).
    """
    clock = clock or Clock()
    for number, line in _lines(stream):
        if line is None:
            reason = f"The line is longer than {LINE_LIMIT:,} bytes."
            yield RecordError(reason, position=f"line {number}")
        elif line.strip():
            yield _event(line, number, name, clock)


def flattened_values(stream: BinaryIO) -> Iterator[Value]:
    """The flattened Sysmon events among the lines of a stream, as far as they can be read."""
    try:
        for _, line in _lines(stream):
            if line is None or b'"UtcTime"' not in line:
                continue
            try:
                value = _unwrapped(_parsed(line))[0]
            except RecordError:
                continue
            if "EventID" in value:
                yield value
    except SourceError:
        return


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Lines with their numbers; None for one that is too long, which is never held in memory whole."""
    number = 0
    try:
        while line := stream.readline(LINE_LIMIT + 1):
            number += 1
            if len(line) > LINE_LIMIT and not line.endswith(b"\n"):
                while (rest := stream.readline(LINE_LIMIT)) and not rest.endswith(b"\n"):
                    pass
                yield number, None
            else:
                yield number, line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
    except (EOFError, OSError) as error:
        raise SourceError(
            f"The file ends too early or is damaged: {error}.", position=f"after line {number}"
        ) from error


def _event(line: bytes, number: int, name: str, clock: Clock) -> MappedEvent | RecordError:
    try:
        text = line.strip()
        whole = _parsed(text)
        value, document_id = _unwrapped(whole)
        record_id = document_id or str(value.get("_id") or f"L{number}")
        text = text if value is whole else b""
        return _event_of(value, document_id, f"{name}:{number}", clock, text, record_id)
    except RecordError as error:
        return RecordError(str(error), position=f"line {number}", raw=line.decode(errors="backslashreplace"))


def sent_event(line: bytes, document_id: str, source: str, record_id: str = "") -> MappedEvent:
    """A document that somebody sends, with its id, or "", beside it: the same event as out of a file.

    record_id: what its sender calls it. Raises RecordError where a file's line would be refused.
    """
    if len(line) > LINE_LIMIT:
        raise RecordError(f"The document is longer than {LINE_LIMIT:,} bytes.")
    return _event_of(_parsed(line), document_id, source, Clock(), line, record_id)


def _event_of(
    value: Value, document_id: str, source: str, clock: Clock, line: bytes, record_id: str
) -> MappedEvent:
    """line: the object's text, or nothing where it is only a part of the line."""
    reader = windows_json.reader_of(value)
    if reader is not None:
        return _windows_event(reader(value, clock), document_id, value, source, record_id)
    _check_times(value)
    if document_id:
        known_as = identity.of_source(identity.dataset_of(value), document_id)
    else:
        known_as = identity.of_document(value)
    # Kept as it came: nothing is written anew, and numbers keep their spelling.
    return MappedEvent(known_as, value, source, record_id, line.decode())


def _windows_event(
    event: JsonEvent, document_id: str, value: Value, source: str, record_id: str
) -> MappedEvent:
    """The mapped event. value: what it was read from.

    The identity rests on what the source says, never on a correction, which may change when the file grows.
    """
    record = event.record
    document = winlog.document_of_json(event)
    if document_id:
        known_as = identity.of_source(identity.dataset_of(document), document_id)
    elif record.record_id and record.computer:
        known_as = identity.of_windows_record(record.computer, record.channel, record.record_id, event.logged)
    else:
        known_as = identity.of_document(value)
    return MappedEvent(known_as, document, source, record_id)


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        if _TOO_DEEP.search(str(error)):
            raise RecordError(f"The document is nested deeper than {DEPTH_LIMIT} levels.") from None
        raise RecordError(f"The line is no valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise RecordError("The line is no JSON object; write one document a line.")
    _check_size(value, line)
    return value


def _unwrapped(value: dict[str, Any]) -> tuple[Document, str]:
    """The document and its id, out of a search hit if it is one."""
    if "_source" not in value:
        return value, ""
    source, document_id = value["_source"], value.get("_id", "")
    if not isinstance(source, dict) or not isinstance(document_id, str):
        raise RecordError("The search hit has no object as `_source`, or no text as `_id`.")
    return source, document_id


def _check_size(value: Value, line: bytes) -> None:
    """Refuse what is nested too deep, has too many keys, or holds a whole number beyond 64 bits."""
    reduced = line.translate(_DIGITS_AS_ZEROS, _OPENING)
    overflows = _MANY_ZEROS in reduced and any(map(_is_beyond_64_bits, _long_numbers(line)))
    # Each level needs a bracket and each key four bytes, so most lines are known to be fine without a walk.
    few_keys = len(line) <= 4 * KEY_LIMIT or line.count(b":") <= KEY_LIMIT
    if not overflows and few_keys and len(line) - len(reduced) <= DEPTH_LIMIT:
        return
    keys = depth = 0
    level: list[Any] = [value]
    while level:
        depth += 1
        if depth > DEPTH_LIMIT:
            raise RecordError(f"The document is nested deeper than {DEPTH_LIMIT} levels.")
        keys += sum(len(node) for node in level if isinstance(node, dict))
        if keys > KEY_LIMIT:
            raise RecordError(f"The document has more than {KEY_LIMIT:,} keys.")
        items = [item for node in level for item in (node.values() if isinstance(node, dict) else node)]
        if overflows and any(map(_overflows, items)):
            raise RecordError("A whole number lies beyond 64 bits and would lose digits; write it as text.")
        level = [item for item in items if isinstance(item, dict | list)]


def _long_numbers(line: bytes) -> Iterator[bytes]:
    """Long runs of digits that look like whole numbers of the JSON, rather than parts of a text."""
    for found in _MANY_DIGITS.finditer(line):
        start, end = found.span()
        start -= line[start - 1 : start] == b"-"
        if line[start - 1 : start] in b":,[ \t" and line[end : end + 1] in b",]} \t\r\n":
            yield line[start:end]


def _is_beyond_64_bits(token: bytes) -> bool:
    # By length first: Python refuses to read thousands of digits.
    return len(token) > 20 or not -(2**63) <= int(token) < 2**64


def _overflows(item: Any) -> bool:
    # The parser turns whole numbers beyond 64 bits into floating ones.
    return isinstance(item, float) and (item <= -(2**63) or item >= 2**64)


def _check_times(document: Document) -> None:
    if _has_plain_times(document):
        return
    if ecs.get(document, "@timestamp") is None:
        hits = document.get("hits")
        is_answer = isinstance(hits, dict) and "hits" in hits
        raise RecordError(_WHOLE_ANSWER if is_answer else "The document has no @timestamp.")
    for field in _TIMES:
        for value in ecs.values(document, field):
            if not isinstance(value, str):
                raise RecordError(f"{field} is no text; write the time as ISO 8601 with a zone.")
            try:
                moments.nanoseconds(value)
            except moments.TimeError as error:
                raise RecordError(f"{field}: {error}.") from None
    if len(ecs.values(document, "@timestamp")) > 1:
        raise RecordError("The document has more than one @timestamp.")


def _has_plain_times(document: Document) -> bool:
    """The usual case, quickly: nested keys, one value each, and all of them times. False says nothing."""
    event = document.get("event", {})
    if not isinstance(event, dict) or "." in "".join(document):
        return False
    time = document.get("@timestamp")
    others = [event[name] for name in _EVENT_TIMES if name in event and event[name] != time]
    return all(type(value) is str and moments.is_plain(value) for value in (time, *others))
