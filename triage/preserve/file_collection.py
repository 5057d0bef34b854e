"""Files that preserving asks endpoints for: those of the case that nobody trusted signed."""

import logging

from detections.actors import Actor
from triage.enums import ActionState
from triage.errors import TriageError
from triage.models import ActionKind, Case, ResponseAction
from triage.response import actions as response_actions
from triage.response import targets as response_targets
from triage.response.actions import Wish
from triage.response.kinds import spec_of
from triage.scope import indicators as scope_indicators

log = logging.getLogger(__name__)
KIND = "collect_file"
MOST = 5
_OVER = (ActionState.FAILED, ActionState.DECLINED, ActionState.CANCELLED, ActionState.EXPIRED)
_WAITS = (ActionState.APPROVED, ActionState.RUNNING)


def ask(case: Case, *, actor: Actor) -> list[ResponseAction]:
    """Ask for the files of the case's hashes that nobody signed whom the product trusts, each once.

    Nothing is asked for where no connector collects files by itself, or the actor may not.
    """
    if actor.user is None or not actor.can(response_actions.REQUEST) or not _can_collect():
        return []
    made = []
    for token in _wanted(case):
        wish = Wish(KIND, "Preserve the file before anything is changed.", target=token)
        try:
            made.append(response_actions.request(case, wish, actor=actor))
        except TriageError as refused:
            log.info("%s: a file is not collected: %s", case.number, refused)
    return made


def is_under_way(case: Case) -> bool:
    """Whether an endpoint is still asked for a file of the case."""
    asked = ResponseAction.objects.filter(case=case, kind__key=KIND, state__in=_WAITS)
    return asked.filter(kind__connector__isnull=False).exists()


def _can_collect() -> bool:
    ways = ActionKind.objects.filter(key=KIND, needs_approval=False, connector__enabled=True)
    return ways.exclude(connector__dry_run=True).exists()


def _wanted(case: Case) -> list[str]:
    usual = {one.value.lower() for one in scope_indicators.offered(case) if one.is_hash and one.is_usual}
    asked = ResponseAction.objects.filter(case=case, kind__key=KIND).exclude(state__in=_OVER)
    known = {value.lower() for value in asked.values_list("target_value", flat=True)}
    found = [
        one
        for one in response_targets.choices(case, spec_of(KIND))
        if one.value.lower() in usual - known and not one.why_not
    ]
    return [one.token for one in found[:MOST]]
