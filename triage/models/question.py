"""Questions of a case, and their answers."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from triage.enums import ConfirmationKind, QuestionState
from triage.models.attachment import Attachment
from triage.models.case import Case
from triage.models.evidence import Evidence


class Question(models.Model):
    """One question of the pinned guide. Its text lives in the guide; here is how it stands.

    key: the question's id in the guide. version: grows with each answer; an edit of an old one is refused.
    has_new_evidence: a pivot found rows since the last answer. reopened_at: late evidence took its answer
    down, which is kept; null again once it is answered.
    """

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="questions")
    key = models.CharField(max_length=100)
    position = models.PositiveSmallIntegerField(help_text="from 1")
    title = models.TextField()
    state = models.CharField(max_length=15, choices=QuestionState.choices, default=QuestionState.OPEN)
    version = models.PositiveIntegerField(default=1)
    has_new_evidence = models.BooleanField(default=False)
    reopened_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["case", "position"]
        constraints = [
            models.UniqueConstraint(fields=["case", "key"], name="question_once_a_case"),
            models.UniqueConstraint(fields=["case", "position"], name="question_position"),
        ]

    def __str__(self) -> str:
        return f"{self.position}. {self.title}"


class Confirmation(models.Model):
    """What a person or a record confirmed: who, when, reference. Citable like evidence."""

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="confirmations")
    kind = models.CharField(max_length=15, choices=ConfirmationKind.choices)
    reference = models.CharField(max_length=255, help_text="CHG-20871, or how the person was reached")
    confirmed_by = models.CharField(max_length=255)
    confirmed_at = models.DateTimeField()
    statement = models.TextField(help_text="what exactly was confirmed")
    recorded_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(auto_now_add=True)
    attachment = models.ForeignKey(
        Attachment, null=True, blank=True, on_delete=models.PROTECT, related_name="confirmations"
    )

    class Meta:
        ordering = ["pk"]


class Answer(models.Model):
    """One answer. A later one takes its place; none is changed or removed.

    fields: what it states of the question's fields, ECS name to value, as typed and checked.
    """

    question = models.ForeignKey(Question, on_delete=models.PROTECT, related_name="answers")
    state = models.CharField(max_length=15, choices=QuestionState.choices)
    rationale = models.TextField(blank=True)
    fields = models.JSONField(default=dict)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    question_version = models.PositiveIntegerField()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["question", "question_version"], name="one_answer_a_version"),
            models.CheckConstraint(condition=~Q(state="open"), name="answer_says_something"),
            models.CheckConstraint(
                condition=~Q(state__in=["lower", "not_applicable"]) | ~Q(rationale=""),
                name="lowering_has_a_reason",
            ),
        ]


class Citation(models.Model):
    """What an answer rests on: a row of evidence, or a confirmation."""

    answer = models.ForeignKey(Answer, on_delete=models.PROTECT, related_name="citations")
    evidence = models.ForeignKey(Evidence, null=True, on_delete=models.PROTECT, related_name="+")
    confirmation = models.ForeignKey(Confirmation, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(evidence__isnull=False, confirmation__isnull=True)
                | Q(evidence__isnull=True, confirmation__isnull=False),
                name="citation_of_one_thing",
            )
        ]


class Draft(models.Model):
    """An answer that somebody is typing. `question_version` is what they saw."""

    question = models.ForeignKey(Question, on_delete=models.CASCADE, related_name="drafts")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    content = models.JSONField(default=dict)
    question_version = models.PositiveIntegerField()
    saved_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["question", "author"], name="one_draft_a_person")]
