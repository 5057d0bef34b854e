"""Match wildcards and Lucene's regular expressions against hostile text, in linear time.

Python's `re` backtracks; it is used here only for pieces without repetition.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from string import ascii_lowercase, ascii_uppercase

from detections.eql.regex import Automaton

_ASCII = str.maketrans(ascii_uppercase, ascii_lowercase)
Fold = Callable[[str], str]


def ascii_fold(text: str) -> str:
    """Lower case for A-Z alone: how Elasticsearch folds case on indexed fields."""
    return text.lower() if text.isascii() else text.translate(_ASCII)


def java_fold(text: str) -> str:
    """Character by character through upper and lower case, as Java's equalsIgnoreCase does."""
    return text.lower() if text.isascii() else "".join(map(_fold_character, text))


def _fold_character(character: str) -> str:
    if character == "\u0130":
        return "i"
    upper = character.upper()
    lower = (upper if len(upper) == 1 else character).lower()
    return lower if len(lower) == 1 else character


def wildcard_matcher(pattern: str, fold: Fold | None) -> Callable[[str], bool]:
    """A test of whole values against `*` (any text, also across lines) and `?` (one character)."""
    pattern = fold(pattern) if fold else pattern
    if "*" not in pattern and "?" not in pattern:
        return (lambda text: fold(text) == pattern) if fold else (lambda text: text == pattern)
    match = _glob(pattern)
    return (lambda text: match(fold(text))) if fold else match


def _glob(pattern: str) -> Callable[[str], bool]:
    """Each piece between two `*` is taken where it comes first: no choice, so nothing to backtrack."""
    pieces = [re.compile(_piece(piece), re.DOTALL) for piece in re.split(r"\*+", pattern)]
    lengths = [len(piece) for piece in re.split(r"\*+", pattern)]
    if len(pieces) == 1:
        return lambda text: pieces[0].fullmatch(text) is not None

    def match(text: str) -> bool:
        end = len(text) - lengths[-1]
        if end < lengths[0] or not pieces[0].match(text) or not pieces[-1].fullmatch(text, end):
            return False
        position = lengths[0]
        for piece in pieces[1:-1]:
            found = piece.search(text, position, end)
            if found is None:
                return False
            position = found.end()
        return True

    return match


def _piece(piece: str) -> str:
    return "".join("." if character == "?" else re.escape(character) for character in piece)


@lru_cache(maxsize=512)
def regex_matcher(pattern: str, insensitive: bool) -> Callable[[str], bool]:
    """A test of whole values against a Lucene regular expression. Raises ValueError if it is none."""
    return Automaton(pattern, insensitive=insensitive).matches
