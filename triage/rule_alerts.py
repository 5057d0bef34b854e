"""The alerts of one rule, each with where it went: a case, an exception that hides it, or not routed yet."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.core.paginator import Page, Paginator

from detections.actors import Actor
from detections.models import Alert, Rule
from triage.models import Case, Occurrence, Suppression

ALERTS_A_PAGE = 20


@dataclass(frozen=True, slots=True)
class RuleAlert:
    """One alert. case: the one that it belongs to; is_hidden: an exception hides it."""

    alert: Alert
    case: Case | None
    is_hidden: bool


def alerts_of(rule: Rule, number: str, *, actor: Actor) -> tuple[Page[Alert], Sequence[RuleAlert]]:
    """A page of the alerts that the actor may see, newest first. A fixed number of queries."""
    rows = Alert.objects.visible_to(actor).filter(rule=rule).defer("events", "join_keys")
    shown = Paginator(rows, ALERTS_A_PAGE).get_page(number)
    alerts = list(shown)
    ids = [alert.pk for alert in alerts]
    ties = Occurrence.objects.filter(alert__in=ids).select_related("case")
    cases = {tie.alert_id: tie.case for tie in ties} if actor.can("triage.view_case") else {}
    # That it is hidden is no secret of whoever may see the alert; why is.
    hidden = {row.alert_id for row in Suppression.objects.standing().filter(alert__in=ids).only("alert")}
    return shown, [RuleAlert(alert, cases.get(alert.pk), alert.pk in hidden) for alert in alerts]
