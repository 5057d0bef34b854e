"""What will bite in installed rules: faults that no run reports, because they look like "nothing found"."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.cache import cache

from detections import schedules
from detections.actors import Actor
from detections.enums import SegmentState
from detections.eql.ast import (
    And,
    Comparison,
    Expression,
    FieldRef,
    Literal,
    Membership,
    Not,
    Or,
    Order,
    Pattern,
    Query,
    fields_used,
)
from detections.eql.fields import FieldCatalogue
from detections.eql.verify import verify
from detections.errors import EqlError, EqlVerificationError, RuleFileError, StoreError
from detections.event_store import cluster_store, embedded_store, event_store
from detections.models import Rule, RuleVersion, Segment
from detections.rule_files import load_rule_text
from detections.rule_files.reading import parsed_query

if TYPE_CHECKING:
    from detections.stores.elasticsearch import ElasticsearchStore

# Sysmon's own service writes each of its events, so this is their user.id, whoever acted.
SYSMON_USER = "S-1-5-18"
FRESH = timedelta(minutes=5)
MOST_DATASETS = 8
_BEATS = (
    ("winlogbeat", ("windows", "system", "winlog")),
    ("auditbeat", ("auditd", "auditd_manager", "file_integrity", "system")),
    ("packetbeat", ("network_traffic", "network", "dns")),
    ("filebeat", ("aws", "azure", "gcp", "google_workspace", "o365", "okta", "zeek", "suricata", "cisco")),
)
SYSMON_INDICES = ("logs-windows.sysmon_operational-default", "winlogbeat-8.0.0", "logs-windows.default")


class Level(Enum):
    """`problem`: the rule can't do its work. `warning`: it does less than it seems to. `note`: to know."""

    PROBLEM = "problem"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that will bite. sort: a word for tables. says: what is wrong and what to do."""

    rule: Rule
    level: Level
    sort: str
    says: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at, and what was found. notes: what could not be judged, and why.

    not_runnable: how many rules were passed over, by type.
    """

    checked: int
    findings: tuple[Finding, ...]
    not_runnable: Mapping[str, int]
    notes: tuple[str, ...] = ()

    @property
    def problems(self) -> int:
        return sum(1 for finding in self.findings if finding.level is Level.PROBLEM)

    @property
    def warnings(self) -> int:
        return sum(1 for finding in self.findings if finding.level is Level.WARNING)


def lint(rules: Iterable[Rule], *, actor: Actor) -> Report:
    """Look at rules with their current versions, against the fields and the telemetry of this store."""
    actor.require("detections.view_rule", "look at rules")
    cluster = cluster_store()
    known, seen, sent = event_store().known_fields(), seen_fields(), seen_datasets()
    if cluster is not None:
        seen |= frozenset(cluster.mappings.mapped())
    findings: list[Finding] = []
    idle: dict[str, int] = {}
    checked = 0
    for rule in rules:
        if not rule.is_runnable:
            idle[rule.type] = idle.get(rule.type, 0) + 1
        elif rule.current is not None:
            checked += 1
            findings.extend(_findings(rule, rule.current, known, seen))
            findings.extend(
                _of_indices(rule, rule.current, sent)
                if cluster is None
                else _of_cluster(rule, rule.current, cluster)
            )
    notes = ["The embedded store searches every event that it holds, whatever a rule's index patterns say."]
    if "" in sent and cluster is None:
        notes.append("Some events name no dataset, so they may belong to any index pattern.")
    if not seen:
        notes.append("No events are stored yet, so it can't be told which fields telemetry here has.")
    return Report(checked, tuple(findings), idle, tuple(notes))


def seen_fields() -> frozenset[str]:
    """The fields that stored events carry."""
    # Not above: a command that opens no store starts without Arrow.
    from detections.stores.embedded.columns import logical

    columns = {column for found in _columns() for column in found}
    return frozenset(map(logical, columns)) - {""}


def seen_datasets() -> frozenset[str]:
    """The datasets of stored events, as of a few minutes ago; none where they can't be read now."""
    from detections.stores.embedded.datasets import datasets

    key = f"datasets:{settings.EVENTS_DIR}"
    known: frozenset[str] | None = cache.get(key)
    if known is not None:
        return known
    store = embedded_store()
    try:
        found = datasets(store.reader, store.known_fields())
    except StoreError:
        return frozenset()
    cache.set(key, found, FRESH.total_seconds())
    return found


def _columns() -> Iterator[list[str]]:
    found = Segment.objects.filter(state=SegmentState.ACTIVE).values_list("columns", flat=True)
    return (columns or [] for columns in found.iterator())


def _findings(
    rule: Rule, version: RuleVersion, known: FieldCatalogue, seen: frozenset[str]
) -> Iterator[Finding]:
    try:
        query = parsed_query(version.query)
    except EqlError as error:
        yield Finding(rule, Level.PROBLEM, "query", f"The query can't be read: {_told(error)}")
        return
    yield from _of_fields(rule, version, query, known, seen)
    yield from _of_time(rule, query)
    yield from _of_its_file(rule, version)
    if _reads_sysmon(version.indices) and excludes_sysmon(query):
        yield Finding(
            rule,
            Level.WARNING,
            "user.id on Sysmon",
            f"The query excludes user.id {SYSMON_USER}, which every Sysmon event carries: it can never match "
            "Sysmon's events. Exclude by user.name, or except data_stream.dataset from it.",
        )


