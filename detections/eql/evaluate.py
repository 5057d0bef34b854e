"""Evaluate verified conditions over ECS documents: the Python back end.

A leaf (a comparison, a pattern, a function) is true if some element of its field makes it true, and false
where the field is absent; `not` is plain complement. Two fields in one leaf mean any combination of their
elements, and so does one field that comes twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from detections.ecs import Document
from detections.eql.ast import (
    And,
    Arithmetic,
    Call,
    Comparison,
    Condition,
    Dialect,
    Expression,
    FieldRef,
    Literal,
    Membership,
    Negative,
    Not,
    Or,
    Order,
    Pattern,
)
from detections.eql.fields import Field, FieldType
from detections.eql.functions import calculate, find_function
from detections.eql.literals import Span, span_of
from detections.eql.patterns import Fold, ascii_fold, java_fold, regex_matcher, wildcard_matcher
from detections.eql.types import Fields, type_of
from detections.eql.values import address_key, datetime_of, typed_values, version_key

Test = Callable[[Document], bool]
Row = tuple[Any, ...]
Value = Callable[[Row], Any]


def matches(condition: Condition, document: Document, catalogue: Fields) -> bool:
    """Whether a document satisfies a verified condition."""
    return compile_condition(condition, catalogue)(document)


def compile_condition(condition: Condition, catalogue: Fields) -> Test:
    """A verified condition as a function of a document; compile once, test often."""
    match condition:
        case Literal(value):
            return lambda document: value is True
        case Not(operand):
            test = compile_condition(operand, catalogue)
            return lambda document: not test(document)
        case And(operands):
            tests = [compile_condition(operand, catalogue) for operand in operands]
            return lambda document: all(test(document) for test in tests)
        case Or(operands):
            tests = [compile_condition(operand, catalogue) for operand in operands]
            return lambda document: any(test(document) for test in tests)
    if is_inequality(condition):
        return compile_condition(equality_of(condition), catalogue)
    return compile_leaf(condition, catalogue).of_document


def is_inequality(node: Expression) -> bool:
    """`field != constant`, which means that no element equals it."""
    return (
        isinstance(node, Comparison)
        and node.order is Order.NOT_EQUAL
        and isinstance(node.left, FieldRef)
        and not is_null(node.right)
    )


def equality_of(node: Expression) -> Not:
    """`not field == constant` for a `field != constant`."""
    assert isinstance(node, Comparison)
    return Not(Comparison(node.left, Order.EQUAL, node.right, at=node.at), at=node.at)


def is_null(node: Expression) -> bool:
    return isinstance(node, Literal) and node.value is None


def constant_of(node: Expression) -> Any:
    """The value of an expression without fields, None for null."""
    return _Compiler({}).value(node)(())


@dataclass(frozen=True, slots=True)
class CompiledLeaf:
    """A leaf as a function of the elements of its fields, which come in reading order, one maybe twice."""

    fields: tuple[Field, ...]
    value: Value

    def of_document(self, document: Document) -> bool:
        return self.holds([typed_values(document, entry) for entry in self.fields])

    def of_element(self, element: Any) -> bool:
        """Whether one typed element makes a leaf over one field true; None for a field that is absent."""
        return self.value((element,)) is True

    def holds(self, elements: Sequence[Sequence[Any]]) -> bool:
        """Whether some combination of the typed elements of its fields makes it true."""
        value = self.value
        if len(elements) == 1:
            return any(value((element,)) is True for element in elements[0] or (None,))
        return any(value(row) is True for row in product(*(found or (None,) for found in elements)))


def compile_leaf(node: Expression, catalogue: Fields) -> CompiledLeaf:
    """A condition without and, or, not outside of functions; compile once, test often."""
    compiler = _Compiler(catalogue)
    value = compiler.value(node)
    return CompiledLeaf(tuple(compiler.fields), value)


@dataclass(slots=True)
class _Compiler:
    """Turns one leaf into a function of one element for each field it reads, in reading order."""

    catalogue: Fields
    fields: list[Field] = field(default_factory=list)

    def value(self, node: Expression) -> Value:
        match node:
            case Literal(value):
                return lambda row: value
            case FieldRef():
                return self._field(node)
            case Negative(operand):
                return self._call(lambda number: calculate("-", 0, number), (operand,))
            case Arithmetic(operator, left, right):
                return self._call(lambda a, b: calculate(operator, a, b), (left, right))
            case Call():
                return self._function(node)
            case Comparison():
                return self._comparison(node)
            case Membership():
                return self._membership(node)
            case Pattern():
                return self._pattern(node)
            case Not() | And() | Or():
                return self._logic(node)

    def _field(self, node: FieldRef) -> Value:
        known = self.catalogue.get(node.name)
        if known is None:
            return lambda row: None
        position = len(self.fields)
        self.fields.append(known)
        return lambda row: row[position]

    def _call(self, compute: Callable[..., Any], arguments: tuple[Expression, ...], least: int = 99) -> Value:
        """A call that is null where one of its first `least` arguments is."""
        values = [self.value(argument) for argument in arguments]

        def call(row: Row) -> Any:
            found = [value(row) for value in values]
            return None if None in found[:least] else compute(*found)

        return call

    def _function(self, node: Call) -> Value:
        function = find_function(node.name)
        assert function is not None
        compute: Callable[..., Any] = function.compute
        if function.folds:
            plain, insensitive = function.compute, node.insensitive
            compute = lambda *found: plain(*found, insensitive=insensitive)  # noqa: E731 -- closes over the case
        arguments = node.arguments
        if function.name in ("string", "concat"):
            return self._texts(compute, arguments)
        return self._call(compute, arguments, 99 if function.repeats else function.least)

    def _texts(self, compute: Callable[..., Any], arguments: tuple[Expression, ...]) -> Value:
        """string() and concat(), which write dates as ISO text."""
        dates = [type_of(argument, self.catalogue) is FieldType.DATE for argument in arguments]

        def texts(*found: Any) -> Any:
            return compute(
                *(iso(value) if is_date else value for value, is_date in zip(found, dates, strict=True))
            )

        return self._call(texts, arguments)

    def _comparison(self, node: Comparison) -> Value:
        left, order, right = node.left, node.order, node.right
        if isinstance(left, Literal) and not isinstance(right, Literal):
            left, order, right = right, order.mirrored, left
        value = self.value(left)
        if is_null(right) and order in (Order.EQUAL, Order.NOT_EQUAL):
            wanted = order is Order.EQUAL
            return lambda row: (value(row) is None) is wanted
        assert isinstance(right, Literal)
        type_ = type_of(left, self.catalogue) or FieldType.KEYWORD
        span = span_of(right.value, type_)
        if span is None:
            return lambda row: None
        compare, key = _compare(order, span), _KEYS.get(type_)

        def test(row: Row) -> bool | None:
            found = value(row)
            if found is None:
                return None
            return compare(key(found) if key else found)

        return test

    def _membership(self, node: Membership) -> Value:
        value, type_ = self.value(node.value), type_of(node.value, self.catalogue) or FieldType.KEYWORD
        constants = [item.value for item in node.items if isinstance(item, Literal)]
        spans = [span for constant in constants if (span := span_of(constant, type_))]
        fold = self._fold(node.value) if node.insensitive and type_ is FieldType.KEYWORD else None
        if all(span.first == span.last for span in spans):
            return _in_set(value, {fold(span.first) if fold else span.first for span in spans}, fold, type_)
        tests = [_compare(Order.EQUAL, span) for span in spans]
        key = _KEYS.get(type_)

        def contains(row: Row) -> bool | None:
            found = value(row)
            if found is None:
                return None
            found = key(found) if key else found
            return any(test(found) for test in tests)

        return contains

    def _fold(self, value: Expression) -> Fold:
        return ascii_fold if isinstance(value, FieldRef) else java_fold

    def _pattern(self, node: Pattern) -> Value:
        value = self.value(node.value)
        texts = [str(item.value) for item in node.patterns if isinstance(item, Literal)]
        if node.dialect is Dialect.REGEX:
            tests = [regex_matcher(text, node.insensitive) for text in texts]
        else:
            fold = self._fold(node.value) if node.insensitive else None
            tests = [wildcard_matcher(text, fold) for text in texts]

        def test(row: Row) -> bool | None:
            found = value(row)
            return None if found is None else any(match(found) for match in tests)

        return test

    def _logic(self, node: Not | And | Or) -> Value:
        """Three-valued logic inside of one leaf."""
        if isinstance(node, Not):
            operand = self.value(node.operand)
            return lambda row: None if (found := operand(row)) is None else not found
        values = [self.value(operand) for operand in node.operands]
        decisive = isinstance(node, Or)

        def combine(row: Row) -> bool | None:
            found = [value(row) for value in values]
            if decisive in found:
                return decisive
            return None if None in found else not decisive

        return combine


def iso(moment: int) -> str:
    """A date as Elasticsearch writes it: milliseconds, UTC."""
    return datetime_of(moment).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _in_set(value: Value, members: set[Any], fold: Fold | None, type_: FieldType) -> Value:
    key = fold or _KEYS.get(type_)

    def contains(row: Row) -> bool | None:
        found = value(row)
        if found is None:
            return None
        return (key(found) if key else found) in members

    return contains


_KEYS: dict[FieldType, Callable[[Any], Any]] = {FieldType.IP: address_key, FieldType.VERSION: version_key}


def _compare(order: Order, span: Span) -> Callable[[Any], bool]:
    first, last = span.first, span.last
    match order:
        case Order.EQUAL:
            return lambda found: bool(first <= found <= last)
        case Order.NOT_EQUAL:
            return lambda found: not first <= found <= last
        case Order.LESS:
            return lambda found: bool(found < first)
        case Order.LESS_OR_EQUAL:
            return lambda found: bool(found <= last)
        case Order.GREATER:
            return lambda found: bool(found > last)
        case Order.GREATER_OR_EQUAL:
            return lambda found: bool(found >= first)
