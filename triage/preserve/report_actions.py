"""A case's response actions as its report and its pack tell them: asked, decided, done, proven, undone."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from triage.enums import CheckOutcome
from triage.models import Case, ResponseAction


@dataclass(frozen=True, slots=True)
class ActionLine:
    """A response action as the report tells it.

    asked, approved: who. notes: how it is known to have worked, or what is known; what else has to be said.
    """

    number: str
    what: str
    target: str
    state: str
    asked: str
    approved: str
    at: datetime
    notes: tuple[str, ...]


def lines(case: Case) -> tuple[ActionLine, ...]:
    """Every action of a case, in the order in which they were asked for."""
    rows = ResponseAction.objects.filter(case=case).with_proof()
    return tuple(map(_line, rows.select_related("requested_by", "approved_by", "undoes").order_by("pk")))


def records(case: Case) -> Iterator[dict[str, Any]]:
    """The same for a machine, with each look at the effect."""
    rows = ResponseAction.objects.filter(case=case).select_related("kind", "requested_by", "approved_by")
    for row in rows.prefetch_related("checks").order_by("pk"):
        yield {
            "number": row.number,
            "kind": row.kind.key,
            "stage": row.stage,
            "title": row.title,
            "target": {"type": row.target_type, "value": row.target_value},
            "parameters": row.parameters,
            "reason": row.reason,
            "state": row.state,
            "says": row.says,
            "requested_by": str(row.requested_by or ""),
            "requested_at": _iso(row.requested_at),
            "approved_by": str(row.approved_by or ""),
            "approved_at": _iso(row.approved_at),
            "content_sha256": row.content_sha256,
            "overrode": row.overrode,
            "override_reason": row.override_reason,
            "undoes": f"RA-{row.undoes_id}" if row.undoes_id else "",
            "started_at": _iso(row.started_at),
            "finished_at": _iso(row.finished_at),
            "handed_to": row.handed_to,
            "handed_reason": row.handed_reason,
            "checks": [
                {"at": _iso(one.at), "result": one.result, "says": one.says, "by": one.by}
                for one in row.checks.all()
            ],
        }


def _line(row: ResponseAction) -> ActionLine:
    return ActionLine(
        number=row.number,
        what=f"{row.title} (takes back {row.undoes.number})" if row.undoes else row.title,
        target=row.target_value,
        state=row.state,
        asked=_name(row.requested_by) or "the system",
        approved=_name(row.approved_by),
        at=row.requested_at or row.expires_at,
        notes=tuple(filter(None, (_proof(row), _handed(row), _overridden(row)))),
    )


def _proof(row: Any) -> str:
    """What `templatetags.response.proof_line` says on the ladder, in plain text."""
    if row.proven_at is None:
        return str(row.says)
    if row.proof == CheckOutcome.BROKEN:
        return f"Does not hold any more, seen {_minute(row.proven_at)}: {row.proof_says}"
    if row.first_held is None:
        return f"Not proven, looked {_minute(row.proven_at)}: {row.proof_says}"
    if row.first_held == row.last_held:
        return f"Verified {_minute(row.first_held)}: {row.proof_says}"
    return f"Verified {_minute(row.first_held)}, still holding {_minute(row.last_held)}: {row.proof_says}"


def _handed(row: ResponseAction) -> str:
    return f"Handed to {row.handed_to} by {row.handed_by}: {row.handed_reason}" if row.handed_to else ""


def _overridden(row: ResponseAction) -> str:
    return f"Against its preconditions: {row.override_reason}" if row.override_reason else ""


def _name(user: Any) -> str:
    return (user.get_full_name() or user.get_username()) if user else ""


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
