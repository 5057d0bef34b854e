"""The rules of a hunt, ready to run: parsed, checked against the fields that are known, planned."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from detections.enums import RuleType
from detections.eql.ast import EventQuery, Query, all_stages, fields_used
from detections.eql.fields import Field, FieldCatalogue
from detections.eql.known import catalogue
from detections.eql.verify import verify
from detections.errors import CasewrightError, EqlVerificationError
from detections.hunt.conditions import Plan, Planner
from detections.hunt.rows import FieldTree
from detections.rule_files.model import Loaded, RuleFile
from detections.rule_files.reading import parsed_query

TIMESTAMP, CREATED = "@timestamp", "event.created"


@dataclass(frozen=True)
class HuntRule:
    """What a hunt takes of a rule. Its index patterns, schedule and cap play no part: all is searched."""

    rule_id: str
    name: str
    query: Query
    severity: str = ""
    risk_score: int | None = None
    timestamp_field: str = TIMESTAMP
    tiebreaker_field: str = ""
    category_field: str = "event.category"

    @cached_property
    def fields(self) -> frozenset[str]:
        """The fields that the query names, and those that sort and order its events."""
        names = {name for name, _ in fields_used(self.query)} | {self.category_field, self.tiebreaker_field}
        return frozenset(names - {""})


@dataclass(frozen=True, slots=True)
class PlannedRule:
    """A rule whose conditions are plans: one a stage, then that of `until`. `query` is verified."""

    rule: HuntRule
    query: Query
    plans: tuple[Plan, ...]

    @property
    def is_event_query(self) -> bool:
        return isinstance(self.query, EventQuery)


@dataclass(frozen=True, slots=True)
class PlannedRules:
    """The rules that run over a universe, and why the others do not.

    inapplicable: rule id -> the field that is not known. failed: rule id -> what is wrong with its query.
    faults: rule id -> the same for whoever wrote it, with position and caret.
    """

    rules: tuple[PlannedRule, ...]
    inapplicable: dict[str, str]
    failed: dict[str, str]
    faults: dict[str, str]
    catalogue: FieldCatalogue
    tree: FieldTree


@dataclass(frozen=True, slots=True)
class Omitted:
    """A rule that no universe can run, with the reason."""

    rule_id: str
    name: str
    reason: str


@dataclass
class RuleSet:
    """Rules for any number of universes.

    omitted: other types than EQL, which is no failure. failed: files and queries that do not load.
    """

    rules: Sequence[HuntRule]
    omitted: Sequence[Omitted] = ()
    failed: Sequence[str] = ()
    _planned: dict[frozenset[Field], PlannedRules] = field(default_factory=dict)

    @cached_property
    def undeclared(self) -> frozenset[str]:
        """The fields that the rules name and nobody declares: known only where a capture has them."""
        known = catalogue()
        return frozenset(name for rule in self.rules for name in rule.fields if name not in known)

    def planned(self, seen: Iterable[Field] = ()) -> PlannedRules:
        """The plans where, beside what is declared, these fields were seen."""
        key = frozenset(seen)
        if key not in self._planned:
            self._planned[key] = planned_rules(self.rules, catalogue().merged(key))
        return self._planned[key]


def rule_set(loaded: Loaded, *, timestamp_field: str = "") -> RuleSet:
    """The EQL rules of what was loaded. timestamp_field: orders every rule's events instead of its own."""
    rules: list[HuntRule] = []
    omitted: list[Omitted] = []
    failed = [str(error) for error in loaded.errors]
    for file in loaded.rules:
        if file.type is not RuleType.EQL:
            omitted.append(Omitted(file.rule_id, file.name, f"type {file.type.value} is not EQL"))
            continue
        try:
            rules.append(_rule(file, timestamp_field))
        except CasewrightError as error:
            failed.append(f"{file.path}: {error}")
    return RuleSet(rules, omitted, failed)


def _rule(file: RuleFile, timestamp_field: str) -> HuntRule:
    return HuntRule(
        rule_id=file.rule_id,
        name=file.name,
        query=parsed_query(file.query),
        severity=file.severity.value,
        risk_score=file.risk_score,
        timestamp_field=timestamp_field or file.timestamp_field,
        tiebreaker_field=file.tiebreaker_field,
        category_field=file.event_category_override or "event.category",
    )


def planned_rules(rules: Iterable[HuntRule], known: FieldCatalogue) -> PlannedRules:
    """The plans of those rules that can run where these fields are known."""
    planner = Planner(known)
    planned: list[PlannedRule] = []
    inapplicable: dict[str, str] = {}
    failed: dict[str, str] = {}
    faults: dict[str, str] = {}
    names = {TIMESTAMP, CREATED}
    for rule in rules:
        try:
            planned.append(_plan(rule, planner))
        except EqlVerificationError as error:
            faults[rule.rule_id] = str(error)
            if error.field:
                inapplicable[rule.rule_id] = error.field
            else:
                failed[rule.rule_id] = str(error)
        except Exception as error:  # whatever breaks one rule must not break the others
            failed[rule.rule_id] = f"{type(error).__name__}: {error}"
        else:
            names.update(rule.fields, (rule.timestamp_field,))
    return PlannedRules(tuple(planned), inapplicable, failed, faults, known, FieldTree(names))


def _plan(rule: HuntRule, planner: Planner) -> PlannedRule:
    query = verify(rule.query, planner.catalogue, event_category_field=rule.category_field)
    plans = tuple(
        planner.stage(stage.category, stage.condition, rule.category_field) for stage in all_stages(query)
    )
    return PlannedRule(rule, query, plans)
