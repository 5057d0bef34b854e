"""Actions that the product does itself: each kind's executor, registered by the module that does the work."""

from collections.abc import Callable
from dataclasses import dataclass

from triage.actions.outcomes import Outcome, Proof, Result
from triage.enums import CheckOutcome
from triage.models import ResponseAction

Execute = Callable[[ResponseAction], Outcome]
Prove = Callable[[ResponseAction], Proof]


@dataclass(frozen=True, slots=True)
class Executor:
    """execute: outside of any transaction. is_repeatable: to do it again after a crash is harmless, as it
    looks first what is there. look_up: else, what became of it. prove: whether its effect is there now."""

    execute: Execute
    is_repeatable: bool = False
    look_up: Execute | None = None
    prove: Prove | None = None

    def ask(self, action: ResponseAction) -> Outcome:
        """What became of an action that may have been done."""
        if self.look_up is not None:
            return self.look_up(action)
        if self.is_repeatable:
            return self.execute(action)
        says = "It was cut off, and can't be asked. Look, then say what you found."
        return Outcome(Result.UNKNOWN, says, is_askable=False)

    def proof(self, action: ResponseAction) -> Proof | None:
        return self.prove(action) if self.prove is not None else None


_executors: dict[str, Executor] = {}


def executor(
    kind: str,
    *,
    is_repeatable: bool = False,
    look_up: Execute | None = None,
    prove: Prove | None = None,
) -> Callable[[Execute], Execute]:
    """Register who does actions of a kind. For use as a decorator on `function(action) -> Outcome`.

    The function gets the action in state running; what it raises leaves the action `unknown`.
    """

    def register(function: Execute) -> Execute:
        made = Executor(function, is_repeatable, look_up, prove)
        if _executors.setdefault(kind, made).execute is not function:
            raise ValueError(f"Two executors for actions of kind {kind}.")
        return function

    return register


def executor_of(kind: str) -> Executor | None:
    return _executors.get(kind)


def recorded(says: str) -> Proof:
    """The proof of what is itself a record here."""
    return Proof(CheckOutcome.HOLDING, says)
