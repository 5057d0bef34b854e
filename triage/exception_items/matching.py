"""Which exceptions hold of an alert: compiled once, found by their exact values, judged clause by clause.

Reads the database once for many alerts; what has to be recovered from the event store is handed in.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import TextField
from django.db.models.functions import MD5, Cast

from detections.ecs import Document
from detections.models import RuleVersion
from triage.enums import (
    ExceptionOperator,
    ExceptionQuantity,
    ExceptionScope,
    ExceptionState,
    ValueListType,
)
from triage.exception_items.content import Content, Entry, content_of
from triage.exception_items.evaluation import ActiveList, Subject, Test, spelling, value_test, values_of
from triage.models import ExceptionVersion, ValueListVersion
from triage.models.exception_item import ExceptionVersionQuerySet

_EXACT = (ExceptionOperator.IS, ExceptionOperator.IS_ONE_OF)
_Q, _O = ExceptionQuantity, ExceptionOperator


@dataclass(frozen=True, slots=True)
class Recovered:
    """Evidence of the alert's process, by scope, in the alert's window.

    covered: scopes whose telemetry is there for the host. unread: why a scope was not read in full.
    """

    events: Mapping[ExceptionScope, Sequence[Document]] = field(default_factory=dict)
    covered: frozenset[ExceptionScope] = frozenset()
    unread: Mapping[ExceptionScope, str] = field(default_factory=dict)


NOTHING = Recovered()


@dataclass(frozen=True, slots=True)
class Clause:
    """An entry, ready to be asked. test: of one value in its field's spelling."""

    entry: Entry
    test: Test

    def holds_of(self, values: Sequence[str]) -> bool:
        """Whether one event's values satisfy an alert's or a `some` clause; an absent field does not."""
        if self.entry.operator is _O.EXISTS:
            return (not self.entry.field or bool(values)) != self.entry.negated
        return bool(values) and any(map(self.test, values)) != self.entry.negated

    def is_ruled_out_by(self, values: Sequence[str]) -> bool:
        """Whether one event breaks a `none` or `every` clause, or leaves open whether it does."""
        entry = self.entry
        if entry.operator is _O.EXISTS:
            is_there = not entry.field or bool(values)
            return is_there if entry.quantity is _Q.NONE else not is_there
        if not values:
            return True
        if entry.quantity is _Q.NONE:
            return any(map(self.test, values))
        return not all(map(self.test, values))


@dataclass(frozen=True, slots=True)
class CompiledItem:
    """A version ready for matching. alert: clauses by alert scope; some: by recovered scope; strict: `none`
    and `every`. version_id 0: content that is not stored. value_lists: which versions take part.
    """

    version_id: int
    item_id: int
    label: str
    rule_id: int
    revision: int
    active_from: datetime | None
    expires_at: datetime | None
    clauses: tuple[Clause, ...]
    value_lists: Mapping[str, int]

    @property
    def needs(self) -> frozenset[ExceptionScope]:
        """The recovered scopes that it reads."""
        return frozenset(clause.entry.scope for clause in self.clauses if clause.entry.is_recovered)

    @property
    def is_strict(self) -> bool:
        """Whether silence is part of it, so that what comes later may undo it."""
        return any(clause.entry.needs_coverage for clause in self.clauses)

    def group(self, scope: ExceptionScope) -> list[Clause]:
        """Clauses that one and the same event of the scope must satisfy."""
        return [
            clause
            for clause in self.clauses
            if clause.entry.scope is scope and clause.entry.quantity is _Q.SOME
        ]


@dataclass(frozen=True, slots=True)
class ClauseResult:
    """What came of one entry. why: in words, for people."""

    entry: Entry
    holds: bool
    why: str = ""


# -- compiling


def compiled(version: ExceptionVersion, lists: Mapping[str, ActiveList] | None = None) -> CompiledItem:
    """A stored version. Raises ValueError if it can't be read, or is approved and not what was approved."""
    content = content_of(version)
    if version.state == ExceptionState.ACTIVE and content.sha256 != version.approved_sha256:
        raise ValueError(f"The content of {version.label} is not what was approved.")
    return _compiled(content, lists, version)


def compiled_content(content: Content, lists: Mapping[str, ActiveList] | None = None) -> CompiledItem:
    """Content that is not stored yet, for guardrails and back-tests. Raises ValueError."""
    return _compiled(content, lists, None)


def _compiled(
    content: Content, lists: Mapping[str, ActiveList] | None, version: ExceptionVersion | None
) -> CompiledItem:
    known = active_lists() if lists is None and _names_lists(content) else lists or {}
    used = {entry.value_list for entry in content.entries if entry.value_list}
    return CompiledItem(
        version_id=version.pk if version else 0,
        item_id=version.item_id if version else 0,
        label=version.label if version else content.name,
        rule_id=content.rule_version.rule_id,
        revision=version.revision if version else 0,
        active_from=version.active_from if version else content.starts_at,
        expires_at=content.expires_at,
        clauses=tuple(Clause(entry, value_test(entry, known)) for entry in content.entries),
        value_lists={name: known[name].number for name in sorted(used)},
    )


