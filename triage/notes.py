"""Notes on a case: written, edited as a new version, withdrawn with a reason; a mention tells a person."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from detections.actors import Actor, NotPermittedError, of_user
from triage import cases, journal
from triage.errors import StaleEditError, TriageError
from triage.models import Case, Mention, Note, NoteVersion

LENGTH = 20_000
A_PAGE = 30
# "@name" where a word may begin; user names hold letters, digits and @.+-_, and do not end with a full stop.
MENTION = re.compile(r"(?<![\w@.+-])@([\w.+-]*[\w+-])")


@dataclass(frozen=True, slots=True)
class Written:
    """A note with its versions, oldest first; the last one is what it says now."""

    note: Note
    versions: tuple[NoteVersion, ...]

    @property
    def text(self) -> str:
        return self.versions[-1].text


def write_note(case: Case, *, text: str, actor: Actor, question_key: str = "") -> Note:
    """Write a note on a case, open or closed, or at one of its questions. Who is mentioned is told.

    Raises NotPermittedError, and TriageError for an empty or overlong text or an unknown question.
    """
    author, text = _person(actor, "triage.add_note", "write notes"), _lines(text)
    _check(text)
    with transaction.atomic():
        row = cases.locked(case.pk)
        if question_key and not row.questions.filter(key=question_key).exists():
            raise TriageError(f"{row.number} has no such question. Reload the page.")
        note = Note.objects.create(
            case=row, question_key=question_key, author=author, created_at=timezone.now()
        )
        _version(note, text)
        _write(row, note, "note_written", actor, text)
    return note


def edit_note(note: Note, *, text: str, actor: Actor, version: int) -> Note:
    """Put a new version in the place of one's own note; the older ones stay.

    version: what was shown. Raises NotPermittedError for somebody else's note, StaleEditError, TriageError.
    """
    author, text = _person(actor, "triage.change_note", "edit notes"), _lines(text)
    _check(text)
    with transaction.atomic():
        case = cases.locked(note.case_id)
        row = Note.objects.select_for_update().get(pk=note.pk)
        if row.author_id != author.pk:
            raise NotPermittedError(f"{actor.label} did not write this note: only its author edits it.")
        _require_standing(row)
        if row.version != version:
            raise StaleEditError("You changed this note in another window meanwhile.", theirs=row)
        if text == row.versions.get(number=row.version).text:
            return row
        row.version += 1
        row.save(update_fields=["version"])
        _version(row, text)
        _write(case, row, "note_edited", actor, text)
    return row


def withdraw_note(note: Note, *, actor: Actor, reason: str) -> Note:
    """Mark a note as not to be relied on: one's own, or any as a lead. What it said stays readable.

    Raises NotPermittedError, and TriageError without a reason or if it is withdrawn already.
    """
    person = _person(actor, "triage.change_note", "withdraw notes")
    if not reason.strip():
        raise TriageError("Say why the note is withdrawn.")
    with transaction.atomic():
        case = cases.locked(note.case_id)
        row = Note.objects.select_for_update().get(pk=note.pk)
        if row.author_id != person.pk and not actor.can("triage.approve"):
            raise NotPermittedError(
                f"{actor.label} did not write this note: its author or a lead withdraws it."
            )
        _require_standing(row)
        row.withdrawn_at, row.withdrawn_by, row.withdrawn_reason = timezone.now(), person, reason.strip()
        row.save(update_fields=["withdrawn_at", "withdrawn_by", "withdrawn_reason"])
        _write(case, row, "note_withdrawn", actor, row.withdrawn_reason)
    return row


@dataclass(frozen=True, slots=True)
class NotesPage:
    """Some notes of a case, oldest first. page: which of them, from 1; the last one has the newest."""

    notes: tuple[Written, ...]
    total: int
    page: int
    pages: int

    @property
    def earlier(self) -> int:
        """The page before, 0 where there is none."""
        return self.page - 1

    @property
    def later(self) -> int:
        """The page after, 0 where there is none."""
        return self.page + 1 if self.page < self.pages else 0


def notes_of(
    case: Case, *, actor: Actor, question_key: str | None = None, page: int | None = None
) -> NotesPage:
    """The notes of a case by pages, without a page the newest. question_key: those at one question alone.

    Three queries. A page that is not there is the nearest that is.
    """
    found = Note.objects.visible_to(actor).filter(case=case)
    if question_key is not None:
        found = found.filter(question_key=question_key)
    total = found.count()
    pages = max(1, -(-total // A_PAGE))
    number = pages if page is None else min(max(1, page), pages)
    if not total:
        return NotesPage((), 0, 1, 1)
    rows = found.select_related("author", "withdrawn_by").prefetch_related("versions")
    shown = rows[(number - 1) * A_PAGE : number * A_PAGE]
    return NotesPage(tuple(Written(note, tuple(note.versions.all())) for note in shown), total, number, pages)


def mentions_of(actor: Actor) -> "QuerySet[Mention]":
    """Who spoke to the actor, newest first, in cases and notes that they may see."""
    if actor.user is None or not actor.can("triage.view_case") or not actor.can("triage.view_note"):
        return Mention.objects.none()
    return Mention.objects.filter(user=actor.user).select_related("note__case", "note__author")


def read_mentions(actor: Actor, *, case: Case | None = None) -> int:
    """Take the actor's mentions as read, all or those of one case. How many were not."""
    unread = mentions_of(actor).filter(read_at__isnull=True)
    if case is not None:
        unread = unread.filter(note__case=case)
    return unread.update(read_at=timezone.now())


