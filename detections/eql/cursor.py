"""A place in the tokens of a query, and the faults that a parser finds there."""

from detections.eql.ast import Order, Position
from detections.eql.lexer import Token, TokenKind, tokens
from detections.errors import EqlSyntaxError

_WRITTEN = (TokenKind.WORD, TokenKind.SYMBOL)
ORDERS = {order.value for order in Order}
_WRITTEN_FOR = {
    "AND": "and",
    "OR": "or",
    "NOT": "not",
    "IN": "in",
    "WHERE": "where",
    "LIKE": "like",
    "TRUE": "true",
    "FALSE": "false",
    "NULL": "null",
    "BY": "by",
    "WITH": "with",
}


class Cursor:
    """Reads tokens one by one. Raises EqlSyntaxError where the text has none."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = tokens(text)
        self._index, self._last = 0, len(self._tokens) - 1

    @property
    def token(self) -> Token:
        return self._tokens[self._index]

    @property
    def following(self) -> Token:
        return self._tokens[min(self._index + 1, self._last)]

    def advance(self) -> Token:
        token = self.token
        self._index += token.kind is not TokenKind.END
        return token

    def sees(self, *written: str, ahead: int = 0) -> bool:
        # Asked a quarter of a million times for a published rule set: the text says no nearly always.
        token = self._tokens[min(self._index + ahead, self._last) if ahead else self._index]
        return token.text in written and token.kind in _WRITTEN

    def take(self, *written: str) -> Token | None:
        token = self._tokens[self._index]
        return self.advance() if token.text in written and token.kind in _WRITTEN else None

    def expect(self, written: str, hint: str = "") -> Token:
        if not self.sees(written):
            raise self.unexpected(f"expected {written!r}", hint)
        return self.advance()

    def expect_end(self) -> None:
        if self.token.kind is not TokenKind.END:
            raise self.unexpected("expected the end of the query", self._end_hint())

    def fault(self, message: str, at: Position, hint: str = "") -> EqlSyntaxError:
        return EqlSyntaxError(message, text=self.text, line=at.line, column=at.column, hint=hint)

    def unexpected(self, message: str, hint: str = "") -> EqlSyntaxError:
        token = self.token
        found = "the query ends here" if token.kind is TokenKind.END else f"found {token.text!r}"
        return self.fault(f"{message}, but {found}", token.at, hint or self._spelling_hint())

    def _spelling_hint(self) -> str:
        token = self.token
        if token.kind is TokenKind.WORD and token.text in _WRITTEN_FOR:
            return f"Keywords are lower case: {_WRITTEN_FOR[token.text]}."
        return {
            "=": "Use == instead of =.",
            "is": "Write `== null` or `!= null`.",
            "fork": "`fork` does not exist in Elasticsearch's EQL.",
            "as": "`as` does not exist in Elasticsearch's EQL.",
            "-": "A field name with other characters than letters, digits, _ and . goes in `backticks`.",
        }.get(token.text, "")

    def _end_hint(self) -> str:
        if self.sees("of"):
            return "`child of`, `descendant of` and `event of` do not exist in Elasticsearch's EQL."
        if self.token.text in ORDERS:
            return "Comparisons do not chain: write `a < b and b < c`."
        before = self._tokens[self._index - 1].text if self._index else ""
        return f"Keywords are lower case: {_WRITTEN_FOR[before]}." if before in _WRITTEN_FOR else ""
