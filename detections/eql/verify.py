"""Check a parsed query against the fields that are known here, and fold it.

The rules and their order follow Elasticsearch's verifier. Messages name what is wrong in EQL's own terms.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches

from detections.eql.ast import (
    ANY_CATEGORY,
    And,
    Arithmetic,
    Call,
    Comparison,
    Condition,
    Dialect,
    Expression,
    FieldRef,
    Literal,
    Membership,
    Negative,
    Not,
    Or,
    Order,
    Pattern,
    Position,
    Query,
    SequenceQuery,
    Stage,
    all_stages,
)
from detections.eql.evaluate import is_null
from detections.eql.fields import FieldCatalogue, FieldType
from detections.eql.folding import fold
from detections.eql.functions import FUNCTIONS, Parameter, find_function
from detections.eql.literals import EXAMPLES, span_of
from detections.eql.patterns import regex_matcher
from detections.eql.types import NUMERIC, type_of
from detections.eql.values import address_range, boolean_of, number_of, text_of
from detections.errors import EqlVerificationError


def verify(query: Query, catalogue: FieldCatalogue, *, event_category_field: str = "event.category") -> Query:
    """The query with unknown optional fields and constants folded away, ready for a back end.

    Raises EqlVerificationError for what can't mean anything here; `field` names an unknown column.
    """
    checker = _Checker(catalogue, query.text)
    stages = all_stages(query)
    if any(stage.category != ANY_CATEGORY for stage in stages) and event_category_field not in catalogue:
        raise checker.fault(
            f"unknown column [{event_category_field}], the event category field",
            stages[0].at,
            "No telemetry here has event categories.",
            field=event_category_field,
        )
    checked = tuple(checker.stage(stage) for stage in stages)
    checker.keys(checked)
    if isinstance(query, SequenceQuery) and query.until is not None:
        return replace(query, stages=checked[:-1], until=checked[-1])
    return replace(query, stages=checked)


def verify_condition(condition: Condition, catalogue: FieldCatalogue, *, text: str = "") -> Condition:
    """The same for a bare condition."""
    return _Checker(catalogue, text).condition(condition)


@dataclass(slots=True)
class _Checker:
    catalogue: FieldCatalogue
    text: str

    def fault(self, message: str, at: Position, hint: str = "", *, field: str = "") -> EqlVerificationError:
        return EqlVerificationError(
            message, text=self.text, line=at.line, column=at.column, hint=hint, field=field
        )

    def stage(self, stage: Stage) -> Stage:
        for key in stage.keys:
            self._known(key)
        return replace(stage, condition=self.condition(stage.condition))

    def condition(self, condition: Condition) -> Condition:
        """A folded condition; null at the top is false."""
        folded = self._boolean(self._checked(condition), "the condition")
        return Literal(False, at=folded.at) if is_null(folded) else folded

    def keys(self, stages: tuple[Stage, ...]) -> None:
        """Keys at the same position must have types that can be equal."""
        for index in range(len(stages[0].keys)):
            first = None
            for stage in stages:
                key = stage.keys[index]
                type_ = type_of(key, self.catalogue)
                if type_ is None:
                    continue
                self._refuse_text(key)
                if first is not None and _family(type_) != _family(first):
                    message = f"join key [{key.name}] is {type_.value}, the one before it {first.value}"
                    raise self.fault(message, key.at, "Keys at the same position need the same type.")
                first = type_

    def _known(self, node: FieldRef) -> bool:
        if node.name in self.catalogue:
            return True
        if node.optional:
            return False
        near = get_close_matches(node.name, self.catalogue, n=1, cutoff=0.8)
        hint = f"Did you mean {near[0]}?" if near else f"If it may be absent, write ?{node.name}."
        raise self.fault(f"unknown column [{node.name}]", node.at, hint, field=node.name)

    def _checked(self, node: Expression) -> Expression:
        """The node with checked and folded children, itself checked and folded."""
        match node:
            case Literal():
                return node
            case FieldRef():
                return node if self._known(node) else Literal(None, at=node.at)
            case Not(operand):
                checked = self._boolean(self._checked(operand), "`not`")
                return fold(replace(node, operand=checked))
            case And(operands) | Or(operands):
                name = "`and`" if isinstance(node, And) else "`or`"
                parts = tuple(self._boolean(self._checked(operand), name) for operand in operands)
                return fold(replace(node, operands=parts))
            case Negative(operand):
                return fold(replace(node, operand=self._number(self._checked(operand), "-")))
            case Arithmetic(operator, left, right):
                left, right = (self._number(self._checked(side), operator) for side in (left, right))
                return fold(replace(node, left=left, right=right))
            case Call():
                return self._call(node)
            case Comparison():
                return self._comparison(node)
            case Membership():
                return self._membership(node)
            case Pattern():
                return self._pattern(node)

    def _boolean(self, node: Expression, where: str) -> Expression:
        type_ = type_of(node, self.catalogue)
        if type_ not in (None, FieldType.BOOLEAN):
            raise self.fault(f"{where} needs true or false, found {type_.value}", node.at)
        return node

    def _number(self, node: Expression, operator: str) -> Expression:
        type_ = type_of(node, self.catalogue)
        if type_ is not None and type_ not in NUMERIC:
            raise self.fault(f"{operator} needs numbers, found {type_.value}", node.at)
        return node

    def _refuse_text(self, node: Expression) -> None:
        if type_of(node, self.catalogue) is FieldType.TEXT:
            message = f"[{node}] is analysed text without a keyword field; it can't be compared"
            raise self.fault(message, node.at)

    def _call(self, node: Call) -> Expression:
        function = find_function(node.name)
        if function is None:
            raise self.fault(f"unknown function [{node.name}]", node.at, _near(node.name.lower()))
        if node.insensitive and not function.folds:
            raise self.fault(f"{function.name} has no case-insensitive form ~", node.at)
        if not function.accepts(len(node.arguments)):
            most = "more" if function.repeats else str(len(function.parameters))
            wanted = str(function.least) if most == str(function.least) else f"{function.least} to {most}"
            message = f"{function.name} takes {wanted} arguments, found {len(node.arguments)}"
            raise self.fault(message, node.at)
        arguments = tuple(
            self._argument(self._checked(argument), function.parameter(index), function.name, index + 1)
            for index, argument in enumerate(node.arguments)
        )
        if function.name == "cidrMatch":
            self._blocks(arguments[1:])
        return fold(replace(node, arguments=arguments))

    def _argument(self, node: Expression, parameter: Parameter, name: str, number: int) -> Expression:
        self._refuse_text(node)
        type_ = type_of(node, self.catalogue)
        if parameter.constant and not isinstance(node, Literal):
            raise self.fault(f"argument {number} of {name} must be a constant", node.at)
        if type_ is not None and type_ not in parameter.types:
            wanted = " or ".join(sorted(entry.value for entry in parameter.types))
            raise self.fault(f"argument {number} of {name} must be {wanted}, found {type_.value}", node.at)
        return node

    def _blocks(self, arguments: tuple[Expression, ...]) -> None:
        for argument in arguments:
            if isinstance(argument, Literal) and address_range(argument.value) is None:
                raise self.fault(f"[{argument.value}] is no CIDR block", argument.at)

    def _comparison(self, node: Comparison) -> Expression:
        left, right = self._checked(node.left), self._checked(node.right)
        if not isinstance(left, Literal) and not isinstance(right, Literal):
            hint = "One side must be a constant; inside one function's arguments two fields may meet."
            raise self.fault("comparisons against fields are not supported", node.at, hint)
        folded = fold(replace(node, left=left, right=right))
        if isinstance(folded, Comparison) and isinstance(folded.right, Literal):
            return self._fitted(folded, folded.right)
        return folded

    def _fitted(self, node: Comparison, constant: Literal) -> Expression:
        """The comparison with its constant as the other side's type has it."""
        self._refuse_text(node.left)
        type_ = type_of(node.left, self.catalogue)
        if constant.value is None or type_ is None:
            return node
        if type_ is FieldType.BOOLEAN and node.order not in (Order.EQUAL, Order.NOT_EQUAL):
            raise self.fault(f"{node.order.value} can't compare true and false", node.at)
        loose = isinstance(node.left, FieldRef)
        return replace(node, right=self._constant(constant, type_, loose=loose))

    def _constant(self, constant: Literal, type_: FieldType, *, loose: bool) -> Literal:
        """loose: a field's own queries also take numbers for text and text for numbers, if it spells one."""
        value, own = constant.value, type_of(constant, {})
        accepted = {FieldType.LONG, FieldType.DOUBLE} if type_ in NUMERIC else {_LITERAL.get(type_, type_)}
        if type_ is FieldType.DATE:
            accepted = accepted | {FieldType.LONG}
        if own in accepted:
            fitted = value
        else:
            fitted = _CONVERTED[type_](value) if loose and type_ in _CONVERTED else None
        if fitted is None or span_of(fitted, type_) is None:
            expected = EXAMPLES.get(type_, "a string")
            raise self.fault(
                f"{_shown(value)} can't be compared with {type_.value}", constant.at, f"Write {expected}."
            )
        return replace(constant, value=fitted)

    def _membership(self, node: Membership) -> Expression:
        value = self._checked(node.value)
        self._refuse_text(value)
        type_ = type_of(value, self.catalogue)
        if node.insensitive and type_ not in (None, FieldType.KEYWORD):
            raise self.fault(f"in~ needs text on its left, found {type_.value}", value.at)
        items = tuple(self._item(item, type_) for item in node.items)
        return fold(replace(node, value=value, items=items))

    def _item(self, item: Expression, type_: FieldType | None) -> Expression:
        checked = self._checked(item)
        if not isinstance(checked, Literal):
            raise self.fault("a list of `in` holds constants only", item.at)
        if checked.value is None or type_ is None:
            return checked
        return self._constant(checked, type_, loose=False)

    def _pattern(self, node: Pattern) -> Expression:
        value = self._checked(node.value)
        type_ = type_of(value, self.catalogue)
        if type_ not in (None, FieldType.KEYWORD):
            message = f"the left side of [{node.written}] must be text, found {type_.value}"
            raise self.fault(message, value.at, "Use ==, in or cidrMatch.")
        patterns = tuple(self._text_pattern(node, pattern) for pattern in node.patterns)
        return fold(replace(node, value=value, patterns=patterns))

    def _text_pattern(self, node: Pattern, pattern: Expression) -> Expression:
        if not isinstance(pattern, Literal) or not isinstance(pattern.value, str):
            hint = "Write == to compare numbers." if isinstance(pattern, Literal) else ""
            raise self.fault(f"the right side of [{node.written}] must be a string", pattern.at, hint)
        if node.dialect is Dialect.REGEX:
            try:
                regex_matcher(pattern.value, node.insensitive)
            except ValueError as error:
                raise self.fault(f"not a regular expression: {error}", pattern.at) from error
        return pattern