def can_be_mentioned() -> list[User]:
    """People who may see cases, by user name."""
    may = Q(groups__permissions__codename="view_case") | Q(user_permissions__codename="view_case")
    return list(User.objects.filter(may, is_active=True).distinct().order_by("username"))


def mentioned_names(text: str) -> list[str]:
    """The user names that a text speaks to, in lower case, each once."""
    return list(dict.fromkeys(name.lower() for name in MENTION.findall(text)))


def _people(text: str) -> Iterable[User]:
    names = mentioned_names(text)
    if not names:
        return
    matching = Q()
    for name in names:
        matching |= Q(username__iexact=name)
    for user in User.objects.filter(matching, is_active=True):
        may = of_user(user)
        if may.can("triage.view_case") and may.can("triage.view_note"):
            yield user


def _version(note: Note, text: str) -> None:
    now = timezone.now()
    NoteVersion.objects.create(note=note, number=note.version, text=text, written_at=now)
    for user in _people(text):
        if user.pk != note.author_id:
            Mention.objects.get_or_create(note=note, user=user, defaults={"created_at": now})


def _person(actor: Actor, permission: str, what: str) -> User:
    actor.require(permission, what)
    if actor.user is None:
        raise TriageError(f"Only a person may {what}.")
    return actor.user


def _lines(text: str) -> str:
    """A browser ends lines with a carriage return as well, which would show as a hidden character."""
    return text.replace("\r\n", "\n")


def _check(text: str) -> None:
    if not text.strip():
        raise TriageError("The note is empty. Write something, then save it.")
    if len(text) > LENGTH:
        raise TriageError(f"The note has {len(text):,} characters; {LENGTH:,} are the most.")


def _require_standing(row: Note) -> None:
    if row.withdrawn_at is not None:
        raise TriageError(f"The note was withdrawn already: {row.withdrawn_reason}")


def _write(case: Case, note: Note, verb: str, actor: Actor, reason: str) -> None:
    subject = f"Note {note.pk}, version {note.version}" if note.version > 1 else f"Note {note.pk}"
    journal.record(
        case,
        verb,
        actor=actor,
        subject=subject,
        reason=reason,
        data={"note": note.pk, "version": note.version, "question_key": note.question_key},
    )
    case.last_activity_at = timezone.now()
    case.save(update_fields=["last_activity_at"])
