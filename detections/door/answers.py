"""Answers in the shapes that Elasticsearch's clients read."""

from typing import Any

Item = dict[str, dict[str, Any]]


def refusal(status: int, kind: str, reason: str, **more: Any) -> dict[str, Any]:
    """A whole request's error."""
    cause = {"type": kind, "reason": reason, **more}
    return {"error": {"root_cause": [cause], **cause}, "status": status}


def stored(operation: str, index: str, document_id: str, number: int) -> Item:
    """The event is new, durable and searchable. number: of the batch that brought it."""
    return {
        operation: {
            "_index": index,
            "_id": document_id,
            "_version": 1,
            "result": "created",
            "_shards": {"total": 1, "successful": 1, "failed": 0},
            "_seq_no": number,
            "_primary_term": 1,
            "status": 201,
        }
    }


def held(operation: str, index: str, document_id: str) -> Item:
    """The same event is stored already; nothing was added."""
    return {
        operation: {
            "_index": index,
            "_id": document_id,
            "_version": 1,
            "result": "noop",
            "_shards": {"total": 1, "successful": 1, "failed": 0},
            "status": 200,
        }
    }


def refused(
    operation: str, index: str, document_id: str | None, status: int, kind: str, reason: str
) -> Item:
    """One action's error."""
    error = {"type": kind, "reason": reason}
    return {operation: {"_index": index, "_id": document_id, "status": status, "error": error}}


def bulk(milliseconds: int, items: list[Item]) -> dict[str, Any]:
    """The answer to a bulk request."""
    errors = any("error" in told for item in items for told in item.values())
    return {"errors": errors, "took": milliseconds, "items": items}
