"""Errors of detection. Each message says what failed, where, and what to do."""

from dataclasses import dataclass


class CasewrightError(Exception):
    """Base of every error that a person is shown."""


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a file or text; prints as `path:line:column`. Lines and columns count from 1."""

    path: str = ""
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        parts = [self.path, *(str(part) for part in (self.line, self.column) if part is not None)]
        return ":".join(part for part in parts if part)


class EqlError(CasewrightError):
    """A query that can't run. `str()` has the position, the line and a caret under the fault.

    line, column: where the fault starts, from 1. text: the whole query. hint: what to write instead, or "".
    """

    def __init__(
        self, message: str, *, text: str = "", line: int = 1, column: int = 1, hint: str = ""
    ) -> None:
        self.message, self.text, self.line, self.column, self.hint = message, text, line, column, hint
        super().__init__(message)

    def __str__(self) -> str:
        # Not splitlines: a line ends where the lexer says it does. A tab is as wide as the caret counts it.
        lines = self.text.split("\n")
        shown = f"line {self.line}, column {self.column}: {self.message}"
        if self.text and 0 < self.line <= len(lines):
            line = lines[self.line - 1].rstrip("\r").replace("\t", " ")
            shown += f"\n    {line}\n    {' ' * (self.column - 1)}^"
        return f"{shown}\n{self.hint}" if self.hint else shown


class EqlSyntaxError(EqlError):
    """The text is not EQL (Elasticsearch: parsing_exception)."""


class EqlVerificationError(EqlError):
    """The text is EQL, but can't mean anything here: unknown column, wrong type, unsupported.

    (Elasticsearch: verification_exception.) `field` names the unknown column, or is "".
    """

    def __init__(
        self, message: str, *, text: str = "", line: int = 1, column: int = 1, hint: str = "", field: str = ""
    ) -> None:
        self.field = field
        super().__init__(message, text=text, line=line, column=column, hint=hint)


class StoreError(CasewrightError):
    """The event store could not answer in full. A caller records a failed run, never "no matches"."""


class SegmentUnreadableError(StoreError):
    """A segment's file is missing or damaged. `path` names it."""

    def __init__(self, message: str, *, path: str) -> None:
        self.path = path
        super().__init__(message)


class SearchTimeoutError(StoreError):
    """The search took longer than it may. Narrow the window or raise the limit."""


class RecordError(CasewrightError):
    """One record of a capture can't be used; the others can. `position` is a line or record number."""

    def __init__(self, message: str, *, position: str = "", raw: str = "") -> None:
        self.position, self.raw = position, raw
        super().__init__(message)


class SourceError(CasewrightError):
    """A whole file can't be read as what its name says, or ends too early. `position` is where."""

    def __init__(self, message: str, *, position: str = "") -> None:
        self.position = position
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class RuleFault:
    """One thing that is wrong with a rule or guide file."""

    location: Location
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.location}: {self.message}" + (f" {self.remedy}" if self.remedy else "")


class RuleFileError(CasewrightError):
    """A rule file that does not load; `faults` lists everything that is wrong with it."""

    def __init__(self, faults: list[RuleFault]) -> None:
        self.faults = faults
        super().__init__("\n".join(str(fault) for fault in faults))


class StaleLeaseError(CasewrightError):
    """Somebody else holds the lease by now; what was found is theirs to store."""
