"""Celery tasks that watch over the whole: thin doors, each idempotent and due by what the database says."""

from datetime import timedelta

from django.utils import timezone

from detections import anchors, back_search, canary, imports, invariants, run, uploads
from detections.actors import system
from detections.broker import task
from triage import attachments, look_ups, notifications, observables
from triage.exception_items import watch as exception_watch
from triage.preserve import pack_files, preserving
from triage.response import clock as response_clock
from triage.scope import scoping

CHECK_ALARMS = "triage.tasks.check_alarms"
SEND_CANARY = "triage.tasks.send_canary"
HEAL = "triage.tasks.heal"
CHECK_INVARIANTS = "triage.tasks.check_invariants"
KEEP_CANARY_RUNS = timedelta(days=1)


@task(CHECK_ALARMS)
def check_alarms() -> None:
    """Raise and end notifications."""
    notifications.check(actor=system("alarm check"))


@task(SEND_CANARY)
def send_canary() -> None:
    """Send a canary, if one is due."""
    canary.send_if_due(actor=system("canary"))


@task(HEAL)
def heal() -> None:
    """End what nobody works at any more, and delete what nobody needs."""
    exception_watch.watch(actor=system("the clock"))
    response_clock.watch(actor=system("the clock"))
    imports.fail_lost_imports()
    back_search.fail_lost()
    uploads.sweep()
    attachments.sweep()
    pack_files.sweep()
    preserving.fail_lost()
    scoping.fail_lost()
    canary.prune(before=timezone.now() - canary.KEEP)
    look_ups.prune(before=timezone.now() - look_ups.KEEP)
    run.prune_runs(before=timezone.now() - KEEP_CANARY_RUNS, of_canary=True)
    observables.collect_missing()


@task(CHECK_INVARIANTS)
def check_invariants() -> None:
    """Anchor the journal's chains, and check the invariants if the last check is a day old."""
    anchors.write()
    invariants.check_nightly()
