"""What a query may say about the fields of a deployment, and what folds away."""

import tarfile
import tomllib

import pytest

from detections.eql import parse
from detections.eql.ast import Comparison, Condition, FieldRef, Literal, Not, Order
from detections.eql.fields import Field, FieldCatalogue, FieldType
from detections.eql.known import catalogue
from detections.eql.parser import parse_condition
from detections.eql.sql import Column, compile_sql
from detections.eql.verify import verify, verify_condition
from detections.errors import EqlVerificationError
from tests.detections.eql.suites import RULES, needs_rules

FIELDS = FieldCatalogue(
    [
        Field("event.category", FieldType.KEYWORD, True),
        Field("a", FieldType.KEYWORD),
        Field("b", FieldType.KEYWORD),
        Field("n", FieldType.LONG),
        Field("f", FieldType.BOOLEAN),
        Field("ip", FieldType.IP),
        Field("when", FieldType.DATE),
        Field("prose", FieldType.TEXT),
    ]
)
FALSE, TRUE = Literal(False), Literal(True)
KEPT = Comparison(FieldRef("n"), Order.EQUAL, Literal(1))


def folded(text: str) -> Condition:
    return verify_condition(parse_condition(text), FIELDS, text=text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('?nope : "x"', FALSE),
        ('not ?nope : "x"', FALSE),
        ("not ?nope > 1", FALSE),
        ('not ?nope in ("x")', FALSE),
        ("not startsWith(a, ?nope)", FALSE),
        ("not length(?nope) > 1", FALSE),
        ("?nope + 1 == 2", FALSE),
        ('?nope == "x"', FALSE),
        ('not ?nope == "x"', TRUE),
        ('?nope != "x"', TRUE),
        ("?nope == null", TRUE),
        ("?nope == ?nada", TRUE),
        ("?nope == a", Comparison(FieldRef("a"), Order.EQUAL, Literal(None))),
        ('n == 1 and ?nope : "x"', FALSE),
        ('n == 1 and not ?nope : "x"', FALSE),
        ('n == 1 or not ?nope : "x"', KEPT),
        ('not (n == 1 or ?nope : "x")', Not(KEPT)),
        ('not (n == 1 and ?nope : "x")', FALSE),
        ('not (false and ?nope : "x")', TRUE),
        ("?nope", FALSE),
        ("not ?nope", FALSE),
        ("n == 1 and true", KEPT),
        ("n == 1 or false", KEPT),
        ("1 == n", KEPT),
        ("n == 3 - 2", KEPT),
        ("(n == 1) == true", KEPT),
        ("(n == 1) == false", Not(KEPT)),
        ("true != (n == 1)", Not(KEPT)),
        ('length("abc") == 3', TRUE),
        ('"abc" : "A*"', TRUE),
        ("7 / 2 == 3 and 7.0 / 2 == 3.5", TRUE),
        ("null", FALSE),
    ],
)
def test_condition_folds_to(text: str, expected: Condition) -> None:
    assert folded(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nope == 1", "unknown column [nope]"),
        ("length(nope) > 1", "unknown column [nope]"),
        ("a == b", "comparisons against fields"),
        ("length(a) == n", "comparisons against fields"),
        ("a in (b)", "constants only"),
        ("a", "needs true or false, found keyword"),
        ("not n", "needs true or false, found long"),
        ("n == 1 and a", "needs true or false"),
        ('n : "5"', "must be text, found long"),
        ("a : 5", "must be a string"),
        ("a : b", "must be a string"),
        ('ip : "10.*"', "must be text, found ip"),
        ('n in (1, "x")', "can't be compared with long"),
        ("a in (1)", "can't be compared with keyword"),
        ('n == "x"', "can't be compared with long"),
        ("n == true", "can't be compared with long"),
        ("f > true", "can't compare true and false"),
        ('ip == "x"', "can't be compared with ip"),
        ('when > "yesterday"', "can't be compared with date"),
        ("prose == 1", "analysed text"),
        ('prose : "x"', "must be text, found text"),
        ("nofunction(a)", "unknown function [nofunction]"),
        ("length()", "length takes 1 arguments, found 0"),
        ("length~(a) > 1", "no case-insensitive form"),
        ("length(n) > 1", "argument 1 of length must be keyword, found long"),
        ('cidrMatch(a, "10.0.0.0/8")', "argument 1 of cidrMatch must be ip, found keyword"),
        ('cidrMatch(ip, "10.0.0.0/99")', "no CIDR block"),
        ("cidrMatch(ip, a)", "must be a constant"),
        ("a + 1 == 2", "+ needs numbers, found keyword"),
        ('a regex "("', "not a regular expression"),
        ('a regex "a~b"', "operator ~ is not supported"),
        (r'a regex "\\bx"', r"\b is no class"),
        (r'a regex "[\\n]"', r"\n is no class"),
        ('a regex "x||y"', "an alternative is empty"),
        ('a regex "(x|)"', "an alternative is empty"),
        ("n in~ (1)", "in~ needs text"),
    ],
)
def test_condition_is_refused(text: str, message: str) -> None:
    with pytest.raises(EqlVerificationError) as caught:
        folded(text)
    assert message in caught.value.message


