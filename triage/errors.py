"""Errors of triage. Each message says what was refused, why, and what to do."""

from detections.errors import CasewrightError


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
