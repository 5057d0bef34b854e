"""The interface of adapters, and the registry: one adapter a file, each named by its key."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from triage.actions.outcomes import Order, Outcome, Proof, Result
from triage.enums import CheckOutcome
from triage.errors import TriageError


class ConnectorFaultError(TriageError):
    """A connector's settings can't work: what, and what to do."""


class Adapter(Protocol):
    """One way to act. It is made for each use from the connector's settings and secrets, and keeps nothing.

    None of these methods runs inside a transaction. None raises for what the target does: it says so.
    """

    def send(self, order: Order) -> Outcome:
        """Give the order, once. Nothing else is sent for the same key."""
        ...

    def look_up(self, order: Order) -> Outcome:
        """Ask what became of an order, without giving it again. NOT_TAKEN: the target surely never had it."""
        ...

    def prove(self, order: Order) -> Proof:
        """Look at whether the effect is there now."""
        ...

    def test(self) -> Outcome:
        """Try the way without acting: DONE, or why not."""
        ...


class Described(Protocol):
    """What the registry knows of an adapter.

    fields: names of settings, each with what it is for. secrets: the same for what only the environment
    has. kinds: of actions that it can do, empty for any.
    """

    label: str
    fields: Mapping[str, str]
    secrets: Mapping[str, str]
    kinds: frozenset[str]

    def __call__(self, config: Mapping[str, Any], secrets: Mapping[str, str]) -> Adapter: ...


_adapters: dict[str, Described] = {}


def adapter(key: str) -> Callable[[Any], Any]:
    """Register a class under its key. For use as a decorator."""

    def register(made: Any) -> Any:
        if _adapters.setdefault(key, made) is not made:
            raise ValueError(f"Two adapters are called {key}.")
        return made

    return register


def described(key: str) -> Described:
    """The adapter of that key. Raises ConnectorFaultError."""
    found = _adapters.get(key)
    if found is None:
        raise ConnectorFaultError(f"There is no adapter {key!r}. There are: {', '.join(sorted(_adapters))}.")
    return found


def adapters() -> dict[str, Described]:
    """All of them, by key."""
    return dict(sorted(_adapters.items()))


class Unasked:
    """What an adapter does that can neither be asked nor looked at: it says so."""

    def look_up(self, order: Order) -> Outcome:
        return Outcome(
            Result.UNKNOWN,
            f"It can't be asked what became of {order.number}: look there, then say what you found.",
            is_askable=False,
        )

    def prove(self, order: Order) -> Proof:
        return Proof(CheckOutcome.UNKNOWN, "This connector can't look whether it holds.")
