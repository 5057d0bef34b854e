"""Compile verified conditions to DuckDB's SQL: the back end of the embedded store.

Same meaning as `evaluate`, leaf by leaf. Every value is a parameter.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from detections.eql.ast import (
    ANY_CATEGORY,
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
    walk,
)
from detections.eql.evaluate import equality_of, is_inequality, is_null
from detections.eql.fields import Field, FieldType
from detections.eql.fragments import FALSE, NULL, TRUE, Fragment, fill, joined, named, parameter
from detections.eql.functions import find_function
from detections.eql.literals import Span, span_of
from detections.eql.patterns import ascii_fold, java_fold
from detections.eql.regex import parse as parse_regex
from detections.eql.regex import re2
from detections.eql.sql_functions import address_key, arithmetic, call, java_folded, version_key
from detections.eql.types import type_of
from detections.eql.values import datetime_of

__all__ = ["Column", "Fragment", "category_sql", "compile_sql"]


@dataclass(frozen=True, slots=True)
class Column:
    """How the store exposes a field: a quoted column expression, its type, and is it a list.

    Texts, addresses and versions are VARCHAR, longs BIGINT, doubles DOUBLE, dates TIMESTAMPTZ; lists are
    lists of these. Absent is NULL (a list may also be empty).
    """

    sql: str
    type: FieldType
    is_list: bool = False


Columns = Mapping[str, Column]


def compile_sql(condition: Condition, columns: Columns, *, nullable: bool = False) -> Fragment:
    """A verified condition as a boolean SQL expression.

    A field without a column is absent everywhere. `nullable`: where the expression is a WHERE clause of its
    own, leaves that are not negated may be NULL instead of false, which lets the engine skip row groups.
    """
    match condition:
        case Literal(value):
            return TRUE if value is True else FALSE
        case Not(operand):
            return fill("(NOT {0})", compile_sql(operand, columns))
        case And(operands):
            return joined(" AND ", [compile_sql(part, columns, nullable=nullable) for part in operands])
        case Or(operands):
            return joined(" OR ", [compile_sql(part, columns, nullable=nullable) for part in operands])
    if is_inequality(condition):
        return compile_sql(equality_of(condition), columns)
    return _leaf(condition, columns, nullable=nullable)


def category_sql(category: str, column: Column | None) -> Fragment:
    """Whether an event is of a category; `any` is true of all, no column false of all."""
    if category == ANY_CATEGORY:
        return TRUE
    if column is None:
        return FALSE
    template = "coalesce(list_contains({0}, {1}), false)" if column.is_list else "coalesce({0} = {1}, false)"
    return fill(template, Fragment(column.sql), parameter(category))


def _leaf(node: Expression, columns: Columns, *, nullable: bool) -> Fragment:
    may_see_null = _looks_at_null(node)
    if not may_see_null and any(
        isinstance(part, FieldRef) and part.name not in columns for part in walk(node)
    ):
        return FALSE
    if (simple := _simple(node, columns)) is not None:
        return simple if nullable or simple.sql.endswith(" NULL") else fill("coalesce({0}, false)", simple)
    compiler = _Compiler(columns)
    test = compiler.value(node)
    if not compiler.lists:
        return test if nullable else fill("coalesce({0}, false)", test)
    for variable, column in reversed(compiler.lists):
        values = Fragment(column.sql)
        if may_see_null:
            values = fill(
                "coalesce(nullif(list_filter({0}, lambda eql_v: eql_v IS NOT NULL), []), [NULL])", values
            )
        test = fill(f"list_contains(list_transform({{0}}, lambda {variable}: {{1}}), true)", values, test)
        test = fill("coalesce({0}, false)", test)
    return test


def _simple(node: Expression, columns: Columns) -> Fragment | None:
    """Null checks and plain equality on one column, written so that the engine knows them."""
    if not isinstance(node, Comparison) or not isinstance(node.left, FieldRef):
        return None
    column = columns.get(node.left.name)
    if column is None or node.order not in (Order.EQUAL, Order.NOT_EQUAL):
        return None
    values = Fragment(column.sql)
    if is_null(node.right):
        negated = node.order is Order.NOT_EQUAL
        if not column.is_list:
            return fill("{0} IS NOT NULL" if negated else "{0} IS NULL", values)
        count = fill("coalesce(len(list_filter({0}, lambda eql_v: eql_v IS NOT NULL)), 0)", values)
        return fill("{0} > 0" if negated else "{0} = 0", count)
    if column.is_list and column.type is FieldType.KEYWORD and isinstance(node.right, Literal):
        span = span_of(node.right.value, column.type)
        return fill("list_contains({0}, {1})", values, parameter(span.first)) if span else None
    return None


def _looks_at_null(node: Expression) -> bool:
    """Whether the leaf could be true for an absent field: a null check, logic or an optional argument."""
    return any(
        isinstance(part, Not | And | Or)
        or (isinstance(part, Comparison) and (is_null(part.left) or is_null(part.right)))
        or (isinstance(part, Call) and _may_lack_a_field(part))
        for part in walk(node)
    )


def _may_lack_a_field(call: Call) -> bool:
    """Whether a field stands where the function does without a value, as the end of `substring`."""
    function = find_function(call.name)
    if function is None or function.repeats:
        return False
    optional = call.arguments[function.least :]
    return any(isinstance(part, FieldRef) for argument in optional for part in walk(argument))


@dataclass(slots=True)
class _Compiler:
    """Turns one leaf into SQL over one element of each list column, in reading order."""

    columns: Columns
    lists: list[tuple[str, Column]] = field(default_factory=list)

    def value(self, node: Expression) -> Fragment:
        match node:
            case Literal(value):
                return NULL if value is None else parameter(value)
            case FieldRef(name):
                return self._field(name)
            case Negative(operand):
                return arithmetic("-", Fragment("0"), self.value(operand), is_double=self._is_double(operand))
            case Arithmetic(operator, left, right):
                is_double = self._is_double(node)
                return arithmetic(operator, self.value(left), self.value(right), is_double=is_double)
            case Call(name, arguments, insensitive):
                return self._call(name, arguments, insensitive)
            case Comparison():
                return self._comparison(node)
            case Membership():
                return self._membership(node)
            case Pattern():
                return self._pattern(node)
            case Not(operand):
                return fill("(NOT {0})", self.value(operand))
            case And(operands):
                return joined(" AND ", [self.value(operand) for operand in operands])
            case Or(operands):
                return joined(" OR ", [self.value(operand) for operand in operands])

    def _field(self, name: str) -> Fragment:
        column = self.columns.get(name)
        if column is None:
            return NULL
        if not column.is_list:
            return Fragment(column.sql)
        variable = f"eql_{len(self.lists)}"
        self.lists.append((variable, column))
        return Fragment(variable)

    def _type(self, node: Expression) -> FieldType | None:
        return type_of(node, _Types(self.columns))

    def _is_double(self, node: Expression) -> bool:
        return self._type(node) is FieldType.DOUBLE

    def _call(self, name: str, arguments: tuple[Expression, ...], insensitive: bool) -> Fragment:
        function = find_function(name)
        assert function is not None
        values = [self.value(argument) for argument in arguments]
        types = [self._type(argument) for argument in arguments]
        return call(function.name.lower(), values, types, folds=insensitive)

    def _comparison(self, node: Comparison) -> Fragment:
        value = self.value(node.left)
        if is_null(node.right) and node.order in (Order.EQUAL, Order.NOT_EQUAL):
            return fill("({0} IS NULL)" if node.order is Order.EQUAL else "({0} IS NOT NULL)", value)
        assert isinstance(node.right, Literal)
        type_ = self._type(node.left)
        span = span_of(node.right.value, type_) if type_ else None
        if span is None or type_ is None:
            return Fragment("NULL::BOOLEAN")
        return _compared(_keyed(value, type_), node.order, span, type_)

    def _membership(self, node: Membership) -> Fragment:
        type_ = self._type(node.value)
        value = self.value(node.value)
        if type_ is None:
            return Fragment("NULL::BOOLEAN")
        constants = [item.value for item in node.items if isinstance(item, Literal)]
        spans = [span for constant in constants if (span := span_of(constant, type_))]
        if node.insensitive:
            members = [str(span.first) for span in spans]
            return _one_of(value, members, on_field=isinstance(node.value, FieldRef))
        if all(span.first == span.last for span in spans):
            listed = joined(", ", [parameter(span.first) for span in spans])
            return fill("({0} IN {1})", _keyed(value, type_), listed)
        tests = [_compared(Fragment("eql_key"), Order.EQUAL, span, type_) for span in spans]
        return named("eql_key", _keyed(value, type_), joined(" OR ", tests))

    def _pattern(self, node: Pattern) -> Fragment:
        value = self.value(node.value)
        texts = [str(item.value) for item in node.patterns if isinstance(item, Literal)]
        if node.dialect is Dialect.REGEX:
            trees = [parse_regex(text, insensitive=node.insensitive) for text in texts]
            return _any_of(
                [fill("regexp_full_match({0}, {1})", value, parameter(re2(tree))) for tree in trees]
            )
        plain = [text for text in texts if not _is_wild(text)]
        wild = [text for text in texts if _is_wild(text)]
        on_field = isinstance(node.value, FieldRef)
        if not node.insensitive:
            tests = [fill("({0} LIKE {1} ESCAPE '!')", value, parameter(_like(text))) for text in wild]
            if plain:
                tests.append(fill("({0} IN {1})", value, joined(", ", list(map(parameter, plain)))))
            return _any_of(tests)
        tests = [_wildcard(value, text, on_field=on_field) for text in wild]
        return _any_of([*tests, _one_of(value, plain, on_field=on_field)] if plain else tests)


@dataclass(frozen=True, slots=True)
class _Types(Mapping[str, Field]):
    """Columns seen as fields."""

    columns: Columns

    def __getitem__(self, name: str) -> Field:
        column = self.columns[name]
        return Field(name, column.type, column.is_list)

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)


def _any_of(tests: list[Fragment]) -> Fragment:
    return tests[0] if len(tests) == 1 else joined(" OR ", tests)


def _keyed(value: Fragment, type_: FieldType) -> Fragment:
    if type_ is FieldType.IP:
        return address_key(value)
    return version_key(value) if type_ is FieldType.VERSION else value


def _compared(value: Fragment, order: Order, span: Span, type_: FieldType) -> Fragment:
    is_date = type_ is FieldType.DATE
    first, last = (parameter(datetime_of(end) if is_date else end) for end in (span.first, span.last))
    match order:
        case Order.EQUAL | Order.NOT_EQUAL if span.first == span.last:
            return fill(f"({{0}} {'=' if order is Order.EQUAL else '<>'} {{1}})", value, first)
        case Order.EQUAL:
            return fill("({0} BETWEEN {1} AND {2})", value, first, last)
        case Order.NOT_EQUAL:
            return fill("({0} NOT BETWEEN {1} AND {2})", value, first, last)
        case Order.LESS | Order.GREATER_OR_EQUAL:
            return fill(f"({{0}} {order.value} {{1}})", value, first)
    return fill(f"({{0}} {order.value} {{1}})", value, last)


def _is_wild(text: str) -> bool:
    return "*" in text or "?" in text


def _like(pattern: str) -> str:
    """A wildcard pattern for LIKE with ! as its escape."""
    escaped = pattern.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return escaped.replace("*", "%").replace("?", "_")


def _one_of(value: Fragment, members: list[str], *, on_field: bool) -> Fragment:
    """Equality that ignores case. On fields only ASCII letters fold; lower() folds more, U+212A to k."""
    if not on_field:
        listed = joined(", ", [parameter(java_fold(member)) for member in members])
        return fill("({0} IN {1})", java_folded(value), listed)
    plain = [member for member in members if member.isascii()]
    tests = [
        fill("regexp_full_match({0}, {1})", value, parameter(_ascii(m))) for m in members if not m.isascii()
    ]
    if plain:
        listed = joined(", ", [parameter(ascii_fold(member)) for member in plain])
        tests.append(fill(r"(lower({0}) IN {1} AND regexp_full_match({0}, '[\x00-\x7F]*'))", value, listed))
    return _any_of(tests)


def _wildcard(value: Fragment, pattern: str, *, on_field: bool) -> Fragment:
    """A wildcard that ignores case: LIKE finds candidates fast, the regular expression decides."""
    if not on_field:
        folded = parameter(_like(java_fold(pattern)))
        return fill("({0} LIKE {1} ESCAPE '!')", java_folded(value), folded)
    exact = parameter(_ascii(pattern))
    if not pattern.isascii():
        return fill("regexp_full_match({0}, {1})", value, exact)
    fast = parameter(_like(ascii_fold(pattern)))
    return fill("(lower({0}) LIKE {1} ESCAPE '!' AND regexp_full_match({0}, {2}))", value, fast, exact)


def _ascii(pattern: str) -> str:
    """RE2 for a wildcard pattern in which only ASCII letters fold."""
    return "(?s)" + "".join({"*": ".*", "?": "."}.get(part) or _ascii_character(part) for part in pattern)


def _literal(text: str) -> str:
    """RE2 for one text in which only ASCII letters fold."""
    return "".join(map(_ascii_character, text))


def _ascii_character(character: str) -> str:
    if character.isascii() and character.isalpha():
        return f"[{character.upper()}{character.lower()}]"
    return rf"\x{{{ord(character):X}}}"
