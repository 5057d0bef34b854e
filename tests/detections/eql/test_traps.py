"""106 small cases of EQL's meaning, in both back ends."""

from typing import Any

import pytest

from detections.ecs import Document
from detections.eql import parse
from detections.eql.ast import EventQuery, Query, Stage
from detections.eql.execute import Row, execute, stage_test
from detections.eql.fields import FieldCatalogue
from detections.eql.fragments import fill
from detections.eql.sql import category_sql, compile_sql
from detections.eql.verify import verify
from detections.errors import EqlError
from tests.detections.eql.suites import catalogue_of, needs_traps, traps
from tests.detections.eql.tables import Table

pytestmark = needs_traps
CASES = pytest.mark.parametrize("case", traps(), ids=[case["name"] for case in traps()])


def answer(case: dict[str, Any]) -> Any:
    """What execute says, in the form of the cases."""
    catalogue = catalogue_of(case["events"], case["types"])
    options = {"tiebreaker_field": case.get("tie", ""), "size": case.get("size", 10)}
    try:
        return shape(execute(parse(case["query"]), case["events"], catalogue, **options), case["events"])
    except EqlError:
        return "ERROR"


def shape(rows: list[Row], events: list[Document]) -> list[Any]:
    numbers = {id(event): number for number, event in enumerate(events, 1)}
    found = [[-1 if event is None else numbers[id(event)] for event in row.events] for row in rows]
    return [row[0] for row in found] if all(len(row) == 1 for row in found) else found


@CASES
def test_trap(case: dict[str, Any]) -> None:
    assert answer(case) == case["expected"]


@CASES
def test_trap_in_sql(case: dict[str, Any]) -> None:
    """Every stage's SQL picks the rows that Python picks, where the query is one at all."""
    catalogue = catalogue_of(case["events"], case["types"])
    try:
        query = verify(parse(case["query"]), catalogue)
    except EqlError:
        assert case["expected"] == "ERROR"
        return
    with Table(case["events"], catalogue) as table:
        for stage in query.stages:
            assert rows_in_sql(table, stage) == rows_in_python(case["events"], stage, catalogue)
        if not isinstance(query, EventQuery) or query.pipes or "size" in case:
            return
        assert [number + 1 for number in rows_in_sql(table, query.stages[0])] == case["expected"]


def rows_in_sql(table: Table, stage: Stage) -> list[int]:
    category = category_sql(stage.category, table.columns.get("event.category"))
    return table.where(fill("{0} AND {1}", category, compile_sql(stage.condition, table.columns)))


def rows_in_python(events: list[Document], stage: Stage, catalogue: FieldCatalogue) -> list[int]:
    test = stage_test(stage, catalogue, "event.category")
    return [number for number, event in enumerate(events) if test(event)]


def test_every_query_kind_is_there() -> None:
    kinds = {type(parse(case["query"])) for case in traps() if case["expected"] != "ERROR"}
    assert kinds == set(Query.__args__)
