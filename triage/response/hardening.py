"""Hardening: what the guide's last stage proposes, as tasks with owner and date that outlive the case."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from detections.actors import Actor, of_user
from triage import case_tasks, cases
from triage.errors import TriageError
from triage.guide_versions import guide_of
from triage.guides.model import Guide, ResponseStage
from triage.models import Case, CaseTask
from triage.response.kinds import SPECS

KIND = "harden"
# The standard ladder's last stage, for guides that say it in prose alone.
STAGE = "harden"
_NAMED = re.compile(r"\bharden", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Proposal:
    """One thing to harden. task: what became of it, None where nobody took it up."""

    key: str
    title: str
    task: CaseTask | None = None


def proposals(case: Case) -> list[Proposal]:
    """What the guide proposes for afterwards, and what people added, each with its task."""
    tasks = {
        task.key: task
        for task in case.tasks.filter(kind=KIND).select_related("owner", "done_by").order_by("pk")
    }
    found = [Proposal(key, title, tasks.pop(_task_key(case, key), None)) for key, title in _of_guide(case)]
    own = [Proposal(key.rpartition(":")[2], task.title, task) for key, task in tasks.items()]
    return [*found, *own]


def is_task(kind: str) -> bool:
    """Whether what a stage that hardens proposes is a task: everything that is no action of the product's."""
    return kind not in SPECS


def stage_key(guide: Guide) -> str:
    """The key of the stage of a guide's ladder that hardens."""
    stage = _stage(guide.response)
    has_actions = any(one.actions for one in guide.response)
    return stage.key if stage is not None and has_actions else STAGE


def _of_guide(case: Case) -> list[tuple[str, str]]:
    """Key and words of each proposal: what the stage that hardens names, else its sentence."""
    stage = _stage(guide_of(case).response)
    if stage is None:
        return []
    if stage.actions:
        return [(action.key, action.label) for action in stage.actions if is_task(action.key)]
    text = stage.text.replace("`", "").strip()
    return [(stage.key, text[:255])] if text else []


def _stage(stages: Sequence[ResponseStage]) -> ResponseStage | None:
    named = [stage for stage in stages if _NAMED.search(f"{stage.key} {stage.title} {stage.text}")]
    return named[-1] if named else None


def track(
    case: Case, *, key: str, title: str, owner: User | None, due_at: datetime | None, actor: Actor
) -> CaseTask:
    """Open the task of a proposal, or of something else if key is "". The same proposal again is one task.

    A closed case has such tasks too: hardening comes after. Raises NotPermittedError, and TriageError
    without words, owner or date, for a date that is over, or for an owner who could not finish it.
    """
    actor.require("triage.add_casetask", "open tasks")
    text = title.strip()
    if not text:
        raise TriageError("Say what has to be hardened.")
    if owner is None or due_at is None:
        raise TriageError("Name an owner and a date: what nobody has to do by a day is not done.")
    if due_at <= timezone.now():
        raise TriageError("The date is over. Choose a later one.")
    if not of_user(owner).can("triage.change_casetask"):
        raise TriageError(f"{owner.get_username()} may not finish tasks, so this one can't be theirs.")
    known = dict(_of_guide(case))
    if key and key not in known:
        raise TriageError("The guide has no such proposal any more. Reload the page.")
    with transaction.atomic():
        held = cases.locked(case.pk)
        return case_tasks.open_task(
            kind=KIND,
            title=text,
            actor=actor,
            key=_task_key(held, key or hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:20]),
            case=held,
            detail=known.get(key, ""),
            owner=owner,
            due_at=due_at,
        )


def _task_key(case: Case, key: str) -> str:
    return f"{KIND}:{case.pk}:{key}"
