"""A query cut into pieces with a sort each, for colouring. Pieces joined again are the query, always."""

from detections.eql.lexer import KEYWORDS, Token, TokenKind, tokens
from detections.errors import EqlError

Piece = tuple[str, str]

_SORTS = {TokenKind.STRING: "string", TokenKind.NUMBER: "number", TokenKind.NAME: "field"}


def pieces(query: str) -> list[Piece]:
    """(sort, text) for each piece; the sort is keyword, field, function, string, number, comment or "".

    A text that is no EQL is one piece without a sort.
    """
    try:
        found = tokens(query)
    except EqlError:
        return [("", query)]
    cut: list[Piece] = []
    done = 0
    for number, token in enumerate(found):
        cut += _between(query[done : token.offset])
        if token.text:
            cut.append((_sort(token, found[number + 1]), token.text))
        done = token.offset + len(token.text)
    return cut


def _between(text: str) -> list[Piece]:
    """Blanks and comments, which are no tokens."""
    if not text:
        return []
    return [("comment" if text.strip() else "", text)]


def _sort(token: Token, following: Token) -> str:
    if token.kind is not TokenKind.WORD:
        return _SORTS.get(token.kind, "")
    if token.text.lower() in KEYWORDS:
        return "keyword"
    return "function" if following.text == "(" and token.text.rstrip("~") else "field"
