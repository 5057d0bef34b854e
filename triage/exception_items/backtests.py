"""Back-tests: what a version would have hidden, asked for by a person and worked out by a worker.

Work goes on in chunks, each kept with what was counted so far: killed at any point, the chunk at hand is
looked at again. No search runs inside a transaction.
"""

from datetime import timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from detections import journal as chains
from detections import outbox
from detections.actors import Actor, system
from detections.enums import OutboxState
from detections.errors import CasewrightError
from detections.models import OutboxRow
from triage.enums import BackTestKind, BackTestState
from triage.errors import TriageError
from triage.exception_items import backtest_tally as tally
from triage.exception_items.backtest_run import Run, alerts_run, telemetry_run
from triage.exception_items.guardrails import guide_of_rule
from triage.exception_items.matching import compiled
from triage.guides.model import DEFAULT_SHARE
from triage.models import BackTest, ExceptionItem, ExceptionVersion

KIND = "exception_back_test"
PROPOSE = "triage.propose_exception"
LONGEST_DAYS = 366
OPEN = (BackTestState.WAITING, BackTestState.RUNNING)
LOST = "Its worker was lost again and again. Run it again; if it fails once more, ask who runs the product."


class BackTestError(CasewrightError):
    """A back-test that can't be done, in words for who asked for it."""


def start(
    version: ExceptionVersion, *, actor: Actor, kind: str = BackTestKind.ALERTS, days: int = 30
) -> BackTest:
    """Ask for a back-test over the last days. One of the same kind and content that is under way is returned.

    kind: "alerts" looks at stored alerts of the rule, "telemetry" runs its query over the event store and
    stores nothing. Raises NotPermittedError; TriageError for days that are none or more than a year.
    """
    actor.require(PROPOSE, "run back-tests of exceptions")
    if actor.user is None:
        raise TriageError("Only a person can ask for a back-test.")
    if not 1 <= days <= LONGEST_DAYS:
        raise TriageError(f"Choose between 1 and {LONGEST_DAYS} days.")
    kind = BackTestKind(kind)
    with transaction.atomic():
        item = ExceptionItem.objects.select_for_update().get(pk=version.item_id)
        row = ExceptionVersion.objects.get(pk=version.pk)
        same = BackTest.objects.filter(
            version=row, kind=kind, content_sha256=row.content_sha256, state__in=OPEN
        ).first()
        if same is not None:
            return same
        now = timezone.now()
        made = BackTest.objects.create(
            version=row,
            kind=kind,
            content_sha256=row.content_sha256,
            window_start=now - timedelta(days=days),
            window_end=now,
            requested_by=actor.user,
        )
        _write(item, made, "back_test_started", actor)
        outbox.put(KIND, f"{KIND}:{made.pk}", made.pk)
    return made


def cancel(backtest: BackTest, *, actor: Actor) -> bool:
    """Stop a back-test; what its worker has at hand is discarded. False if it was over.

    Raises NotPermittedError.
    """
    actor.require(PROPOSE, "cancel back-tests of exceptions")
    with transaction.atomic():
        item = _item(backtest)
        row = BackTest.objects.select_for_update().get(pk=backtest.pk)
        if row.state not in OPEN:
            return False
        row.cancel_requested = True
        says = f"Cancelled by {actor.label} at {row.done} of {row.total or 'an unknown number'}."
        _end(item, row, BackTestState.CANCELLED, says, actor)
    return True


@outbox.handler(KIND)
def deliver_back_test(back_test_id: int | None) -> None:
    """Outbox: do a back-test, or go on with one whose worker was lost. One that is over is left alone."""
    row = BackTest.objects.filter(pk=back_test_id or 0, state__in=OPEN).first()
    if row is None:
        return
    try:
        _work(row)
    except (CasewrightError, ValueError, OSError) as error:
        _fail(row, str(error))


def fail_lost() -> int:
    """End back-tests whose work the outbox has given up. Returns how many."""
    return sum(_fail(row, LOST, if_lost=True) for row in _without_work())


