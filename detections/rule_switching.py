"""Switch many rules on or off. Each stands for itself: one refusal stops no other."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from django.db import transaction

from detections import rule_loading, schedules
from detections.actors import Actor
from detections.errors import CasewrightError
from detections.models import Rule

# So few that nobody waits long for the database meanwhile.
TOGETHER = 50


@dataclass
class Switched:
    """What came of it. already: were so before. not_runnable: left disabled, by type.

    refused: in words, for any other reason. warnings: what does its work twice now.
    """

    done: list[Rule] = field(default_factory=list)
    already: int = 0
    not_runnable: Mapping[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def switch(ids: Iterable[int], enabled: bool, *, actor: Actor) -> Switched:
    """Enable or disable the rules with these keys that the actor may see; needs `detections.change_rule`."""
    actor.require("detections.change_rule", "enable or disable rules")
    wanted = set(ids)
    found, idle = Switched(), Counter[str]()
    to_switch: list[Rule] = []
    for rule in Rule.objects.visible_to(actor).select_related("current").defer("current__source"):
        if rule.pk not in wanted:
            continue
        if rule.enabled == enabled:
            found.already += 1
        elif enabled and not rule.is_runnable:
            idle[rule.get_type_display()] += 1
        else:
            to_switch.append(rule)
    for start in range(0, len(to_switch), TOGETHER):
        # One commit for several: a commit of its own would cost each rule more than its switch.
        with transaction.atomic():
            for rule in to_switch[start : start + TOGETHER]:
                _switch(rule, enabled, found, actor=actor)
    found.not_runnable = dict(idle)
    found.warnings = _twins(found.done) if enabled else []
    return found


def _switch(rule: Rule, enabled: bool, found: Switched, *, actor: Actor) -> None:
    try:
        found.done.append(schedules.set_enabled(rule, enabled, actor=actor))
    except CasewrightError as refused:
        found.refused.append(str(refused))


def _twins(rules: Iterable[Rule]) -> list[str]:
    """A warning for each pair that does the same work. Only the few rules that stand in for others ask."""
    replaced = {key for rule in Rule.objects.enabled().exclude(replaces=[]) for key in rule.replaces}
    asked = [rule for rule in rules if rule.replaces or rule.rule_id in replaced]
    return list(dict.fromkeys(warning for rule in asked for warning in rule_loading.twin_warnings(rule)))
