"""What the parser reads, and what it says about what it can't."""

import tarfile
import tomllib
from datetime import timedelta

import pytest

from detections.eql import parse
from detections.eql.ast import (
    And,
    Arithmetic,
    Call,
    Comparison,
    Dialect,
    EventQuery,
    FieldRef,
    Literal,
    Membership,
    Negative,
    Not,
    Or,
    Order,
    Pattern,
    Pipe,
    PipeKind,
    Position,
    SampleQuery,
    SequenceQuery,
    fields_used,
    walk,
)
from detections.eql.parser import parse_condition
from detections.errors import EqlSyntaxError
from tests.detections.eql.suites import RULES, needs_rules

A, B, C = FieldRef("a"), FieldRef("b"), FieldRef("c")
ONE, TWO = Literal(1), Literal(2)


def equal(left: FieldRef, value: object) -> Comparison:
    return Comparison(left, Order.EQUAL, Literal(value))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("not a == 1 and b == 1", And((Not(equal(A, 1)), equal(B, 1)))),
        ("a == 1 or b == 1 and c == 1", Or((equal(A, 1), And((equal(B, 1), equal(C, 1)))))),
        ("not not a", Not(Not(A))),
        ("a + 1 * 2 == 1", Comparison(Arithmetic("+", A, Arithmetic("*", ONE, TWO)), Order.EQUAL, ONE)),
        ("a - 1 - 2 < 1", Comparison(Arithmetic("-", Arithmetic("-", A, ONE), TWO), Order.LESS, ONE)),
        ("-a > -1", Comparison(Negative(A), Order.GREATER, Literal(-1))),
        ('a : "x*"', Pattern(A, Dialect.WILDCARD, (Literal("x*"),), True, ":")),
        ('a like~ ("x", "y")', Pattern(A, Dialect.WILDCARD, (Literal("x"), Literal("y")), True, "like~")),
        ('a regex "x"', Pattern(A, Dialect.REGEX, (Literal("x"),), False, "regex")),
        ("a not in (1, 2)", Not(Membership(A, (ONE, TWO)))),
        ("a in~ (1)", Membership(A, (ONE,), True)),
        ("startsWith~(a, b)", Call("startsWith", (A, B), True)),
        ("?a.b == null", Comparison(FieldRef("a.b", True), Order.EQUAL, Literal(None))),
        ('a.caseless == "x*"', Membership(A, (Literal("x*"),), True)),
        (
            'a.caseless != "x" or not ?a.caseless in ("x")',
            Or(
                (
                    Not(Membership(A, (Literal("x"),), True)),
                    Not(Membership(FieldRef("a", True), (Literal("x"),), True)),
                )
            ),
        ),
        ('a.caseless like "x*"', Pattern(A, Dialect.WILDCARD, (Literal("x*"),), True, "like")),
        ("a.caseless == null", equal(A, None)),
        ('a.caseless > "x"', Comparison(FieldRef("a.caseless"), Order.GREATER, Literal("x"))),
        ("source.as.number == 1", equal(FieldRef("source.as.number"), 1)),
        ("process.in.by == 1", equal(FieldRef("process.in.by"), 1)),
        ("`my-field`.`x y` == 1", equal(FieldRef("my-field.x y"), 1)),
        ("true.x == true", equal(FieldRef("true.x"), True)),
        ("a == .5", equal(A, 0.5)),
        ("a == 1e3", equal(A, 1000.0)),
        (r'a == "\"\\\t\u{202E}"', equal(A, '"\\\t\u202e')),
        ('a == """C:\\x "y" """', equal(A, 'C:\\x "y" ')),
        ('a == ""', equal(A, "")),
        ("a == 1 // one\n and /* two\n lines */ b == 1", And((equal(A, 1), equal(B, 1)))),
        ("a == 1 /* one /* two */ three */ and b == 1", And((equal(A, 1), equal(B, 1)))),
        ("a == 1 /* as in /tmp/* */ and b == 1", And((equal(A, 1), equal(B, 1)))),
        ("/**/ a == 1 /***/ and /* * / */ b == 1", And((equal(A, 1), equal(B, 1)))),
    ],
)
def test_condition_reads_as(text: str, expected: object) -> None:
    assert parse_condition(text) == expected


