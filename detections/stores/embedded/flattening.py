"""A document as leaf fields by dotted name, the way Elasticsearch indexes it."""

from collections.abc import Iterator
from typing import Any

from detections.ecs import Document

# Deeper nesting, longer names: hostile or broken. They stay in the raw document.
MAX_DEPTH = 40
MAX_NAME = 500


def leaves(document: Document) -> dict[str, list[Any]]:
    """Every leaf field with its values in order, nulls left out; arrays of objects are spread."""
    found: dict[str, list[Any]] = {}
    for name, value in _walk("", document, 0):
        found.setdefault(name, []).append(value)
    return found


def _walk(name: str, node: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > MAX_DEPTH or len(name) > MAX_NAME:
        return
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _walk(f"{name}.{key}" if name else str(key), value, depth + 1)
    elif isinstance(node, list):
        for item in node:
            yield from _walk(name, item, depth + 1)
    elif node is not None and name:
        yield name, node