def test_an_unknown_column_is_named_with_place_and_neighbour() -> None:
    with pytest.raises(EqlVerificationError) as caught:
        verify(parse('process where\n process.nmae : "x"'), catalogue())
    error = caught.value
    assert (error.field, error.line, error.column) == ("process.nmae", 2, 2)
    assert error.hint == "Did you mean process.name?"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('wildcard(a, "x*")', 'Write `field : "pattern"`'),
        ('match(a, "x")', 'Write `field regex "pattern"`'),
        ('arrayContains(a, "x")', "looks at every element"),
        ("stringContain(a, a)", "Did you mean stringContains?"),
    ],
)
def test_a_function_of_another_dialect_is_told_what_says_the_same(text: str, hint: str) -> None:
    with pytest.raises(EqlVerificationError) as caught:
        folded(text)
    assert hint in caught.value.hint


def test_constants_take_the_type_of_their_field() -> None:
    assert folded("a == 5") == Comparison(FieldRef("a"), Order.EQUAL, Literal("5"))
    assert folded('n == "5"') == Comparison(FieldRef("n"), Order.EQUAL, Literal(5))
    assert folded('f == "true"') == Comparison(FieldRef("f"), Order.EQUAL, TRUE)


def test_keys_must_be_known_and_of_one_type() -> None:
    with pytest.raises(EqlVerificationError, match="unknown column"):
        verify(parse("sequence by nope [any where true] [any where true]"), FIELDS)
    with pytest.raises(EqlVerificationError, match="is long, the one before it keyword"):
        verify(parse("sequence [any where true] by a [any where true] by n"), FIELDS)
    query = parse("sequence by ?nope [any where true] [any where true]")
    assert verify(query, FIELDS) == query


def test_a_category_needs_its_field() -> None:
    with pytest.raises(EqlVerificationError) as caught:
        verify(parse("process where true"), FIELDS, event_category_field="event.kind")
    assert caught.value.field == "event.kind"
    assert verify(parse("any where true"), FIELDS, event_category_field="event.kind").stages


def test_known_fields_have_types_and_arrays() -> None:
    known = catalogue()
    assert known["process.args"] == Field("process.args", FieldType.KEYWORD, True)
    assert known["process.pid"] == Field("process.pid", FieldType.LONG)
    assert known["source.ip"].type is FieldType.IP
    assert known["@timestamp"].type is FieldType.DATE
    assert known["registry.data.strings"].is_list
    assert known["process.Ext.relative_file_creation_time"].type is FieldType.DOUBLE
    assert "process.nmae" not in known


def test_families_are_known_and_give_way_to_what_was_seen() -> None:
    known = catalogue()
    name = "winlog.event_data.Number"
    assert known[name] == Field(name, FieldType.KEYWORD)
    merged = known.merged(
        [Field(name, FieldType.LONG), Field("process.pid", FieldType.KEYWORD), Field("new", FieldType.IP)]
    )
    assert (merged[name].type, merged["process.pid"].type) == (FieldType.LONG, FieldType.LONG)
    assert merged["new"].type is FieldType.IP
    assert "winlog.event_data.Other" in merged


@needs_rules
def test_all_published_rules_mean_something_here() -> None:
    known = catalogue()
    columns = {name: Column(f'"{name}"', field.type, field.is_list) for name, field in known.items()}
    with tarfile.open(RULES) as archive:
        files = [archive.extractfile(member) for member in archive if member.name.endswith(".toml")]
        rules = [tomllib.loads(file.read().decode())["rule"] for file in files if file]
    for rule in rules:
        if rule.get("language") == "eql":
            category = rule.get("event_category_override", "event.category")
            query = verify(parse(rule["query"]), known, event_category_field=category)
            for stage in query.stages:
                fragment = compile_sql(stage.condition, columns)
                assert fragment.sql.count("?") == len(fragment.params) or "regexp" in fragment.sql


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('?nope.caseless == "x"', FALSE),
        ('not ?nope.caseless == "x"', TRUE),
        ('not ?nope.caseless : "x"', FALSE),
        ("?nope.caseless == null", TRUE),
    ],
)
def test_an_unknown_caseless_field_folds_as_the_field_itself(text: str, expected: Literal) -> None:
    assert folded(text) == expected
