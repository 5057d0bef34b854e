"""Wildcards over many texts at once find what the Python back end finds text by text."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from detections.eql.ast import Dialect, FieldRef, Literal, Pattern
from detections.eql.patterns import ascii_fold, wildcard_matcher
from detections.stores.embedded.wildcards import wildcards_of

# What is special to regular expressions, to lines and to the folding of case.
LETTERS = "abAB\\.+()[]{}^$|-\n\r\x00 \u00e4\u00c4\u212a\u0130\U0001f600"


@given(
    st.lists(st.text(LETTERS + "*?", max_size=8), min_size=1, max_size=4),
    st.lists(st.text(LETTERS, max_size=10), max_size=30),
    st.booleans(),
)
def test_the_texts_are_those_that_python_finds(patterns, texts, insensitive):
    node = Pattern(FieldRef("f"), Dialect.WILDCARD, tuple(map(Literal, patterns)), insensitive)
    wildcards = wildcards_of(node)
    held = [ascii_fold(text) if wildcards.folds else text for text in texts]
    matchers = [wildcard_matcher(one, ascii_fold if insensitive else None) for one in patterns]
    expected = [number for number, text in enumerate(texts) if any(match(text) for match in matchers)]
    assert wildcards.codes(pa.array(held, pa.string())) == expected


def test_patterns_too_long_to_compile_are_left_to_python():
    patterns = tuple(Literal("?" * 1_000 + str(number)) for number in range(1_000))
    assert wildcards_of(Pattern(FieldRef("f"), Dialect.WILDCARD, patterns)) is None
    few = wildcards_of(Pattern(FieldRef("f"), Dialect.WILDCARD, patterns[:100]))
    assert few.codes(pa.array(["x" * 1_000 + "99", "x"])) == [0]


def test_other_conditions_are_none():
    assert wildcards_of(Pattern(FieldRef("f"), Dialect.REGEX, (Literal("a.*"),))) is None
    assert wildcards_of(Literal("a*")) is None
