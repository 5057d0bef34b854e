"""Documents as leaf fields by dotted name, the way Elasticsearch indexes them, gathered field by field.

Objects of a batch that have the same keys are read together, a key at a time, so that what runs once a
value runs in C. The few documents that this can't tell exactly (dotted keys, arrays of several objects, deep
nesting) are walked one by one.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, compress
from operator import itemgetter
from typing import Any

from detections.ecs import Document

# What is nested deeper is hostile or broken, and stays in the raw document.
MAX_DEPTH = 40
# What is nested deeper than this is rare, and is walked.
_SHALLOW = 20
_SCALARS = frozenset({str, int, float, bool})
# The documents of some values, and the values.
Part = tuple[list[int], Sequence[Any]]


class Gathered:
    """The values of one field over a batch, in parts: a value and its document's number, in no order.

    A value is a scalar, or a list of two or more where a document has several. Parts may share their numbers.
    """

    __slots__ = ("name", "parts")

    def __init__(self, name: str, parts: list[Part]) -> None:
        self.name, self.parts = name, parts

    def __len__(self) -> int:
        return sum(len(rows) for rows, _ in self.parts)

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        return chain.from_iterable(zip(rows, values, strict=True) for rows, values in self.parts)

    @property
    def types(self) -> set[type]:
        return set(map(type, chain.from_iterable(values for _, values in self.parts)))

    @property
    def first(self) -> list[Any]:
        """The values of the first document that has any."""
        value = min(self, key=itemgetter(0))[1]
        return value if isinstance(value, list) else [value]

    def spread(self, length: int) -> list[Any]:
        """A value for each of so many documents, or None."""
        if len(self.parts) == 1 and len(self) == length:
            return list(self.parts[0][1])
        found: list[Any] = [None] * length
        for row, value in self:
            found[row] = value
        return found


def leaves(documents: Sequence[Document]) -> dict[str, Gathered]:
    """Every leaf field of a batch, nulls left out; arrays of objects are spread."""
    shapes = _Shapes()
    shapes.objects("", list(range(len(documents))), documents, 0)
    found = shapes.parts
    if shapes.odd:
        found = _without(found, shapes.odd)
        for name, part in walked((row, documents[row]) for row in sorted(shapes.odd)).items():
            found.setdefault(name, []).append(part)
    return {name: Gathered(name, parts) for name, parts in found.items()}


class _Shapes:
    """Reads objects of equal keys together. odd: the documents that have to be walked instead."""

    def __init__(self) -> None:
        self.parts: dict[str, list[Part]] = {}
        self.odd: set[int] = set()

    def objects(self, name: str, rows: list[int], contents: Sequence[Document], depth: int) -> None:
        if depth > _SHALLOW:
            self.odd.update(rows)
            return
        groups: dict[tuple[str, ...], tuple[list[int], list[Document]]] = {}
        for row, content in zip(rows, contents, strict=True):
            keys = tuple(content)
            group = groups.get(keys)
            if group is None:
                groups[keys] = [row], [content]
            else:
                group[0].append(row)
                group[1].append(content)
        prefix = f"{name}." if name else ""
        for keys, (some, held) in groups.items():
            for key, values in zip(keys, _columns(keys, held), strict=True):
                if not key or "." in key:
                    self.odd.update(some)
                else:
                    self._values(prefix + key, some, values, depth)

    def _values(self, name: str, rows: list[int], values: Sequence[Any], depth: int) -> None:
        kinds = set(map(type, values))
        if kinds <= _SCALARS:
            self.parts.setdefault(name, []).append((rows, values))
        elif len(kinds) == 1:
            self._alike(kinds.pop(), name, rows, values, depth)
        else:
            special = kinds & {dict, list, type(None)}
            for kind in special:
                self._alike(
                    kind, name, *_chosen(rows, values, [type(value) is kind for value in values]), depth
                )
            if kinds != special:
                scalars = _chosen(rows, values, [type(value) not in special for value in values])
                self.parts.setdefault(name, []).append(scalars)

    def _alike(self, kind: type, name: str, rows: list[int], values: Sequence[Any], depth: int) -> None:
        if kind is dict:
            self.objects(name, rows, values, depth + 1)
        elif kind is list:
            self._lists(name, rows, values, depth + 1)
        elif kind is not type(None):
            self.parts.setdefault(name, []).append((rows, values))

    def _lists(self, name: str, rows: list[int], lists: Sequence[list[Any]], depth: int) -> None:
        if set(map(type, chain.from_iterable(lists))) <= _SCALARS:
            if not all(lists):
                rows, lists = _chosen(rows, lists, lists)
            if rows:
                values = [value if len(value) > 1 else value[0] for value in lists]
                self.parts.setdefault(name, []).append((rows, values))
            return
        single = [len(value) == 1 and type(value[0]) is dict for value in lists]
        objects, plain = [], []
        for row, value, is_single in zip(rows, lists, single, strict=True):
            if is_single:
                objects.append((row, value[0]))
            elif set(map(type, value)) <= _SCALARS:
                plain.append((row, value))
            else:
                self.odd.add(row)
        if objects:
            self.objects(name, [row for row, _ in objects], [value for _, value in objects], depth + 1)
        if plain:
            self._lists(name, [row for row, _ in plain], [value for _, value in plain], depth)


def _columns(keys: tuple[str, ...], contents: Sequence[Document]) -> Iterable[Sequence[Any]]:
    """The values of each key over objects that have all of these."""
    if len(keys) == 1:
        return [list(map(itemgetter(keys[0]), contents))]
    return zip(*map(itemgetter(*keys), contents), strict=True) if keys else ()


def _chosen(rows: list[int], values: Sequence[Any], kept: Sequence[Any]) -> Part:
    return list(compress(rows, kept)), list(compress(values, kept))


def _without(found: dict[str, list[Part]], odd: set[int]) -> dict[str, list[Part]]:
    """What was found in other documents."""
    kept: dict[int, tuple[list[int], list[bool]]] = {}
    left: dict[str, list[Part]] = {}
    for name, parts in found.items():
        for rows, values in parts:
            if id(rows) not in kept:
                mask = [row not in odd for row in rows]
                kept[id(rows)] = list(compress(rows, mask)), mask
            others, mask = kept[id(rows)]
            if others:
                left.setdefault(name, []).append((others, list(compress(values, mask))))
    return left


class _Walked:
    """The values of one field. below: the fields under this name, by the next key."""

    __slots__ = ("below", "name", "rows", "values")

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: list[int] = []
        self.values: list[Any] = []
        self.below: dict[str, _Walked] = {}

    def add(self, row: int, value: Any) -> None:
        if not self.rows or self.rows[-1] != row:
            self.rows.append(row)
            self.values.append(value)
        elif isinstance(self.values[-1], list):
            self.values[-1].append(value)
        else:
            self.values[-1] = [self.values[-1], value]


def walked(documents: Iterable[tuple[int, Document]]) -> dict[str, Part]:
    """The same as `leaves` of numbered documents, one by one."""
    names: dict[str, _Walked] = {}
    root = _Walked("")
    for row, document in documents:
        _object(root, document, row, names, 0)
    return {name: (held.rows, held.values) for name, held in names.items() if held.rows}


def _object(node: _Walked, content: Document, row: int, names: dict[str, _Walked], depth: int) -> None:
    # Keys are looked up one by one, so that no name is put together twice.
    below = node.below
    for key, value in content.items():
        held = below.get(key)
        if held is None:
            held = _named(node, key, names)
        if isinstance(value, dict):
            if depth < MAX_DEPTH:
                _object(held, value, row, names, depth + 1)
        elif isinstance(value, list):
            _array(held, value, row, names, depth + 1)
        elif value is not None:
            held.add(row, value)


def _named(node: _Walked, key: str, names: dict[str, _Walked]) -> _Walked:
    """The field under a key. A dotted key and nested ones lead to the same field."""
    name = f"{node.name}.{key}" if node.name else key
    held = names.get(name)
    if held is None:
        held = names[name] = _Walked(name)
    node.below[key] = held
    return held


def _array(node: _Walked, content: list[Any], row: int, names: dict[str, _Walked], depth: int) -> None:
    if depth > MAX_DEPTH:
        return
    for item in content:
        if isinstance(item, dict):
            _object(node, item, row, names, depth + 1)
        elif isinstance(item, list):
            _array(node, item, row, names, depth + 1)
        elif item is not None:
            node.add(row, item)
