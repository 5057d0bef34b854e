"""Read ECS documents. A raw event stays a dict and is read only through this module."""

import re
from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def values(document: Document, field: str) -> list[Any]:
    """Every value of a dotted field, flattened, without nulls.

    Dotted keys equal nested ones (`{"process.pid": 1}` is `{"process": {"pid": 1}}`), and an array of
    objects gives the values of each of them, as Elasticsearch indexes it.
    """
    return list(_walk(document, field))


def get(document: Document, field: str) -> Any:
    """The first value of a dotted field, or None."""
    return next(_walk(document, field), None)


def text(document: Document, field: str) -> str:
    """The first value as text, or ""."""
    value = get(document, field)
    return "" if value is None else str(value)


def objects(document: Document, field: str) -> list[Document]:
    """Every object under a dotted field, a list's elements one by one."""
    return list(_objects(document, field))


def _objects(node: Any, path: str) -> Iterator[Document]:
    if isinstance(node, list):
        for item in node:
            yield from _objects(item, path)
    elif isinstance(node, dict) and not path:
        yield node
    elif isinstance(node, dict):
        for key, below in node.items():
            if path == key or path.startswith(f"{key}."):
                yield from _objects(below, path[len(key) + 1 :])


def _walk(node: Any, path: str) -> Iterator[Any]:
    if isinstance(node, list):
        for item in node:
            yield from _walk(item, path)
    elif not path:
        if node is not None and not isinstance(node, dict):
            yield node
    elif isinstance(node, dict):
        yield from _below(node, path)


def _below(node: Document, path: str) -> Iterator[Any]:
    """Try each way to cut the path into a key of this object and a rest."""
    cut = len(path)
    while cut > 0:
        key = path[:cut]
        if key in node:
            yield from _walk(node[key], path[cut + 1 :])
        cut = path.rfind(".", 0, cut)


def put(document: Document, field: str, value: Any) -> None:
    """Set a dotted field in nested form; None and empty text are left out (absent, not empty)."""
    if value is None or value == "":
        return
    *parents, last = field.split(".")
    node = document
    for key in parents:
        node = node.setdefault(key, {})
    node[last] = value


def storable(value: Any) -> Any:
    """The same value without NUL and lone surrogates, each of them U+FFFD.

    PostgreSQL refuses both in text and in JSON: one such event would fail every run of a rule it matches.
    """
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(name): storable(item) for name, item in value.items()}
    return value
