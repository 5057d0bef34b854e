"""The syntax tree of EQL. Positions count from 1; they play no part in equality."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import timedelta
from enum import Enum

ANY_CATEGORY = "any"


@dataclass(frozen=True, slots=True)
class Position:
    """Where something stands in the query text."""

    line: int = 1
    column: int = 1


NOWHERE = Position()


@dataclass(frozen=True, slots=True)
class Node:
    """Anything that a condition is made of."""

    at: Position = field(default=NOWHERE, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A constant; `value` None is EQL's null."""

    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class FieldRef(Node):
    """A field by its dotted name; `optional` is the leading `?`."""

    name: str
    optional: bool = False

    def __str__(self) -> str:
        return f"?{self.name}" if self.optional else self.name


class Order(Enum):
    """The comparison operators."""

    EQUAL = "=="
    NOT_EQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="

    @property
    def mirrored(self) -> "Order":
        """The operator that says the same with both sides swapped."""
        return _MIRRORED.get(self, self)


_MIRRORED = {
    Order.LESS: Order.GREATER,
    Order.LESS_OR_EQUAL: Order.GREATER_OR_EQUAL,
    Order.GREATER: Order.LESS,
    Order.GREATER_OR_EQUAL: Order.LESS_OR_EQUAL,
}


@dataclass(frozen=True, slots=True)
class Arithmetic(Node):
    """`left operator right` with one of `+ - * / %`."""

    operator: str
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Negative(Node):
    """Unary minus."""

    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function call; `name` as written, without the `~` that `insensitive` stands for."""

    name: str
    arguments: tuple["Expression", ...]
    insensitive: bool = False


@dataclass(frozen=True, slots=True)
class Comparison(Node):
    left: "Expression"
    order: Order
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Membership(Node):
    """`value in (..)` or `value in~ (..)`."""

    value: "Expression"
    items: tuple["Expression", ...]
    insensitive: bool = False


class Dialect(Enum):
    """The operators that take patterns. `:` reads as `like~`."""

    WILDCARD = "like"
    REGEX = "regex"


@dataclass(frozen=True, slots=True)
class Pattern(Node):
    """`value like (..)`, `:`, `like~`, `regex` and `regex~`. After verification all patterns are text."""

    value: "Expression"
    dialect: Dialect
    patterns: tuple["Expression", ...]
    insensitive: bool = False
    written: str = "like"


@dataclass(frozen=True, slots=True)
class Not(Node):
    operand: "Expression"


@dataclass(frozen=True, slots=True)
class And(Node):
    operands: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Or(Node):
    operands: tuple["Expression", ...]


Expression = (
    Literal | FieldRef | Arithmetic | Negative | Call | Comparison | Membership | Pattern | Not | And | Or
)
Condition = Expression


@dataclass(frozen=True, slots=True)
class Stage:
    """One `[category where condition] by keys with runs=n`, `![..]` if `missing`.

    keys: the query's own keys first, then those of the stage, by position.
    """

    category: str
    condition: Condition
    keys: tuple[FieldRef, ...] = ()
    runs: int = 1
    missing: bool = False
    at: Position = field(default=NOWHERE, compare=False, repr=False)


class PipeKind(Enum):
    HEAD = "head"
    TAIL = "tail"


@dataclass(frozen=True, slots=True)
class Pipe:
    kind: PipeKind
    count: int


@dataclass(frozen=True, slots=True)
class EventQuery:
    """`category where condition`: one stage without keys."""

    stages: tuple[Stage, ...]
    pipes: tuple[Pipe, ...] = ()
    text: str = field(default="", compare=False, repr=False)

    @property
    def category(self) -> str:
        return self.stages[0].category

    @property
    def condition(self) -> Condition:
        return self.stages[0].condition

    @property
    def maxspan(self) -> timedelta | None:
        return None

    @property
    def until(self) -> Stage | None:
        return None


@dataclass(frozen=True, slots=True)
class SequenceQuery:
    """`sequence ..`; `steps` has each stage as often as it runs."""

    stages: tuple[Stage, ...]
    maxspan: timedelta | None = None
    until: Stage | None = None
    pipes: tuple[Pipe, ...] = ()
    text: str = field(default="", compare=False, repr=False)

    @property
    def steps(self) -> tuple[Stage, ...]:
        return tuple(stage for stage in self.stages for _ in range(stage.runs))


@dataclass(frozen=True, slots=True)
class SampleQuery:
    """`sample ..`: events with the same keys, in any order."""

    stages: tuple[Stage, ...]
    pipes: tuple[Pipe, ...] = ()
    text: str = field(default="", compare=False, repr=False)

    @property
    def maxspan(self) -> timedelta | None:
        return None

    @property
    def until(self) -> Stage | None:
        return None


Query = EventQuery | SequenceQuery | SampleQuery


# Looked up for every node of every rule; `fields` makes the list anew each time.
_PARTS: dict[type, tuple[str, ...]] = {}


def _parts(kind: type[Node]) -> tuple[str, ...]:
    found = _PARTS.get(kind)
    if found is None:
        found = _PARTS[kind] = tuple(entry.name for entry in fields(kind) if entry.name != "at")
    return found


def children(node: Expression) -> Iterator[Expression]:
    """What an expression is made of, from left to right."""
    for name in _parts(type(node)):
        value = getattr(node, name)
        for child in value if isinstance(value, tuple) else (value,):
            if isinstance(child, Node):
                yield child  # type: ignore[misc]


def walk(node: Expression) -> Iterator[Expression]:
    """The expression and everything below it, from left to right."""
    yield node
    for child in children(node):
        yield from walk(child)


def depth(node: Expression) -> int:
    """How many expressions stand inside of each other. Does not recurse."""
    deepest, pending = 0, [(node, 1)]
    while pending:
        current, level = pending.pop()
        deepest = max(deepest, level)
        pending.extend((child, level + 1) for child in children(current))
    return deepest


def all_stages(query: Query) -> tuple[Stage, ...]:
    """The stages of a query and its `until`."""
    return query.stages if query.until is None else (*query.stages, query.until)


def fields_used(query: Query) -> set[tuple[str, bool]]:
    """Name and whether optional, for every field of the conditions and of the join keys."""
    return {
        (node.name, node.optional)
        for stage in all_stages(query)
        for node in (*walk(stage.condition), *stage.keys)
        if isinstance(node, FieldRef)
    }


def condition_fields(condition: Condition) -> set[str]:
    """The names of the fields that one condition reads."""
    return {node.name for node in walk(condition) if isinstance(node, FieldRef)}