def test_a_number_past_64_bits_is_a_double() -> None:
    assert parse_condition("a > 100000000000000000000") == Comparison(A, Order.GREATER, Literal(1e20))


def test_a_sequence_has_keys_runs_maxspan_and_until() -> None:
    query = parse(
        "sequence by host.id, ?user.id with maxspan=1m\n"
        '  [process where true] by a with runs=2\n  !["my cat" where a == 1] by b\n  [any where true] by c\n'
        "until [file where true] by d | head 5 | tail 2"
    )
    assert isinstance(query, SequenceQuery)
    host, user = FieldRef("host.id"), FieldRef("user.id", True)
    assert [(s.category, s.keys, s.runs, s.missing) for s in query.stages] == [
        ("process", (host, user, A), 2, False),
        ("my cat", (host, user, B), 1, True),
        ("any", (host, user, C), 1, False),
    ]
    assert query.maxspan == timedelta(minutes=1)
    assert query.until is not None
    assert query.until.keys == (host, user, FieldRef("d"))
    assert query.pipes == (Pipe(PipeKind.HEAD, 5), Pipe(PipeKind.TAIL, 2))
    assert len(query.steps) == 4


@pytest.mark.parametrize(
    ("written", "span"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("30s", timedelta(seconds=30)),
        ("2 m", timedelta(minutes=2)),
        ("12h", timedelta(hours=12)),
        ("1d", timedelta(days=1)),
    ],
)
def test_maxspan_units(written: str, span: timedelta) -> None:
    assert parse(f"sequence with maxspan={written} [a where true] [b where true]").maxspan == span


def test_a_sample_has_keys() -> None:
    query = parse("sample by host [a where true] by x [b where true] by y")
    assert isinstance(query, SampleQuery)
    assert [stage.keys for stage in query.stages] == [
        (FieldRef("host"), FieldRef("x")),
        (FieldRef("host"), FieldRef("y")),
    ]


def test_an_event_query_has_its_category_and_text() -> None:
    query = parse("process where a == 1")
    assert isinstance(query, EventQuery)
    assert (query.category, query.condition, query.text) == ("process", equal(A, 1), "process where a == 1")


def test_nodes_know_where_they_stand() -> None:
    condition = parse('any where\n  a == 1 and\n  b : "x"').stages[0].condition
    assert [node.at for node in walk(condition) if isinstance(node, FieldRef)] == [
        Position(2, 3),
        Position(3, 3),
    ]


def test_fields_used_covers_conditions_keys_and_until() -> None:
    query = parse("sequence by a [x where ?b == 1] [y where length(c) > 1] until [z where d == 1]")
    assert fields_used(query) == {("a", False), ("b", True), ("c", False), ("d", False)}


