"""Documents as leaf fields by dotted name, the way Elasticsearch indexes them, gathered field by field."""

from collections.abc import Iterable
from typing import Any

from detections.ecs import Document

# What is nested deeper is hostile or broken, and stays in the raw document.
MAX_DEPTH = 40


class Gathered:
    """The values of one field over a batch: `values[i]` belongs to the document `rows[i]`.

    A value is a scalar, or a list of two or more where a document has several.
    """

    __slots__ = ("rows", "values")

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.values: list[Any] = []

    @property
    def first(self) -> list[Any]:
        value = self.values[0]
        return value if isinstance(value, list) else [value]

    def add(self, row: int, value: Any) -> None:
        if not self.rows or self.rows[-1] != row:
            self.rows.append(row)
            self.values.append(value)
        elif isinstance(self.values[-1], list):
            self.values[-1].append(value)
        else:
            self.values[-1] = [self.values[-1], value]


def leaves(documents: Iterable[Document]) -> dict[str, Gathered]:
    """Every leaf field of a batch, nulls left out; arrays of objects are spread."""
    found: dict[str, Gathered] = {}
    for row, document in enumerate(documents):
        _object("", document, row, found, 0)
    return found


def _object(prefix: str, node: Document, row: int, found: dict[str, Gathered], depth: int) -> None:
    # Runs once a field of every event: no list a leaf, nothing yielded.
    for key, value in node.items():
        if isinstance(value, dict):
            if depth < MAX_DEPTH:
                _object(f"{prefix}{key}.", value, row, found, depth + 1)
        elif isinstance(value, list):
            _array(prefix + key, value, row, found, depth + 1)
        elif value is not None:
            _leaf(prefix + key, value, row, found)


def _array(name: str, node: list[Any], row: int, found: dict[str, Gathered], depth: int) -> None:
    if depth > MAX_DEPTH:
        return
    for item in node:
        if isinstance(item, dict):
            _object(f"{name}.", item, row, found, depth + 1)
        elif isinstance(item, list):
            _array(name, item, row, found, depth + 1)
        elif item is not None:
            _leaf(name, item, row, found)


def _leaf(name: str, value: Any, row: int, found: dict[str, Gathered]) -> None:
    held = found.get(name)
    if held is None:
        held = found[name] = Gathered()
    held.add(row, value)
