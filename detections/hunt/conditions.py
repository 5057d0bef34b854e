"""Verified conditions as plans over rows: each leaf is decided once a chunk, however many rules share it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from detections.eql.ast import (
    ANY_CATEGORY,
    And,
    Comparison,
    Condition,
    Dialect,
    Expression,
    FieldRef,
    Literal,
    Membership,
    Not,
    Or,
    Order,
    Pattern,
    walk,
)
from detections.eql.evaluate import compile_leaf, equality_of, is_inequality, is_null
from detections.eql.fields import Field, FieldCatalogue, FieldType
from detections.eql.patterns import ascii_fold, regex_matcher, wildcard_matcher
from detections.eql.values import conversion
from detections.hunt.rows import Bits, Rows, Together

Test = Callable[[Any], bool]


class Plan(Protocol):
    """A condition over rows. `cost` orders the parts of a conjunction: cheap and telling ones first."""

    @property
    def cost(self) -> int: ...

    def rows(self, chunk: Rows, within: Bits) -> Bits:
        """Those of the rows `within` that satisfy the condition."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    value: bool
    cost: int = 0

    def rows(self, chunk: Rows, within: Bits) -> Bits:
        return within if self.value else 0


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple[Plan, ...]
    cost: int

    def rows(self, chunk: Rows, within: Bits) -> Bits:
        for part in self.parts:
            if not within:
                break
            within = part.rows(chunk, within)
        return within


@dataclass(frozen=True, slots=True)
class Some:
    parts: tuple[Plan, ...]
    cost: int

    def rows(self, chunk: Rows, within: Bits) -> Bits:
        found, left = 0, within
        for part in self.parts:
            if not left:
                break
            found |= part.rows(chunk, left)
            left = within & ~found
        return found


@dataclass(frozen=True, slots=True)
class Complement:
    part: Plan
    cost: int

    def rows(self, chunk: Rows, within: Bits) -> Bits:
        return within & ~self.part.rows(chunk, within)


@dataclass(frozen=True, slots=True)
class Leaf:
    """What all leaves share: a number that their results are kept by, and the text they stand for."""

    number: int
    node: Expression


@dataclass(frozen=True, slots=True)
class Lookup(Leaf):
    """Some value of a text field is one of these: no value is looked at, only found or not."""

    field: Field
    exact: frozenset[str]
    folded: frozenset[str] = frozenset()
    cost: int = 1

    def rows(self, chunk: Rows, within: Bits) -> Bits:
        found = chunk.results.get(self.number)
        if found is None:
            found = chunk.results[self.number] = self._found(chunk)
        return found & within

    def _found(self, chunk: Rows) -> Bits:
        column, found = chunk.column(self.field), 0
        for value in self.exact:
            found |= column.rows_with(value)
        return found | column.rows_with_folded(self.folded) if self.folded else found


@dataclass(frozen=True, slots=True)
class Existence(Leaf):
    """The field has a value, or has none."""

    field: Field
    exists: bool
    cost: int = 1

    def rows(self, chunk: Rows, within: Bits) -> Bits:
        present = chunk.column(self.field).present
        return within & present if self.exists else within & ~present


@dataclass(frozen=True, slots=True)
class Scan(Leaf):
    """A test of a field's distinct values. `absent`: what it says about a row without any.

    Where few rows are left, only their values are tested.
    """

    field: Field
    test: Test
    absent: bool = False
    cost: int = 20

    def rows(self, chunk: Rows, within: Bits) -> Bits:
        found = chunk.results.get(self.number)
        if found is not None:
            return found & within
        column = chunk.column(self.field)
        if column.is_few(within, self.node):
            return chunk.few(self.field, self.test, within, absent=self.absent)
        found = column.rows_where(self.test, self.node)
        if self.absent:
            found |= chunk.everything & ~column.present
        chunk.results[self.number] = found
        return found & within


@dataclass(frozen=True, slots=True)
class RowTest(Leaf):
    """A leaf that reads several fields, or one twice: tested row by row."""

    fields: tuple[Field, ...]
    test: Together
    cost: int = 200

    def rows(self, chunk: Rows, within: Bits) -> Bits:
        return chunk.tested(self.fields, self.test, within)


