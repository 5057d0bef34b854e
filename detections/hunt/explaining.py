"""How a query was answered: which leaves run where, over how many distinct values, how many rows are left."""

from collections.abc import Iterator

from detections.eql.ast import (
    Arithmetic,
    Call,
    Comparison,
    Expression,
    FieldRef,
    Literal,
    Membership,
    Negative,
    Not,
    Pattern,
    Stage,
    all_stages,
)
from detections.hunt.conditions import (
    All,
    Complement,
    Constant,
    Existence,
    Lookup,
    Plan,
    RowTest,
    Scan,
    Some,
)
from detections.hunt.rows import Bits, Rows
from detections.hunt.universe import Universe

_SHOWN = 3


def explained(universe: Universe) -> Iterator[str]:
    """The plan of each stage with the rows left after each step, in the order of the steps.

    The universe was searched with its rows kept. Leaves of one conjunction come cheap ones first.
    """
    for planned in universe.planned.rules:
        for number, (stage, plan) in enumerate(
            zip(all_stages(planned.query), planned.plans, strict=True), start=1
        ):
            for rows in universe.explained or []:
                yield f"{_heading(stage, number)}: {len(rows):,} rows"
                yield from _steps(plan, rows, rows.everything, 1)


def _heading(stage: Stage, number: int) -> str:
    keys = ", ".join(map(str, stage.keys))
    runs = f" with runs={stage.runs}" if stage.runs > 1 else ""
    missing = ", missing" if stage.missing else ""
    return f"stage {number}{missing}, {stage.category}{f' by {keys}' if keys else ''}{runs}"


def _steps(plan: Plan, rows: Rows, within: Bits, depth: int) -> Iterator[str]:
    indent = "  " * depth
    left = plan.rows(rows, within)
    match plan:
        case All(parts):
            for part in parts:
                yield from _steps(part, rows, within, depth)
                within = part.rows(rows, within)
            return
        case Some(parts):
            yield f"{indent}any of {len(parts)}: {left.bit_count():,} left"
            for part in parts:
                yield from _steps(part, rows, within, depth + 1)
        case Complement(part):
            yield f"{indent}not: {left.bit_count():,} left"
            yield from _steps(part, rows, within, depth + 1)
        case _:
            yield f"{indent}{_leaf(plan, rows)}: {left.bit_count():,} left"


def _leaf(plan: Plan, rows: Rows) -> str:
    match plan:
        case Constant(value):
            return f"always {'true' if value else 'false'}, decided before any event"
        case Lookup(_, node, field, exact, folded):
            wanted = len(exact) + len(folded)
            distinct = rows.column(field).count
            return f"{shown(node)}  [look-up of {wanted:,} among {distinct:,} distinct values]"
        case Existence(_, node, field):
            return f"{shown(node)}  [rows with a value: {rows.column(field).present.bit_count():,}]"
        case Scan(_, node, field):
            return f"{shown(node)}  [test of {rows.column(field).count:,} distinct values]"
        case RowTest(_, node):
            return f"{shown(node)}  [row by row]"
    return ""


def shown(node: Expression) -> str:
    """A leaf as text, long lists cut short."""
    match node:
        case Literal(value):
            return f'"{value}"' if isinstance(value, str) else "null" if value is None else str(value).lower()
        case FieldRef():
            return str(node)
        case Comparison(left, order, right):
            return f"{shown(left)} {order.value} {shown(right)}"
        case Membership(value, items):
            return f"{shown(value)} in{'~' if node.insensitive else ''} {_listed(items)}"
        case Pattern(value, _, patterns):
            return f"{shown(value)} {node.written} {_listed(patterns)}"
        case Call(name, arguments):
            return f"{name}{'~' if node.insensitive else ''}({', '.join(map(shown, arguments))})"
        case Arithmetic(operator, left, right):
            return f"{shown(left)} {operator} {shown(right)}"
        case Negative(operand):
            return f"-{shown(operand)}"
        case Not(operand):
            return f"not {shown(operand)}"
    return "(...)"


def _listed(items: tuple[Expression, ...]) -> str:
    texts = [shown(item) for item in items[:_SHOWN]]
    rest = [f"and {len(items) - _SHOWN} more"] if len(items) > _SHOWN else []
    return f"({', '.join(texts + rest)})" if len(items) > 1 else texts[0]
