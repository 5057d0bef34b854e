"""Values from telemetry can hide nothing and break nothing."""

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.templatetags import values


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a b", "a b"),
        ("caf\u00e9", "caf\u00e9"),
        ("\u202e", '<mark title="Right-to-left override, U+202E">U+202E</mark>'),
        ("\u200b", '<mark title="Zero width space, U+200B">U+200B</mark>'),
        ("\x00", '<mark title="Control character, U+0000">U+0000</mark>'),
        ("\u00a0", '<mark title="No-break space, U+00A0">U+00A0</mark>'),
        ("\u3164", '<mark title="Hangul filler, U+3164">U+3164</mark>'),
        ("<b>&", "&lt;b&gt;&amp;"),
    ],
)
def test_what_can_hide_is_shown(text, shown):
    assert values.visible(text) == shown


def test_an_absent_field_is_told_from_an_empty_looking_one():
    assert "Field is absent" in values.field({}, "process.name")
    assert "U+200B" in values.field({"process.name": "\u200b"}, "process.name")


def test_all_values_of_a_field_are_shown_and_many_are_counted():
    shown = values.field({"ip": [str(number) for number in range(8)]}, "ip")
    assert shown.count('class="val"') == 5
    assert "+3" in shown


def test_a_long_value_is_cut_with_a_count_and_copied_whole():
    shown = values.val("x" * 5000)
    assert "and 3000 more characters" in shown
    assert f'data-full="{"x" * 5000}"' in shown


@given(st.text(alphabet=st.characters(), max_size=200))
def test_no_value_makes_markup_and_every_value_can_be_sent(text):
    shown = values.val(text)
    if not text:
        return
    shown.encode("utf-8")
    without_ours = re.sub(r"</?(?:span|mark)(?: [a-z-]+=\"[^\"<>]*\")*>", "", shown)
    assert "<" not in without_ours
    assert ">" not in without_ours


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=80))
def test_nothing_of_a_value_is_lost(text):
    parts = re.split(r"(<mark.*?</mark>)", values.visible(text))
    assert "".join(original(part) for part in parts) == text


def original(part: str) -> str:
    found = re.fullmatch(r"<mark.*>U\+([0-9A-F]+)</mark>", part)
    return chr(int(found[1], 16)) if found else unescape(part)