_LITERAL = {
    FieldType.IP: FieldType.KEYWORD,
    FieldType.VERSION: FieldType.KEYWORD,
    FieldType.DATE: FieldType.KEYWORD,
}
_CONVERTED: dict[FieldType, Callable[[object], str | int | float | bool | None]] = {
    FieldType.KEYWORD: text_of,
    FieldType.LONG: number_of,
    FieldType.DOUBLE: number_of,
    FieldType.BOOLEAN: boolean_of,
}


# Functions of Endgame's and of Elastic Endpoint's EQL, and what says the same here.
_LOOKS = "A condition looks at every element anyway: write `field == value`."
_ELSEWHERE = {
    "wildcard": 'Write `field : "pattern"` or `field like "pattern"`.',
    "match": 'Write `field regex "pattern"`.',
    "matchlite": 'Write `field regex "pattern"`.',
    "arraycontains": _LOOKS,
    "arraysearch": _LOOKS,
    "_arraysearch": _LOOKS,
}


def _near(name: str) -> str:
    """A hint for a function that does not exist, by its name in lower case."""
    near = get_close_matches(name, FUNCTIONS, n=1)
    return _ELSEWHERE.get(name) or (f"Did you mean {FUNCTIONS[near[0]].name}?" if near else "")


def _family(type_: FieldType) -> str:
    return "number" if type_ in NUMERIC else type_.value


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else text_of(value)
