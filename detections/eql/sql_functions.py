"""EQL's functions and value types in DuckDB's SQL; `functions` has the same in Python."""

from collections.abc import Callable, Sequence
from typing import Any

from detections.eql.fields import FieldType
from detections.eql.fragments import FALSE, NULL, Fragment, bound, fill, joined, named, parameter
from detections.eql.functions import ARITHMETIC
from detections.eql.values import address_range

_NUMBER = r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?"
_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def java_folded(text: Fragment) -> Fragment:
    return fill("lower(upper({0}))", text)


def text_value(value: Fragment, type_: FieldType | None) -> Fragment:
    """A value as `string()` writes it."""
    if type_ is FieldType.KEYWORD or type_ is None:
        return fill("CAST({0} AS VARCHAR)", value)
    if type_ is FieldType.DATE:
        return fill("strftime(make_timestamp(epoch_us({0})), '%Y-%m-%dT%H:%M:%S.%gZ')", value)
    return fill("CAST({0} AS VARCHAR)", value)


def arithmetic(operator: str, left: Fragment, right: Fragment, *, is_double: bool) -> Fragment:
    """A calculation that is NULL where its result fits no number."""
    divides = operator in "/%"
    divisor = "nullif({1}, 0)" if divides else "{1}"
    if is_double:
        divisor = divisor.replace("{1}", "CAST({1} AS DOUBLE)")
        sql = f"(CAST({{0}} AS DOUBLE) {operator} {divisor})"
        return fill(f"nullif(nullif(TRY({sql}), 'infinity'::DOUBLE), '-infinity'::DOUBLE)", left, right)
    divisor = divisor.replace("{1}", "CAST({1} AS HUGEINT)")
    whole = "//" if operator == "/" else operator
    return fill(f"TRY_CAST((CAST({{0}} AS HUGEINT) {whole} {divisor}) AS BIGINT)", left, right)


def address_key(address: Fragment) -> Fragment:
    """32 hex digits that order addresses, NULL for what is none; `values.address_key` in SQL."""
    return fill(_ADDRESS_KEY, address)


_V4 = (
    "format('{:08x}', list_reduce(list_transform(string_split(%s, '.'),"
    " lambda eql_o: CAST(eql_o AS BIGINT)), lambda eql_a, eql_b: eql_a * 256 + eql_b))"
)
_V4_TEXT = rf"'{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}'"
_HALVES = (
    "list_transform([string_split(%s, '::')], lambda eql_h: list_transform(eql_h,"
    " lambda eql_s: CASE WHEN eql_s = '' THEN []::VARCHAR[] ELSE string_split(eql_s, ':') END))[1]"
)
_TAIL = rf"({_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET})$"
# The last two groups may be written as an IPv4 address; a list of one element stands in for a name.
_PLAIN = (
    f"CASE WHEN regexp_matches({{0}}, '{_TAIL}') THEN list_transform([regexp_extract({{0}}, '{_TAIL}', 1)],"
    " lambda eql_t: lower(substr({0}, 1, length({0}) - length(eql_t)))"
    f" || list_transform([{_V4 % 'eql_t'}], lambda eql_x:"
    " substr(eql_x, 1, 4) || ':' || substr(eql_x, 5))[1])[1]"
    " ELSE lower({0}) END"
)
_GROUPS = (
    f"list_transform([{_HALVES % 'eql_y'}], lambda eql_g: CASE"
    " WHEN len(eql_g) = 1 AND len(eql_g[1]) = 8 THEN eql_g[1]"
    " WHEN len(eql_g) = 2 AND len(eql_g[1]) + len(eql_g[2]) <= 7 THEN list_concat(list_concat(eql_g[1],"
    " list_transform(range(8 - len(eql_g[1]) - len(eql_g[2])), lambda eql_z: '0')), eql_g[2]) END)[1]"
)
_V6 = (
    f"list_transform([{_PLAIN}], lambda eql_y: CASE WHEN regexp_full_match(eql_y, '[0-9a-f:]+') THEN"
    f" list_transform([{_GROUPS}], lambda eql_p: CASE WHEN"
    " len(list_filter(eql_p, lambda eql_q: regexp_full_match(eql_q, '[0-9a-f]{1,4}'))) = 8"
    " THEN array_to_string(list_transform(eql_p, lambda eql_q: lpad(eql_q, 4, '0')), '') END)[1] END)[1]"
)
_ADDRESS_KEY = (
    f"(CASE WHEN regexp_full_match({{0}}, {_V4_TEXT}) THEN '00000000000000000000ffff' || {_V4 % '{0}'}"
    f" WHEN contains({{0}}, ':') THEN {_V6} END)"
)


