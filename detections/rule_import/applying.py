"""Store what a preview showed: all of it or nothing."""

from dataclasses import dataclass, field

from django.db import transaction

from detections import journal
from detections.actors import Actor
from detections.errors import CasewrightError
from detections.models import Rule
from detections.rule_import.preview import Entry, Preview
from detections.rule_loading import LoadSummary, offer_overlay, store_rule

STREAM = "rule_imports"


class StalePreviewError(CasewrightError):
    """The rules are not what the preview compared with. Nothing was imported."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import stored. warnings: what an admin should know about rules that were."""

    new: list[Rule] = field(default_factory=list)
    changed: list[Rule] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def apply(preview: Preview, *, actor: Actor) -> Imported:
    """Store the new and changed rules of a preview, in one transaction. New rules arrive disabled.

    Enabled state, schedule and overlay of an installed rule stay; its earlier versions are kept. Needs
    `detections.add_rule`. Raises StalePreviewError if a rule was changed since the preview.
    """
    actor.require("detections.add_rule", "import rules")
    summary = LoadSummary()
    if not preview.wanted and not preview.offers:
        return Imported()
    with transaction.atomic():
        _refuse_stale((*preview.wanted, *preview.offers))
        for entry in preview.wanted:
            store_rule(entry.file, summary, actor=actor)
        _offer(preview.offers, summary, actor=actor)
        journal.record(
            STREAM,
            "rules_imported",
            actor=actor,
            after=f"{len(summary.new)} new, {len(summary.updated)} changed",
            data={
                "sha256": preview.sha256,
                "refused": len(preview.refused) + len(preview.older),
                "unchanged": len(preview.unchanged),
            },
        )
    return Imported(summary.new, summary.updated, summary.warnings)


def _offer(entries: tuple[Entry, ...], summary: LoadSummary, *, actor: Actor) -> None:
    rules = {rule.rule_id: rule for rule in Rule.objects.select_related("current")} if entries else {}
    for entry in entries:
        rule = rules[entry.file.rule_id]
        summary.warnings.extend(offer_overlay(rule, entry.offered, str(entry.place), actor=actor))


def _refuse_stale(entries: tuple[Entry, ...]) -> None:
    wanted = {entry.file.rule_id: entry.seen for entry in entries}
    # All of them: SQLite takes no list of ids as long as an import.
    current = dict(Rule.objects.select_for_update().values_list("rule_id", "current"))
    stale = [rule_id for rule_id, seen in wanted.items() if current.get(rule_id) != seen]
    if stale:
        raise StalePreviewError(
            f"{len(stale)} rules were changed since the preview ({', '.join(stale[:3])}), so nothing was "
            "imported. Look at the preview again."
        )
