"""What must always hold of response actions. See detections.invariants."""

from collections.abc import Iterator

from django.db.models import Count, Q

from detections.invariants import invariant
from detections.models import JournalEntry
from triage.enums import ActionState, CaseStatus
from triage.models import ResponseAction
from triage.response.running import MOST_LOOKS, MOST_TRIES, OUTPUT_LENGTH

_STARTED_AGAIN = ("action_retried", "action_postponed")


@invariant("I9", "an action is begun at most once an attempt, and what needs an approval has one")
def actions_are_done_once() -> Iterator[str]:
    begun = JournalEntry.objects.filter(verb="action_begun").order_by()
    counted = begun.values("data__key").annotate(n=Count("pk")).filter(n__gt=1)
    for row in counted:
        yield f"The order {row['data__key']} was begun {row['n']} times."
    told = {row["data__action"]: row["n"] for row in begun.values("data__action").annotate(n=Count("pk"))}
    for action in ResponseAction.objects.select_related("kind").iterator(chunk_size=500):
        written = told.get(action.pk, 0)
        if action.attempts != written:
            yield f"{action.number} counts {action.attempts} attempts; the journal has {written}."
        if action.started_at and action.needs_approval and action.approved_sha256 != action.computed_sha256():
            yield f"{action.number} was begun and is not what was approved."


@invariant("I9", "an action is begun again only where the target did not take it, or a person asked")
def actions_are_not_repeated() -> Iterator[str]:
    entries = JournalEntry.objects.filter(verb__in=_STARTED_AGAIN).order_by()
    again = {row["data__action"]: row["n"] for row in entries.values("data__action").annotate(n=Count("pk"))}
    for pk, attempts in ResponseAction.objects.filter(attempts__gt=1).values_list("pk", "attempts"):
        if attempts > 1 + again.get(pk, 0):
            yield f"RA-{pk} was begun {attempts} times, and was to be begun {1 + again.get(pk, 0)} times."


@invariant("I9", "what is undone was undone by an action that succeeded")
def undone_actions_have_undos() -> Iterator[str]:
    undone = ResponseAction.objects.filter(state=ActionState.UNDONE)
    for pk in undone.exclude(undos__state=ActionState.SUCCEEDED).values_list("pk", flat=True):
        yield f"RA-{pk} is undone, and no action that succeeded undoes it."


@invariant("I9", "a case is closed over no containment that nobody looks after")
def no_forgotten_containment() -> Iterator[str]:
    for action in ResponseAction.objects.open_containments().filter(case__status=CaseStatus.CLOSED):
        yield f"{action.number} ({action.title}) is in force, and CW-{action.case_id} is closed."


@invariant("I12", "an action tries, asks and keeps no more than it may")
def actions_are_bounded() -> Iterator[str]:
    over = ResponseAction.objects.filter(Q(tries__gt=MOST_TRIES) | Q(looks__gt=MOST_LOOKS + 1))
    for action in over:
        yield f"{action.number} was tried {action.tries} times and asked for {action.looks} times."
    for action in ResponseAction.objects.exclude(output={}).iterator(chunk_size=200):
        if len(str(action.output)) > 2 * OUTPUT_LENGTH:
            yield f"{action.number} keeps {len(str(action.output)):,} characters of output."
