"""Windows' rules for arguments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detections.ingest.command_line import arguments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("   ", []),
        (r"C:\Windows\System32\mshta.exe -Embedding", [r"C:\Windows\System32\mshta.exe", "-Embedding"]),
        (r'"C:\Windows\System32\mshta.exe" "-Embedding"', [r"C:\Windows\System32\mshta.exe", "-Embedding"]),
        ('a "b c" d', ["a", "b c", "d"]),
        ('a "b c', ["a", "b c"]),
        (r'a "b\"c" d', ["a", 'b"c', "d"]),
        (r'a "b\\" c', ["a", "b\\", "c"]),
        (r"a \\host\share", ["a", r"\\host\share"]),
        (r"a b\\\"c", ["a", r"b\"c"]),
        ('a "say ""hi"""', ["a", 'say "hi"']),
        ('a ""', ["a", ""]),
        ('a b"c d"e', ["a", "bc de"]),
        ('"C:\\Program Files\\x.exe"-y', ["C:\\Program Files\\x.exe", "-y"]),
        ("a\tb   c", ["a", "b", "c"]),
        ('x.exe "C:\\dir\\\\" next', ["x.exe", "C:\\dir\\", "next"]),
    ],
)
def test_arguments_follow_the_rules(text, expected):
    assert arguments(text) == expected


def quoted(argument: str) -> str:
    """What a careful caller writes: each argument quoted, backslashes before a quote doubled."""
    out, slashes = [], 0
    for character in argument:
        if character == '"':
            out.append("\\" * (slashes + 1))
        out.append(character)
        slashes = slashes + 1 if character == "\\" else 0
    return f'"{"".join(out)}{chr(92) * slashes}"'


@given(st.lists(st.text(alphabet=' \t"\\ab\N{SNOWMAN}', max_size=12), max_size=5))
def test_quoting_and_splitting_are_inverse(rest):
    line = " ".join(["x.exe", *map(quoted, rest)])
    assert arguments(line) == ["x.exe", *rest]


@given(st.text(alphabet=' \t"\\ab', max_size=60))
def test_any_text_is_split_without_losing_plain_characters(text):
    joined = "".join(arguments(text))
    assert joined.count("a") == text.count("a")
    assert joined.count("b") == text.count("b")
