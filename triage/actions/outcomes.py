"""What an adapter is told to do, and what it says came of it. No database here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Any

from triage.enums import CheckOutcome


class Result(Enum):
    """How an attempt ended.

    DONE, FAILED: the target says so. STARTED: it took the order and works on it. WAITS: a person, or a call
    back, says later. NOT_TAKEN: the order surely did not reach it, so it may be sent again. UNKNOWN: it may
    have been done.
    """

    DONE = "done"
    STARTED = "started"
    WAITS = "waits"
    FAILED = "failed"
    NOT_TAKEN = "not_taken"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. says: one sentence for people. output: what is kept with the action, JSON.

    again_after: when to try or ask again, None for the usual pause. counts: a NOT_TAKEN that is nobody's
    fault (a rate limit of ours) is no try. files: name and bytes, to be attached to the case.
    is_askable: False for an UNKNOWN that stays one, as there is nobody to ask.
    """

    result: Result
    says: str
    external_id: str = ""
    output: Mapping[str, Any] = field(default_factory=dict)
    again_after: timedelta | None = None
    counts: bool = True
    files: tuple[tuple[str, bytes], ...] = ()
    is_askable: bool = True


@dataclass(frozen=True, slots=True)
class Proof:
    """What a look at the effect saw."""

    result: CheckOutcome
    says: str


@dataclass(frozen=True, slots=True)
class Order:
    """What to do. key: of this attempt; the same key again is the same order. undoes: key of what it undoes.

    external_id: what the target called it. earlier_id: what the target called the action that this undoes.
    call_back: where the target may say later what came of it, "" if it can't.
    """

    key: str
    action: int
    number: str
    kind: str
    case: str
    title: str
    target_type: str
    target_value: str
    parameters: Mapping[str, Any]
    reason: str
    undoes: str = ""
    external_id: str = ""
    earlier_id: str = ""
    call_back: str = ""

    def as_json(self) -> dict[str, Any]:
        """The body that goes to other systems; documented in docs/response.md."""
        return {
            "version": 1,
            "key": self.key,
            "action": self.number,
            "kind": self.kind,
            "case": self.case,
            "title": self.title,
            "target": {"type": self.target_type, "value": self.target_value},
            "parameters": dict(self.parameters),
            "reason": self.reason,
            "undoes": self.undoes or None,
            "call_back": self.call_back or None,
        }
