"""The rows of a window laid out for many rules at once: by field and distinct value, rows as bits.

Implements `detections.hunt.rows.Rows` over Arrow: each leaf of a condition is decided on the distinct values
of its field, once for all rules, and what it says about the rows is one whole number.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from detections.eql.ast import Expression
from detections.eql.fields import Field, FieldType
from detections.eql.values import conversion
from detections.hunt.rows import Bits, Column, Rows, Together, bits_of, rows_of
from detections.stores.embedded import columns
from detections.stores.embedded.wildcards import wildcards_of

# So many rows of a list column are marked one by one, sooner than Arrow looks for them among all.
FEW_ROWS = 10_000
# More texts than this are command lines and the like, of which whole texts are hardly asked: no table pays.
MANY_TEXTS = 10_000
# Loads physical columns of the window; those that no segment has are left out.
Loading = Callable[[Sequence[str]], Mapping[str, pa.Array]]


class WindowRows(Rows):
    """Some rows of the store. `fields`: what the rules may ask for, loaded together at the first question."""

    def __init__(self, count: int, load: Loading, fields: Iterable[Field]) -> None:
        super().__init__(())
        self._count, self._load = count, load
        self._fields = {field.name: field for field in fields}
        self._loaded: dict[str, _Values] = {}
        self.everything = (1 << count) - 1
        self.taken = _Documents(self)

    def __len__(self) -> int:
        return self._count

    def column(self, field: Field) -> "WindowColumn":
        found = self._columns.get(field.name)
        if found is None:
            found = self._columns[field.name] = WindowColumn(self._parts(field), self)
        assert isinstance(found, WindowColumn)
        return found

    def values(self, row: int, field: Field) -> list[Any]:
        return self.column(field).values_of(row)

    def typed(self, row: int, field: Field) -> list[Any]:
        convert = conversion(field.type)
        found = (convert(value) for value in self.values(row, field))
        return [value for value in found if value is not None]

    def load(self, fields: Iterable[Field]) -> None:
        """Read the columns of some fields together: one pass over the files instead of one a field."""
        wanted = [
            columns.physical(field.name, several=several)
            for field in fields
            if field.name not in self._columns
            for several in (False, True)
        ]
        fresh = [name for name in wanted if name not in self._loaded]
        found = self._load(fresh)
        for name in fresh:
            self._loaded[name] = _Values.of(found[name]) if name in found else _Values.none()

    def keep(self, fields: Iterable[Field]) -> None:
        """Let go of the columns of all other fields, and of what was found out in them."""
        names = {field.name for field in fields}
        self._columns = {name: column for name, column in self._columns.items() if name in names}
        physical = {columns.physical(name, several=several) for name in names for several in (False, True)}
        self._loaded = {name: values for name, values in self._loaded.items() if name in physical}
        self.results.clear()

    def close(self) -> None:
        """Let go of all: rows, columns and documents know each other and would wait for a collection."""
        self.keep(())
        self.taken, self._load = (), lambda names: {}

    def _parts(self, field: Field) -> list["_Values"]:
        self.load([field])
        names = [columns.physical(field.name, several=several) for several in (False, True)]
        return [part for name in names if (part := self._loaded.pop(name)).codes is not None]

    def few(self, field: Field, test: Callable[[Any], bool], within: Bits, *, absent: bool) -> Bits:
        column = self.column(field)
        found = column.few_where(test, within)
        if absent:
            found |= self.everything & ~column.present
        return found & within

    def tested(self, fields: Sequence[Field], test: Together, within: Bits) -> Bits:
        """Rows with the same values are tested once."""
        rows = list(rows_of(within))
        held = [self.column(field).codes_at(rows) for field in fields]
        if any(codes is None for codes in held):
            return super().tested(fields, test, within)
        groups: dict[tuple[Any, ...], list[int]] = {}
        for row, codes in zip(rows, zip(*(codes or () for codes in held), strict=True), strict=True):
            groups.setdefault(codes, []).append(row)
        values = [cache(self.column(field).elements_of(field.type)) for field in fields]
        passed = [
            same
            for codes, same in groups.items()
            if test([of_code(code) for of_code, code in zip(values, codes, strict=True)])
        ]
        return bits_of(passed, len(self))

    @cached_property
    def numbers(self) -> pa.Array:
        """The number of every row."""
        return pa.array(range(self._count), pa.int32())


class _Values:
    """One physical column: codes of its distinct values. parents: the row of each code of a list column."""

    def __init__(self, codes: Any, distinct: Any, parents: Any) -> None:
        self.codes, self.distinct, self.parents = codes, distinct, parents

    @cached_property
    def _filled(self) -> Any:
        """The codes with one more for "no value", so that a table of marks can be read by them."""
        return self.codes.fill_null(len(self.distinct))

    def having(self, codes: Collection[int]) -> pa.BooleanArray:
        """Which elements have one of these codes, as a mask without nulls.

        Reading a table of marks takes a tenth of the time that `is_in` takes; so does a look at one code
        without the nulls.
        """
        if len(codes) == 1:
            return pc.equal(self._filled, pa.scalar(next(iter(codes)), self.codes.type))
        marks = bytearray(len(self.distinct) + 1)
        for code in codes:
            marks[code] = 1
        table = pa.Array.from_buffers(pa.uint8(), len(marks), [None, pa.py_buffer(marks)])
        return pc.equal(pc.take(table, self._filled, boundscheck=False), pa.scalar(1, pa.uint8()))

    @cached_property
    def lowered(self) -> Any:
        """The distinct texts with their ASCII letters in lower case, as fields fold."""
        return pc.ascii_lower(self.distinct)

    def with_folded(self, texts: Sequence[str]) -> list[int]:
        """The codes of distinct texts that fold to one of these."""
        if len(self.distinct) > MANY_TEXTS:
            found: list[int] = pc.indices_nonzero(
                pc.is_in(self.lowered, value_set=pa.array(texts, self.lowered.type))
            ).to_pylist()
            return found
        return [code for text in texts for code in self._by_fold.get(text, ())]

    @cached_property
    def _by_fold(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for code, text in enumerate(self.lowered.to_pylist()):
            found.setdefault(text, []).append(code)
        return found

    @classmethod
    def none(cls) -> "_Values":
        return cls(None, None, None)

    @classmethod
    def of(cls, held: pa.Array) -> "_Values":
        parents = None
        if pa.types.is_list(held.type):
            if pc.max(pc.list_value_length(held)).as_py() in (0, 1, None):
                held = _firsts(held)
            else:
                parents, held = pc.list_parent_indices(held).cast(pa.int32()), held.flatten()
        if not pa.types.is_dictionary(held.type):
            held = held.dictionary_encode()
        return cls(held.indices, held.dictionary, parents)


def _firsts(held: pa.Array) -> pa.Array:
    """Lists of one value at most as plain values: nothing has to be brought back to rows then."""
    lengths = pc.fill_null(pc.list_value_length(held), 0)
    places = pc.subtract(pc.cumulative_sum(lengths), 1)
    return held.flatten().take(pc.if_else(pc.equal(lengths, 1), places, None))


def _python(values: pa.Array) -> list[Any]:
    """Values as the Python back end reads them: dates as text, to the microsecond."""
    if pa.types.is_timestamp(values.type):
        return [value and f"{value.isoformat()}Z" for value in values.to_pylist()]
    found: list[Any] = values.to_pylist()
    return found


class WindowColumn(Column):
    """One field over the rows of a window."""

    def __init__(self, parts: Sequence[_Values], rows: WindowRows) -> None:
        super().__init__({}, len(rows))
        self._parts, self._rows = parts, rows

    @cached_property
    def _distinct(self) -> list[list[Any]]:
        # Not for columns of which only texts are searched, which Arrow does: those have the most values.
        return [_python(part.distinct) for part in self._parts]

    @cached_property
    def _codes(self) -> list[dict[Any, int]]:
        return [dict(zip(distinct, range(len(distinct)), strict=True)) for distinct in self._distinct]

    @property
    def count(self) -> int:
        return sum(len(part.distinct) for part in self._parts)

    def is_few(self, rows: Bits, node: Expression) -> bool:
        # Which elements of a list column belong to some rows takes longer than a search in all texts.
        is_list = any(part.parents is not None for part in self._parts)
        return not (is_list and wildcards_of(node)) and super().is_few(rows, node)

    def rows_with(self, value: Any) -> Bits:
        found = self._bits.get(value)
        if found is None:
            wanted = [[codes[value]] if value in codes else [] for codes in self._codes]
            if not any(wanted):
                return 0
            found = self._bits[value] = self._with_codes(wanted)
        return found

    def rows_with_folded(self, texts: Iterable[str]) -> Bits:
        wanted = list(texts)
        return self._with_codes([part.with_folded(wanted) for part in self._parts])

    def rows_with_any(self, values: Iterable[Any]) -> Bits:
        wanted = list(values)
        return self._with_codes(
            [[codes[value] for value in wanted if value in codes] for codes in self._codes]
        )

    @property
    def present(self) -> Bits:
        if self._present is None:
            self._present = 0
            for part in self._parts:
                self._present |= self._bits_of(part, part.codes.is_valid())
        return self._present

    def values_of(self, row: int) -> list[Any]:
        """The values of one row."""
        found: list[Any] = []
        for part, distinct in zip(self._parts, self._distinct, strict=True):
            for code in _codes_of(part, row):
                if code is not None and distinct[code] is not None:
                    found.append(distinct[code])
        return found

    def codes_at(self, rows: Sequence[int]) -> list[Any] | None:
        """One code a row, equal where the values are; None where rows have several values."""
        if not self._parts:
            return [None] * len(rows)
        if len(self._parts) > 1 or self._parts[0].parents is not None:
            return None
        found: list[Any] = self._parts[0].codes.take(pa.array(rows, pa.int64())).to_pylist()
        return found

    def elements_of(self, kind: FieldType) -> Callable[[int | None], Sequence[Any]]:
        """What gives the typed value, or nothing, that a code of `codes_at` stands for."""
        distinct, convert = self._distinct[0] if self._distinct else [], conversion(kind)

        def elements(code: int | None) -> Sequence[Any]:
            value = None if code is None else distinct[code]
            found = None if value is None else convert(value)
            return () if found is None else (found,)

        return elements

    def values_in(self, rows: Bits) -> set[Any]:
        """The distinct values of some rows."""
        found: set[Any] = set()
        for part in self._parts:
            found.update(_python(part.distinct.take(self._codes_in(part, rows))))
        found.discard(None)
        return found

    def rows_where(self, test: Callable[[Any], bool], node: Expression) -> Bits:
        wildcards, wanted = wildcards_of(node), []
        for nth, part in enumerate(self._parts):
            found: list[int] | None = None
            if wildcards:
                found = wildcards.codes(part.lowered if wildcards.folds else part.distinct)
            if found is None:
                distinct = self._distinct[nth]
                found = [code for code, value in enumerate(distinct) if value is not None and test(value)]
            wanted.append(found)
        return self._with_codes(wanted)

    def few_where(self, test: Callable[[Any], bool], rows: Bits) -> Bits:
        """Rows with a value that passes the test, of which only the values of some rows are tested."""
        wanted = []
        for part in self._parts:
            codes = self._codes_in(part, rows)
            values = _python(part.distinct.take(codes))
            held = zip(codes.to_pylist(), values, strict=True)
            wanted.append([code for code, value in held if value is not None and test(value)])
        return self._with_codes(wanted)

    def _codes_in(self, part: _Values, rows: Bits) -> pa.Array:
        mask = mask_of(rows, self.width)
        chosen = mask if part.parents is None else mask.take(part.parents)
        return pc.unique(part.codes.filter(chosen)).drop_null()

    def _with_codes(self, wanted: Sequence[Collection[int]]) -> Bits:
        found = 0
        for part, codes in zip(self._parts, wanted, strict=True):
            if codes:
                found |= self._bits_of(part, part.having(codes))
        return found

    def _bits_of(self, part: _Values, mask: pa.Array) -> Bits:
        if part.parents is not None:
            rows = part.parents.filter(mask)
            if len(rows) < FEW_ROWS:
                return bits_of([rows.to_pylist()], self.width)
            mask = pc.is_in(self._rows.numbers, value_set=rows)
        return bits_of_mask(mask)


def _codes_of(part: _Values, row: int) -> Iterator[int | None]:
    if part.parents is None:
        yield part.codes[row].as_py()
        return
    first = _first_at_least(part.parents, row)
    while first < len(part.parents) and part.parents[first].as_py() == row:
        yield part.codes[first].as_py()
        first += 1


def _first_at_least(parents: pa.Array, row: int) -> int:
    low, high = 0, len(parents)
    while low < high:
        middle = (low + high) // 2
        if parents[middle].as_py() < row:
            low = middle + 1
        else:
            high = middle
    return low


def bits_of_mask(mask: pa.Array) -> Bits:
    """A mask without nulls as bits."""
    if isinstance(mask, pa.ChunkedArray):
        mask = mask.combine_chunks()
    if not len(mask):
        return 0
    shift = mask.offset & 7
    size = (mask.offset + len(mask) + 7) // 8
    data = mask.buffers()[1][mask.offset // 8 : size]
    bits: Bits = int.from_bytes(data, "little") >> shift & ((1 << len(mask)) - 1)
    return bits


def mask_of(rows: Bits, count: int) -> pa.BooleanArray:
    """Bits as a mask over so many rows."""
    data = pa.py_buffer(rows.to_bytes((count + 7) // 8 or 1, "little"))
    return pa.BooleanArray.from_buffers(pa.bool_(), count, [None, data])


class _Document(Mapping[str, Any]):
    """The fields of one row, as conditions over several fields read them."""

    def __init__(self, rows: WindowRows, row: int) -> None:
        self._rows, self._row = rows, row

    def __getitem__(self, name: str) -> Any:
        field = self._rows._fields.get(name)
        values = self._rows.values(self._row, field) if field else []
        if not values:
            raise KeyError(name)
        return values if len(values) > 1 else values[0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows._fields)

    def __len__(self) -> int:
        return len(self._rows._fields)


class _Documents(Sequence[Any]):
    """The rows of a window as documents, made when they are asked for."""

    def __init__(self, rows: WindowRows) -> None:
        self._rows = rows

    def __getitem__(self, row: Any) -> Any:
        return _Document(self._rows, row)

    def __len__(self) -> int:
        return len(self._rows)
