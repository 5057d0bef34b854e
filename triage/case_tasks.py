"""Tasks: what somebody has to do for a case. Opened by the product or a person, finished with a note."""

import uuid
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from detections import journal as chains
from detections.actors import Actor, NotPermittedError, of_user
from triage import journal
from triage.errors import TriageError
from triage.models import Case, CaseTask

# Where tasks without a case are written down.
STREAM = "tasks"
LEAD = "triage.approve"


def open_task(
    *,
    kind: str,
    title: str,
    actor: Actor,
    key: str,
    case: Case | None = None,
    detail: str = "",
    owner: User | None = None,
    for_permission: str = "",
    due_at: datetime | None = None,
) -> CaseTask:
    """Ask for something to be done, in the caller's transaction. The same key again is the same task.

    kind: what sort of work ("new_evidence"). owner: whose it is; None: anybody's with for_permission, and ""
    is everybody's. Raises NotPermittedError.
    """
    actor.require("triage.add_casetask", "open tasks")
    task, created = CaseTask.objects.get_or_create(
        key=key,
        defaults={
            "kind": kind,
            "title": title[:255],
            "detail": detail,
            "case": case,
            "owner": owner,
            "for_permission": for_permission,
            "due_at": due_at,
            "created_at": timezone.now(),
            "created_by": actor.label[:200],
        },
    )
    if created:
        _write(task, "task_opened", actor, "")
    return task


def ask(
    case: Case, *, title: str, actor: Actor, owner: User | None = None, due_at: datetime | None = None
) -> CaseTask:
    """Open a task by hand, for one person or for anybody. Two that read the same are two tasks.

    Raises NotPermittedError, and TriageError without a title or for an owner who could not finish it.
    """
    if not title.strip():
        raise TriageError("Say what has to be done.")
    if owner is not None and not of_user(owner).can("triage.change_casetask"):
        raise TriageError(f"{owner.get_username()} may not finish tasks, so this one can't be theirs.")
    with transaction.atomic():
        row = Case.objects.select_for_update().get(pk=case.pk)
        return open_task(
            kind="asked",
            title=title.strip(),
            actor=actor,
            key=f"asked:{uuid.uuid4().hex}",
            case=row,
            owner=owner,
            due_at=due_at,
        )


def finish_task(task: CaseTask, *, actor: Actor, note: str) -> CaseTask:
    """Say that it is done, and what came of it. Finished tasks stay finished, by whoever was first.

    Raises NotPermittedError for whom it is not for, TriageError without a note or if it is finished already.
    """
    actor.require("triage.change_casetask", "finish tasks")
    if not note.strip():
        raise TriageError("Say what came of it: a task is finished with a note.")
    with transaction.atomic():
        if task.case_id is not None:
            Case.objects.select_for_update().get(pk=task.case_id)
        row = CaseTask.objects.select_for_update(of=("self",)).select_related("case", "owner").get(pk=task.pk)
        if row.done_at is not None:
            raise TriageError(f"{row.done_by} finished this task already: {row.done_note}")
        if actor.user is None or not may_finish(row, actor):
            raise NotPermittedError(f"{actor.label} may not finish this task: {whose(row)}.")
        row.done_at, row.done_by, row.done_note = timezone.now(), actor.user, note.strip()
        row.save(update_fields=["done_at", "done_by", "done_note"])
        _write(row, "task_finished", actor, row.done_note)
    return row


def may_finish(task: CaseTask, actor: Actor) -> bool:
    """Its owner, a lead, or, where it is nobody's own, whoever holds the permission that it is for."""
    if actor.user is None or not actor.can("triage.change_casetask"):
        return False
    if task.owner_id is not None:
        return task.owner_id == actor.user.pk or actor.can(LEAD)
    return not task.for_permission or actor.can(task.for_permission)


def whose(task: CaseTask) -> str:
    """Whom it is for, in words: "for A. Person", "for anybody who may approve", "for anybody"."""
    if task.owner is not None:
        return f"for {task.owner.get_full_name() or task.owner.get_username()}"
    if not task.for_permission:
        return "for anybody"
    codename = task.for_permission.rpartition(".")[2].replace("_", " ")
    return f"for anybody who may {codename}"


def of_actor(actor: Actor) -> "QuerySet[CaseTask]":
    """What waits for the actor: their own, and what is for everybody or for a permission that they hold."""
    if actor.user is None:
        return CaseTask.objects.none()
    open_to = Q(owner__isnull=True) & (Q(for_permission="") | Q(for_permission__in=sorted(actor.permissions)))
    return CaseTask.objects.visible_to(actor).waiting().filter(Q(owner=actor.user) | open_to)


def _write(task: CaseTask, verb: str, actor: Actor, reason: str) -> None:
    data = {"task": task.pk, "kind": task.kind}
    if task.case is not None:
        journal.record(task.case, verb, actor=actor, subject=task.title, reason=reason, data=data)
    else:
        chains.record(STREAM, verb, actor=actor, reason=reason, data={"subject": task.title, **data})
