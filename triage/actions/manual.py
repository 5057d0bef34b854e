"""What people do by hand: a checklist item with instructions, finished with a proof."""

from collections.abc import Mapping
from typing import Any

from triage.actions.adapter import Unasked, adapter
from triage.actions.outcomes import Order, Outcome, Result


@adapter("manual")
class Manual(Unasked):
    label = "By hand"
    fields: Mapping[str, str] = {}
    secrets: Mapping[str, str] = {}
    kinds: frozenset[str] = frozenset()

    def __init__(self, config: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        pass

    def send(self, order: Order) -> Outcome:
        return Outcome(Result.WAITS, "Somebody does it by hand, then says here what was done, with a proof.")

    def look_up(self, order: Order) -> Outcome:
        return self.send(order)

    def test(self) -> Outcome:
        return Outcome(Result.DONE, "Nothing to try: people do it.")
