"""The alerts of one rule, each with where it went: a case, an exception that hides it, or not routed yet."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.core.paginator import Page, Paginator
from django.db.models import Count

from detections.actors import Actor
from detections.models import Alert, Rule
from triage.models import Case, ExceptionVersion, Occurrence, Suppression

ALERTS_A_PAGE = 20


@dataclass(frozen=True, slots=True)
class RuleAlert:
    """One alert. case: the one that it belongs to; is_hidden: an exception hides it; hidden_by: which one,
    None for who may not see that."""

    alert: Alert
    case: Case | None
    is_hidden: bool
    hidden_by: ExceptionVersion | None = None


@dataclass(frozen=True, slots=True)
class HiddenByItem:
    """How many alerts of a rule one exception hides."""

    item: int
    name: str
    alerts: int

    @property
    def number(self) -> str:
        return f"EX-{self.item}"


def alerts_of(rule: Rule, number: str, *, actor: Actor) -> tuple[Page[Alert], Sequence[RuleAlert]]:
    """A page of the alerts that the actor may see, newest first. A fixed number of queries."""
    found = Alert.objects.visible_to(actor).filter(rule=rule).defer("events", "join_keys")
    shown = Paginator(found, ALERTS_A_PAGE).get_page(number)
    alerts = list(shown)
    ids = [alert.pk for alert in alerts]
    ties = Occurrence.objects.filter(alert__in=ids).select_related("case")
    cases = {tie.alert_id: tie.case for tie in ties} if actor.can("triage.view_case") else {}
    # That it is hidden is no secret of whoever may see the alert; why is.
    rows = Suppression.objects.standing().filter(alert__in=ids).select_related("version__item")
    hidden = {row.alert_id: row.version for row in rows}
    is_told = actor.can("triage.view_exceptionversion")
    return shown, [
        RuleAlert(alert, cases.get(alert.pk), alert.pk in hidden, hidden.get(alert.pk) if is_told else None)
        for alert in alerts
    ]


def hidden_of(rule: Rule, *, actor: Actor) -> list[HiddenByItem]:
    """How many of the rule's alerts each exception hides, most first. One query."""
    rows = Suppression.objects.visible_to(actor).standing().filter(version__item__rule=rule)
    counted = rows.order_by().values_list("version__item", "version__item__name").annotate(n=Count("pk"))
    return sorted((HiddenByItem(*one) for one in counted), key=lambda one: (-one.alerts, one.item))
