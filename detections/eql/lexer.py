"""Cut a query into tokens."""

import re
from enum import Enum
from typing import NamedTuple

from detections.eql.ast import Position
from detections.errors import EqlSyntaxError


class TokenKind(Enum):
    WORD = "word"
    NAME = "quoted name"
    STRING = "string"
    NUMBER = "number"
    SYMBOL = "symbol"
    END = "end of the query"


class Token(NamedTuple):
    """One token. `text` is as written, `value` what it means."""

    kind: TokenKind
    text: str
    value: str | int | float
    at: Position
    offset: int


KEYWORDS = frozenset(
    [
        "and",
        "any",
        "by",
        "false",
        "in",
        "join",
        "like",
        "maxspan",
        "not",
        "null",
        "of",
        "or",
        "regex",
        "sample",
        "sequence",
        "true",
        "until",
        "where",
        "with",
    ]
)
_SCANNER = re.compile(
    r"""
      (?P<space>   \s+ | //[^\r\n]* )
    | (?P<comment> /\* )
    | (?P<raw>     \"{3} [^\r\n]*? \"{3} \"{0,2} )
    | (?P<string>  "(?!"") (?: \\[^\r\n] | [^"\\\r\n] )* " )
    | (?P<name>    ` (?: `` | [^`\r\n] )* ` )
    | (?P<float>   (?: \d+\.\d* | \.\d+ ) (?: [eE][+-]?\d+ )? | \d+ [eE][+-]?\d+ )
    | (?P<integer> \d+ )
    | (?P<word>    [A-Za-z_@][A-Za-z0-9_]* ~? )
    | (?P<symbol>  !\[ | == | != | <= | >= | [-=<>+*/%:.,()\[\]|?~] )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_MARK = re.compile(r"/\*|\*/")
_ESCAPE = re.compile(r"\\(u\{([0-9A-Fa-f]{2,8})\}|.)", re.DOTALL)
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "'": "'", "\\": "\\"}
_HINTS = {
    '"': 'A string ends on the line where it starts; double quotes inside are written \\".',
    "'": 'Strings go in double quotes: "text".',
    **dict.fromkeys("\u201c\u201d\u201e\u2018\u2019", 'Strings go in straight double quotes: "text".'),
    "`": "A quoted name ends with ` on the same line.",
    "/": "A comment that starts with /* ends with */.",
    "&": "Write `and`.",
    "!": "Write `not`, `!=`, or `![` for a missing event.",
    ";": "One query has no closing semicolon.",
    "$": "Variables such as $entry exist in Elastic Endpoint's own dialect only.",
}
_ESCAPED_END = (
    'In \\" the quote belongs to the text and ends nothing. A backslash at the end is written \\\\; '
    'or put the string in """three quotes""".'
)
_LONGEST = 2**63
_AS_WRITTEN = {"word": TokenKind.WORD, "symbol": TokenKind.SYMBOL}


def locate(text: str, offset: int) -> Position:
    """Line and column of an offset, both from 1."""
    return Position(text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


def tokens(text: str) -> list[Token]:
    """All tokens of the text, the last of them of kind END.

    Raises EqlSyntaxError where something is no token.
    """
    found: list[Token] = []
    offset, line, line_start = 0, 1, 0
    while offset < len(text):
        match = _SCANNER.match(text, offset)
        if match is None:
            raise _unreadable(text, offset)
        end = match.end()
        if match.lastgroup == "space" or match.lastgroup == "comment":
            end = end if match.lastgroup == "space" else _comment_end(text, offset)
            breaks = text.count("\n", offset, end)
            if breaks:
                line, line_start = line + breaks, text.rfind("\n", offset, end) + 1
        else:
            at = Position(line, offset - line_start + 1)
            sort = _AS_WRITTEN.get(match.lastgroup or "")
            if sort is None:
                found.append(_token(text, match, at))
            else:
                found.append(Token(sort, match[0], match[0], at, offset))
        offset = end
    at = Position(line, offset - line_start + 1)
    return [*found, Token(TokenKind.END, "", "", at, offset)]


def _comment_end(text: str, start: int) -> int:
    """Where a comment ends, in which comments nest.

    One that opens another for good, as `/* see /tmp/* */` does, Elasticsearch reads to the last `*/` of the
    query, conditions and all. Where that is not this comment's own end, it is refused.
    """
    depth, ends = 0, []
    for mark in _COMMENT_MARK.finditer(text, start):
        if mark[0] == "/*":
            depth += 1
            continue
        depth -= 1
        ends.append(mark.end())
        if depth == 0:
            return mark.end()
    if not ends:
        raise _unreadable(text, start)
    if len(ends) > 1:
        raise _fault_at(
            text,
            start,
            "this comment opens another one that does not end",
            "Elasticsearch would skip all up to the last */ of the query. Take the inner /* out.",
        )
    return ends[0]


def _token(text: str, match: re.Match[str], at: Position) -> Token:
    written, offset = match[0], match.start()
    match match.lastgroup:
        case "raw":
            return Token(TokenKind.STRING, written, written[3:-3], at, offset)
        case "string":
            return Token(TokenKind.STRING, written, _unescaped(text, match), at, offset)
        case "name":
            return Token(TokenKind.NAME, written, written[1:-1].replace("``", "`"), at, offset)
        case "integer":
            number = int(written) if len(written) < 20 else _LONGEST
            value: int | float = number if number < _LONGEST else float(written)
            return Token(TokenKind.NUMBER, written, value, at, offset)
        case _:
            return Token(TokenKind.NUMBER, written, float(written), at, offset)


def _unescaped(text: str, match: re.Match[str]) -> str:
    def replace(escape: re.Match[str]) -> str:
        if escape[2]:
            code = int(escape[2], 16)
            if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
                raise _bad_escape(text, match.start() + 1 + escape.start(), escape[0])
            return chr(code)
        if escape[1] not in _ESCAPED:
            raise _bad_escape(text, match.start() + 1 + escape.start(), escape[0])
        return _ESCAPED[escape[1]]

    inner = match[0][1:-1]
    return _ESCAPE.sub(replace, inner) if "\\" in inner else inner


def _bad_escape(text: str, offset: int, written: str) -> EqlSyntaxError:
    hint = 'A backslash is written \\\\; or put the string in """three quotes""".'
    return _fault_at(text, offset, f"{written} is no escape sequence", hint)


def _unreadable(text: str, offset: int) -> EqlSyntaxError:
    character = text[offset]
    what = "this string does not end" if character == '"' else f"{character!r} can't stand here"
    if text.startswith("/*", offset):
        what = "this comment does not end"
    hint = "A field name with other letters goes in `backticks`." if character.isalpha() else ""
    hint = _HINTS.get(character, hint)
    if character == '"' and '\\"' in text[offset:].splitlines()[0]:
        # It looks as if it ended, as "C:\Temp\" does.
        hint = _ESCAPED_END
    return _fault_at(text, offset, what, hint)


def _fault_at(text: str, offset: int, what: str, hint: str) -> EqlSyntaxError:
    at = locate(text, offset)
    return EqlSyntaxError(what, text=text, line=at.line, column=at.column, hint=hint)
