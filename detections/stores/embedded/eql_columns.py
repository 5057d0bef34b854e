"""The fields of a query as columns of one scan."""

from collections.abc import Iterator, Mapping

from detections.eql.fields import Field, FieldType
from detections.eql.sql import Column
from detections.stores.embedded.scan import Leaf, Scan


class EqlColumns(Mapping[str, Column]):
    """Every known field, made into a column expression when it is asked for."""

    def __init__(self, scan: Scan, known: Mapping[str, Field]) -> None:
        self._scan, self._known = scan, known

    def __getitem__(self, name: str) -> Column:
        leaf = self._scan.leaf(self._known[name])
        sql = leaf.sql if leaf.field.type is not FieldType.DATE else _zoned(leaf)
        return Column(sql, leaf.field.type, leaf.is_list)

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def _zoned(leaf: Leaf) -> str:
    """Columns hold UTC without saying so; queries compare moments."""
    if leaf.is_list:
        return f"list_transform({leaf.sql}, lambda moment: timezone('UTC', moment))"
    return f"timezone('UTC', {leaf.sql})"
