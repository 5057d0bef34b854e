"""Some thousand events laid out for many rules at once: by field and distinct value, rows as bits.

A set of rows is one whole number whose bit N stands for row N: `and`, `or` and `not` of conditions are then
single operations, whatever the number of events.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, lru_cache, partial
from typing import Any

from detections.ecs import Document
from detections.eql.ast import Expression
from detections.eql.fields import Field, FieldType
from detections.eql.patterns import ascii_fold
from detections.eql.values import typed_values

Bits = int
# A test of the values of several fields of a row.
Together = Callable[[Sequence[Sequence[Any]]], bool]
# What one object may hold of wanted fields: the name of the field that ends here, and what is below.
_Branch = tuple[str, dict[str, Any]]


class FieldTree:
    """The fields that the rules of a set name, to take just those out of documents."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)
        self._root: dict[str, _Branch] = {}
        for name in self.names:
            level = self._root
            *parents, last = name.split(".")
            for part in parents:
                level = level.setdefault(part, ("", {}))[1]
            level[last] = (name, level[last][1] if last in level else {})

    def taken(self, document: Document) -> dict[str, Any]:
        """The wanted fields of a document: a value each, a list where there are several, nulls left out."""
        found: dict[str, Any] = {}
        _take(document, self._root, found)
        return found


def _take(node: Document, level: dict[str, _Branch], found: dict[str, Any]) -> None:
    # Runs once an object of every event: most keys are not wanted and end at the first look.
    for key, value in node.items():
        branch = level.get(key)
        if branch is None:
            branch = _below(level, key) if "." in key else None
            if branch is None:
                continue
        if isinstance(value, dict):
            if branch[1]:
                _take(value, branch[1], found)
        elif value is not None:
            if branch[0] and branch[0] not in found and not isinstance(value, list):
                found[branch[0]] = value
            else:
                _add(value, branch, found)


def _add(value: Any, branch: _Branch, found: dict[str, Any]) -> None:
    """Take a list, or one more value of a field that has some."""
    name, below = branch
    if isinstance(value, list):
        for item in value:
            if item is not None:
                _add(item, branch, found)
    elif isinstance(value, dict):
        _take(value, below, found)
    elif name:
        held = found.get(name)
        if held is None:
            found[name] = value
        elif isinstance(held, list):
            held.append(value)
        else:
            found[name] = [held, value]


def _below(level: dict[str, _Branch], key: str) -> _Branch | None:
    """The branch of a dotted key, which stands for nested objects."""
    branch: _Branch = ("", level)
    for part in key.split("."):
        step = branch[1].get(part)
        if step is None:
            return None
        branch = step
    return branch


# Beyond this share of a field's distinct values it is cheaper to look at each of them once.
_FEW = 4


class Column:
    """One field over some rows: for each distinct value the rows that have it, among others perhaps."""

    def __init__(self, values: dict[Any, list[int]], width: int) -> None:
        self.values, self.width = values, width
        self._bits: dict[Any, Bits] = {}
        self._present: Bits | None = None

    @property
    def count(self) -> int:
        """How many distinct values there are."""
        return len(self.values)

    def is_few(self, rows: Bits, node: Expression) -> bool:
        """Whether it is cheaper to test the values of these rows than each distinct value once."""
        return rows.bit_count() * _FEW < self.count

    def rows_with(self, value: Any) -> Bits:
        """The rows that have exactly this value."""
        found = self._bits.get(value)
        if found is None:
            rows = self.values.get(value)
            if rows is None:
                return 0
            found = self._bits[value] = bits_of([rows], self.width)
        return found

    def rows_with_folded(self, texts: Iterable[str]) -> Bits:
        """The rows with a value that is one of these texts but for the case of ASCII letters."""
        found = 0
        for text in texts:
            for value in self._by_fold.get(text, ()):
                found |= self.rows_with(value)
        return found

    def rows_with_any(self, values: Iterable[Any]) -> Bits:
        return bits_of([self.values[value] for value in values], self.width)

    def rows_where(self, test: Callable[[Any], bool], node: Expression) -> Bits:
        """The rows with a value that passes the test. node: the condition that the test stands for."""
        return self.rows_with_any([value for value in self.values if test(value)])

    @cached_property
    def _by_fold(self) -> dict[str, list[Any]]:
        """The values by their text without case (ASCII, as Elasticsearch's indexed fields fold)."""
        found: dict[str, list[Any]] = {}
        for value in self.values:
            found.setdefault(ascii_fold(value), []).append(value)
        return found

    @property
    def present(self) -> Bits:
        """The rows that have a value at all."""
        if self._present is None:
            self._present = bits_of(self.values.values(), self.width)
        return self._present


