"""EQL's functions: what they take, what they give, and how Python computes them.

A null argument gives null unless its parameter is optional. Lengths and positions count characters (code
points); Elasticsearch counts UTF-16 units, which differs for characters beyond the basic plane alone.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from detections.eql.fields import FieldType
from detections.eql.patterns import java_fold
from detections.eql.values import LARGEST, SMALLEST, address_key, address_range, number_of, text_of

_TEXT = frozenset({FieldType.KEYWORD})
_NUMBER = frozenset({FieldType.LONG, FieldType.DOUBLE})
_BOOLEAN = frozenset({FieldType.BOOLEAN})
_ANY = frozenset(FieldType) - {FieldType.TEXT}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: the types it takes, may it be left out (or null), must it be a constant."""

    types: frozenset[FieldType]
    optional: bool = False
    constant: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """`repeats`: the last parameter may come again. `folds`: `name~` exists."""

    name: str
    parameters: tuple[Parameter, ...]
    result: FieldType
    compute: Callable[..., Any]
    repeats: bool = False
    folds: bool = False

    def parameter(self, index: int) -> Parameter:
        return self.parameters[min(index, len(self.parameters) - 1)]

    @property
    def least(self) -> int:
        return sum(not parameter.optional for parameter in self.parameters)

    def accepts(self, count: int) -> bool:
        return self.least <= count and (self.repeats or count <= len(self.parameters))


def calculate(operator: str, left: float, right: float) -> int | float | None:
    """Arithmetic as Java's: whole numbers divide to whole ones, `%` has the dividend's sign.

    None where the result fits no number: division by zero, more than 64 bits.
    """
    try:
        result = _CALCULATIONS[operator](left, right)
    except (ZeroDivisionError, OverflowError, ValueError):
        return None
    if isinstance(result, float):
        return result if math.isfinite(result) else None
    return result if SMALLEST <= result <= LARGEST else None


def _divide(left: float, right: float) -> int | float:
    if isinstance(left, int) and isinstance(right, int):
        quotient = abs(left) // abs(right)
        return quotient if (left < 0) == (right < 0) else -quotient
    return left / right


def _modulo(left: float, right: float) -> int | float:
    if isinstance(left, int) and isinstance(right, int):
        return left - right * int(_divide(left, right))
    return math.fmod(left, right)


_CALCULATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divide,
    "%": _modulo,
}


def _folded(insensitive: bool, *texts: str) -> tuple[str, ...]:
    return tuple(map(java_fold, texts)) if insensitive else texts


def _length(text: str) -> int:
    return len(text)


def _starts_with(text: str, start: str, *, insensitive: bool) -> bool:
    text, start = _folded(insensitive, text, start)
    return text.startswith(start)


def _ends_with(text: str, end: str, *, insensitive: bool) -> bool:
    text, end = _folded(insensitive, text, end)
    return text.endswith(end)


def _contains(text: str, part: str, *, insensitive: bool) -> bool:
    text, part = _folded(insensitive, text, part)
    return bool(part) and part in text


def _index_of(text: str, part: str, start: int | None = None, *, insensitive: bool) -> int | None:
    text, part = _folded(insensitive, text, part)
    found = text.find(part, min(max(int(start or 0), 0), len(text)))
    return None if found < 0 else found


def _substring(text: str, start: int, end: int | None = None) -> str:
    return text[int(start) : None if end is None else int(end)]


def _between(text: str, left: str, right: str, greedy: bool | None = None, *, insensitive: bool) -> str:
    """What stands between; "" where either is not found, the text itself where either is empty."""
    if not text or not left or not right:
        return text
    searched, left, right = _folded(insensitive, text, left, right)
    found = searched.find(left)
    if found < 0:
        return ""
    start = found + len(left)
    end = searched.rfind(right, start) if greedy else searched.find(right, start)
    return "" if end < 0 else text[start:end]


def _concat(*parts: Any) -> str:
    return "".join(map(text_of, parts))


def _number(text: str, base: int | None = None) -> int | float | None:
    digits, radix = text, int(base or 10)
    if re.fullmatch(r"0[xX][0-9A-Fa-f]+", text) and base in (None, 16):
        digits, radix = text[2:], 16
    if radix == 10:
        return number_of(text) if digits.strip() == text else None
    if not 2 <= radix <= 36 or not re.fullmatch(r"[+-]?[0-9A-Za-z]{1,64}", digits):
        return None
    try:
        found = int(digits, radix)
    except ValueError:
        return None
    return found if SMALLEST <= found <= LARGEST else None


def _cidr_match(address: str, *blocks: str) -> bool:
    key = address_key(address)
    spans = (address_range(block) for block in blocks)
    return any(span is not None and span[0] <= key <= span[1] for span in spans)


def _arithmetic(name: str, operator: str) -> Function:
    number = Parameter(_NUMBER)
    return Function(
        name,
        (number, number),
        FieldType.LONG,
        lambda left, right: calculate(operator, left, right),
    )


_TEXT_PARAMETER = Parameter(_TEXT)
ARITHMETIC = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "modulo": "%"}
_ALL = (
    *(_arithmetic(name, operator) for name, operator in ARITHMETIC.items()),
    Function(
        "between",
        (_TEXT_PARAMETER, _TEXT_PARAMETER, _TEXT_PARAMETER, Parameter(_BOOLEAN, optional=True)),
        FieldType.KEYWORD,
        _between,
        folds=True,
    ),
    Function(
        "cidrMatch",
        (Parameter(frozenset({FieldType.IP})), Parameter(_TEXT, constant=True)),
        FieldType.BOOLEAN,
        _cidr_match,
        repeats=True,
    ),
    Function("concat", (Parameter(_ANY),), FieldType.KEYWORD, _concat, repeats=True),
    Function("endsWith", (_TEXT_PARAMETER, _TEXT_PARAMETER), FieldType.BOOLEAN, _ends_with, folds=True),
    Function(
        "indexOf",
        (_TEXT_PARAMETER, _TEXT_PARAMETER, Parameter(_NUMBER, optional=True)),
        FieldType.LONG,
        _index_of,
        folds=True,
    ),
    Function("length", (_TEXT_PARAMETER,), FieldType.LONG, _length),
    Function(
        "number",
        (_TEXT_PARAMETER, Parameter(_NUMBER, optional=True, constant=True)),
        FieldType.DOUBLE,
        _number,
    ),
    Function("startsWith", (_TEXT_PARAMETER, _TEXT_PARAMETER), FieldType.BOOLEAN, _starts_with, folds=True),
    Function("string", (Parameter(_ANY),), FieldType.KEYWORD, text_of),
    Function("stringContains", (_TEXT_PARAMETER, _TEXT_PARAMETER), FieldType.BOOLEAN, _contains, folds=True),
    Function(
        "substring",
        (_TEXT_PARAMETER, Parameter(_NUMBER), Parameter(_NUMBER, optional=True)),
        FieldType.KEYWORD,
        _substring,
    ),
)
FUNCTIONS = {function.name.lower(): function for function in _ALL}


def find_function(name: str) -> Function | None:
    """A function by its name in any case, None if there is none."""
    return FUNCTIONS.get(name.lower())
