"""Parse EQL by recursive descent.

Grammar and precedence are Elasticsearch's: `not` before `and` before `or`; arithmetic before comparison;
`in`, `like`, `regex` and `:` bind to the operand on their left.
"""

from datetime import timedelta

from detections.eql.ast import (
    And,
    Arithmetic,
    Call,
    Comparison,
    Dialect,
    EventQuery,
    Expression,
    FieldRef,
    Literal,
    Membership,
    Negative,
    Not,
    Or,
    Order,
    Pattern,
    Pipe,
    PipeKind,
    Position,
    Query,
    SampleQuery,
    SequenceQuery,
    Stage,
    depth,
)
from detections.eql.caseless import SUFFIX, without_caseless
from detections.eql.cursor import ORDERS, Cursor
from detections.eql.lexer import KEYWORDS, Token, TokenKind

_PATTERNS = {
    ":": (Dialect.WILDCARD, True),
    "like": (Dialect.WILDCARD, False),
    "like~": (Dialect.WILDCARD, True),
    "regex": (Dialect.REGEX, False),
    "regex~": (Dialect.REGEX, True),
}
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_UNSUPPORTED_PIPES = frozenset(["count", "filter", "sort", "unique", "unique_count"])
_MOST_RUNS = 100
# Symbols that no other kind of token is written like.
_ENDS_ITEM = frozenset([",", ")"])
_DEEPEST = 50  # far from the interpreter's own limit; the deepest published rule has 9


def parse(text: str) -> Query:
    """The syntax tree of one query.

    Raises EqlSyntaxError, with position and mostly a hint, where the text is no EQL.
    """
    return _Parser(text).query()


def parse_condition(text: str) -> Expression:
    """The tree of a bare condition, without category and `where`."""
    parser = _Parser(text)
    condition = parser.whole_condition()
    parser.expect_end()
    return condition


