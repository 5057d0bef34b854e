"""Characters that a person does not see and that change what one reads: control, bidi, zero-width."""

import unicodedata
from collections.abc import Iterator

_LEFT, _RIGHT = "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"
_INVISIBLE_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# Letters and marks that draw nothing: fillers, blanks, variation selectors.
_BLANKS = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}


def _is_hidden(char: str) -> bool:
    code = ord(char)
    if 0x20 <= code < 0x7F:
        return False
    return (
        code in _BLANKS
        or 0xFE00 <= code <= 0xFE0F
        or 0xE0100 <= code <= 0xE01EF
        or unicodedata.category(char) in _INVISIBLE_CATEGORIES
        or (unicodedata.category(char) == "Zs" and char != " ")
    )


def pieces(text: str, keep: str) -> Iterator[tuple[bool, str]]:
    """The text cut into runs of plain characters and single hidden ones."""
    start = 0
    for at, char in enumerate(text):
        if char not in keep and _is_hidden(char):
            if at > start:
                yield False, text[start:at]
            yield True, char
            start = at + 1
    if start < len(text):
        yield False, text[start:]


def plain(text: str, keep: str = "") -> str:
    """The text with each hidden character as its marked code point, for where no element can stand.

    keep: characters that stay as they are.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        f"{_LEFT}U+{ord(part):04X}{_RIGHT}" if hidden else part for hidden, part in pieces(text, keep)
    )