def _of_fields(
    rule: Rule, version: RuleVersion, query: Query, known: FieldCatalogue, seen: frozenset[str]
) -> Iterator[Finding]:
    try:
        verify(query, known, event_category_field=version.event_category_field)
    except EqlVerificationError as error:
        if error.field:
            yield Finding(
                rule,
                Level.WARNING,
                "unknown field",
                f"Not applicable here: field {error.field}. It is neither declared nor seen.",
            )
        else:
            yield Finding(rule, Level.PROBLEM, "query", f"The query can't mean anything here: {_told(error)}")
        return
    unseen = sorted(name for name, is_optional in fields_used(query) if not is_optional and name not in seen)
    if seen and unseen:
        yield Finding(
            rule,
            Level.WARNING,
            "unseen field",
            f"No telemetry here has {', '.join(unseen)}: conditions on it are never met.",
        )


def _of_time(rule: Rule, query: Query) -> Iterator[Finding]:
    maxspan = query.maxspan
    if maxspan is not None and rule.lookback < maxspan:
        yield Finding(
            rule,
            Level.PROBLEM,
            "look-back",
            f"A run reads back {rule.lookback}, the sequence may take {maxspan}: longer ones are found only "
            "by luck. Read back at least interval and maxspan together.",
        )
    tolerance = schedules.tolerance_of(rule)
    if tolerance is not None and tolerance < timedelta():
        yield Finding(
            rule,
            Level.WARNING,
            "lag tolerance",
            f"The look-back is {-tolerance} shorter than interval and maxspan together, so that an event may "
            "arrive in time and be missed. Lengthen it.",
        )


def _of_its_file(rule: Rule, version: RuleVersion) -> Iterator[Finding]:
    # Reading the file takes a while, and only a look-back of one interval can be one that was widened.
    if rule.lookback != rule.interval:
        return
    try:
        file = load_rule_text(version.source, version.source_path)
    except RuleFileError:
        return
    if file.widened:
        yield Finding(rule, Level.NOTE, "look-back", file.widened)


def _of_indices(rule: Rule, version: RuleVersion, sent: frozenset[str]) -> Iterator[Finding]:
    """Index patterns that take in no dataset that was ever sent. An index without events looks the same."""
    named = sent - {""}
    patterns = [str(pattern) for pattern in version.indices if not str(pattern).startswith("-")]
    names = [name for dataset in named for name in _indices_of(dataset)]
    if not named or not patterns or any(_takes_in(pattern, names) for pattern in patterns):
        return
    yield Finding(
        rule,
        Level.NOTE,
        "not seen here yet",
        f"None of its index patterns ({', '.join(patterns)}) takes in a dataset that was sent here. "
        f"Sent were: {', '.join(sorted(named)[:MOST_DATASETS])}.",
    )


def _of_cluster(rule: Rule, version: RuleVersion, cluster: "ElasticsearchStore") -> Iterator[Finding]:
    """Index patterns that no index of the cluster matches. Raises StoreError if it can't be asked."""
    patterns = [str(one) for one in version.indices if not str(one).startswith("-")]
    missing = cluster.mappings.missing(patterns)
    if not missing:
        return
    named = ", ".join(missing)
    if len(missing) == len(patterns):
        yield Finding(
            rule,
            Level.PROBLEM,
            "no index",
            f"No index of the cluster matches any of its patterns ({named}): every run fails. Send such "
            "telemetry, or disable the rule.",
        )
    else:
        yield Finding(
            rule,
            Level.NOTE,
            "no index",
            f"No index of the cluster matches {named}; the other patterns are searched.",
        )


def _indices_of(dataset: str) -> Iterator[str]:
    """The names under which the senders of Elastic would store a dataset."""
    yield f"logs-{dataset}-default"
    yield from (f"{beat}-8.0.0" for beat, module in _BEATS if dataset.split(".")[0] in module)


def _takes_in(pattern: str, names: Iterable[str]) -> bool:
    # Of another cluster by its name, or of this one: what follows the colon tells.
    wanted = pattern.rpartition(":")[2].lower()
    return any(fnmatchcase(name, wanted) for name in names)


def _reads_sysmon(indices: Iterable[str]) -> bool:
    """Whether any pattern takes in Sysmon's events; a rule without patterns reads everything."""
    patterns = [str(pattern) for pattern in indices]
    return not patterns or any(
        fnmatchcase(name, pattern.lower()) for pattern in patterns for name in SYSMON_INDICES
    )


def excludes_sysmon(query: Query) -> bool:
    """Whether a stage that must match requires a user.id other than Sysmon's own."""
    return any(_excludes(stage.condition, False) for stage in query.stages if not stage.missing)


def _excludes(node: Expression, negated: bool) -> bool:
    """Whether the condition (or, negated, its opposite) can only hold where user.id is another one."""
    if isinstance(node, Not):
        return _excludes(node.operand, not negated)
    if isinstance(node, And | Or):
        found = (_excludes(operand, negated) for operand in node.operands)
        # One operand is enough where all of them have to hold: an AND, or an OR turned round.
        return any(found) if isinstance(node, And) is not negated else all(found)
    if isinstance(node, Comparison):
        is_user = _is_user(node.left) and _is_sysmon_user(node.right)
        return is_user and node.order is (Order.EQUAL if negated else Order.NOT_EQUAL)
    if isinstance(node, Membership):
        return negated and _is_user(node.value) and any(map(_is_sysmon_user, node.items))
    if isinstance(node, Pattern):
        return negated and _is_user(node.value) and any(map(_is_sysmon_user, node.patterns))
    return False


def _is_user(node: Expression) -> bool:
    return isinstance(node, FieldRef) and node.name == "user.id"


def _is_sysmon_user(node: Expression) -> bool:
    if not isinstance(node, Literal) or not isinstance(node.value, str):
        return False
    return fnmatchcase(SYSMON_USER.lower(), node.value.lower().replace("[", "[[]"))


def _told(error: EqlError) -> str:
    """A fault in one sentence: tables and pages have no room for a caret."""
    return " ".join([f"line {error.line}, column {error.column}: {error.message}.", error.hint]).strip()
