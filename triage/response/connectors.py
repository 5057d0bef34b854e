"""Connectors: their settings and secrets, a test without acting, how fast and how long they may be used."""

import os
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from detections import journal
from detections.actors import Actor
from triage import actions
from triage.actions.adapter import Adapter, ConnectorFaultError, described
from triage.actions.outcomes import Outcome, Result
from triage.models import Connector, ResponseAction

STREAM = "connectors"
# An admin who names the variable must not be able to send our own secrets out: only these begin so.
SECRET_PREFIX = "CONNECTOR_"  # noqa: S105 -- a name, no secret
_SECRET = re.compile(SECRET_PREFIX + r"[A-Z0-9_]{1,80}")
_LOOKS_SECRET = re.compile(r"password|secret|token|api_?key|authorization", re.IGNORECASE)
MINUTE = timedelta(minutes=1)
MOST_FAILURES = 5
OPEN_FOR = timedelta(minutes=5)

assert actions.__name__


def save(connector: Connector, *, actor: Actor) -> Connector:
    """Store a connector's settings. Raises NotPermittedError, ConnectorFaultError for what can't be."""
    actor.require("triage.change_connector", "change connectors")
    check(connector)
    with transaction.atomic():
        is_new = connector.pk is None
        connector.failures, connector.open_until = 0, None
        connector.save()
        journal.record(
            STREAM, "connector_added" if is_new else "connector_changed", actor=actor, data=_data(connector)
        )
    return connector


def check(connector: Connector) -> None:
    """Raise ConnectorFaultError for an unknown adapter, a setting it has not, or a secret typed in here."""
    known = described(connector.adapter)
    if not isinstance(connector.config, dict) or not isinstance(connector.secrets, dict):
        raise ConnectorFaultError('Settings and secrets are JSON objects: {"url": "https://..."}.')
    for name in connector.config:
        if name not in known.fields:
            raise ConnectorFaultError(
                f"{known.label} has no setting {name!r}. It has: {_listed(known.fields)}."
            )
        if _LOOKS_SECRET.search(name):
            raise ConnectorFaultError(f"{name} looks like a secret: put it into the environment.")
    for name, variable in connector.secrets.items():
        if name not in known.secrets:
            raise ConnectorFaultError(
                f"{known.label} has no secret {name!r}. It has: {_listed(known.secrets)}."
            )
        if not isinstance(variable, str) or not _SECRET.fullmatch(variable):
            raise ConnectorFaultError(
                f"{name} names the environment variable that has it, such as {SECRET_PREFIX}KIBANA_KEY: "
                "the secret itself is never typed in here."
            )


def _listed(names: Mapping[str, str]) -> str:
    return ", ".join(names) or "none"


def _data(connector: Connector) -> dict[str, Any]:
    return {
        "connector": connector.pk,
        "key": connector.key,
        "adapter": connector.adapter,
        "config": connector.config,
        "secrets": connector.secrets,
        "enabled": connector.enabled,
        "dry_run": connector.dry_run,
        "per_minute": connector.per_minute,
    }


def secret(variable: str) -> str:
    """The value of NAME, or of the file that NAME_FILE names. Raises ConnectorFaultError without either."""
    if not _SECRET.fullmatch(variable):
        raise ConnectorFaultError(f"{variable} does not begin with {SECRET_PREFIX}.")
    if value := os.environ.get(variable, "").strip():
        return value
    path = os.environ.get(f"{variable}_FILE", "")
    try:
        value = Path(path).read_text().strip() if path else ""
    except OSError as error:
        raise ConnectorFaultError(f"The file of {variable} can't be read ({error.strerror}).") from error
    if not value:
        raise ConnectorFaultError(f"{variable} is not set where the worker runs, nor is {variable}_FILE.")
    return value


def made(connector: Connector) -> Adapter:
    """The adapter with its secrets. Raises ConnectorFaultError."""
    check(connector)
    known = described(connector.adapter)
    lacking = [name for name in known.secrets if name not in connector.secrets]
    if lacking:
        raise ConnectorFaultError(f"{connector.name} names no variable for {', '.join(lacking)}.")
    return known(connector.config, {name: secret(variable) for name, variable in connector.secrets.items()})


def test(connector: Connector, *, actor: Actor) -> Outcome:
    """Try the way without acting, and keep what came of it. Raises NotPermittedError."""
    actor.require("triage.change_connector", "test connectors")
    try:
        found = made(connector).test()
    except ConnectorFaultError as error:
        found = Outcome(Result.FAILED, str(error))
    is_well = found.result is Result.DONE
    with transaction.atomic():
        changes: dict[str, Any] = {
            "tested_at": timezone.now(),
            "tested_ok": is_well,
            "test_says": found.says[:2000],
        }
        if is_well:
            changes |= {"failures": 0, "open_until": None}
        Connector.objects.filter(pk=connector.pk).update(**changes)
        data = {**_data(connector), "says": found.says}
        journal.record(
            STREAM, "connector_tested", actor=actor, after="well" if is_well else "failed", data=data
        )
    return found


def held_back(connector: Connector, *, now: datetime) -> Outcome | None:
    """Why nothing may be sent by it at this moment, None if it may. Neither counts as a try."""
    if connector.open_until is not None and connector.open_until > now:
        until = f"{connector.open_until:%H:%M:%S} UTC"
        says = f"{connector.name} failed {connector.failures} times in a row: it rests until {until}."
        return Outcome(Result.NOT_TAKEN, says, again_after=connector.open_until - now, counts=False)
    begun = ResponseAction.objects.filter(connector=connector, started_at__gt=now - MINUTE)
    if begun.count() > connector.per_minute:
        says = f"{connector.name} takes {connector.per_minute} actions a minute at most, and has had them."
        return Outcome(Result.NOT_TAKEN, says, again_after=MINUTE, counts=False)
    return None


def note(connector: Connector, outcome: Outcome, *, now: datetime) -> None:
    """Count failures of the way in a row; too many open the circuit for a while."""
    rows = Connector.objects.filter(pk=connector.pk)
    if outcome.result not in (Result.NOT_TAKEN, Result.UNKNOWN):
        rows.exclude(failures=0).update(failures=0, open_until=None)
    elif outcome.counts:
        rows.update(failures=F("failures") + 1)
        rows.filter(failures__gte=MOST_FAILURES).update(open_until=now + OPEN_FOR)
