"""The demo: four people, and the shipped scenarios imported as any capture is."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

import detections
from detections import journal
from detections.actors import Actor
from detections.enums import ImportStatus
from detections.imports import ImportSummary, import_captures
from detections.models import Import
from detections.scenario_days import as_lines, next_day
from detections.stores.base import EventStore
from triage.errors import TriageError
from triage.models import ExceptionVersion

SCENARIOS = Path(detections.__file__).parent / "scenarios"
SHOWN = ("malicious.ndjson", "benign.ndjson", "ambiguous.ndjson", "second_host.ndjson")
STREAM = "access"
# The events of the scenario's day lie within 25 seconds.
A_DAY_LASTS = timedelta(seconds=30)
DOMAIN = "demo.invalid"
PEOPLE = {
    "analyst": ("Mira", "Okafor", "Analyst"),
    "lead": ("Sanna", "Lindqvist", "Lead"),
    "lead2": ("Tomas", "Reyes", "Lead"),
    "admin": ("Ren", "Tanaka", "Admin"),
}


def make_people(*, actor: Actor) -> list[User]:
    """The demo's analyst, two leads and admin; those who are there already stay as they are.

    Two leads, since nobody approves what they asked for themselves. They have no password: a one-time link
    signs each in. Raises TriageError on an instance that other people began, since whoever starts the demo
    could sign in there as a lead. Accounts that were added to a demo later leave it a demo.
    """
    others = User.objects.exclude(email__endswith=f"@{DOMAIN}").values_list("username", flat=True)
    first = User.objects.order_by("pk").first()
    if first is not None and not first.email.endswith(f"@{DOMAIN}"):
        raise TriageError(
            f"This instance has accounts of its own ({', '.join(others[:3])}), so the demo stays out of it. "
            "Give the demo another folder: CASEWRIGHT_DATA=var/demo."
        )
    return [_make_person(name, *about, actor=actor) for name, about in PEOPLE.items()]


@transaction.atomic
def _make_person(name: str, first: str, last: str, group: str, *, actor: Actor) -> User:
    user, is_new = User.objects.get_or_create(
        username=name,
        defaults={
            "first_name": first,
            "last_name": last,
            "email": f"{name}@{DOMAIN}",
            "is_staff": group == "Admin",
        },
    )
    if is_new:
        user.set_unusable_password()
        user.save(update_fields=["password"])
        user.groups.add(Group.objects.get(name=group))
        journal.record(STREAM, "account_created", actor=actor, after=name, reason=f"demo {group.lower()}")
    return user


def import_scenarios(*, actor: Actor, store: EventStore) -> Iterator[tuple[str, ImportSummary | None]]:
    """Import what the demo shows, each scenario as if it ended when the demo's first person was made.

    Yields each file's name with its summary, or None where an earlier start has imported it. That moment
    never changes, so a start after one that was killed midway gives the same events, and adds what lacks.
    """
    moment = User.objects.filter(email__endswith=f"@{DOMAIN}").order_by("pk")[0].date_joined
    imported = _imported_before()
    for name in SHOWN:
        if name in imported:
            yield name, None
        else:
            yield name, import_captures([SCENARIOS / name], actor=actor, store=store, retime=moment)


def next_day_can_end(*, now: datetime) -> datetime:
    """The first moment at which a whole day lies within the exception that came into force last, and not in
    the future, where nobody looks for what proves it."""
    began = ExceptionVersion.objects.active().aggregate(newest=Max("active_from"))["newest"]
    return max(now, began + A_DAY_LASTS) if began else now


def import_next_day(*, actor: Actor, store: EventStore, now: datetime | None = None) -> ImportSummary:
    """The benign workflow once more, on its three hosts, as if it ended now: what an exception for it hides
    that is in force since `next_day_can_end`. Each call is another day. Raises what an import raises."""
    now = now or timezone.now()
    events = next_day("benign", mark=f"{now:%Y-%m-%dT%H:%M:%S.%f}")
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"benign-{now:%Y%m%d-%H%M%S}.ndjson"
        path.write_text(as_lines(events))
        return import_captures([path], actor=actor, store=store, retime=now)


def _imported_before() -> set[str]:
    done = Import.objects.filter(retimed=True, status=ImportStatus.SUCCEEDED).values_list("files", flat=True)
    return {Path(path).name for files in done for path in files if Path(path).parent.name == SCENARIOS.name}
