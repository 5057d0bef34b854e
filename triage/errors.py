"""Errors of triage. Each message says what was refused, why, and what to do."""

from typing import TYPE_CHECKING

from detections.errors import CasewrightError

if TYPE_CHECKING:
    from triage.exception_items.forms import Fault
    from triage.exception_items.guardrails import Guardrail


class TriageError(CasewrightError):
    """Base of what a page shows to the person who asked."""


class StaleEditError(TriageError):
    """Somebody else changed it meanwhile. `theirs` is what stands there now; nothing was overwritten."""

    def __init__(self, message: str, *, theirs: object) -> None:
        self.theirs = theirs
        super().__init__(message)


class AnswerRefusedError(TriageError):
    """The answer lacks what the guide demands; `missing` lists it in sentences."""

    def __init__(self, missing: list[str]) -> None:
        self.missing = missing
        super().__init__(" ".join(missing))


class GateClosedError(TriageError):
    """The disposition is not open; `blocks` says what stands in the way."""

    def __init__(self, blocks: list[str]) -> None:
        self.blocks = blocks
        super().__init__(" ".join(blocks))


class ContentFaultsError(TriageError):
    """What was typed can't be an exception or a value list; `faults` says what is wrong at which field."""

    def __init__(self, faults: list["Fault"]) -> None:
        self.faults = faults
        super().__init__(" ".join(str(fault) for fault in faults))


class GuardrailsError(TriageError):
    """The exception is refused for what it would hide; `refusals` are those of the guide and the product."""

    def __init__(self, refusals: list["Guardrail"]) -> None:
        self.refusals = refusals
        super().__init__(" ".join(refusal.says for refusal in refusals))


class ExceptionsUnreadableError(TriageError):
    """Which exceptions are in force, or whether one holds, can't be told now: routing waits."""
