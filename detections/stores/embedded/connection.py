"""The process's DuckDB: opened after fork, one cursor a call, nothing downloaded."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import duckdb

from detections.errors import SearchTimeoutError, StoreError
from detections.stores.embedded.manifest import Segment

SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "threads": 2,
    "memory_limit": "1GB",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "preserve_insertion_order": False,
    "temp_directory": "",
}


class RefusedError(StoreError):
    """DuckDB refused this one query; others are none the worse for it."""


class UnreadableError(Exception):
    """DuckDB could not read one of the files of `segments`; which one, the reader finds out."""

    segments: Sequence[Segment] = ()


def too_long(seconds: float) -> SearchTimeoutError:
    """What to raise for a search that did not end in time."""
    return SearchTimeoutError(
        f"The search took longer than {seconds:g} s and was stopped. Narrow its window or allow more."
    )


def _connected() -> duckdb.DuckDBPyConnection:
    database = duckdb.connect(":memory:", config=SETTINGS)
    database.execute("SET GLOBAL parquet_metadata_cache = true")
    return database


class Connection:
    """An in-memory DuckDB that reads Parquet. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = 0
        self._database: duckdb.DuckDBPyConnection | None = None
        # A child must not close what its parent opened: DuckDB's threads did not come along.
        self._abandoned: list[duckdb.DuckDBPyConnection] = []

    @property
    def generation(self) -> int:
        """Changes when the database is opened anew, and what was in it is gone."""
        self._opened()
        return self._pid

    def _opened(self) -> duckdb.DuckDBPyConnection:
        if self._database is not None and self._pid == os.getpid():
            return self._database
        with self._lock:
            if self._database is None or self._pid != os.getpid():
                if self._database is not None:
                    self._abandoned.append(self._database)
                self._database, self._pid = _connected(), os.getpid()
            return self._database

    @contextmanager
    def cursor(self, timeout: timedelta | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor of one's own, interrupted after `timeout`.

        Raises SearchTimeoutError, UnreadableError for files, RefusedError for anything else.
        """
        cursor = self._opened().cursor()
        timer = threading.Timer(timeout.total_seconds(), cursor.interrupt) if timeout else None
        if timer:
            timer.daemon = True
            timer.start()
        try:
            yield cursor
        except duckdb.InterruptException as error:
            seconds = timeout.total_seconds() if timeout else 0
            raise too_long(seconds) from error
        except (duckdb.IOException, duckdb.InvalidInputException, duckdb.SerializationException) as error:
            raise UnreadableError(str(error)) from error
        except duckdb.Error as error:
            raise RefusedError(
                f"The event store could not search: {error}. Nothing was found out; run it again."
            ) from error
        finally:
            if timer:
                timer.cancel()
            cursor.close()
