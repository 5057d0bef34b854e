"""Rule files into the database: a version is stored only where the text differs, local settings survive."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from django.db import transaction

from detections import journal, rule_files, schedules
from detections.actors import Actor
from detections.enums import RuleType
from detections.eql.parser import parse
from detections.errors import CasewrightError, EqlError, RuleFault, RuleFileError
from detections.models import Rule, RuleVersion
from detections.rule_files import RuleFile
from detections.signals import overlay_offered, rule_version_stored

OFFERED = (
    "It brings another guide overlay, which can weaken the gate: it waits for a second person, and the one "
    "in force stays."
)
SHIPPED = Path(__file__).parent / "rules"


@dataclass(slots=True)
class LoadSummary:
    """What loading came to. `errors`: everything that is wrong, one file an entry; the other rules loaded.

    warnings: what an admin should know about rules that did load.
    """

    new: list[Rule] = field(default_factory=list)
    updated: list[Rule] = field(default_factory=list)
    unchanged: list[Rule] = field(default_factory=list)
    enabled: list[Rule] = field(default_factory=list)
    errors: list[RuleFileError] = field(default_factory=list)
    skipped: list[RuleFault] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def rules(self) -> list[Rule]:
        return [*self.new, *self.updated, *self.unchanged]


def load_rules(
    paths: Iterable[Path],
    *,
    actor: Actor,
    enable: bool = False,
    enable_new: bool = False,
    shipped: bool = False,
) -> LoadSummary:
    """Store the rules of files, folders and archives.

    A rule arrives disabled unless `enable` (all that load) or `enable_new` (those not known before) says
    otherwise. Interval, look-back, cap and whether it is enabled come from the file once, and are the
    admin's from then on. Files that do not load are in `errors`; they never stop the others.
    """
    actor.require("detections.change_rule", "load rules")
    loaded = rule_files.load_rules(paths)
    summary = LoadSummary(errors=list(loaded.errors), skipped=list(loaded.skipped))
    for file in loaded.rules:
        store_rule(file, summary, actor=actor, shipped=shipped)
    wanted = summary.rules if enable else summary.new if enable_new else []
    for rule in wanted:
        _enable(rule, summary, actor=actor)
    return summary


def store_rule(file: RuleFile, summary: LoadSummary, *, actor: Actor, shipped: bool = False) -> None:
    """Store one rule and write into the summary what that came to. The caller has asked for permission."""
    with transaction.atomic():
        rule = Rule.objects.select_for_update().filter(rule_id=file.rule_id).first()
        offered = ""
        if rule is not None and rule.current and not (shipped and file.overlay):
            if rule.current.overlay and not file.overlay:
                summary.warnings.append(
                    f"{file.path}: no guide overlay lies beside this file; "
                    f"the one installed for {rule.name} stays."
                )
            offered = file.overlay
            file, _word = with_local_overlay(file, rule.current)
        if rule is not None and rule.current and rule.current.sha256 == file.sha256:
            schedules.sync_entry(rule)
            summary.unchanged.append(rule)
            summary.warnings.extend(offer_overlay(rule, offered, file.path, actor=actor))
            return
        if rule is None:
            rule = Rule.objects.create(**_facts(file), **_settings(file), is_shipped=shipped)
            summary.new.append(rule)
            summary.warnings.extend(_widened(rule, file))
        else:
            for name, value in _facts(file).items():
                setattr(rule, name, value)
            rule.is_shipped = rule.is_shipped or shipped
            summary.updated.append(rule)
        _store_version(rule, file, actor=actor)
        summary.warnings.extend(offer_overlay(rule, offered, file.path, actor=actor))
    summary.warnings.extend(_warnings(rule))


def with_local_overlay(file: RuleFile, version: RuleVersion) -> tuple[RuleFile, str]:
    """The file with the overlay that is installed, and a word for people if it brought another one.

    An overlay can weaken a gate, so a file from elsewhere never replaces, adds or drops it: it is offered.
    """
    if file.overlay == version.overlay:
        return file, ""
    word = OFFERED if file.overlay else ""
    digest = hashlib.sha256(f"{file.source}\0{version.overlay}".encode()).hexdigest()
    replaces = tuple(version.rule.replaces)
    return replace(file, overlay=version.overlay, replaces=replaces, sha256=digest), word


def offer_overlay(rule: Rule, text: str, source: str, *, actor: Actor) -> list[str]:
    """Hand on an overlay that a file brought for an installed rule, in the caller's transaction.

    Returns what became of it, in sentences; empty where there is none or it is known.
    """
    if not text.strip():
        return []
    told = overlay_offered.send(sender=Rule, rule=rule, text=text, source=source, actor=actor)
    return [sentence for _receiver, sentence in told if sentence]


def _store_version(rule: Rule, file: RuleFile, *, actor: Actor) -> None:
    before = rule.current
    rule.current = RuleVersion.objects.create(rule=rule, number=rule.versions.count() + 1, **_content(file))
    rule.version += 1
    rule.save(update_fields=[*_facts(file), "is_shipped", "current", "version"])
    schedules.sync_entry(rule)
    journal.record(
        f"rule:{rule.pk}",
        "rule_version_stored",
        actor=actor,
        before=f"version {before.number}" if before else "",
        after=f"version {rule.current.number}",
        data={"sha256": file.sha256, "file": file.path, "upstream_version": file.version},
    )
    rule_version_stored.send(sender=RuleVersion, rule_version=rule.current, actor=actor)


def _facts(file: RuleFile) -> dict[str, Any]:
    """What the file alone decides."""
    return {
        "rule_id": file.rule_id,
        "name": file.name,
        "type": file.type,
        "severity": file.severity,
        "risk_score": file.risk_score,
        "replaces": list(file.replaces),
    }


def _settings(file: RuleFile) -> dict[str, Any]:
    """What the file proposes and an admin may change."""
    interval = max(int(file.interval.total_seconds()), schedules.MIN_INTERVAL_SECONDS)
    return {
        "interval_seconds": interval,
        # A shorter one would leave nothing unsearched here, as a run begins where the last one ended. But the
        # first run, and what a sequence without maxspan may span, would be shorter than one interval.
        "lookback_seconds": max(int(file.lookback.total_seconds()), interval),
        "max_cases": file.max_signals,
    }


def _content(file: RuleFile) -> dict[str, Any]:
    maxspan = _maxspan(file)
    return {
        "upstream_version": file.version,
        "description": file.description,
        "query": file.query,
        "language": file.language,
        "indices": list(file.index),
        "tags": list(file.tags),
        "references": list(file.references),
        "authors": list(file.author),
        "license": file.license[:100],
        "threat": list(file.threat),
        "setup": file.setup,
        "note": file.note,
        "transforms": list(file.transforms),
        "timestamp_field": file.timestamp_field,
        "timestamp_override": file.timestamp_override,
        "tiebreaker_field": file.tiebreaker_field,
        "event_category_field": file.event_category_override or "event.category",
        "maxspan_seconds": maxspan,
        "source": file.source,
        "source_path": file.path[-500:],
        "overlay": file.overlay,
        "sha256": file.sha256,
    }


def _maxspan(file: RuleFile) -> float | None:
    if file.type is not RuleType.EQL:
        return None
    try:
        maxspan = parse(file.query).maxspan
    except EqlError:
        # The run says where the fault is; the rule file's reader has refused most of them already.
        return None
    return maxspan.total_seconds() if maxspan is not None else None


def _enable(rule: Rule, summary: LoadSummary, *, actor: Actor) -> None:
    try:
        enabled = schedules.set_enabled(rule, True, actor=actor)
    except CasewrightError as error:
        summary.warnings.append(str(error))
        return
    summary.enabled.append(enabled)
    summary.warnings.extend(twin_warnings(enabled))


def twin_warnings(rule: Rule) -> list[str]:
    """A sentence for each enabled rule that does the same work as this one."""
    twins: Sequence[Rule] = schedules.replaced_twins(rule)
    return [
        f"{rule.name} and {twin.name} ({twin.rule_id}) do the same work and are both enabled: "
        "what they find counts twice. Disable one of them."
        for twin in twins
    ]


def _widened(rule: Rule, file: RuleFile) -> list[str]:
    return [f"{rule.name}: {file.widened}"] if rule.is_runnable and file.widened else []


def _warnings(rule: Rule) -> list[str]:
    tolerance = schedules.tolerance_of(rule)
    if not rule.is_runnable or tolerance is None or tolerance.total_seconds() >= 0:
        return []
    return [
        f"{rule.name}: its look-back is {-tolerance} shorter than interval and maxspan together. "
        "Give it a longer look-back."
    ]
