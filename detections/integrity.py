"""Triggers that keep the journal append-only, whatever reaches the database.

They are installed after every migrate: SQLite drops a table's triggers silently when a migration rebuilds it.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.operations import BaseDatabaseOperations
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate

TABLE = "detections_journalentry"
REFUSAL = "The journal is append-only."


def connect(app: AppConfig) -> None:
    """Install the triggers after each migrate of `app`, and guard SQLite's INSERT OR REPLACE."""
    post_migrate.connect(_install_after_migrate, sender=app, dispatch_uid="journal_triggers")
    connection_created.connect(_set_pragmas, dispatch_uid="journal_pragmas")
    if not getattr(BaseDatabaseOperations.execute_sql_flush, "lifts_guard", False):
        _let_flush_through()


def _install_after_migrate(*, using: str, **_: Any) -> None:
    install(connections[using])


def _set_pragmas(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            # Without it, INSERT OR REPLACE deletes a row without firing the delete trigger.
            cursor.execute("PRAGMA recursive_triggers=ON")


def install(connection: BaseDatabaseWrapper) -> None:
    """Create the triggers, replacing what is there. A database without the table yet is left alone."""
    if TABLE not in connection.introspection.table_names():
        return
    with connection.cursor() as cursor:
        for statement in _drop(connection) + _create(connection):
            cursor.execute(statement)


def remove(connection: BaseDatabaseWrapper) -> None:
    """Take the triggers off: for Django's flush in tests alone."""
    if TABLE not in connection.introspection.table_names():
        return
    with connection.cursor() as cursor:
        for statement in _drop(connection):
            cursor.execute(statement)


def _create(connection: BaseDatabaseWrapper) -> list[str]:
    if connection.vendor == "sqlite":
        return [
            f"CREATE TRIGGER journal_no_{event.lower()} BEFORE {event} ON {TABLE} "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
            for event in ("UPDATE", "DELETE")
        ]
    return [
        "CREATE OR REPLACE FUNCTION journal_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$",
        f"CREATE TRIGGER journal_no_change BEFORE UPDATE OR DELETE ON {TABLE} "
        "FOR EACH ROW EXECUTE FUNCTION journal_refuse()",
        f"CREATE TRIGGER journal_no_truncate BEFORE TRUNCATE ON {TABLE} "
        "FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse()",
    ]


def _drop(connection: BaseDatabaseWrapper) -> list[str]:
    if connection.vendor == "sqlite":
        return [f"DROP TRIGGER IF EXISTS journal_no_{event}" for event in ("update", "delete")]
    return [
        f"DROP TRIGGER IF EXISTS {name} ON {TABLE}" for name in ("journal_no_change", "journal_no_truncate")
    ]


def missing_triggers(connection: BaseDatabaseWrapper) -> list[str]:
    """The names of triggers that should be there and are not."""
    if connection.vendor == "sqlite":
        names, query = (
            ["journal_no_update", "journal_no_delete"],
            "SELECT name FROM sqlite_master WHERE type='trigger'",
        )
    else:
        names, query = ["journal_no_change", "journal_no_truncate"], "SELECT tgname FROM pg_trigger"
    with connection.cursor() as cursor:
        cursor.execute(query)
        present = {row[0] for row in cursor.fetchall()}
    return [name for name in names if name not in present]


@contextmanager
def _unguarded(connection: BaseDatabaseWrapper) -> Iterator[None]:
    remove(connection)
    yield
    install(connection)


def _let_flush_through() -> None:
    """Flush empties every table (TransactionTestCase, `manage.py flush`): off, flush, on."""
    original = BaseDatabaseOperations.execute_sql_flush

    def execute_sql_flush(self: BaseDatabaseOperations, sql_list: Iterable[str]) -> None:
        from django.db import transaction

        with transaction.atomic(using=self.connection.alias), _unguarded(self.connection):
            original(self, sql_list)

    execute_sql_flush.lifts_guard = True  # type: ignore[attr-defined]
    BaseDatabaseOperations.execute_sql_flush = execute_sql_flush  # type: ignore[method-assign]
