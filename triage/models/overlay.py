"""Guide overlays that somebody wrote here, and who let them come into force."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from detections.models import Rule
from detections.models.visibility import VisibleManager
from triage.enums import ProposalState
from triage.models.four_eyes import FourEyes, four_eyes_constraints
from triage.models.guide import GuideVersion


class OverlayProposal(FourEyes):
    """One text of a rule's guide overlay. An overlay can weaken a gate, so a second person approves it.

    base: the guide that was in force when it was written; approval is refused once another one is. guide: the
    version that approval made. text: the whole overlay, "" to have none. source: the file that it came from,
    or "" for the page. last_edited_by is absent only in a draft that a file brought: nobody vouches for it.
    review: why an approved one no longer fits its rule, or "": until somebody corrects it, every question of
    the guide needs a confirmation record. version: grows with each edit.
    """

    rule = models.ForeignKey(Rule, on_delete=models.PROTECT, related_name="overlay_proposals")
    number = models.PositiveIntegerField()
    base = models.ForeignKey(GuideVersion, null=True, on_delete=models.PROTECT, related_name="+")
    guide = models.ForeignKey(
        GuideVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="proposals"
    )
    text = models.TextField(blank=True)
    reason = models.TextField(blank=True)
    source = models.CharField(max_length=500, blank=True)
    state = models.CharField(max_length=12, choices=ProposalState.choices, default=ProposalState.DRAFT)
    review = models.TextField(blank=True)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    last_edited_by = models.ForeignKey(  # type: ignore[assignment]
        "auth.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    objects = VisibleManager()

    class Meta:
        ordering: ClassVar = ["rule", "-number"]
        constraints: ClassVar = [
            *four_eyes_constraints("overlay", approved_states=["approved"]),
            models.UniqueConstraint(fields=["rule", "number"], name="overlay_proposal_number"),
            models.UniqueConstraint(
                fields=["rule"], condition=Q(state="approved"), name="overlay_one_in_force_a_rule"
            ),
            models.CheckConstraint(
                condition=Q(state="draft") | Q(last_edited_by__isnull=False), name="overlay_has_an_author"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["draft", "superseded"]) | Q(requested_by__isnull=False),
                name="overlay_was_proposed",
            ),
            models.CheckConstraint(
                condition=~Q(state="declined") | ~Q(decided_reason=""), name="overlay_decline_says_why"
            ),
            models.CheckConstraint(
                condition=~Q(state="approved") | Q(guide__isnull=False), name="overlay_in_force_has_a_guide"
            ),
        ]

    def __str__(self) -> str:
        return f"Overlay {self.number} of {self.rule}"

    @property
    def stream(self) -> str:
        """The chain of the journal that its changes go to: the rule's own."""
        return f"rule:{self.rule_id}"