def _names_lists(content: Content) -> bool:
    return any(entry.value_list for entry in content.entries)


def active_lists() -> dict[str, ActiveList]:
    """Every value list by its name, as its active version has it; one that is not what was approved has a
    fault, and can't be used."""
    rows = ValueListVersion.objects.filter(state=ExceptionState.ACTIVE).select_related("value_list")
    return {row.value_list.name: _active_list(row) for row in rows}


def _active_list(row: ValueListVersion) -> ActiveList:
    name, is_approved = row.value_list.name, row.sha256_of_content() == row.approved_sha256
    fault = "" if is_approved else f"The values of the list {row} are not what was approved."
    return ActiveList(name, ValueListType(row.value_list.type), row.number, frozenset(row.values), fault)


# -- judging


def is_within(item: CompiledItem, subject: Subject, now: datetime) -> bool:
    """Whether the moment, the alert's detection and the time of each of its events lie in the interval."""
    if item.active_from is None or item.expires_at is None or subject.times is None:
        return False
    moments = (now, subject.detected_at, *subject.times)
    return all(item.active_from <= moment < item.expires_at for moment in moments)


def holds_of_alert(item: CompiledItem, subject: Subject) -> bool:
    """Whether every clause about the alert's own events holds."""
    scopes = {clause.entry.scope for clause in item.clauses if not clause.entry.is_recovered}
    return all(_one_event(subject, item.group(scope), scope) for scope in scopes)


def _one_event(subject: Subject, group: Sequence[Clause], scope: ExceptionScope) -> bool:
    return any(
        all(clause.holds_of(subject.values(number, clause.entry.reads)) for clause in group)
        for number in subject.positions(scope)
    )


def holds(item: CompiledItem, subject: Subject, recovered: Recovered | None = None) -> bool:
    """Whether every clause is seen to hold."""
    if not holds_of_alert(item, subject):
        return False
    return not item.needs or _holds_recovered(item, subject, recovered or NOTHING)


def _holds_recovered(item: CompiledItem, subject: Subject, recovered: Recovered) -> bool:
    own = subject.own_addresses
    for scope in item.needs:
        events, group = recovered.events.get(scope, ()), item.group(scope)
        if group and not any(
            all(clause.holds_of(_of(event, clause, own)) for clause in group) for event in events
        ):
            return False
    strict = (clause for clause in item.clauses if clause.entry.needs_coverage)
    return not any(_why_not(clause, recovered, own) for clause in strict)


def _of(event: Document, clause: Clause, own: Sequence[str]) -> tuple[str, ...]:
    return values_of(event, clause.entry.reads, own) if clause.entry.field else ()


def _why_not(clause: Clause, recovered: Recovered, own: Sequence[str]) -> str:
    """Why a `none` or `every` clause is not seen to hold; "" if it is."""
    scope = clause.entry.scope
    if scope not in recovered.covered:
        return f"No {scope.label} telemetry of the host, so silence means nothing."
    if reason := recovered.unread.get(scope):
        return reason
    broken = sum(clause.is_ruled_out_by(_of(event, clause, own)) for event in recovered.events.get(scope, ()))
    return f"{broken} of {len(recovered.events.get(scope, ()))} say otherwise." if broken else ""


def explain(item: CompiledItem, subject: Subject, recovered: Recovered | None = None) -> list[ClauseResult]:
    """Each entry and whether it is seen to hold, in the entries' order: of a group, in the event that
    satisfies most of it."""
    found, own = recovered or NOTHING, subject.own_addresses
    results: dict[int, ClauseResult] = {}
    for scope in {clause.entry.scope for clause in item.clauses}:
        rows = _value_rows(item, subject, found, scope)
        best = max(rows, key=lambda row: sum(c.holds_of(v) for c, v in row), default=None)
        for clause, values in best or [(clause, ()) for clause in item.group(scope)]:
            why = "" if best else f"No {scope.label} was found."
            is_held = best is not None and clause.holds_of(values)
            results[id(clause)] = ClauseResult(
                clause.entry, is_held, why if is_held else why or _found(values)
            )
    for clause in item.clauses:
        if clause.entry.needs_coverage:
            why = _why_not(clause, found, own)
            results[id(clause)] = ClauseResult(clause.entry, not why, why)
    return [results[id(clause)] for clause in item.clauses]


def _value_rows(
    item: CompiledItem, subject: Subject, recovered: Recovered, scope: ExceptionScope
) -> list[list[tuple[Clause, tuple[str, ...]]]]:
    group, own = item.group(scope), subject.own_addresses
    if not group:
        return []
    if group[0].entry.is_recovered:
        return [[(c, _of(event, c, own)) for c in group] for event in recovered.events.get(scope, ())]
    return [[(c, subject.values(n, c.entry.reads)) for c in group] for n in subject.positions(scope)]


