"""Structured filters in SQL. Every value is a parameter: nothing from data becomes part of a query."""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from detections.eql.fields import Field, FieldType
from detections.stores.base import Clause, Filters, Operator
from detections.stores.embedded.columns import fitted
from detections.stores.embedded.scan import Leaf, Scan

Distinct = Callable[[Leaf], list[str]]


@dataclass(slots=True)
class FilterCompiler:
    """Compiles filters for one scan.

    distinct: gives the different values of a column in the scan, which network clauses are decided on.
    """

    scan: Scan
    known: Mapping[str, Field]
    distinct: Distinct
    parameters: list[Any] = field(default_factory=list)

    def compile(self, filters: Filters) -> str:
        """A condition over `p`; its parameters are in `parameters`. No group at all lets nothing through."""
        groups = [" AND ".join(map(self._clause, group)) or "TRUE" for group in filters.groups]
        return "(" + (" OR ".join(f"({group})" for group in groups) or "FALSE") + ")"

    def _clause(self, clause: Clause) -> str:
        known = self.known.get(clause.field)
        condition = "FALSE" if known is None else self._condition(clause, self.scan.leaf(known))
        # Only a bare comparison is taken to the files' statistics; NULL lets nothing through either.
        return f"NOT coalesce({condition}, FALSE)" if clause.excluded else condition

    def _condition(self, clause: Clause, leaf: Leaf) -> str:
        if clause.operator is Operator.EXISTS:
            return f"len({leaf.sql}) > 0" if leaf.is_list else f"{leaf.sql} IS NOT NULL"
        if clause.operator is Operator.IN_NETWORK:
            return self._one_of(leaf, _inside(self.distinct(leaf), clause.values))
        return self._one_of(leaf, [fitted(value, leaf.field.type) for value in clause.values])

    def _one_of(self, leaf: Leaf, values: list[Any]) -> str:
        held = [value for value in values if value is not None]
        if not held:
            return "FALSE"
        if len(held) == 1 and not leaf.is_list:
            self.parameters.append(held[0])
            return f"{leaf.sql} = ?"
        self.parameters.append(held)
        return f"list_has_any({leaf.sql}, ?)" if leaf.is_list else f"list_contains(?, {leaf.sql})"


def _inside(values: list[str], networks: tuple[Any, ...]) -> list[str]:
    """The addresses that lie in one of the networks; host bits of a network are ignored."""
    held = [network for network in map(_network, networks) if network is not None]
    return [value for value in values if any(_lies_in(value, network) for network in held)]


def _lies_in(value: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    address = fitted(value, FieldType.IP)
    return address is not None and ipaddress.ip_address(address) in network


def _network(value: Any) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(str(value), strict=False)
    except ValueError:
        return None
