"""The guide by which a case is worked, pinned at the version it was opened with."""

import hashlib
from dataclasses import replace
from typing import Any

from django.db import IntegrityError, transaction

from detections.errors import Location, RuleFault, RuleFileError
from detections.models import Alert, Rule, RuleVersion
from triage.enums import ProposalState
from triage.guides import guide_for, overlay_fit
from triage.guides.model import Focus, Guide, Question
from triage.models import Case, GuideVersion, OverlayProposal

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
_BROKEN = "The guide's overlay is broken, so a confirmation record is needed."
_UNDER_REVIEW = "The guide's overlay needs a review, so a confirmation record is needed."


def pin(rule_version: RuleVersion) -> GuideVersion:
    """The guide of a rule version as it says it today, stored once.

    An overlay that was approved here stays in force over updates of its rule. Where it may mean something
    else for the new text, the guide says so in `review`, and its gate gets stricter, never weaker.
    """
    found = rule_version.guides.order_by("-number").first()
    if found is not None:
        return found
    with transaction.atomic():
        approved = _approved(rule_version.rule_id)
        overlay = approved.text if approved else rule_version.overlay
        review = _review(rule_version, overlay)
        made = store_guide(rule_version, overlay, number=1, review=review)
        if approved is not None:
            _mark(approved, rule_version, review)
    return made


def pin_for(alert: Alert) -> GuideVersion | None:
    """The guide for a case of the alert: its rule's, else the one that came with it; None without any."""
    if alert.rule_version is not None:
        return pin(alert.rule_version)
    outside = getattr(alert, "outside", None)
    return _of_outside(alert.external_rule_id, outside.note) if outside and outside.note.strip() else None


def _of_outside(rule_id: str, note: str) -> GuideVersion:
    """Each text of a rule that is not installed once, with number 1: which came first says nothing."""
    sha256 = hashlib.sha256(f"{note}\0".encode()).hexdigest()
    with transaction.atomic():
        made, _new = GuideVersion.objects.get_or_create(
            rule_version=None, external_rule_id=rule_id, sha256=sha256, defaults={"note": note}
        )
    return made


def store_guide(rule_version: RuleVersion, overlay: str, *, number: int, review: str = "") -> GuideVersion:
    """The guide of a rule version under a number; one that is there already is returned as it is."""
    content = f"{rule_version.source}\0{overlay}"
    try:
        with transaction.atomic():
            return GuideVersion.objects.create(
                rule_version=rule_version,
                number=number,
                note=rule_version.note,
                transforms=rule_version.transforms,
                overlay=overlay,
                review=review,
                sha256=hashlib.sha256(content.encode()).hexdigest(),
            )
    except IntegrityError:
        return GuideVersion.objects.get(rule_version=rule_version, number=number)


def unpinned(rule_version: RuleVersion, overlay: str | None = None) -> GuideVersion:
    """A guide that is not stored, to look at: the version's own, or with another overlay."""
    return GuideVersion(
        rule_version=rule_version,
        note=rule_version.note,
        transforms=rule_version.transforms,
        overlay=rule_version.overlay if overlay is None else overlay,
    )


def in_force(rule: Rule) -> GuideVersion | None:
    """The guide that a new case of the rule would be pinned to."""
    return pin(rule.current) if rule.current is not None else None


def _approved(rule_id: int) -> OverlayProposal | None:
    return OverlayProposal.objects.filter(rule=rule_id, state=ProposalState.APPROVED).first()


def _review(rule_version: RuleVersion, overlay: str) -> str:
    """Why an overlay that was written for an earlier text may not fit this one, or ""."""
    before = (
        GuideVersion.objects.filter(rule_version__rule=rule_version.rule_id)
        .order_by("-rule_version__number", "-number")
        .first()
    )
    if before is None or not overlay or before.overlay != overlay:
        return ""
    if (before.note, before.transforms) == (rule_version.note, rule_version.transforms):
        return before.review
    plain = guide_for(before.note, before.transforms, "")
    found = overlay_fit.misfits(plain, rule_version.note, rule_version.transforms, overlay)
    return "\n".join(dict.fromkeys([*before.review.splitlines(), *found]))


def _mark(approved: OverlayProposal, rule_version: RuleVersion, review: str) -> None:
    """Say on the approved overlay what its review has to look at."""
    others = RuleVersion.objects.filter(rule=rule_version.rule_id, number__lt=rule_version.number)
    before = others.order_by("-number").first()
    if not review and rule_version.overlay and before is not None and before.overlay != rule_version.overlay:
        review = (
            f"Version {rule_version.number} of the rule brought another overlay of its own. "
            "The one approved here stays in force: compare the two."
        )
    approved.review = review
    approved.save(update_fields=["review"])


def on_rule_version_stored(*, rule_version: RuleVersion, **_: Any) -> None:
    """Receiver: each stored rule version gets its guide in the same transaction."""
    pin(rule_version)


def guide_of(case: Case) -> Guide:
    """The guide that the case is pinned to; one plain question where the rule has none."""
    if case.guide is None:
        return Guide(title=case.title, questions=(ONLY_QUESTION,))
    return worked_guide(case.guide)


def worked_guide(pinned: GuideVersion) -> Guide:
    """The guide of a pinned version as cases are worked by it; it asks at least one question.

    An overlay that is broken, or needs a review, can't weaken the gate: its faults are added to the guide's,
    and each question then needs a confirmation record.
    """
    try:
        guide = guide_for(pinned.note, pinned.transforms, pinned.overlay)
    except RuleFileError as error:
        return _without_overlay(pinned, error)
    guide = guide if guide.questions else replace(guide, questions=(ONLY_QUESTION,))
    return _under_review(guide, pinned.review) if pinned.review else guide


def _without_overlay(pinned: GuideVersion, error: RuleFileError) -> Guide:
    guide = guide_for(pinned.note, pinned.transforms, "")
    questions = tuple(_stricter(question, guide, _BROKEN) for question in guide.questions or (ONLY_QUESTION,))
    return replace(guide, questions=questions, faults=(*guide.faults, *error.faults))


def _under_review(guide: Guide, review: str) -> Guide:
    """The guide with its checks, each question asking for what its pivots read and for a confirmation."""
    faults = [
        RuleFault(Location("guide overlay"), line, "Have the overlay reviewed.")
        for line in review.splitlines()
    ]
    questions = tuple(_stricter(question, guide, _UNDER_REVIEW) for question in guide.questions)
    return replace(guide, questions=questions, faults=(*guide.faults, *faults))


def _stricter(question: Question, guide: Guide, says: str) -> Question:
    read = [kind for pivot in guide.pivots if pivot.key in question.pivots for kind in pivot.kinds]
    requires = replace(
        question.requires,
        telemetry=tuple(dict.fromkeys([*question.requires.telemetry, *read])),
        confirmation=True,
        confirmation_replaces_telemetry=False,
        says=says,
    )
    return replace(question, requires=requires)
