"""What is known about fields: ECS, integrations, and what was seen."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum


class FieldType(Enum):
    """Elasticsearch's mapping types, as far as EQL can tell them apart."""

    KEYWORD = "keyword"
    TEXT = "text"
    LONG = "long"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    DATE = "date"
    IP = "ip"
    VERSION = "version"


@dataclass(frozen=True, slots=True)
class Field:
    """One leaf field by its dotted name. `is_list`: its values are stored as a list."""

    name: str
    type: FieldType
    is_list: bool = False


class FieldCatalogue(Mapping[str, Field]):
    """The fields a query may name. A field that is absent here is an unknown column.

    "Known" is a property of the deployment, not of an event: a field that ECS has, or that an integration
    declares, is known though no event carries it yet.
    """

    def __init__(self, fields: Iterable[Field] = ()) -> None:
        self._fields = {field.name: field for field in fields}

    def __getitem__(self, name: str) -> Field:
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def merged(self, others: Iterable[Field]) -> "FieldCatalogue":
        """This catalogue and more fields; what is here already keeps its type."""
        merged = FieldCatalogue()
        merged._fields = {**{field.name: field for field in others}, **self._fields}
        return merged