class Rows:
    """A chunk of events. `results` keeps what conditions found out about it, by their number."""

    def __init__(self, taken: Sequence[dict[str, Any]]) -> None:
        self.taken = taken
        self.everything: Bits = (1 << len(taken)) - 1
        self.results: dict[int, Bits] = {}
        self._columns: dict[str, Column] = {}

    def __len__(self) -> int:
        return len(self.taken)

    def column(self, field: Field) -> Column:
        """The field's values in all rows, laid out when it is first asked for."""
        found = self._columns.get(field.name)
        if found is None:
            found = self._columns[field.name] = self._laid_out(field)
        return found

    def values(self, row: int, field: Field) -> list[Any]:
        """The values of one row, as the column has them."""
        value = self.taken[row].get(field.name)
        if value is None:
            return []
        fit = _fitting(field.type)
        items = value if isinstance(value, list) else [value]
        return [fitted for item in items if (fitted := fit(item)) is not None]

    def few(self, field: Field, test: Callable[[Any], bool], within: Bits, *, absent: bool) -> Bits:
        """Those of a few rows with a value that passes the test; `absent` speaks for rows without any."""
        held = (row for row in rows_of(within) if _any_of(self.values(row, field), test, absent=absent))
        return bits_of([held], len(self))

    def tested(self, fields: Sequence[Field], test: Together, within: Bits) -> Bits:
        """Those of the rows whose typed values of several fields pass the test."""
        held = (row for row in rows_of(within) if test([self.typed(row, field) for field in fields]))
        return bits_of([held], len(self))

    def typed(self, row: int, field: Field) -> list[Any]:
        """The values of one row, dates as moments: what events join and order by."""
        if field.type is FieldType.DATE:
            return typed_values(self.taken[row], field)
        return self.values(row, field)

    @cached_property
    def _texts(self) -> dict[str, dict[str, list[int]]]:
        """By field and text the rows that have it, in one pass over all rows."""
        found: dict[str, dict[str, list[int]]] = {}
        for row, taken in enumerate(self.taken):
            for name, value in taken.items():
                if type(value) is str:
                    texts = found.get(name)
                    if texts is None:
                        texts = found[name] = {}
                    rows = texts.get(value)
                    if rows is None:
                        texts[value] = [row]
                    else:
                        rows.append(row)
        return found

    @cached_property
    def _others(self) -> dict[str, list[tuple[int, Any]]]:
        """By field what is no single text: numbers, flags, lists."""
        found: dict[str, list[tuple[int, Any]]] = {}
        for row, taken in enumerate(self.taken):
            for name, value in taken.items():
                if type(value) is not str:
                    found.setdefault(name, []).append((row, value))
        return found

    def _laid_out(self, field: Field) -> Column:
        fit = _fitting(field.type)
        values: dict[Any, list[int]] = {}
        for text, rows in self._texts.get(field.name, {}).items():
            fitted = fit(text)
            if fitted is not None:
                # Several texts may be one address or number.
                values.setdefault(fitted, []).extend(rows)
        for row, value in self._others.get(field.name, ()):
            for item in dict.fromkeys(map(fit, value if isinstance(value, list) else (value,))):
                if item is not None:
                    values.setdefault(item, []).append(row)
        return Column(values, len(self.taken))


def _any_of(values: list[Any], test: Callable[[Any], bool], *, absent: bool) -> bool:
    return any(map(test, values)) if values else absent


def bits_of(groups: Iterable[Iterable[int]], width: int) -> Bits:
    """The rows of several lists as bits."""
    marks = bytearray((width >> 3) + 1)
    for rows in groups:
        for row in rows:
            marks[row >> 3] |= 1 << (row & 7)
    return int.from_bytes(marks, "little")


def rows_of(bits: Bits) -> Iterator[int]:
    """The rows of a set, ascending."""
    text = bin(bits)[:1:-1]
    row = text.find("1")
    while row >= 0:
        yield row
        row = text.find("1", row + 1)


def _as_text(value: Any) -> Any:
    return value if type(value) is str else _converted(FieldType.KEYWORD, type(value).__name__, value)


def _as_it_is(value: Any) -> Any:
    return None if _as(FieldType.DATE, value) is None else value


def _fitting(kind: FieldType) -> Callable[[Any], Any]:
    """What makes a value one of the column. Dates stay as they are written: constants mean stretches."""
    if kind in (FieldType.KEYWORD, FieldType.TEXT):
        return _as_text
    if kind is FieldType.DATE:
        return _as_it_is
    return _FITTING[kind]


@lru_cache(maxsize=65_536)
def _converted(kind: FieldType, _type: str, value: Any) -> Any:
    # The type is part of the cache's key: 1, 1.0 and True are equal, their texts are not.
    found = typed_values({"value": value}, Field("value", kind))
    return found[0] if found else None


def _as(kind: FieldType, value: Any) -> Any:
    return _converted(kind, type(value).__name__, value)


_FITTING: dict[FieldType, Callable[[Any], Any]] = {kind: partial(_as, kind) for kind in FieldType}
