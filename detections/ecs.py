"""Read ECS documents. A raw event stays a dict and is read only through this module."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

Document = dict[str, Any]
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def values(document: Document, field: str) -> list[Any]:
    """Every value of a dotted field, flattened, without nulls.

    Dotted keys equal nested ones (`{"process.pid": 1}` is `{"process": {"pid": 1}}`), and an array of
    objects gives the values of each of them, as Elasticsearch indexes it.
    """
    found: list[Any] = []
    _collect(document, field, found)
    return found


def get(document: Document, field: str) -> Any:
    """The first value of a dotted field, or None."""
    found: list[Any] = []
    _collect(document, field, found)
    return found[0] if found else None


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


@lru_cache(maxsize=20_000)
def _cuts(path: str) -> tuple[tuple[str, str], ...]:
    """Each way to cut a path into a key and the rest below it, the longest key first."""
    parts = path.split(".")
    return tuple((".".join(parts[:n]), ".".join(parts[n:])) for n in range(len(parts), 0, -1))


def _collect(node: Any, path: str, found: list[Any]) -> None:
    # Called for every field of every event: a list that grows is twice as fast as generators in generators.
    if isinstance(node, dict):
        if not path:
            return
        for key, rest in _cuts(path):
            if key in node:
                _collect(node[key], rest, found)
    elif isinstance(node, list):
        for item in node:
            _collect(item, path, found)
    elif not path and node is not None:
        found.append(node)


def put(document: Document, field: str, value: Any) -> None:
    """Set a dotted field in nested form; None and empty text are left out (absent, not empty)."""
    if value is None or value == "":
        return
    parents, last = _path(field)
    node = document
    for key in parents:
        held = node.get(key)
        if held is None:
            held = node[key] = {}
        node = held
    node[last] = value


@lru_cache(maxsize=2_000)
def _path(field: str) -> tuple[tuple[str, ...], str]:
    *parents, last = field.split(".")
    return tuple(parents), last


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
