"""A hidden alert opened as a case all the same, so that somebody looks whether the exception still holds."""

from django.db import transaction
from django.utils import timezone

from detections import journal as chains
from detections import outbox
from detections.actors import Actor, system
from detections.models import Alert
from triage import journal
from triage.case_keys import case_key
from triage.case_opening import join, open_case, open_case_on
from triage.exception_items.routing import REVIEW
from triage.models import Case, ExceptionItem, ExceptionReview, Occurrence, Suppression


def open_review(suppression: Suppression, *, actor: Actor) -> ExceptionReview:
    """The review of a hidden alert, opened if there is none: the alert's case, joined or new. The alert
    counts as hidden as before. Idempotent. Raises NotPermittedError."""
    actor.require("triage.approve", "open a hidden alert for review")
    with transaction.atomic():
        alert = (
            Alert.objects.select_for_update(of=("self",))
            .select_related("rule", "rule_version")
            .get(pk=suppression.alert_id)
        )
        row = Suppression.objects.select_related("version__item").get(pk=suppression.pk)
        known = ExceptionReview.objects.filter(suppression=row).first()
        if known is not None:
            return known
        case = _case(alert, actor)
        review = ExceptionReview.objects.create(suppression=row, case=case, opened_at=timezone.now())
        _write(review, row, case, actor)
    return review


def _case(alert: Alert, actor: Actor) -> Case:
    tied = Occurrence.objects.select_related("case").filter(alert=alert).first()
    if tied is not None:
        return tied.case
    key = case_key(alert)
    case = open_case_on(key)
    if case is None:
        return open_case(alert, key, actor)
    join(case, alert, actor)
    return case


def _write(review: ExceptionReview, row: Suppression, case: Case, actor: Actor) -> None:
    label = row.version.label
    data = {"version": row.version_id, "alert": row.alert_id, "case": case.pk}
    ExceptionItem.objects.select_for_update().get(pk=row.version.item_id)
    chains.record(row.version.item.stream, "exception_review_opened", actor=actor, data=data)
    journal.record(case, "exception_review_opened", actor=actor, subject=label, data=data)


@outbox.handler(REVIEW)
def deliver_review(suppression_id: int | None) -> None:
    """Outbox: open the sample that an exception gives of what it hides."""
    row = Suppression.objects.filter(pk=suppression_id or 0).first()
    if row is not None:
        open_review(row, actor=system("sample of an exception"))
