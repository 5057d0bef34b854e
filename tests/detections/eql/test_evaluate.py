"""Conditions over documents, patterns, and patterns that must not hang."""

import time
from typing import Any

import pytest

from detections.eql.evaluate import matches
from detections.eql.fields import Field, FieldCatalogue, FieldType
from detections.eql.parser import parse_condition
from detections.eql.patterns import ascii_fold, regex_matcher, wildcard_matcher
from detections.eql.verify import verify_condition

FIELDS = FieldCatalogue(
    [
        Field("a", FieldType.KEYWORD),
        Field("b.c", FieldType.KEYWORD),
        Field("n", FieldType.LONG),
        Field("ip", FieldType.IP),
        Field("when", FieldType.DATE),
        Field("version", FieldType.VERSION),
    ]
)


def holds(text: str, document: dict[str, Any]) -> bool:
    return matches(verify_condition(parse_condition(text), FIELDS), document, FIELDS)


@pytest.mark.parametrize(
    ("text", "document", "expected"),
    [
        ('b.c == "x"', {"b": {"c": "x"}}, True),
        ('b.c == "x"', {"b.c": "x"}, True),
        ('b.c == "x"', {"b": [{"c": "y"}, {"c": "x"}]}, True),
        ('not a : "x"', {}, True),
        ('a != "x"', {"a": ["y", "x"]}, False),
        ("length(a) != 1", {"a": ["y", "xx"]}, True),
        ("length(a) != 1", {}, False),
        ("n > 100 and n < 200", {"n": [50, 250]}, True),
        ("n < 1.5", {"n": 1}, True),
        ("n == 5", {"n": "5"}, True),
        ("n == null", {"n": "no number"}, True),
        ('a : "É*"', {"a": "é.exe"}, False),
        ('startsWith~(a, "É")', {"a": "é.exe"}, True),
        ('a : "k"', {"a": "\u212a"}, False),
        ("startsWith(a, b.c)", {"a": ["x1", "y1"], "b.c": "y"}, True),
        ('concat(a, a) == "xy"', {"a": ["x", "y"]}, True),
        ('ip == "10.0.0.0/8"', {"ip": "10.1.2.3"}, True),
        ('ip in ("::1", "1.1.1.1")', {"ip": "0:0:0:0:0:0:0:1"}, True),
        ('ip < "10.0.0.10"', {"ip": "10.0.0.9"}, True),
        ('cidrMatch(ip, "2001:db8::/32")', {"ip": "2001:db8::1"}, True),
        ('when >= "2026-01-31"', {"when": "2026-01-31T00:00:00+00:00"}, True),
        ('when > "2026-01-31T10:00:00Z"', {"when": "2026-01-31T10:00:00.500Z"}, False),
        ("when == 1769853600000", {"when": "2026-01-31T11:00:00+01:00"}, True),
        ('version > "1.5.0"', {"version": "1.11.3"}, True),
        ('version < "1.5.0"', {"version": "1.5.0-rc1"}, True),
        ("n / 0 == 1", {"n": 1}, False),
        ("n + 1 > 0", {"n": 2**63 - 1}, False),
        ("null == (n > 1)", {}, True),
        ("null == (n > 1)", {"n": 0}, False),
        ('between(a, "<", ">", true) == "x><y"', {"a": "<x><y>"}, True),
        ('indexOf(a, "", 9) == 3', {"a": "abc"}, True),
        ('number("0x1f") == 31 and n == number("5")', {"n": 5}, True),
    ],
)
def test_condition_over_a_document(text: str, document: dict[str, Any], expected: bool) -> None:
    assert holds(text, document) is expected


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("a*c", ["ac", "abc", "a\nc", "a\\c"], ["ab", "xac", ""]),
        ("?", ["a", "é", "\n"], ["", "ab"]),
        ("*", ["", "x"], []),
        ("*a?b*", ["aab", "xaxbx"], ["ab", "aaxxb"]),
        ("a*a", ["aa", "aba"], ["a"]),
        ("[a].+", ["[a].+"], ["a.+"]),
    ],
)
def test_wildcard(pattern: str, yes: list[str], no: list[str]) -> None:
    match = wildcard_matcher(pattern, None)
    assert [match(text) for text in (*yes, *no)] == [True] * len(yes) + [False] * len(no)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("md", ["md"], ["cmd", "mdx"]),
        ("^a$", ["^a$"], ["a"]),
        (r"C:\\[^\\]+\.exe", [r"C:\a.exe"], [r"C:\a\b.exe"]),
        ("a{2,3}", ["aa", "aaa"], ["a", "aaaa"]),
        ("a{2,}b?", ["aa", "aaab"], ["ab"]),
        ("(a|bc)*", ["", "abca"], ["b"]),
        (r"\w+\s\d", ["ab 1", "_\t9"], ["ab1"]),
        ("[]a-]+", ["]-a"], ["b"]),
        ('"a.b"', ["a.b"], ["axb"]),
        ("a@z", ["az", "a z"], ["a"]),
        ("#", [], ["", "a"]),
        ("", [""], ["a"]),
    ],
)
def test_regular_expression(pattern: str, yes: list[str], no: list[str]) -> None:
    match = regex_matcher(pattern, False)
    assert [match(text) for text in (*yes, *no)] == [True] * len(yes) + [False] * len(no)


def test_case_insensitive_regular_expressions_leave_ranges_alone() -> None:
    assert regex_matcher("cmd[a-c]", True)("CMDa")
    assert not regex_matcher("cmd[a-c]", True)("CMDA")


@pytest.mark.parametrize(
    "pattern", ["(", "[a", "a{2", "*a", "a{3,2}", "[z-a]", "a)", "a&b", "<1-5>", "(a{900}){900}"]
)
def test_what_is_no_regular_expression(pattern: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        regex_matcher(pattern, False)


def test_hostile_text_does_not_hang_a_pattern() -> None:
    text = "a" * 20_000
    started = time.monotonic()
    assert not regex_matcher("(a*)*b", False)(text)
    assert not regex_matcher("(a|aa)+(a|aa)+b", False)(text)
    assert not wildcard_matcher("*a*a*a*a*a*a*a*b", ascii_fold)(text)
    assert time.monotonic() - started < 5
