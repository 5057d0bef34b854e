"""What waits for a second person, in one list, and the rule of four eyes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from django.contrib.auth.models import User
from django.db.models import QuerySet

from detections.actors import Actor, NotPermittedError
from triage.errors import StaleEditError
from triage.models.four_eyes import FourEyes

PERMISSION = "triage.approve"


@dataclass(frozen=True, slots=True)
class Pending:
    """One request. kind: what it is, in words ("exception", "guide overlay", "response action").

    says: what it would hide, change or hit, in a sentence. url: the page where it is decided. expires_at:
    when the request lapses, None if it does not. case_id: the case that it came from, or None. sha256: of the
    content that is asked for, where a back-test of it is needed.
    """

    kind: str
    title: str
    says: str
    url: str
    requested_by: User
    last_edited_by: User
    requested_at: datetime
    expires_at: datetime | None = None
    case_id: int | None = None
    sha256: str = ""

    def is_own(self, actor: Actor) -> bool:
        """Whether the actor asked for it or edited it last: then another person is needed."""
        return actor.user is not None and actor.user in (self.requested_by, self.last_edited_by)


F = TypeVar("F", bound="Callable[[QuerySet[Any]], Iterable[Pending]]")


@dataclass(frozen=True, slots=True)
class Source:
    """Requests of one kind. rows: those that an actor may see. reading: each of them as a line."""

    rows: "Callable[[Actor], QuerySet[Any]]"
    reading: "Callable[[QuerySet[Any]], Iterable[Pending]]"


_sources: list[Source] = []


def source(rows: "Callable[[Actor], QuerySet[Any]]") -> Callable[[F], F]:
    """Register requests of one kind; rows sees with the actor's eyes. For use as a decorator."""

    def registered(reading: F) -> F:
        _sources.append(Source(rows, reading))
        return reading

    return registered


def pending(actor: Actor) -> list[Pending]:
    """Everything that waits and the actor may see, oldest first."""
    found = [request for each in _sources for request in each.reading(_asked(each, actor))]
    return sorted(found, key=lambda request: request.requested_at)


def waiting(actor: Actor) -> int:
    """How many requests the actor may decide on. None is looked for if they may decide on nothing.

    Every page shows it, so it is one query, which reads of each request no more than whose it is.
    """
    if actor.user is None or not actor.can(PERMISSION):
        return 0
    people = [
        _asked(each, actor).order_by().values_list("requested_by", "last_edited_by") for each in _sources
    ]
    return sum(actor.user.pk not in both for both in people[0].union(*people[1:], all=True))


def _asked(each: Source, actor: Actor) -> QuerySet[Any]:
    return each.rows(actor).filter(requested_by__isnull=False, requested_at__isnull=False)


def require_another(row: FourEyes, *, actor: Actor, what: str) -> User:
    """The person who may decide this row. what: "approve exceptions", for the refusal.

    Raises NotPermittedError for the system, for who lacks the permission, asked for it, or edited it last.
    """
    actor.require(PERMISSION, what)
    if actor.user is None:
        raise NotPermittedError(f"Only a person may {what}.")
    if actor.user == row.requested_by:
        raise NotPermittedError(f"{actor.label} asked for this: another person has to {what}.")
    if actor.user == row.last_edited_by:
        raise NotPermittedError(f"{actor.label} edited this last: another person has to {what}.")
    return actor.user


def check_content(row: FourEyes, seen_sha256: str) -> None:
    """Raise StaleEditError if the content is not what the person saw when they decided."""
    if row.content_sha256 != seen_sha256:
        raise StaleEditError("It was changed after it was shown. Look at it again, then decide.", theirs=row)
