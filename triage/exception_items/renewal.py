"""Owners are asked before an exception ends, and when it has hidden nothing for long."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, Min, OuterRef

from detections.actors import Actor
from triage.case_tasks import open_task
from triage.models import CaseTask, ExceptionVersion, Suppression
from triage.models.approved_version import ON_ITS_WAY

BEFORE_THE_END = timedelta(days=14)
UNUSED_FOR = timedelta(days=90)


def ask_owners(*, actor: Actor, now: datetime) -> int:
    """Open the tasks that are due. Each version is asked about once. Returns how many were new."""
    asked = sum(_ask(row, "exception_renewal", actor, *_renewal(row)) for row in _ending(now))
    return asked + sum(_ask(row, "exception_unused", actor, *_removal(row)) for row in _unused(now))


def _ending(now: datetime) -> Iterator[ExceptionVersion]:
    """Active versions near their end (of a short one: in its second half) without one that follows."""
    next_one = ExceptionVersion.objects.filter(item=OuterRef("item"), state__in=ON_ITS_WAY)
    rows = ExceptionVersion.objects.in_force(now).filter(expires_at__lte=now + BEFORE_THE_END)
    for row in rows.exclude(Exists(next_one)).select_related("item__owner"):
        assert row.active_from is not None
        assert row.expires_at is not None
        if now >= row.active_from + (row.expires_at - row.active_from) / 2:
            yield row


def _unused(now: datetime) -> Iterator[ExceptionVersion]:
    """Active versions of items that have been in force for long and have hidden nothing since."""
    hits = Suppression.objects.filter(version__item=OuterRef("item"), at__gte=now - UNUSED_FOR)
    rows = ExceptionVersion.objects.in_force(now).exclude(Exists(hits)).select_related("item__owner")
    old = rows.annotate(since=Min("item__versions__active_from")).filter(since__lte=now - UNUSED_FOR)
    yield from old


def _renewal(row: ExceptionVersion) -> tuple[str, str]:
    assert row.expires_at is not None
    ends = f"{row.expires_at:%Y-%m-%d %H:%M} UTC"
    title = f"Renew {row.item.number} or let it go, it ends on {row.expires_at:%Y-%m-%d}: {row.item.name}"
    return title, (
        f"{row.label} ends at {ends} and has hidden {row.hits} alerts. To go on, renew it: it needs a new "
        "back-test and a new approval. If nobody does, its alerts become cases again from then on."
    )


def _removal(row: ExceptionVersion) -> tuple[str, str]:
    title = f"Remove {row.item.number}, it has hidden nothing for {UNUSED_FOR.days} days: {row.item.name}"
    return title, (
        f"{row.label} stays in force until it is revoked, and hides whatever satisfies it. If the workflow "
        "is gone, ask a lead to revoke it; if not, say what it waits for."
    )


def _ask(row: ExceptionVersion, kind: str, actor: Actor, title: str, detail: str) -> bool:
    key = f"{kind}:{row.pk}"
    if CaseTask.objects.filter(key=key).exists():
        return False
    with transaction.atomic():
        open_task(
            kind=kind,
            title=title,
            detail=detail,
            actor=actor,
            key=key,
            owner=row.item.owner,
            due_at=row.expires_at if kind == "exception_renewal" else None,
        )
    return True
