"""System checks: what is wrong with an instance before it runs."""

import os
from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError, connections

from detections import integrity, run


@register()
def settings_fit(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Clocks in UTC, a data folder that can be written."""
    found: list[CheckMessage] = []
    if settings.TIME_ZONE != "UTC" or settings.CELERY_TIMEZONE != "UTC" or not settings.USE_TZ:
        found.append(
            Error(
                "The product works in UTC.",
                hint="Set TIME_ZONE and CELERY_TIMEZONE to UTC and USE_TZ to True.",
                id="detections.E001",
            )
        )
    if not os.access(settings.DATA_DIR, os.W_OK):
        found.append(
            Error(
                f"The data folder {settings.DATA_DIR} can't be written.",
                hint="Change its owner, or set CASEWRIGHT_DATA to another folder.",
                id="detections.E002",
            )
        )
    if settings.WAKE_SECONDS < 1:
        found.append(
            Error(
                f"CASEWRIGHT_WAKE_SECONDS is {settings.WAKE_SECONDS}.",
                hint="Set it to 1 or more; 30 is usual.",
                id="detections.E003",
            )
        )
    if not 0 < settings.SEARCH_TIMEOUT_SECONDS < run.LONGEST.total_seconds():
        found.append(
            Error(
                f"CASEWRIGHT_SEARCH_TIMEOUT is {settings.SEARCH_TIMEOUT_SECONDS}.",
                hint=f"Set it to more than 0 and less than {run.LONGEST.total_seconds():.0f}; 120 is usual.",
                id="detections.E005",
            )
        )
    if settings.ELASTICSEARCH_ALERTS_INDEX and not settings.ELASTICSEARCH_URL:
        found.append(
            Error(
                "ELASTICSEARCH_ALERTS_INDEX names an index, but ELASTICSEARCH_URL no cluster.",
                hint="Set ELASTICSEARCH_URL, or leave out both.",
                id="detections.E006",
            )
        )
    return found


@register(Tags.database)
def journal_is_guarded(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """The triggers that keep the journal append-only are there."""
    found: list[CheckMessage] = []
    for alias in databases or []:
        connection = connections[alias]
        try:
            if integrity.TABLE in connection.introspection.table_names():
                found.extend(
                    Warning(
                        f"The journal's trigger {name} is missing in database {alias}.",
                        hint="Run manage.py migrate, then manage.py check_invariants.",
                        id="detections.W001",
                    )
                    for name in integrity.missing_triggers(connection)
                )
        except DatabaseError as error:
            found.append(Error(f"Database {alias} can't be read: {error}", id="detections.E004"))
    return found
