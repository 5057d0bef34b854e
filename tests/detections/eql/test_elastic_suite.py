"""Elastic's own EQL test suite, read from the shared material: every query, series and parser case."""

import re
from functools import cache
from typing import Any

import pytest

from detections.ecs import Document, get
from detections.eql import parse
from detections.eql.ast import SequenceQuery, Stage
from detections.eql.execute import ResultPosition, Row, execute
from detections.eql.fields import Field, FieldCatalogue, FieldType
from detections.eql.sequences import Candidate, find_sequences
from detections.eql.values import datetime_of, text_of
from detections.errors import EqlError
from tests.detections.eql.suites import SUITE, cases, data, leaves, mapping, needs_suite, split_queries

pytestmark = needs_suite


@cache
def universe(name: str) -> tuple[list[Document], FieldCatalogue, str]:
    """Documents in index order, fields, and the field of an event's number."""
    parts = ["sample1", "sample2", "sample3"] if name == "test_sample" else [FILES[name]]
    documents = [dict(document) for part in parts for document in data(part)]
    fields = {name: type_ for part in parts for name, type_ in mapping(part).items()}
    for document in documents:
        prepare(name, document)
        for leaf, value in leaves(document).items():
            if leaf not in fields and value is not None:
                fields[leaf] = FieldType.LONG if isinstance(value, int) else FieldType.KEYWORD
    fields["@timestamp"] = FieldType.DATE
    number = {"endgame-140": "serial_event_id", "sample1": "id"}.get(parts[0], "sequence")
    return documents, FieldCatalogue(Field(leaf, type_) for leaf, type_ in fields.items()), number


FILES = {
    "test_queries": "endgame-140",
    "additional_test_queries": "endgame-140",
    "test_queries_date": "endgame-140",
    "test_extra": "extra",
    "test_missing_events": "missing-events",
}


def prepare(name: str, document: Document) -> None:
    """What the suite's loader and mappings do: FILETIME, null_value, a date format."""
    if FILES.get(name) == "endgame-140":
        document["@timestamp"] = document["timestamp"] // 10000 - 11644473600000
    if "optional_field_default_null" in document:
        document["optional_field_default_null"] = "NULL"
    pretty = document.get("@timestamp_pretty", "")
    if re.fullmatch(r"\d\d-\d\d-\d{4}", pretty):
        document["@timestamp_pretty"] = "-".join(reversed(pretty.split("-")))


def ids(rows: list[Row], number: str) -> list[int]:
    return [-1 if event is None else get(event, number) for row in rows for event in row.events]


def shown_keys(rows: list[Row], query: Any, name: str, catalogue: FieldCatalogue) -> list[str]:
    return [
        shown(part, key.name, name, catalogue)
        for row in rows
        for key, part in zip(query.stages[0].keys, row.keys, strict=True)
    ]


def shown(part: Any, field: str, name: str, catalogue: FieldCatalogue) -> str:
    if part is None:
        return "null"
    if field in catalogue and catalogue[field].type is FieldType.DATE:
        at = datetime_of(part)
        return str(part // 1000) if name == "test_sample" else at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return text_of(part)


ALL = [(name, case) for name in (*FILES, "test_sample") for case in cases(name)]


@pytest.mark.parametrize(("name", "case"), ALL, ids=[f"{name}-{case['name']}" for name, case in ALL])
@pytest.mark.parametrize("position", ResultPosition)
def test_query_finds_the_events_that_elasticsearch_finds(
    name: str, case: dict[str, Any], position: ResultPosition
) -> None:
    documents, catalogue, number = universe(name)
    query = parse(case["query"])
    rows = execute(
        query,
        documents,
        catalogue,
        tiebreaker_field="" if name == "test_sample" else number,
        event_category_field="event_type",
        size=case.get("size", 50),
        result_position=position,
    )
    expected = case["expected_event_ids"]
    found = ids(rows, number)
    assert found in expected if expected and isinstance(expected[0], list) else found == expected
    if case.get("join_keys"):
        assert shown_keys(rows, query, name, catalogue) == case["join_keys"]


def series() -> list[tuple[str, list[str], list[str]]]:
    """Name, lines of events, lines of results."""
    path = SUITE / "unit" / "sequences.series-spec"
    text = re.sub(r"^//.*\n", "", path.read_text(), flags=re.MULTILINE) if path.exists() else ""
    blocks = [block.strip("\n") for block in re.split(r"^;\s*$", text, flags=re.MULTILINE)]
    found = []
    for events, results in zip(blocks[::2], blocks[1::2], strict=False):
        name, *lines = [line for line in events.splitlines() if line.strip()]
        found.append((name, lines, [line for line in results.splitlines() if line.strip()]))
    return found


def event_of(token: str) -> tuple[str, str, int]:
    """Key, whole token without its key, time."""
    key, _, name = token.rpartition("|")
    return key, name, int(re.sub(r"\D", "", name))


@pytest.mark.parametrize(("name", "lines", "results"), series(), ids=[name for name, *_ in series()])
def test_series_gives_its_sequences(name: str, lines: list[str], results: list[str]) -> None:
    stages = tuple(Stage("any", parse("any where true").stages[0].condition) for _ in lines)
    candidates = [
        Candidate(event, datetime_of(at), {index: ((key,),)})
        for index, line in enumerate(lines)
        for key, event, at in map(event_of, line.split())
    ]
    candidates.sort(key=lambda candidate: candidate.timestamp)
    found = find_sequences(SequenceQuery(stages), candidates)
    expected = [[event_of(token)[1] for token in line.split()] for line in results]
    assert [list(sequence.events) for sequence in found] == expected


def parser_file(name: str) -> list[str]:
    path = SUITE / "unit" / f"queries-{name}.eql"
    return split_queries(path.read_text()) if path.exists() else []


@pytest.mark.parametrize(
    "query", [query for query in parser_file("supported") if not query.startswith("join")]
)
def test_supported_query_parses(query: str) -> None:
    assert parse(query).text == query


@pytest.mark.parametrize(
    "query", [*parser_file("unsupported"), *(q for q in parser_file("supported") if q.startswith("join"))]
)
def test_unsupported_query_is_refused(query: str) -> None:
    with pytest.raises(EqlError):
        parse(query)
