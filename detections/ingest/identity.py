"""What makes two events the same one. Never an index name, never `event.id`, which Defend reuses."""

import hashlib
from typing import Any

import orjson

from detections import ecs
from detections.ecs import Document


def of_source(dataset: str, document_id: str) -> str:
    """The identity of a document whose source gives it an id (Elasticsearch's `_id`)."""
    return _digest(["_id", dataset, document_id])


def of_windows_record(computer: str, channel: str, record_id: str, time_created: str) -> str:
    """The identity of a Windows event.

    The time is part of it, since clearing a log starts its record numbers again.
    """
    return _digest(["windows", computer.lower(), channel.lower(), record_id, time_created])


def of_document(document: Document) -> str:
    """The identity of a document without any id: its content, whatever the order of its keys."""
    return _digest(["document", document])


def of_retimed(identity: str, shift: int) -> str:
    """The identity of an event whose times were moved by so many nanoseconds."""
    return _digest(["retimed", identity, shift])


def dataset_of(document: Document) -> str:
    """The data set that a document names, or ""."""
    return ecs.text(document, "data_stream.dataset") or ecs.text(document, "event.dataset")


def _digest(content: list[Any]) -> str:
    """SHA-256 hex over canonical JSON, in which no two different lists have the same text."""
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()
