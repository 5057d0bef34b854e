"""Documents as a DuckDB table, the way the embedded store exposes them."""

from collections.abc import Iterable
from typing import Any, Self

import duckdb

from detections.ecs import Document
from detections.eql.ast import Condition
from detections.eql.fields import Field, FieldCatalogue, FieldType
from detections.eql.sql import Column, Fragment, compile_sql
from detections.eql.values import datetime_of, typed_values

SQL_TYPES = {
    FieldType.LONG: "BIGINT",
    FieldType.DOUBLE: "DOUBLE",
    FieldType.BOOLEAN: "BOOLEAN",
    FieldType.DATE: "TIMESTAMPTZ",
}


def columns_of(catalogue: FieldCatalogue) -> dict[str, Column]:
    return {name: Column(f'"{name}"', field.type, field.is_list) for name, field in catalogue.items()}


def cell(document: Document, field: Field) -> Any:
    found = typed_values(document, field)
    if field.type is FieldType.DATE:
        found = [datetime_of(moment) for moment in found]
    return found if field.is_list else next(iter(found), None)


class Table:
    """One table over the documents, gone when the `with` block ends."""

    def __init__(self, documents: Iterable[Document], catalogue: FieldCatalogue) -> None:
        self.connection = duckdb.connect(config={"threads": 1})
        self.columns = columns_of(catalogue)
        declared = ", ".join(
            f'"{name}" {SQL_TYPES.get(field.type, "VARCHAR")}{"[]" if field.is_list else ""}'
            for name, field in catalogue.items()
        )
        self.connection.execute(f"CREATE TABLE events (eql_row BIGINT, {declared})")
        marks = ", ".join("?" for _ in range(len(catalogue) + 1))
        for number, document in enumerate(documents):
            row = [number, *(cell(document, field) for field in catalogue.values())]
            self.connection.execute(f"INSERT INTO events VALUES ({marks})", row)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def rows(self, condition: Condition, *, nullable: bool = False) -> list[int]:
        return self.where(compile_sql(condition, self.columns, nullable=nullable))

    def where(self, test: Fragment) -> list[int]:
        found = self.connection.execute(
            f"SELECT eql_row FROM events WHERE {test.sql} ORDER BY eql_row", list(test.params)
        )
        return [row[0] for row in found.fetchall()]

    def nulls(self, condition: Condition) -> int:
        test = compile_sql(condition, self.columns)
        sql = f"SELECT count(*) FROM events WHERE ({test.sql}) IS NULL"
        return self.connection.execute(sql, list(test.params)).fetchone()[0]
