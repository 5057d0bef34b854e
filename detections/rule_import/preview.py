"""What an import would change, before it changes anything."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from detections.actors import Actor
from detections.enums import RuleType
from detections.errors import Location, RuleFault, RuleFileError
from detections.models import Rule, RuleVersion
from detections.rule_files import RuleFile, load_rule_text
from detections.rule_import.comparison import Change, changes, difference, is_older
from detections.rule_import.kibana_exceptions import KibanaException, kibana_exceptions
from detections.rule_import.reading import read
from detections.rule_loading import with_local_overlay

NOT_RUNNABLE = (
    "Rules of type {type} do not run here yet. The guide serves alerts of this rule that come in from "
    "elsewhere."
)


class Verdict(Enum):
    """What importing a rule would do. `older` is refused."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    OLDER = "older"


@dataclass(frozen=True, slots=True)
class Entry:
    """One rule of an import. says: what to know about it. seen: the version that it was compared with.

    offered: the overlay that it brings for an installed rule, which only a second person brings into force.
    """

    verdict: Verdict
    file: RuleFile
    place: Location
    changes: tuple[Change, ...] = ()
    says: tuple[str, ...] = ()
    seen: int | None = None
    offered: str = ""

    @property
    def is_runnable(self) -> bool:
        return self.file.type is RuleType.EQL


@dataclass(frozen=True, slots=True)
class Preview:
    """All that an import would do. sha256: over what it would store and on what; the same offer to the same
    rules has the same one. exceptions: what it holds of Kibana's exceptions, which their own import takes.
    """

    entries: tuple[Entry, ...] = ()
    refused: tuple[RuleFault, ...] = ()
    repeated: tuple[RuleFault, ...] = ()
    left: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    sha256: str = ""
    exceptions: tuple[KibanaException, ...] = ()
    exception_lines: tuple[str, ...] = ()

    def of(self, verdict: Verdict) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.verdict is verdict)

    @property
    def new(self) -> tuple[Entry, ...]:
        return self.of(Verdict.NEW)

    @property
    def changed(self) -> tuple[Entry, ...]:
        return self.of(Verdict.CHANGED)

    @property
    def unchanged(self) -> tuple[Entry, ...]:
        return self.of(Verdict.UNCHANGED)

    @property
    def older(self) -> tuple[Entry, ...]:
        return self.of(Verdict.OLDER)

    @property
    def wanted(self) -> tuple[Entry, ...]:
        """What importing would store."""
        return (*self.new, *self.changed)

    @property
    def offers(self) -> tuple[Entry, ...]:
        """Installed rules for which another overlay would be proposed; their text may be unchanged."""
        return tuple(entry for entry in (*self.changed, *self.unchanged) if entry.offered)

    @property
    def not_runnable(self) -> Mapping[str, int]:
        """How many of the offered rules do not run here yet, by type."""
        counts: dict[str, int] = {}
        for entry in self.entries:
            if not entry.is_runnable:
                counts[entry.file.type.value] = counts.get(entry.file.type.value, 0) + 1
        return counts


def preview(paths: Iterable[Path], *, actor: Actor, base: Path | None = None) -> Preview:
    """Compare what the paths offer with what is installed. Changes nothing; needs `detections.add_rule`.

    base: the folder from which places are named, where the whole path says nothing to the reader.
    """
    actor.require("detections.add_rule", "import rules")
    material = read(paths, base=base)
    installed = _installed()
    twins = _twins(installed.values())
    entries = tuple(
        _entry(file, place, installed.get(file.rule_id), twins) for file, place in material.offers
    )
    return Preview(
        entries=entries,
        refused=tuple(material.refused),
        repeated=tuple(material.repeated),
        left=dict(material.left),
        notes=tuple(material.notes),
        sha256=_digest(entries),
        exceptions=tuple(kibana_exceptions(material.exceptions)),
        exception_lines=tuple(material.exceptions),
    )


def _installed() -> dict[str, Rule]:
    return {rule.rule_id: rule for rule in Rule.objects.select_related("current")}


def _twins(rules: Iterable[Rule]) -> dict[str, str]:
    """Ids of rules that an installed rule stands in for, with its name."""
    return {replaced: rule.name for rule in rules for replaced in rule.replaces}


def _entry(file: RuleFile, place: Location, rule: Rule | None, twins: Mapping[str, str]) -> Entry:
    says = list(_said(file, twins))
    if rule is None or rule.current is None:
        says += [file.widened] if file.widened and file.type is RuleType.EQL else []
        return Entry(Verdict.NEW, file, place, says=tuple(says))
    version = rule.current
    offered = file.overlay if file.overlay != version.overlay else ""
    file, word = with_local_overlay(file, version)
    says += [word] if word else []
    if file.sha256 == version.sha256:
        return Entry(Verdict.UNCHANGED, file, place, says=tuple(says), seen=version.pk, offered=offered)
    try:
        before = as_file(version)
    except RuleFileError:
        says.append("The installed text can't be read any more, so no difference is shown.")
        return Entry(Verdict.CHANGED, file, place, says=tuple(says), seen=version.pk, offered=offered)
    differs = changes(before, file)
    if not differs and file.overlay == version.overlay:
        return Entry(Verdict.UNCHANGED, file, place, says=tuple(says), seen=version.pk, offered=offered)
    if why := is_older(file, before):
        return Entry(Verdict.OLDER, file, place, says=(why,), seen=version.pk)
    says += list(_kept(rule, before, file))
    return Entry(Verdict.CHANGED, file, place, differs, tuple(says), version.pk, offered)


def _said(file: RuleFile, twins: Mapping[str, str]) -> Iterable[str]:
    if file.type is not RuleType.EQL:
        yield NOT_RUNNABLE.format(type=file.type.value)
    if file.rule_id in twins:
        yield (
            f"{twins[file.rule_id]} is installed and does the same work. "
            "Enabling both makes each match count twice."
        )


def _kept(rule: Rule, before: RuleFile, after: RuleFile) -> Iterable[str]:
    if (before.interval, before.lookback, before.max_signals) != (
        after.interval,
        after.lookback,
        after.max_signals,
    ):
        yield "The schedule set here stays as it is. Change it in the rule's form if you want the new one."
    if rule.enabled:
        yield "The rule is enabled, and searches with the new text from its next run on."


def between(before: RuleVersion, after: RuleVersion) -> tuple[tuple[Change, ...], str]:
    """What differs between two stored versions, part by part, or why that can't be said."""
    try:
        return _with_overlay(before, after, changes(as_file(before), as_file(after))), ""
    except RuleFileError:
        return (), "One of the two texts can't be read any more, so no difference is shown."


def _with_overlay(before: RuleVersion, after: RuleVersion, found: tuple[Change, ...]) -> tuple[Change, ...]:
    """The changes with that of the overlay, which stands beside the rule's file."""
    if before.overlay == after.overlay:
        return found
    return (*found, Change("Guide overlay", tuple(difference(before.overlay, after.overlay))))


def as_file(version: RuleVersion) -> RuleFile:
    """A stored version as the file it was read from. Raises RuleFileError if its text is none any more."""
    return load_rule_text(version.source, version.source_path, overlay=version.overlay)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest() if text else ""


def _digest(entries: Iterable[Entry]) -> str:
    lines = sorted(
        f"{entry.file.sha256} {entry.verdict.value} {entry.seen} {_hash(entry.offered)}" for entry in entries
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