def _without_work() -> "QuerySet[BackTest]":
    pending = OutboxRow.objects.filter(kind=KIND, state=OutboxState.PENDING).values("subject")
    return BackTest.objects.filter(state__in=OPEN).exclude(pk__in=pending)


# -- the work


def _work(row: BackTest) -> None:
    run = _begin(row)
    if run is None:
        return
    while True:
        before = row.done
        is_over = run.step()
        row.done = run.done
        if is_over:
            _succeed(row, run)
            return
        # Somebody who cancelled, or another worker who has taken over, ends this one's work here.
        if not _mine(row, before).update(
            done=run.done, result=run.result, renewed_at=timezone.now(), total=run.total
        ):
            return


def _mine(row: BackTest, done: int) -> "QuerySet[BackTest]":
    return BackTest.objects.filter(pk=row.pk, state=BackTestState.RUNNING, done=done)


def _begin(row: BackTest) -> Run | None:
    """What is to be done, from where it was left. None if it is somebody else's, or over."""
    version = ExceptionVersion.objects.select_related("item__rule__current", "rule_version__rule").get(
        pk=row.version_id
    )
    if version.content_sha256 != row.content_sha256:
        raise BackTestError("The exception was edited after the back-test was asked for. Run it again.")
    if version.rule_version is None or version.item.rule.current is None:
        raise BackTestError("The rule is not there any more, so nothing can be tested against it.")
    item = compiled(version)
    result = row.result or tally.empty(item)
    make = alerts_run if row.kind == BackTestKind.ALERTS else telemetry_run
    run = make(row, version, item, result)
    now = timezone.now()
    begun = BackTest.objects.filter(Q(state=BackTestState.WAITING) | Q(state=BackTestState.RUNNING))
    taken = begun.filter(pk=row.pk, done=row.done).update(
        state=BackTestState.RUNNING, started_at=row.started_at or now, renewed_at=now, total=run.total
    )
    return run if taken else None


def _succeed(row: BackTest, run: Run) -> None:
    rule = row.version.item.rule
    limit = guide_of_rule(rule).false_positives.max_share or DEFAULT_SHARE
    with transaction.atomic():
        item = _item(row)
        fresh = BackTest.objects.select_for_update().get(pk=row.pk)
        if fresh.state != BackTestState.RUNNING:
            return
        fresh.done, fresh.total = run.done, run.done
        fresh.result = tally.finished(run.result, share_limit=limit)
        _end(item, fresh, BackTestState.SUCCEEDED, "", system("back-test"))


def _fail(row: BackTest, error: str, *, if_lost: bool = False) -> bool:
    with transaction.atomic():
        item = _item(row)
        fresh = BackTest.objects.select_for_update().get(pk=row.pk)
        if fresh.state not in OPEN or (if_lost and not _without_work().filter(pk=row.pk).exists()):
            return False
        _end(item, fresh, BackTestState.FAILED, error, system("back-test"))
    return True


def _end(item: ExceptionItem, row: BackTest, state: BackTestState, error: str, actor: Actor) -> None:
    """In the caller's transaction."""
    row.state, row.error, row.finished_at = state, error, timezone.now()
    row.save()
    _write(item, row, "back_test_ended", actor)


def _item(row: BackTest) -> ExceptionItem:
    return ExceptionItem.objects.select_for_update().get(versions=row.version_id)


def _write(item: ExceptionItem, row: BackTest, verb: str, actor: Actor) -> None:
    data = {
        "back_test": row.pk,
        "version": row.version_id,
        "kind": row.kind,
        "content_sha256": row.content_sha256,
        "from": row.window_start,
        "to": row.window_end,
        "alerts": row.result.get("alerts"),
        "hidden": row.result.get("hidden"),
        "blocks": len(row.result.get("blocks", [])),
    }
    chains.record(item.stream, verb, actor=actor, after=row.state, reason=row.error, data=data)
