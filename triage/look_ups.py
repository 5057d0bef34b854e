"""Look-ups: what a page wants to know of the store. A worker asks it, since pages search nothing."""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django.db import transaction
from django.utils import timezone

from detections import outbox
from detections.actors import Actor
from detections.errors import CasewrightError
from detections.journal import canonical_json
from triage.comparison import compare
from triage.enums import LookUpKind, LookUpState
from triage.models import Case, LookUp, PivotRun
from triage.rarity import rarity

KIND = "look_up"
# The same question within this time is the same look-up.
FRESH = timedelta(minutes=1)
KEEP = timedelta(days=1)
# Over what a person asks about: as far back as a store may reach.
DAYS = 365


def of_rarity(case: Case, field: str, value: str, *, actor: Actor) -> LookUp:
    """How rare a value is here, up to now. Raises NotPermittedError."""
    return _look_up(case, LookUpKind.RARITY, {"field": field, "value": value}, actor)


def of_comparison(run: PivotRun, *, actor: Actor) -> LookUp:
    """What changed in the store since the run was frozen. Raises NotPermittedError."""
    return _look_up(run.case, LookUpKind.COMPARISON, {"pivot": run.pk}, actor)


def _look_up(case: Case, kind: LookUpKind, subject: dict[str, Any], actor: Actor) -> LookUp:
    actor.require("triage.view_case", "look things up")
    key = sha256(canonical_json([case.pk, kind.value, subject]).encode()).hexdigest()
    now = timezone.now()
    with transaction.atomic():
        known = LookUp.objects.filter(case=case, key=key, asked_at__gt=now - FRESH)
        found = known.exclude(state=LookUpState.FAILED).order_by("-pk").first()
        if found is not None:
            return found
        made = LookUp.objects.create(case=case, kind=kind, subject=subject, key=key, asked_at=now)
        outbox.put(KIND, f"{KIND}:{made.pk}", made.pk)
    return made


@outbox.handler(KIND)
def deliver(look_up_id: int | None) -> None:
    """Outbox: look it up. What can't be is told where it was asked, and not tried again."""
    waiting = LookUp.objects.select_related("case").filter(state=LookUpState.WAITING)
    row = waiting.filter(pk=look_up_id).first() if look_up_id else None
    if row is None:
        return
    try:
        row.result, row.state = _result(row), LookUpState.DONE
    except CasewrightError as error:
        row.error, row.state = str(error) or type(error).__name__, LookUpState.FAILED
    row.done_at = timezone.now()
    row.save(update_fields=["result", "error", "state", "done_at"])


def _result(row: LookUp) -> dict[str, Any]:
    if row.kind == LookUpKind.RARITY:
        found = rarity(row.subject["field"], row.subject["value"], days=DAYS, until=timezone.now())
        return {"sentence": found.sentence(), **found.data()}
    run = PivotRun.objects.select_related("case__guide", "case__rule").get(pk=row.subject["pivot"])
    return compare(run).data()


def prune(*, before: datetime) -> int:
    """Delete look-ups asked before a moment: they are no evidence. Returns how many."""
    return LookUp.objects.filter(asked_at__lt=before).delete()[0]
