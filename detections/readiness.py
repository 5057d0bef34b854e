"""Whether detection does its work, for whatever watches the product from outside."""

from collections.abc import Iterator
from datetime import datetime

from django.db import DatabaseError
from django.utils import timezone

from detections import health
from detections.errors import CasewrightError
from detections.event_store import event_store
from detections.models import Rule


def reasons(*, now: datetime | None = None) -> list[str]:
    """Why detection is not ready, in words; empty when it is. Names no rule: anybody may ask.

    Not ready: a database or store that does not answer, beat or workers that are starting or give no sign
    of life, and an enabled rule whose coverage ends further back than its interval, settle time and a margin
    allow.
    """
    now = now or timezone.now()
    try:
        return list(_reasons(now))
    except DatabaseError as error:
        return [f"The database does not answer: {type(error).__name__}."]


def _reasons(now: datetime) -> Iterator[str]:
    for sign in health.signs(now=now):
        if sign.is_starting:
            yield f"Starting: {sign.name} has given no sign of life yet since the start."
        elif not sign.is_alive:
            seen = f"last seen {sign.seen_at:%Y-%m-%d %H:%M:%S} UTC" if sign.seen_at else "never seen"
            yield f"No sign of life from {sign.name}: {seen}."
    try:
        event_store().head()
    except CasewrightError:
        yield "The event store does not answer."
    rules = list(Rule.objects.runnable())
    behind = [rule for rule in rules if health.is_behind(rule, now)]
    if behind:
        ends = [rule.covered_until for rule in behind if rule.covered_until is not None]
        until = f"the furthest behind up to {min(ends):%Y-%m-%d %H:%M:%S} UTC" if ends else "some never"
        yield f"Coverage is behind: {len(behind)} of {len(rules)} enabled rules are not on time, {until}."
