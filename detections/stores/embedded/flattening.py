"""Documents as leaf fields by dotted name, the way Elasticsearch indexes them, gathered field by field."""

from collections.abc import Iterable
from typing import Any

from detections.ecs import Document

# What is nested deeper is hostile or broken, and stays in the raw document.
MAX_DEPTH = 40


class Gathered:
    """The values of one field over a batch: `values[i]` belongs to the document `rows[i]`.

    A value is a scalar, or a list of two or more where a document has several. below: the fields under this
    name, by the next key.
    """

    __slots__ = ("below", "name", "rows", "values")

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: list[int] = []
        self.values: list[Any] = []
        self.below: dict[str, Gathered] = {}

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
    names: dict[str, Gathered] = {}
    root = Gathered("")
    for row, document in enumerate(documents):
        _object(root, document, row, names, 0)
    return {name: held for name, held in names.items() if held.rows}


def _object(node: Gathered, content: Document, row: int, names: dict[str, Gathered], depth: int) -> None:
    # Runs once a field of every event: keys are looked up one by one, so that no name is put together twice.
    below = node.below
    for key, value in content.items():
        held = below.get(key)
        if held is None:
            held = _named(node, key, names)
        kind = type(value)
        if kind is dict:
            if depth < MAX_DEPTH:
                _object(held, value, row, names, depth + 1)
        elif kind is list:
            _array(held, value, row, names, depth + 1)
        elif value is not None:
            rows = held.rows
            if rows and rows[-1] == row:
                held.add(row, value)
            else:
                rows.append(row)
                held.values.append(value)


def _named(node: Gathered, key: str, names: dict[str, Gathered]) -> Gathered:
    """The field under a key. A dotted key and nested ones lead to the same field."""
    name = f"{node.name}.{key}" if node.name else key
    held = names.get(name)
    if held is None:
        held = names[name] = Gathered(name)
    node.below[key] = held
    return held


def _array(node: Gathered, content: list[Any], row: int, names: dict[str, Gathered], depth: int) -> None:
    if depth > MAX_DEPTH:
        return
    for item in content:
        if isinstance(item, dict):
            _object(node, item, row, names, depth + 1)
        elif isinstance(item, list):
            _array(node, item, row, names, depth + 1)
        elif item is not None:
            node.add(row, item)
