"""The guide by which a case is worked, pinned at the version it was opened with."""

from dataclasses import replace
from typing import Any

from django.db import IntegrityError, transaction

from detections.errors import RuleFileError
from detections.models import RuleVersion
from triage.guides import guide_for
from triage.guides.model import Focus, Guide, Question
from triage.models import Case, GuideVersion

# A rule without a guide still asks one thing, so that its cases pass the same gate.
ONLY_QUESTION = Question(
    key="verdict",
    title="What does the evidence say about this alert?",
    short_title="What the evidence says",
    why="The rule comes without an investigation guide. Answer from the alert's own events, and cite them.",
    focus=Focus(text="The events of the alert.", fields=("host.name", "user.name", "process.command_line")),
    escalate_when="the events show activity that nobody recognises or authorised.",
    lower_when="the cited events, or a confirmation record, show recognised activity.",
    missing_means="Without evidence the alert stays unresolved.",
)


def pin(rule_version: RuleVersion) -> GuideVersion:
    """The guide of a rule version as it says it today, stored once."""
    found = rule_version.guides.order_by("-number").first()
    if found is not None:
        return found
    try:
        with transaction.atomic():
            return GuideVersion.objects.create(
                rule_version=rule_version,
                note=rule_version.note,
                transforms=rule_version.transforms,
                overlay=rule_version.overlay,
                sha256=rule_version.sha256,
            )
    except IntegrityError:
        return GuideVersion.objects.get(rule_version=rule_version, number=1)


def on_rule_version_stored(*, rule_version: RuleVersion, **_: Any) -> None:
    """Receiver: each stored rule version gets its guide in the same transaction."""
    pin(rule_version)


def guide_of(case: Case) -> Guide:
    """The guide that the case is pinned to; one plain question where the rule has none.

    A broken overlay can't weaken the gate: its faults are added to the guide's, and each question then needs
    a confirmation record.
    """
    if case.guide is None:
        return Guide(title=case.title, questions=(ONLY_QUESTION,))
    pinned = case.guide
    try:
        guide = guide_for(pinned.note, pinned.transforms, pinned.overlay)
    except RuleFileError as error:
        guide = _without_overlay(pinned, error)
    return guide if guide.questions else replace(guide, questions=(ONLY_QUESTION,))


def _without_overlay(pinned: GuideVersion, error: RuleFileError) -> Guide:
    guide = guide_for(pinned.note, pinned.transforms, "")
    says = "The guide's overlay is broken, so a confirmation record is needed."
    questions = tuple(
        replace(question, requires=replace(question.requires, confirmation=True, says=says))
        for question in guide.questions or (ONLY_QUESTION,)
    )
    return replace(guide, questions=questions, faults=(*guide.faults, *error.faults))