def _found(values: Sequence[str]) -> str:
    return f"Found: {', '.join(values[:3])}"[:300] if values else "The event does not have the field."


# -- many items, many alerts


class Matcher:
    """Items of many rules, found by an exact value that each of them demands of the alert."""

    def __init__(self, items: Iterable[CompiledItem], unreadable: Mapping[int, str] | None = None) -> None:
        self.items = list(items)
        self.unreadable = dict(unreadable or {})
        self._exact: dict[tuple[int, str], dict[str, list[CompiledItem]]] = {}
        self._rest: dict[int, list[CompiledItem]] = {}
        uses = Counter(key for item in self.items for key in _exact_keys(item))
        for item in self.items:
            self._add(item, uses)

    def _add(self, item: CompiledItem, uses: Counter[tuple[int, str, str]]) -> None:
        """Under the exact entry whose values the fewest other items share."""
        entries = _exact_entries(item)
        if not entries:
            self._rest.setdefault(item.rule_id, []).append(item)
            return
        name, values = min(
            entries, key=lambda one: max(uses[item.rule_id, one[0], value] for value in one[1])
        )
        table = self._exact.setdefault((item.rule_id, name), {})
        for value in values:
            table.setdefault(value, []).append(item)

    def __bool__(self) -> bool:
        return bool(self.items or self.unreadable)

    def candidates(self, subject: Subject) -> list[CompiledItem]:
        """Items whose clauses about the alert's own events hold, those first made first."""
        if subject.rule_id is None:
            return []
        found = list(self._rest.get(subject.rule_id, ()))
        for (rule_id, name), table in self._exact.items():
            if rule_id == subject.rule_id:
                found += [item for value in subject.all_values(name) for item in table.get(value, ())]
        unique = {item.version_id: item for item in found}
        return [unique[key] for key in sorted(unique) if holds_of_alert(unique[key], subject)]


def _exact_entries(item: CompiledItem) -> list[tuple[str, frozenset[str]]]:
    return [
        (clause.entry.field, frozenset(map(spelling(clause.entry.field), clause.entry.values)))
        for clause in item.clauses
        if not clause.entry.is_recovered and not clause.entry.negated and clause.entry.operator in _EXACT
    ]


def _exact_keys(item: CompiledItem) -> list[tuple[int, str, str]]:
    return [(item.rule_id, name, value) for name, values in _exact_entries(item) for value in values]


# What tells whether something in force has changed: all that is compiled or hashed, and the rule's own hash.
_FINGERPRINT = (
    "pk", "item", "item__rule", "revision", "state", "reason", "change_record", "owner", "starts_at",
    "active_from", "expires_at", "approved_sha256", "rule_version__sha256", "rule_version__rule__rule_id",
)  # fmt: skip
# The digest tells only that a list changed; whether it is what was approved, its SHA-256 does.
_LIST_FINGERPRINT = (
    "pk", "revision", "reason", "approved_sha256", "value_list__name", "value_list__type", "text",
)  # fmt: skip
_compiled_last: dict[Any, Matcher] = {}


def active_matcher(*, now: datetime) -> Matcher:
    """Everything in force, compiled. `unreadable` says by rule (primary key) what can't be read.

    Compiled anew only if something differs in the database from what was compiled last in this process.
    """
    versions = ExceptionVersion.objects.in_force(now)
    said = versions.annotate(text=Cast("entries", TextField())).values_list(*_FINGERPRINT, "text")
    seen = tuple(said.order_by("pk"))
    if not seen:
        return Matcher(())
    lists = ValueListVersion.objects.filter(state=ExceptionState.ACTIVE).order_by("pk")
    known = tuple(lists.annotate(text=MD5(Cast("values", TextField()))).values_list(*_LIST_FINGERPRINT))
    found = _compiled_last.get((seen, known))
    if found is None:
        found = _matcher(versions)
        _compiled_last.clear()
        _compiled_last[seen, known] = found
    return found


def _matcher(versions: ExceptionVersionQuerySet) -> Matcher:
    rows = list(versions.select_related("item"))
    _give_rules(rows)
    lists = active_lists()
    items: list[CompiledItem] = []
    unreadable: dict[int, str] = {}
    for version in rows:
        try:
            items.append(compiled(version, lists))
        except (ValueError, TypeError, KeyError, IndexError) as error:
            unreadable[version.item.rule_id] = f"{version.label} can't be read: {error}"
    return Matcher(items, unreadable)


def _give_rules(versions: Sequence[ExceptionVersion]) -> None:
    """Give each its rule's version: many share a few, whose long texts a join would read for each."""
    found = RuleVersion.objects.select_related("rule").in_bulk({one.rule_version_id for one in versions})
    for version in versions:
        version.rule_version = found.get(version.rule_version_id or 0)