def version_key(version: Fragment) -> Fragment:
    """`values.version_key` in SQL."""
    return fill(_VERSION_KEY, version)


_VERSION_TEXT = r"'(\d{1,18}(?:\.\d{1,18})*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?'"
_VERSION_KEY = (
    f"(CASE WHEN regexp_full_match({{0}}, {_VERSION_TEXT}) THEN 'v' || array_to_string(list_transform("
    f"string_split(regexp_extract({{0}}, {_VERSION_TEXT}, 1), '.'), lambda eql_n: lpad(eql_n, 20, '0')), '/')"
    f" || CASE WHEN regexp_extract({{0}}, {_VERSION_TEXT}, 2) = '' THEN '.' ELSE '-' || array_to_string("
    f"list_transform(string_split(regexp_extract({{0}}, {_VERSION_TEXT}, 2), '.'), lambda eql_n:"
    " CASE WHEN regexp_full_match(eql_n, '[0-9]+')"
    " THEN '0' || lpad(eql_n, CAST(greatest(40, length(eql_n)) AS INTEGER), '0')"
    " ELSE '1' || eql_n END), '/') END"
    " WHEN {0} IS NOT NULL THEN 'w' || {0} END)"
)


def call(
    name: str, arguments: Sequence[Fragment], types: Sequence[FieldType | None], *, folds: bool
) -> Fragment:
    """A function call. `folds`: ignore case."""
    if name in ARITHMETIC:
        is_double = FieldType.DOUBLE in types
        return arithmetic(ARITHMETIC[name], arguments[0], arguments[1], is_double=is_double)
    if name in ("string", "concat"):
        texts = [text_value(value, type_) for value, type_ in zip(arguments, types, strict=True)]
        return joined(" || ", texts)
    if name == "cidrmatch":
        return _cidr_match(arguments)
    if name == "number":
        return _number(arguments)
    if name == "between":
        return _between(arguments, folds=folds)
    searched = [*map(java_folded, arguments[:2]), *arguments[2:]] if folds else arguments
    return _CALLS[name](searched)


def _contains(arguments: Sequence[Fragment]) -> Fragment:
    return bound("CASE WHEN {0} IS NOT NULL THEN {1} <> '' AND contains({0}, {1}) END", *arguments)


def _whole(number: Fragment) -> Fragment:
    return fill("TRY_CAST(trunc({0}) AS BIGINT)", number)


def _index_of(arguments: Sequence[Fragment]) -> Fragment:
    text, part, *rest = arguments
    if not rest:
        return fill("(nullif(strpos({0}, {1}), 0) - 1)", text, part)
    start = bound("least(greatest(coalesce({1}, 0), 0), length({0}))", text, _whole(rest[0]))
    return bound("(nullif(strpos(substr({0}, {2} + 1), {1}), 0) - 1 + {2})", text, part, start)


# Python's slice positions in DuckDB's terms: from 1, the end included, and held far from any overflow.
_SLICE_START = (
    "CASE WHEN {1} < -2147483647 THEN -2147483647 WHEN {1} < 0 THEN {1}"
    " WHEN {1} > 2147483646 THEN 2147483647 ELSE {1} + 1 END"
)
_SLICE_END = (
    "CASE WHEN {2} < -2147483646 THEN -2147483647 WHEN {2} < 0 THEN {2} - 1"
    " ELSE coalesce({2}, 2147483647) END"
)


def _substring(arguments: Sequence[Fragment]) -> Fragment:
    text, start, *rest = arguments
    positions = [_whole(position) for position in (start, *rest)]
    return fill(f"({{0}})[({_SLICE_START}):{f'({_SLICE_END})' if rest else ''}]", text, *positions)