@pytest.mark.parametrize(
    ("text", "line", "column", "message", "hint"),
    [
        ("process where a = 1", 1, 17, "expected the end", "=="),
        ("process where a == 'x'", 1, 20, "can't stand here", "double quotes"),
        ('process where a == "x', 1, 20, "does not end", "ends on the line"),
        ('process where a == "C:\\\\Temp\\"', 1, 20, "does not end", "the quote belongs to the text"),
        ('process where a == "C:\\Windows"', 1, 23, "no escape", "\\\\"),
        ("process where", 1, 14, "the query ends here", ""),
        ("process a == 1", 1, 9, "expected 'where'", "category where condition"),
        ("process where a == 1\n  AND b == 2", 2, 3, "expected the end", "lower case: and"),
        ("process where (a == 1", 1, 22, "expected ')'", ""),
        ("process where a < b < c", 1, 21, "expected the end", "do not chain"),
        ("process where a[0] == 1", 1, 16, "expected an operator", "Array elements"),
        ("process where my-field.x : ", 1, 28, "expected a value", ""),
        ("process where child of [a where true]", 1, 21, "expected the end", "do not exist"),
        ("any where f(a, $entry)", 1, 16, "can't stand here", "Variables such as $entry"),
        ("sequence [a where true] fork=true [b where true]", 1, 25, "expected a stage", "`fork` does not"),
        ("sequence [a where true] as x [b where true]", 1, 25, "expected a stage", "`as` does not"),
        ("any where a == \u201cx\u201d", 1, 16, "can't stand here", "straight double quotes"),
        ("any where größe > 1", 1, 13, "can't stand here", "`backticks`"),
        ("any where true | head -1", 1, 23, "whole number", "digits alone"),
        ("any where a is null", 1, 13, "expected the end", "== null"),
        ("any where NOT true", 1, 15, "expected the end", "lower case: not"),
        ("any where a == 1 /* b", 1, 18, "this comment does not end", "ends with */"),
        (
            "any where\n /* as in /tmp/* */ a == 1 and /* b */ c == 1",
            2,
            2,
            "opens another one",
            "to the last */ of the query",
        ),
        ("process where true | count", 1, 22, "not supported", "head n"),
        ("process where true | frobnicate", 1, 22, "unknown", "head n"),
        ("process where a in 1", 1, 20, "expected '('", ""),
        ("join [a where true] [b where true]", 1, 1, "join is not supported", "sequence"),
        ("sequence [a where true]", 1, 1, "two stages", "runs=2"),
        ("sequence with maxspan=10 [a where true] [b where true]", 1, 23, "needs a unit", "10s"),
        ("sequence with maxspan=2.5m [a where true] [b where true]", 1, 23, "whole number", ""),
        ("sequence with maxspan=0s [a where true] [b where true]", 1, 23, "starts at 1", ""),
        (
            "sequence with maxspan=1m by x [a where true] [b where true]",
            1,
            26,
            "comes before",
            "by field with",
        ),
        ("sequence [a where true] ![b where true]", 1, 25, "needs maxspan", "maxspan"),
        ("sequence with maxspan=1s ![a where true] ![b where true]", 1, 1, "not missing", ""),
        ("sequence [a where true] by x, y [b where true] by x", 1, 33, "1 join keys", "same number"),
        ("sequence [a where true] with runs=101 [b where true]", 1, 35, "goes to 100", ""),
        ("sequence by length(x) [a where true] [b where true]", 1, 13, "is a field", ""),
        ("sequence by x * 2 [a where true] [b where true]", 1, 15, "not a calculation", ""),
        ("sample [a where true] [b where true]", 1, 1, "needs a join key", "sample by"),
        ("sample by x [a where true]", 1, 1, "two filters", ""),
        ("sample by x [a where true] ![b where true]", 1, 28, "missing event", ""),
        ("", 1, 1, "event category", "process where"),
    ],
)
def test_fault_has_place_reason_and_hint(text: str, line: int, column: int, message: str, hint: str) -> None:
    with pytest.raises(EqlSyntaxError) as caught:
        parse(text)
    error = caught.value
    assert (error.line, error.column) == (line, column)
    assert message in error.message
    assert hint in error.hint


def test_the_caret_stands_under_the_fault() -> None:
    with pytest.raises(EqlSyntaxError) as caught:
        parse("process where\n  process.name = 1")
    assert str(caught.value).splitlines() == [
        "line 2, column 16: expected the end of the query, but found '='",
        "      process.name = 1",
        "                   ^",
        "Use == instead of =.",
    ]


def test_the_caret_stands_under_the_fault_beside_tabs_and_separators_of_lines() -> None:
    with pytest.raises(EqlSyntaxError) as caught:
        parse("process where // one\u2028two\x0cthree\r\n\ta\t= 1\r\n")
    assert str(caught.value).split("\n") == [
        "line 2, column 4: expected the end of the query, but found '='",
        "     a = 1",
        "       ^",
        "Use == instead of =.",
    ]


@pytest.mark.parametrize(
    "condition", ["(" * 5000 + "true" + ")" * 5000, "not " * 5000 + "true", "a" + " + 1" * 5000 + " == 1"]
)
def test_deep_nesting_is_an_error_not_a_crash(condition: str) -> None:
    with pytest.raises(EqlSyntaxError, match="levels"):
        parse(f"any where {condition}")


def test_long_chains_are_flat() -> None:
    condition = parse_condition(" or ".join(["a == 1"] * 5000))
    assert isinstance(condition, Or)
    assert len(condition.operands) == 5000


@needs_rules
def test_all_published_rules_parse() -> None:
    with tarfile.open(RULES) as archive:
        files = [archive.extractfile(member) for member in archive if member.name.endswith(".toml")]
        rules = [tomllib.loads(file.read().decode())["rule"] for file in files if file]
    queries = [rule["query"] for rule in rules if rule.get("language") == "eql"]
    assert [parse(query).text for query in queries] == queries
    assert len(queries) == 631
