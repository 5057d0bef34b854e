"""Celery tasks: thin doors. Each is idempotent and may be killed at any point; a later one does the rest."""

import socket
from datetime import timedelta

from django.utils import timezone

from detections import heartbeat, memory, outbox, run, store_upkeep
from detections import wake as waking
from detections.actors import system
from detections.broker import task
from detections.outside_alerts import taking

KEEP_EMPTY_RUNS = timedelta(days=30)


@task(waking.WAKE_TASK)
def wake() -> None:
    """Run every rule that is due."""
    heartbeat.beat("wake")
    waking.wake()


@task(outbox.DELIVER_TASK)
def deliver_outbox() -> None:
    """Deliver what the outbox holds and is due."""
    outbox.drain_in_worker()


@task("detections.tasks.deliver_outbox_row")
def deliver_outbox_row(row_id: int) -> None:
    """Deliver one row."""
    outbox.deliver(row_id)


@task("detections.tasks.prune")
def prune() -> None:
    """Forget runs that found nothing, thirty days later."""
    run.prune_runs(before=timezone.now() - KEEP_EMPTY_RUNS)


@task("detections.tasks.worker_heartbeat")
def worker_heartbeat() -> None:
    """A worker does work."""
    heartbeat.beat("worker", socket.gethostname())
    memory.note("worker")


@task(store_upkeep.COMPACT_TASK)
def compact_store() -> None:
    """Merge segments of the event store."""
    store_upkeep.compact()


@task(store_upkeep.SWEEP_TASK)
def sweep_store() -> None:
    """Expire telemetry as the settings say, and delete what nobody needs."""
    store_upkeep.sweep()


@task("detections.tasks.take_outside_alerts")
def take_outside_alerts() -> None:
    """Take in what Elastic Security raised, where the settings name its index."""
    taking.take(actor=system("alerts of Elastic Security"))


@task("detections.tasks.run_rule")
def run_rule(rule_pk: int) -> None:
    """Where a rule's beat entry leads if somebody presses "run" on it: it wakes what is due."""
    waking.wake()