def _between(arguments: Sequence[Fragment], *, folds: bool) -> Fragment:
    """RE2 takes the first left side, then the nearest or the farthest right side."""
    greedy = fill("coalesce({0}, false)", arguments[3]) if len(arguments) > 3 else FALSE
    left, right = (java_folded(side) if folds else side for side in arguments[1:3])
    pattern = fill(
        "'(?s)^(.*?' || regexp_escape({0}) || ')' || CASE WHEN {2} THEN '(.*)' ELSE '(.*?)' END"
        " || regexp_escape({1})",
        left,
        right,
        greedy,
    )
    if folds:
        found = bound(
            "({0})[length(regexp_extract({1}, {2}, 1)) + 1:][:length(regexp_extract({1}, {2}, 2))]",
            arguments[0],
            java_folded(arguments[0]),
            pattern,
        )
    else:
        found = fill("regexp_extract({0}, {1}, 2)", arguments[0], pattern)
    sides = [argument.params for argument in arguments[1:3] if argument.sql == "?"]
    if len(sides) == 2 and all(side[0] for side in sides):
        return found
    return bound(
        "CASE WHEN {0} IS NULL OR {1} IS NULL OR {2} IS NULL THEN NULL WHEN {1} = '' OR {2} = '' THEN {0}"
        " ELSE {3} END",
        *arguments[:3],
        found,
    )


def _cidr_match(arguments: Sequence[Fragment]) -> Fragment:
    spans = [address_range(argument.params[0]) for argument in arguments[1:]]
    tests = [fill("eql_key BETWEEN {0} AND {1}", *map(parameter, span)) for span in spans if span]
    return named("eql_key", address_key(arguments[0]), joined(" OR ", tests))


def _number(arguments: Sequence[Fragment]) -> Fragment:
    text = arguments[0]
    base: Any = arguments[1].params[0] if len(arguments) > 1 and arguments[1].params else None
    if base in (None, 10):
        plain = bound(
            "nullif(nullif(TRY_CAST(CASE WHEN"
            f" regexp_full_match({{0}}, '{_NUMBER}') THEN {{0}} END AS DOUBLE),"
            " 'infinity'::DOUBLE), '-infinity'::DOUBLE)",
            text,
        )
        if base == 10:
            return plain
        hexadecimal = fill(
            "CASE WHEN regexp_full_match({0}, '0[xX][0-9A-Fa-f]+') THEN {1} END", text, _radix(text, 16)
        )
        return fill("coalesce({0}, {1})", hexadecimal, plain)
    return _radix(text, int(base)) if 2 <= base <= 36 else NULL


def _radix(text: Fragment, base: int) -> Fragment:
    """A whole number written in a base, as DOUBLE."""
    digits = _DIGITS[:base]
    prefix = "(0[xX])?" if base == 16 else ""
    valid = f"'(?i)[+-]?{prefix}[{digits}]{{1,24}}'"
    bare = fill(f"lower(regexp_replace({{0}}, '^[+-]?{prefix}', ''))", text)
    value = bound(
        f"list_reduce(list_transform(string_split({{0}}, ''), lambda eql_d:"
        f" CAST(strpos('{digits}', eql_d) - 1 AS HUGEINT)), lambda eql_a, eql_b: eql_a * {base} + eql_b)",
        bare,
    )
    return bound(
        f"CASE WHEN regexp_full_match({{0}}, {valid}) THEN CAST(TRY_CAST({{1}}"
        " * CASE WHEN starts_with({0}, '-') THEN -1 ELSE 1 END AS BIGINT) AS DOUBLE) END",
        text,
        value,
    )


_CALLS: dict[str, Callable[[Sequence[Fragment]], Fragment]] = {
    "length": lambda arguments: fill("length({0})", arguments[0]),
    "startswith": lambda arguments: fill("starts_with({0}, {1})", *arguments),
    "endswith": lambda arguments: fill("ends_with({0}, {1})", *arguments),
    "stringcontains": _contains,
    "indexof": _index_of,
    "substring": _substring,
}
