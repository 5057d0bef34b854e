"""Hosts and accounts that are watched more closely: their new alerts weigh one level more, for a time."""

from dataclasses import dataclass

from django.utils import timezone

from detections.enums import Severity
from detections.models import Alert
from triage.actions.outcomes import Outcome, Result
from triage.enums import ActionState, ObservableType
from triage.models import ResponseAction
from triage.response.executors import executor, recorded

WATCH, UNWATCH = "watch_entity", "unwatch_entity"
_NEXT = {Severity.LOW: Severity.MEDIUM, Severity.MEDIUM: Severity.HIGH, Severity.HIGH: Severity.CRITICAL}


@dataclass(frozen=True, slots=True)
class Raised:
    """A severity, and the actions that raised it."""

    severity: Severity
    by: tuple[ResponseAction, ...] = ()

    @property
    def says(self) -> str:
        """Why it weighs more, for people; "" where it does not."""
        said = [f"{action.number} watches {action.target_value} more closely" for action in self.by]
        return f"One level more: {', '.join(said)}." if said else ""


def raised(severity: str, *, host_id: str = "", host_name: str = "", user: str = "") -> Raised:
    """What an alert of this host and user weighs now: one level more while either is watched."""
    level = Severity(severity)
    watching = ResponseAction.objects.filter(
        kind__key=WATCH, state=ActionState.SUCCEEDED, ends_at__gt=timezone.now()
    ).select_related("case")
    by = tuple(
        action for action in watching if _is_about(action, host_id.lower(), host_name.lower(), user.lower())
    )
    return Raised(_NEXT.get(level, level) if by else level, by)


def raised_by(alert: Alert, *, user: str) -> Raised:
    """What an alert weighs now, whose facts name that user."""
    return raised(alert.severity, host_id=alert.host_id, host_name=alert.host_name, user=user)


def weighs_more(one: str, other: str) -> bool:
    """Whether the first of two severities is the higher one."""
    order = list(Severity)
    return order.index(Severity(one)) > order.index(Severity(other))


def _is_about(action: ResponseAction, host_id: str, host_name: str, user: str) -> bool:
    value = action.target_value.lower()
    if action.target_type == ObservableType.HOST:
        known = str(action.parameters.get("host_id") or "").lower()
        return bool(value) and (value in (host_id, host_name) or (bool(known) and known == host_id))
    return _is_same_user(value, user)


def _is_same_user(value: str, user: str) -> bool:
    """Whether two spellings name one account: with its domain, or without where one of them has none."""
    watched_domain, _, watched = value.rpartition("\\")
    domain, _, name = user.rpartition("\\")
    return bool(name) and watched == name and (not domain or not watched_domain or domain == watched_domain)


@executor(WATCH, is_repeatable=True, prove=lambda action: recorded("New alerts of it weigh one level more."))
def watch(action: ResponseAction) -> Outcome:
    until = f"until {action.ends_at:%Y-%m-%d %H:%M} UTC" if action.ends_at else "from now on"
    return Outcome(Result.DONE, f"New alerts of {action.target_value} weigh one level more, {until}.")


@executor(UNWATCH, is_repeatable=True)
def unwatch(action: ResponseAction) -> Outcome:
    return Outcome(Result.DONE, f"New alerts of {action.target_value} weigh what their rules say.")
