"""Static types of expressions."""

from collections.abc import Mapping

from detections.eql.ast import Arithmetic, Call, Expression, FieldRef, Literal, Negative
from detections.eql.fields import Field, FieldType
from detections.eql.functions import ARITHMETIC, find_function

NUMERIC = frozenset({FieldType.LONG, FieldType.DOUBLE})
Fields = Mapping[str, Field]


def type_of(node: Expression, catalogue: Fields) -> FieldType | None:
    """The type of what an expression gives; None for null and for what is unknown."""
    match node:
        case Literal(value):
            return _literal_type(value)
        case FieldRef(name):
            field = catalogue.get(name)
            return field.type if field else None
        case Negative(operand):
            return type_of(operand, catalogue)
        case Arithmetic(_, left, right):
            return _wider(left, right, catalogue)
        case Call(name, arguments):
            if name.lower() in ARITHMETIC and len(arguments) == 2:
                return _wider(*arguments, catalogue)
            function = find_function(name)
            return function.result if function else None
    return FieldType.BOOLEAN


def _literal_type(value: str | float | bool | None) -> FieldType | None:
    match value:
        case None:
            return None
        case bool():
            return FieldType.BOOLEAN
        case int():
            return FieldType.LONG
        case float():
            return FieldType.DOUBLE
    return FieldType.KEYWORD


def _wider(left: Expression, right: Expression, catalogue: Fields) -> FieldType:
    is_double = FieldType.DOUBLE in (type_of(left, catalogue), type_of(right, catalogue))
    return FieldType.DOUBLE if is_double else FieldType.LONG