@dataclass(slots=True)
class Planner:
    """Makes plans for one catalogue. Equal leaves become one, and so are decided once for all rules."""

    catalogue: FieldCatalogue
    leaves: dict[tuple[Expression, str], Plan] = field(default_factory=dict)

    def stage(self, category: str, condition: Condition, category_field: str) -> Plan:
        """A stage: its category and its condition."""
        plan = self.plan(condition)
        if category == ANY_CATEGORY:
            return plan
        held = self.catalogue.get(category_field) or Field(category_field, FieldType.KEYWORD)
        test = Comparison(FieldRef(held.name), Order.EQUAL, Literal(category))
        leaf = self._shared(test, lambda number: Lookup(number, test, held, frozenset({category})))
        return _all((leaf, plan))

    def plan(self, node: Condition) -> Plan:
        """The plan of a verified condition."""
        match node:
            case Literal(value):
                return Constant(value is True)
            case Not(operand):
                part = self.plan(operand)
                return Complement(part, part.cost + 2)
            case And(operands):
                return _all(tuple(map(self.plan, operands)))
            case Or(operands):
                parts = _ordered(map(self.plan, operands))
                return Some(parts, sum(part.cost for part in parts))
        if is_inequality(node):
            return self.plan(equality_of(node))
        return self._shared(node, lambda number: self._leaf(number, node))

    def _shared(self, node: Expression, make: Callable[[int], Plan]) -> Plan:
        # Equality takes 1, 1.0 and True for one constant; their texts tell them apart.
        is_plain = isinstance(node, Pattern | Membership) and isinstance(node.value, FieldRef)
        key = (node, "" if is_plain else repr(node))
        found = self.leaves.get(key)
        if found is None:
            found = self.leaves[key] = make(len(self.leaves))
        return found

    def _leaf(self, number: int, node: Expression) -> Plan:
        read = [self.catalogue[part.name] for part in walk(node) if isinstance(part, FieldRef)]
        if len(read) != 1:
            leaf = compile_leaf(node, self.catalogue)
            return RowTest(number, node, leaf.fields, leaf.holds) if read else Constant(leaf.holds(()))
        only = read[0]
        match node:
            case Comparison(FieldRef(), order, right) if is_null(right):
                return Existence(number, node, only, exists=order is not Order.EQUAL)
            case Comparison(FieldRef(), Order.EQUAL, Literal(str() as text)) if _is_text(only):
                return Lookup(number, node, only, frozenset({text}))
            case Membership(FieldRef(), items) if _is_text(only):
                texts = frozenset(str(item.value) for item in items if isinstance(item, Literal))
                if node.insensitive:
                    return Lookup(number, node, only, frozenset(), frozenset(map(ascii_fold, texts)))
                return Lookup(number, node, only, texts)
            case Pattern(FieldRef()) if _is_text(only):
                return _pattern(number, node, only)
        return self._general(number, node, only)

    def _general(self, number: int, node: Expression, only: Field) -> Plan:
        """Any other leaf over one field, by the Python back end, one value at a time."""
        test, convert = compile_leaf(node, self.catalogue).of_element, conversion(only.type)
        of_value = test if _is_text(only) else lambda value: test(convert(value))
        return Scan(number, node, only, of_value, absent=test(None), cost=50)


def _is_text(known: Field) -> bool:
    return known.type is FieldType.KEYWORD


def _ordered(parts: Iterable[Plan]) -> tuple[Plan, ...]:
    return tuple(sorted(parts, key=lambda part: part.cost))


def _all(parts: Iterable[Plan]) -> Plan:
    """A conjunction, flat, its cheap parts first."""
    flat: list[Plan] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, All) else (part,))
    flat = [part for part in flat if not (isinstance(part, Constant) and part.value)]
    ordered = _ordered(flat)
    return All(ordered, sum(part.cost for part in ordered)) if ordered else Constant(True)


def _pattern(number: int, node: Pattern, only: Field) -> Plan:
    texts = [str(item.value) for item in node.patterns if isinstance(item, Literal)]
    if node.dialect is Dialect.REGEX:
        matchers = [regex_matcher(text, node.insensitive) for text in texts]
        return Scan(number, node, only, lambda value: any(match(value) for match in matchers), cost=80)
    plain = frozenset(text for text in texts if "*" not in text and "?" not in text)
    if len(plain) == len(set(texts)):
        if node.insensitive:
            return Lookup(number, node, only, frozenset(), frozenset(map(ascii_fold, plain)))
        return Lookup(number, node, only, plain)
    return Scan(number, node, only, _wildcards(texts, insensitive=node.insensitive), cost=20 + len(texts))


def _pieces(pattern: str) -> Test:
    """`wildcard_matcher` for a pattern without `?`: plain searches, several times as fast."""
    first, *middle, last = pattern.split("*")
    needed = max(middle, key=len, default="")

    def match(text: str) -> bool:
        end = len(text) - len(last)
        if needed not in text or end < len(first) or not text.startswith(first) or not text.endswith(last):
            return False
        position = len(first)
        for piece in middle:
            found = text.find(piece, position, end)
            if found < 0:
                return False
            position = found + len(piece)
        return True

    return match


def _wildcards(patterns: Iterable[str], *, insensitive: bool) -> Test:
    """One test for many patterns: plain texts, starts, ends and inner parts together, the rest one by one."""
    plain: set[str] = set()
    starts: list[str] = []
    ends: list[str] = []
    inner: list[str] = []
    matchers: list[Test] = []
    for pattern in (ascii_fold(text) if insensitive else text for text in patterns):
        core = pattern.strip("*")
        if "?" in pattern:
            matchers.append(wildcard_matcher(pattern, None))
        elif "*" in core:
            matchers.append(_pieces(pattern))
        elif core == pattern:
            plain.add(core)
        elif pattern.startswith("*"):
            (inner if pattern.endswith("*") else ends).append(core)
        else:
            starts.append(core)
    first, last = tuple(starts), tuple(ends)

    def test(value: str) -> bool:
        text = ascii_fold(value) if insensitive else value
        return (
            text in plain
            or text.startswith(first)
            or text.endswith(last)
            or any(part in text for part in inner)
            or any(match(text) for match in matchers)
        )

    return test
