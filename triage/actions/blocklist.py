"""Names, addresses and hashes on a list that firewalls and proxies pull. See triage.response.block_feed."""

from collections.abc import Mapping
from typing import Any

from triage.actions.adapter import adapter
from triage.actions.outcomes import Order, Outcome, Proof, Result
from triage.enums import CheckOutcome


@adapter("blocklist")
class BlockList:
    label = "Block list"
    fields: Mapping[str, str] = {}
    secrets: Mapping[str, str] = {}
    kinds: frozenset[str] = frozenset(
        ("block_destination", "unblock_destination", "block_indicators", "unblock_indicators")
    )

    def __init__(self, config: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        pass

    def send(self, order: Order) -> Outcome:
        from triage.response import block_feed

        if order.undoes:
            return self._removed(block_feed.remove(order.action))
        try:
            entries = block_feed.add(order.action, order.target_type, order.target_value)
        except block_feed.NotBlockableError as error:
            return Outcome(Result.FAILED, str(error))
        names = ", ".join(entry.value for entry in entries)
        return Outcome(Result.DONE, f"On the block list: {names}. It works once it is pulled.")

    def look_up(self, order: Order) -> Outcome:
        """The list is in the same database: to add or remove again changes nothing."""
        return self.send(order)

    def prove(self, order: Order) -> Proof:
        from triage.response import block_feed

        there = block_feed.is_listed(order.action)
        pulled = block_feed.last_pulled()
        said = (
            f"The list was last pulled {pulled:%Y-%m-%d %H:%M} UTC."
            if pulled
            else "Nobody has pulled the list yet."
        )
        if not there:
            return Proof(CheckOutcome.BROKEN, "It is not on the block list any more.")
        return Proof(CheckOutcome.HOLDING if pulled else CheckOutcome.UNKNOWN, f"It is on the list. {said}")

    def test(self) -> Outcome:
        from triage.response import block_feed

        return block_feed.test()

    def _removed(self, number: int) -> Outcome:
        return Outcome(
            Result.DONE, f"Taken off the block list: {number} {'value' if number == 1 else 'values'}."
        )
