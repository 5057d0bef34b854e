"""What an answer over HTTP means for an order that was sent."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from triage.actions.outcomes import Outcome, Result
from triage.actions.outward import Answer, NoAnswerError, NotReachedError, OutwardError, RefusedTargetError

_LONGEST_WAIT = 3600


def tried(work: Callable[[], Outcome]) -> Outcome:
    """The outcome of sending an order: what never arrived may be sent again, what got no answer may not."""
    try:
        return work()
    except RefusedTargetError as error:
        return Outcome(Result.FAILED, str(error))
    except NotReachedError as error:
        return Outcome(Result.NOT_TAKEN if error.may_pass else Result.FAILED, str(error))
    except NoAnswerError as error:
        return Outcome(Result.UNKNOWN, str(error))


def asked(work: Callable[[], Outcome]) -> Outcome:
    """The outcome of asking: as long as no answer comes, nothing is known."""
    try:
        return work()
    except OutwardError as error:
        return Outcome(Result.UNKNOWN, f"It could not be asked what became of it. {error}")


def refused(answer: Answer, where: str) -> Outcome | None:
    """What a status that is no success means; None for a success."""
    status = answer.status
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return Outcome(
            Result.FAILED, f"{where} answered with a redirect ({status}), which is never followed."
        )
    if status in (429, 503):
        return Outcome(
            Result.NOT_TAKEN, f"{where} takes no order now ({status}).", again_after=_retry_after(answer)
        )
    if status == 408 or status >= 500:
        return Outcome(
            Result.UNKNOWN, f"{where} answered {status}: it may have been done. {_text(answer)}".strip()
        )
    return Outcome(Result.FAILED, f"{where} refused it ({status}). {_text(answer)}".strip())


def read_json(answer: Answer) -> dict[str, Any] | None:
    """The answer's object, None where it is none."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def unreadable(where: str) -> Outcome:
    return Outcome(
        Result.UNKNOWN,
        f"{where} took it, and its answer is not the JSON that was agreed: it may have been done.",
    )


def _retry_after(answer: Answer) -> timedelta | None:
    text = answer.headers.get("retry-after", "")
    return timedelta(seconds=min(int(text), _LONGEST_WAIT)) if text.isascii() and text.isdigit() else None


def _text(answer: Answer) -> str:
    """What the target says itself, in a line."""
    found = read_json(answer) or {}
    said = found.get("message") or found.get("error") or found.get("says") or ""
    return " ".join(str(said).split())[:300]
