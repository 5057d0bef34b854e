"""Read Elastic's EQL suite and our trap cases from the shared material, where it is there."""

import json
import re
import tomllib
from functools import cache
from typing import Any

import pytest

from detections.ecs import Document
from detections.eql.fields import Field, FieldCatalogue, FieldType
from tests.shared import SHARED

EQL = SHARED / "eql"
SUITE = EQL / "elastic-suite"
RULES = SHARED / "rules" / "elastic-rules.tar.gz"
TYPES = {type_.value for type_ in FieldType}
needs_traps = pytest.mark.skipif(not (EQL / "traps.json").exists(), reason="no shared EQL trap cases")
needs_suite = pytest.mark.skipif(not SUITE.exists(), reason="no shared copy of Elastic's EQL suite")
needs_rules = pytest.mark.skipif(not RULES.exists(), reason="no shared copy of Elastic's rules")


@cache
def traps() -> list[dict[str, Any]]:
    path = EQL / "traps.json"
    return json.loads(path.read_text()) if path.exists() else []


def guessed(value: Any) -> FieldType:
    """The type that dynamic mapping gives."""
    match value:
        case bool():
            return FieldType.BOOLEAN
        case int():
            return FieldType.LONG
        case float():
            return FieldType.DOUBLE
    return FieldType.KEYWORD


def leaves(document: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted name -> first scalar of every leaf."""
    found = {}
    for key, value in document.items():
        name = prefix + key
        if isinstance(value, dict):
            found.update(leaves(value, f"{name}."))
        else:
            scalars = [item for item in (value if isinstance(value, list) else [value]) if item is not None]
            found[name] = scalars[0] if scalars else None
    return found


def catalogue_of(documents: list[Document], types: dict[str, str]) -> FieldCatalogue:
    """The fields of the documents; `types` overrides what is guessed. Lists wherever one was seen."""
    fields = {"@timestamp": Field("@timestamp", FieldType.DATE)}
    names = {"event.category": ""}
    for document in documents:
        names.update({name: value for name, value in leaves(document).items() if value is not None})
    lists = {name for document in documents for name, value in document.items() if isinstance(value, list)}
    for name, value in names.items():
        fields.setdefault(name, Field(name, guessed(value), name in lists))
    for name, type_ in types.items():
        fields[name] = Field(name, FieldType(type_), name in lists)
    return FieldCatalogue(fields.values())


@cache
def cases(name: str) -> list[dict[str, Any]]:
    path = SUITE / f"{name}.toml"
    return tomllib.loads(path.read_text())["queries"] if path.exists() else []


@cache
def data(name: str) -> list[Document]:
    return json.loads((SUITE / "data" / f"{name}.data").read_text())


@cache
def mapping(name: str) -> dict[str, FieldType]:
    text = (SUITE / "data" / f"{name}.mapping").read_text()
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return dict(_mapped(json.loads(text)["properties"]))


def _mapped(properties: dict[str, Any], prefix: str = "") -> list[tuple[str, FieldType]]:
    found = []
    for name, entry in properties.items():
        if "properties" in entry:
            found += _mapped(entry["properties"], f"{prefix}{name}.")
        elif entry["type"] != "alias":
            is_other = entry["type"] not in TYPES or "fields" in entry  # text with a keyword sub-field
            type_ = "keyword" if is_other else entry["type"]
            found.append((prefix + name, FieldType(type_)))
    return found


def split_queries(text: str) -> list[str]:
    """The queries of a parser file: each ends with a semicolon at the end of a line."""
    found = []
    for piece in re.split(r";[ \t]*(?:\n|$)", text):
        query = re.sub(r"^\s*(?://[^\n]*|/\*.*?\*/|\s+)*", "", piece, flags=re.DOTALL).strip()
        if query:
            found.append(query)
    return found
