"""Answers in the shapes that Elasticsearch's clients read."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
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


def refused(operation: str, index: str, document_id: str | None, status: int, kind: str, reason: str) -> Item:
    """One action's error."""
    error = {"type": kind, "reason": reason}
    return {operation: {"_index": index, "_id": document_id, "status": status, "error": error}}


def bulk(milliseconds: int, items: list[Item]) -> dict[str, Any]:
    """The answer to a bulk request."""
    errors = any("error" in told for item in items for told in item.values())
    return {"errors": errors, "took": milliseconds, "items": items}


def filtered(content: dict[str, Any], filter_path: str) -> dict[str, Any]:
    """The parts of an answer that a client asks for (`errors,items.*.status`); all of it if it names none.

    Exclusions (`-items`) and `**` are not understood, and leave the answer whole.
    """
    paths = [part.strip().split(".") for part in filter_path.split(",") if part.strip()]
    if not paths or len(paths) > 20 or any(path[0].startswith("-") or "**" in path for path in paths):
        return content
    kept: dict[str, Any] = _kept(content, paths)
    return kept


def _kept(node: Any, paths: Sequence[list[str]]) -> Any:
    if isinstance(node, list):
        return [_kept(item, paths) for item in node]
    found: dict[str, Any] = {}
    for key, value in node.items():
        below = [path[1:] for path in paths if fnmatchcase(key, path[0])]
        if [] in below:
            found[key] = value
        elif below and isinstance(value, dict | list) and (rest := _kept(value, below)):
            found[key] = rest
    return found
