"""All rules at a glance: filters over what they say of themselves, and their ATT&CK coverage.

Tags and mapping are JSON in the current version; some 1,300 rules are read at once and sifted here, since
SQLite can't search inside of JSON lists.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from detections.actors import Actor
from detections.enums import RuleType
from detections.models import Rule

SOURCE_TAG = "Data Source: "
YES, NO = "yes", "no"
# The order of an attack, as ATT&CK's enterprise matrix has it; other frameworks' tactics follow.
TACTICS = (
    "Reconnaissance",
    "Resource Development",
    "Initial Access",
    "Execution",
    "Persistence",
    "Privilege Escalation",
    "Defense Evasion",
    "Credential Access",
    "Discovery",
    "Lateral Movement",
    "Collection",
    "Command and Control",
    "Exfiltration",
    "Impact",
)


@dataclass(frozen=True, slots=True)
class Mapped:
    """A technique of a rule under one of its tactics. `technique` is "" where only the tactic is given."""

    tactic: str
    technique: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """What the list and the matrix need of a rule."""

    pk: int
    rule_id: str
    name: str
    type: str
    enabled: bool
    tags: tuple[str, ...] = ()
    mapping: tuple[Mapped, ...] = ()

    @property
    def is_runnable(self) -> bool:
        return self.type == RuleType.EQL

    @property
    def sources(self) -> tuple[str, ...]:
        """The data sources that its tags name."""
        return tuple(tag.removeprefix(SOURCE_TAG) for tag in self.tags if tag.startswith(SOURCE_TAG))


@dataclass(frozen=True, slots=True)
class Wanted:
    """The filters of the list; "" lets everything through. runnable, enabled, noisy: `yes` or `no`.

    What noisy means only triage knows, so `lets_through` is told.
    """

    search: str = ""
    tactic: str = ""
    technique: str = ""
    source: str = ""
    type: str = ""
    runnable: str = ""
    enabled: str = ""
    noisy: str = ""

    @property
    def is_narrowing(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)

    def lets_through(self, rule: RuleFacts) -> bool:
        return (
            _matches_search(rule, self.search.lower())
            and (not self.tactic or any(one.tactic == self.tactic for one in rule.mapping))
            and (not self.technique or any(_is_of(one, self.technique, self.tactic) for one in rule.mapping))
            and (not self.source or self.source in rule.sources)
            and self.type in ("", rule.type)
            and self.runnable in ("", YES if rule.is_runnable else NO)
            and self.enabled in ("", YES if rule.enabled else NO)
        )


@dataclass(frozen=True, slots=True)
class Facets:
    """What can be filtered by, each with how many rules have it."""

    tactics: Sequence[tuple[str, int]] = ()
    techniques: Sequence[tuple[str, str, int]] = ()
    sources: Sequence[tuple[str, int]] = ()
    types: Sequence[tuple[str, int]] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """A technique under a tactic: how many rules look for it, and how many of them are enabled."""

    technique: str
    name: str
    enabled: int
    loaded: int


@dataclass(frozen=True, slots=True)
class Column:
    """A tactic of the matrix. enabled, loaded: its rules, each once; covered: cells with an enabled one."""

    tactic: str
    enabled: int
    loaded: int
    cells: tuple[Cell, ...] = field(default=())

    @property
    def covered(self) -> int:
        return sum(1 for cell in self.cells if cell.enabled)


def catalogue(*, actor: Actor) -> list[RuleFacts]:
    """Every rule that the actor may see, in the order of the list. One query."""
    rows = (
        Rule.objects.visible_to(actor)
        .filter(is_canary=False)
        .order_by("-enabled", "name", "pk")
        .values_list("pk", "rule_id", "name", "type", "enabled", "current__tags", "current__threat")
    )
    return [
        RuleFacts(pk, rule_id, name, type_, enabled, tuple(map(str, tags or ())), tuple(mapping_of(threat)))
        for pk, rule_id, name, type_, enabled, tags, threat in rows
    ]


def mapping_of(threat: Any) -> Iterable[Mapped]:
    """The tactics and techniques of a rule's `threat`, subtechniques included."""
    for entry in _dicts(threat):
        tactic = entry.get("tactic")
        name = str(tactic.get("name", "")) if isinstance(tactic, dict) else ""
        techniques = _dicts(entry.get("technique"))
        if not techniques:
            yield Mapped(name)
        for technique in techniques:
            yield Mapped(name, str(technique.get("id", "")), str(technique.get("name", "")))
            for sub in _dicts(technique.get("subtechnique")):
                yield Mapped(name, str(sub.get("id", "")), str(sub.get("name", "")))


def narrowed(rules: Iterable[RuleFacts], wanted: Wanted) -> list[RuleFacts]:
    """The rules that satisfy every filter, in their order."""
    return [rule for rule in rules if wanted.lets_through(rule)]


def facets(rules: Sequence[RuleFacts]) -> Facets:
    """The choices of the filters, over all rules: the counts do not move while somebody filters."""
    tactics = Counter(name for rule in rules for name in {one.tactic for one in rule.mapping if one.tactic})
    techniques = Counter(
        name for rule in rules for name in {one.technique for one in rule.mapping if one.technique}
    )
    names = {one.technique: one.name for rule in rules for one in rule.mapping}
    return Facets(
        tactics=[(name, tactics[name]) for name in _tactic_order(tactics)],
        techniques=[(key, names[key], techniques[key]) for key in sorted(techniques)],
        sources=sorted(Counter(name for rule in rules for name in set(rule.sources)).items()),
        types=sorted(Counter(rule.type for rule in rules).items()),
    )


def coverage(rules: Sequence[RuleFacts]) -> list[Column]:
    """The ATT&CK matrix: for each tactic its techniques, with the rules that look for them.

    A subtechnique counts for its technique. A rule counts as enabled only where it also runs here.
    """
    cells: dict[str, dict[str, set[RuleFacts]]] = {}
    names: dict[str, str] = {}
    for rule in rules:
        for one in rule.mapping:
            technique = one.technique.partition(".")[0]
            cells.setdefault(one.tactic, {}).setdefault(technique, set()).add(rule)
            if one.technique == technique:
                names.setdefault(technique, one.name)
    return [_column(tactic, cells[tactic], names) for tactic in _tactic_order(cells) if tactic]


def _column(tactic: str, found: Mapping[str, set[RuleFacts]], names: Mapping[str, str]) -> Column:
    cells = [
        Cell(technique, names.get(technique, ""), _active(rules), len(rules))
        for technique, rules in found.items()
        if technique
    ]
    cells.sort(key=lambda cell: (-cell.enabled, -cell.loaded, cell.technique))
    everything = set().union(*found.values())
    return Column(tactic, _active(everything), len(everything), tuple(cells))


def _active(rules: Iterable[RuleFacts]) -> int:
    return sum(1 for rule in rules if rule.enabled and rule.is_runnable)


def _tactic_order(names: Iterable[str]) -> list[str]:
    known = {name: number for number, name in enumerate(TACTICS)}
    return sorted(names, key=lambda name: (known.get(name, len(known)), name))


def _matches_search(rule: RuleFacts, search: str) -> bool:
    return (
        not search
        or search in rule.name.lower()
        or search in rule.rule_id.lower()
        or any(search in tag.lower() for tag in rule.tags)
    )


def _is_of(mapped: Mapped, technique: str, tactic: str) -> bool:
    is_it = mapped.technique == technique or mapped.technique.startswith(f"{technique}.")
    return is_it and tactic in ("", mapped.tactic)


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
