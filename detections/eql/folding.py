"""Fold constants, above all the null that an unknown optional field is.

This is the one place where EQL is three-valued: `null : "x"` is null, and so is its `not`, while `== "x"`
against null is a null check, which is false and can be negated. (Elasticsearch: ResolveOrReplaceOptionalRefs,
ReplaceNullChecks, FoldNull, PruneFilters, BooleanFunctionEqualsElimination.)
"""

from dataclasses import replace

from detections.eql.ast import (
    And,
    Arithmetic,
    Call,
    Comparison,
    Expression,
    Literal,
    Membership,
    Negative,
    Not,
    Or,
    Order,
    Pattern,
)
from detections.eql.evaluate import constant_of, is_null
from detections.eql.functions import find_function

_LOGIC = (Comparison, Membership, Pattern, Call, Not, And, Or)


def fold(node: Expression) -> Expression:
    """One node whose children are folded already."""
    match node:
        case And(operands) | Or(operands):
            return _fold_logic(node, operands)
        case Not(operand):
            return _fold_not(node, operand)
        case Comparison():
            return _fold_comparison(node)
        case Membership(value, items):
            kept = tuple(item for item in items if not is_null(item))
            if is_null(value) or not kept:
                return Literal(None, at=node.at)
            return _constant(replace(node, items=kept), (value,))
        case Pattern(value):
            return Literal(None, at=node.at) if is_null(value) else _constant(node, (value,))
        case Negative(operand):
            return _constant(node, (operand,))
        case Arithmetic(_, left, right):
            has_null = is_null(left) or is_null(right)
            return Literal(None, at=node.at) if has_null else _constant(node, (left, right))
        case Call():
            return _fold_call(node)
    return node


def _constant(node: Expression, inputs: tuple[Expression, ...]) -> Expression:
    """The node's value where all that it reads is constant."""
    if all(isinstance(entry, Literal) for entry in inputs):
        return Literal(constant_of(node), at=node.at)
    return node


def _fold_logic(node: And | Or, operands: tuple[Expression, ...]) -> Expression:
    """`p and null` is null, `p or null` is p."""
    decisive = isinstance(node, Or)
    if any(isinstance(operand, Literal) and operand.value is decisive for operand in operands):
        return Literal(decisive, at=node.at)
    has_null = any(map(is_null, operands))
    if has_null and isinstance(node, And):
        return Literal(None, at=node.at)
    kept = tuple(operand for operand in operands if not isinstance(operand, Literal))
    if not kept:
        return Literal(None if has_null else not decisive, at=node.at)
    return kept[0] if len(kept) == 1 else replace(node, operands=kept)


def _fold_not(node: Not, operand: Expression) -> Expression:
    if isinstance(operand, Literal):
        return Literal(None if operand.value is None else not operand.value, at=node.at)
    return operand.operand if isinstance(operand, Not) else node


def _fold_comparison(node: Comparison) -> Expression:
    """Constants go to the right; a condition compared with true or false is itself or its complement."""
    left, order, right = node.left, node.order, node.right
    is_equality = order in (Order.EQUAL, Order.NOT_EQUAL)
    if not is_equality and (is_null(left) or is_null(right)):
        return Literal(None, at=node.at)
    if isinstance(left, Literal) and isinstance(right, Literal):
        return Literal(constant_of(_null_right(node)), at=node.at)
    if isinstance(left, Literal):
        return _fold_comparison(Comparison(right, order.mirrored, left, at=node.at))
    is_boolean = isinstance(right, Literal) and isinstance(right.value, bool)
    if is_equality and is_boolean and isinstance(left, _LOGIC) and _is_condition(left):
        holds = right.value is (order is Order.EQUAL)  # type: ignore[union-attr]
        return left if holds else _fold_not(Not(left, at=node.at), left)
    return Comparison(left, order, right, at=node.at)


def _null_right(node: Comparison) -> Comparison:
    return Comparison(node.right, node.order, node.left) if is_null(node.left) else node


def _is_condition(node: Expression) -> bool:
    if not isinstance(node, Call):
        return True
    function = find_function(node.name)
    return function is not None and function.result.value == "boolean"


def _fold_call(node: Call) -> Expression:
    function = find_function(node.name)
    assert function is not None
    needed = node.arguments if function.repeats else node.arguments[: function.least]
    if any(map(is_null, needed)):
        return Literal(None, at=node.at)
    return _constant(node, node.arguments)