class _Parser(Cursor):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def query(self) -> Query:
        """The whole query, to the end of the text."""
        if self.sees("sequence"):
            query: Query = self._sequence()
        elif self.sees("sample"):
            query = self._sample()
        elif self.sees("join"):
            raise self.fault("join is not supported", self.token.at, "Use sequence or sample.")
        else:
            query = EventQuery((self._event(),), self._pipes(), self.text)
        self.expect_end()
        return query

    def _event(self) -> Stage:
        at = self.token.at
        category = self._category()
        self.expect("where", "A query reads `category where condition`.")
        return Stage(category, self.whole_condition(), at=at)

    def _category(self) -> str:
        token = self.token
        is_word = token.kind is TokenKind.WORD and (token.text == "any" or token.text not in KEYWORDS)
        if token.kind not in (TokenKind.STRING, TokenKind.NAME) and not is_word:
            raise self.unexpected(
                "expected an event category", "Start with `process where`, `any where`, ..."
            )
        return str(self.advance().value)

    def _sequence(self) -> SequenceQuery:
        start = self.advance()
        keys = self._keys()
        maxspan = self._maxspan()
        if maxspan and self.sees("by"):
            raise self.unexpected("`by` comes before `with`", "Write `sequence by field with maxspan=1m`.")
        stages = self._stages(keys)
        until = self._stage(keys, plain=True) if self.take("until") else None
        query = SequenceQuery(stages, maxspan, until, self._pipes(), self.text)
        self._check_sequence(query, start)
        return query

    def _sample(self) -> SampleQuery:
        start = self.advance()
        stages = self._stages(self._keys(), plain=True)
        if len(stages) < 2:
            raise self.fault("a sample needs two filters at least", start.at)
        if not stages[0].keys:
            raise self.fault("a sample needs a join key", start.at, "Write `sample by field`.")
        if self.sees("|", "until"):
            raise self.unexpected("samples take neither pipes nor until")
        self._check_keys(stages)
        return SampleQuery(stages, (), self.text)

    def _check_sequence(self, query: SequenceQuery, start: Token) -> None:
        if len(query.steps) < 2:
            hint = "Repeat the stage with `with runs=2`, or write an event query."
            raise self.fault("a sequence needs two stages at least", start.at, hint)
        missing = [stage for stage in query.stages if stage.missing]
        if len(missing) == len(query.stages):
            raise self.fault("a sequence needs one stage that is not missing", start.at)
        if missing and query.maxspan is None:
            hint = "Write `sequence with maxspan=1m`."
            raise self.fault("a missing event needs maxspan", missing[0].at, hint)
        self._check_keys(query.stages if query.until is None else (*query.stages, query.until))

    def _check_keys(self, stages: tuple[Stage, ...]) -> None:
        count = len(stages[0].keys)
        for stage in stages:
            if len(stage.keys) != count:
                message = f"this stage has {len(stage.keys)} join keys, the first one has {count}"
                raise self.fault(message, stage.at, "Every stage needs the same number of keys.")

    def _stages(self, keys: tuple[FieldRef, ...], *, plain: bool = False) -> tuple[Stage, ...]:
        stages = []
        while self.sees("[", "!["):
            stages.append(self._stage(keys, plain=plain))
        if not stages or self.sees("fork", "as"):
            hint = "" if stages else "Write `[process where true]`."
            raise self.unexpected("expected a stage in brackets", hint)
        return tuple(stages)

    def _stage(self, keys: tuple[FieldRef, ...], *, plain: bool) -> Stage:
        opening = self.token
        if plain and self.sees("!["):
            raise self.unexpected("a missing event can't stand here")
        if not self.take("[", "!["):
            raise self.unexpected("expected '['")
        event = self._event()
        self.expect("]")
        own = self._keys()
        runs = 1
        if self.sees("with"):
            if plain:
                raise self.unexpected("runs can't stand here")
            runs = self._runs()
        missing = opening.text == "!["
        return Stage(event.category, event.condition, (*keys, *own), runs, missing, at=opening.at)

    def _keys(self) -> tuple[FieldRef, ...]:
        if not self.take("by"):
            return ()
        keys = [self._key()]
        while self.take(","):
            keys.append(self._key())
        return tuple(keys)

    def _key(self) -> FieldRef:
        key = self._operand()
        if not isinstance(key, FieldRef):
            raise self.fault("a join key is a field", key.at)
        if self.sees("+", "-", "*", "/", "%"):
            raise self.unexpected("a join key is a field, not a calculation")
        return key

    def _maxspan(self) -> timedelta | None:
        if not self.take("with"):
            return None
        self.expect("maxspan", "Write `with maxspan=1m`.")
        self.expect("=")
        count, at = self._whole("maxspan is a whole number and a unit, such as 30s")
        unit = self.token
        if unit.kind is not TokenKind.WORD or unit.text not in _UNITS:
            raise self.fault("maxspan needs a unit: ms, s, m, h or d", at, f"Write `maxspan={count}s`?")
        self.advance()
        try:
            return timedelta(**{_UNITS[unit.text]: self._positive(count, "maxspan", at)})
        except OverflowError:
            raise self.fault("maxspan is too long", at) from None

    def _runs(self) -> int:
        self.expect("with")
        self.expect("runs", "Write `with runs=3`.")
        self.expect("=")
        count, at = self._whole("runs is a whole number")
        if self._positive(count, "runs", at) > _MOST_RUNS:
            raise self.fault(f"runs goes to {_MOST_RUNS}", at)
        return count

    def _positive(self, count: int, name: str, at: Position) -> int:
        if count < 1:
            raise self.fault(f"{name} starts at 1", at)
        return count

    def _whole(self, message: str, hint: str = "") -> tuple[int, Position]:
        token = self.token
        if not isinstance(token.value, int):
            raise self.unexpected(message, hint)
        return int(self.advance().value), token.at

    def _pipes(self) -> tuple[Pipe, ...]:
        pipes = []
        while self.take("|"):
            kind = self.token
            if kind.text not in ("head", "tail"):
                hint = "Only `| head n` and `| tail n` exist."
                what = "not supported" if kind.text in _UNSUPPORTED_PIPES else "unknown"
                raise self.fault(f"pipe {kind.text!r} is {what}", kind.at, hint)
            self.advance()
            pipes.append(
                Pipe(
                    PipeKind(kind.text), self._whole("a pipe takes a whole number", "Write digits alone.")[0]
                )
            )
        return tuple(pipes)

    def whole_condition(self) -> Expression:
        """A condition that is not too deep for what works on it."""
        condition = self.condition()
        if depth(condition) > _DEEPEST:
            raise self.fault(f"more than {_DEEPEST} levels of operators", condition.at)
        return without_caseless(condition) if SUFFIX in self.text else condition

    def condition(self) -> Expression:
        """`a or b`, the loosest binding."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self.fault(f"more than {_DEEPEST} levels of parentheses", self.token.at)
        at, operands = self.token.at, [self._conjunction()]
        while self.take("or"):
            operands.append(self._conjunction())
        self._depth -= 1
        return operands[0] if len(operands) == 1 else Or(tuple(operands), at=at)

    def _conjunction(self) -> Expression:
        at, operands = self.token.at, [self._negation()]
        while self.take("and"):
            operands.append(self._negation())
        return operands[0] if len(operands) == 1 else And(tuple(operands), at=at)

    def _negation(self) -> Expression:
        negations = []
        while token := self.take("not"):
            negations.append(token.at)
        node = self._comparison()
        for at in reversed(negations):
            node = Not(node, at=at)
        return node

    def _comparison(self) -> Expression:
        left = self._sum()
        token = self.token
        if token.kind is TokenKind.SYMBOL and token.text in ORDERS:
            self.advance()
            return Comparison(left, Order(token.text), self._sum(), at=left.at)
        return left

    def _sum(self) -> Expression:
        left = self._product()
        while token := self.take("+", "-"):
            left = Arithmetic(token.text, left, self._product(), at=left.at)
        return left

    def _product(self) -> Expression:
        left = self._signed()
        while token := self.take("*", "/", "%"):
            left = Arithmetic(token.text, left, self._signed(), at=left.at)
        return left

    def _signed(self) -> Expression:
        signs = []
        while token := self.take("-", "+"):
            signs.append(token)
        node = self._tested()
        for sign in reversed(signs):
            if sign.text == "-":
                node = _negated(node, sign.at)
        return node

    def _tested(self) -> Expression:
        """An operand and the `in`, `like`, `regex` or `:` that follows it."""
        value = self._operand()
        negation = self.take("not") if self.sees("in", "in~", ahead=1) else None
        if token := self.take("in", "in~"):
            items = self._listed()
            node: Expression = Membership(value, items, token.text == "in~", at=value.at)
            return Not(node, at=negation.at) if negation else node
        if token := self.take(*_PATTERNS):
            dialect, insensitive = _PATTERNS[token.text]
            patterns = self._listed() if self.sees("(") else (self._sum(),)
            return Pattern(value, dialect, patterns, insensitive, token.text, at=value.at)
        return value

    def _listed(self) -> tuple[Expression, ...]:
        self.expect("(")
        items = [self._item()]
        while self.take(","):
            items.append(self._item())
        self.expect(")")
        return tuple(items)

    def _item(self) -> Expression:
        # Most of what rules consist of is texts in lists: none needs the way through all precedences.
        token = self.token
        if token.kind is TokenKind.STRING and self.following.text in _ENDS_ITEM:
            return Literal(self.advance().value, at=token.at)
        return self.condition()

    def _operand(self) -> Expression:
        token = self.token
        if token.kind in (TokenKind.STRING, TokenKind.NUMBER):
            return Literal(self.advance().value, at=token.at)
        if self.take("("):
            inner = self.condition()
            self.expect(")")
            return inner
        if self.take("?"):
            return self._field(token.at, optional=True)
        if token.kind is TokenKind.NAME:
            return self._field(token.at, optional=False)
        if token.kind is TokenKind.WORD:
            return self._word(token)
        raise self.unexpected("expected a value")

    def _word(self, token: Token) -> Expression:
        if self.sees("(", ahead=1) and (token.text not in KEYWORDS):
            return self._call()
        if not self.sees(".", ahead=1):
            if token.text in ("true", "false", "null"):
                self.advance()
                return Literal({"true": True, "false": False}.get(token.text), at=token.at)
            if token.text in KEYWORDS:
                raise self.unexpected("expected a value", f"A field of that name is written `{token.text}`.")
        return self._field(token.at, optional=False)

    def _call(self) -> Expression:
        name = self.advance()
        self.expect("(")
        arguments: list[Expression] = []
        while not self.sees(")"):
            arguments.append(self.condition())
            if not self.take(","):
                break
        self.expect(")")
        return Call(name.text.removesuffix("~"), tuple(arguments), name.text.endswith("~"), at=name.at)

    def _field(self, at: Position, *, optional: bool) -> FieldRef:
        parts = [self._part()]
        while self.take("."):
            parts.append(self._part())
        if self.sees("[") and self.following.kind is TokenKind.NUMBER:
            hint = "Array elements can't be addressed; a condition looks at every element anyway."
            raise self.unexpected("expected an operator", hint)
        return FieldRef(".".join(parts), optional, at=at)

    def _part(self) -> str:
        token = self.token
        is_name = token.kind is TokenKind.NAME and token.value
        if not is_name and (token.kind is not TokenKind.WORD or token.text.endswith("~")):
            raise self.unexpected("expected a field name")
        return str(self.advance().value)


def _negated(node: Expression, at: Position) -> Expression:
    if isinstance(node, Literal) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return Literal(-node.value, at=at)
    return Negative(node, at=at)
