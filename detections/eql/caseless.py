"""Fields named `x.caseless`: Elastic Defend's second mapping of `x`, in which case does not count.

No document has such a field. What is asked of it is asked of `x` itself, without regard to case. Where that
can't be said, as in a function, the name stays, and is an unknown column.
"""

from dataclasses import replace

from detections.eql.ast import (
    And,
    Comparison,
    Dialect,
    Expression,
    FieldRef,
    Literal,
    Membership,
    Not,
    Or,
    Order,
    Pattern,
)

SUFFIX = ".caseless"


def without_caseless(node: Expression) -> Expression:
    """The condition with the fields themselves."""
    match node:
        case Not(operand):
            return replace(node, operand=without_caseless(operand))
        case And(operands) | Or(operands):
            return replace(node, operands=tuple(map(without_caseless, operands)))
        case Comparison(FieldRef() as field, Order.EQUAL | Order.NOT_EQUAL, Literal() as constant):
            return _compared(node, field, constant)
        case Membership(FieldRef() as field) if _is_caseless(field):
            return replace(node, value=_itself(field), insensitive=True)
        case Pattern(FieldRef() as field, Dialect.WILDCARD) if _is_caseless(field):
            return replace(node, value=_itself(field), insensitive=True)
    return node


def _compared(node: Comparison, field: FieldRef, constant: Literal) -> Expression:
    if not _is_caseless(field):
        return node
    if not isinstance(constant.value, str):
        return replace(node, left=_itself(field))
    equal: Expression = Membership(_itself(field), (constant,), True, at=node.at)
    if field.optional:
        # An equality is false where the field is unknown, a list would be null.
        known = Comparison(_itself(field), Order.NOT_EQUAL, Literal(None, at=node.at), at=node.at)
        equal = And((known, equal), at=node.at)
    return equal if node.order is Order.EQUAL else Not(equal, at=node.at)


def _is_caseless(field: FieldRef) -> bool:
    return field.name.endswith(SUFFIX)


def _itself(field: FieldRef) -> FieldRef:
    return replace(field, name=field.name.removesuffix(SUFFIX))
