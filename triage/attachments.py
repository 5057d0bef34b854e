"""Files of a case: kept under their SHA-256, described, handed out as bytes alone, never deleted."""

import contextlib
import hashlib
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from detections.actors import Actor
from triage import cases, journal
from triage.errors import TriageError
from triage.file_types import HEAD, FileType, file_type
from triage.files_by_hash import CHUNK, chunks, digest, place, where
from triage.models import Attachment, Case

NAME_LENGTH = 255
UPLOADING = ".upload-"
LEFT_BEHIND = 24 * 3600


class ChangedFileError(TriageError):
    """The bytes on disk are not those that were attached, or are gone; they are not handed out."""


@dataclass(frozen=True, slots=True)
class _Kept:
    sha256: str
    size: int
    type: FileType


def attach(case: Case, *, name: str, content: BinaryIO, actor: Actor) -> Attachment:
    """Keep a file with an open case. The bytes are on the disk before the row is; the same again is the same.

    name: as the sender calls it; folders are left out. Raises NotPermittedError, and TriageError for a closed
    case, an empty file, one larger than CASEWRIGHT_ATTACHMENT_MB, or the system as the one who attaches.
    """
    actor.require("triage.add_attachment", "attach files")
    if actor.user is None:
        raise TriageError("Only a person attaches a file.")
    cases.require_open(case)
    shown = _base_name(name)
    kept = _keep(shown, content)
    with transaction.atomic():
        row = cases.locked(case.pk)
        cases.require_open(row)
        made, created = Attachment.objects.get_or_create(
            case=row,
            sha256=kept.sha256,
            name=shown,
            withdrawn_at=None,
            defaults={
                "size": kept.size,
                "content_type": kept.type.by_content,
                "named_type": kept.type.by_name,
                "is_mismatch": kept.type.is_mismatch,
                "attached_at": timezone.now(),
                "attached_by": actor.user,
            },
        )
        if created:
            _write(row, made, "file_attached", actor, "")
    return made


def withdraw(attachment: Attachment, *, actor: Actor, reason: str) -> Attachment:
    """Mark a file as not to be relied on. It stays, and so does what cites it.

    Raises NotPermittedError, and TriageError without a reason or if it is withdrawn already.
    """
    actor.require("triage.change_attachment", "withdraw files")
    if not reason.strip() or actor.user is None:
        raise TriageError("Say why the file is withdrawn.")
    with transaction.atomic():
        case = cases.locked(attachment.case_id)
        row = Attachment.objects.select_for_update().get(pk=attachment.pk)
        if row.withdrawn_at is not None:
            raise TriageError(f"The file was withdrawn already: {row.withdrawn_reason}")
        row.withdrawn_at, row.withdrawn_by = timezone.now(), actor.user
        row.withdrawn_reason = reason.strip()
        row.save(update_fields=["withdrawn_at", "withdrawn_by", "withdrawn_reason"])
        _write(case, row, "file_withdrawn", actor, row.withdrawn_reason)
    return row


def open_checked(attachment: Attachment) -> BinaryIO:
    """The file, from its start, after its bytes were hashed again. Raises ChangedFileError."""
    try:
        file = path_of(attachment.sha256).open("rb")
    except OSError as error:
        raise ChangedFileError(_changed(attachment, f"can't be read ({error.strerror})")) from error
    if digest(file) != attachment.sha256:
        file.close()
        raise ChangedFileError(_changed(attachment, "is not what was attached: its SHA-256 differs"))
    file.seek(0)
    return file


def is_unchanged(attachment: Attachment) -> bool:
    """Whether the bytes on disk still have the hash under which they were attached."""
    try:
        open_checked(attachment).close()
    except ChangedFileError:
        return False
    return True


def path_of(sha256: str) -> Path:
    """Where the bytes with this hash lie."""
    return where(folder(), sha256)


def folder() -> Path:
    return Path(settings.DATA_DIR) / "attachments"


def sweep() -> None:
    """Remove what uploads that were killed left behind, once it is a day old."""
    before = time.time() - LEFT_BEHIND
    for left in folder().glob(f"{UPLOADING}*"):
        with contextlib.suppress(FileNotFoundError):
            if left.stat().st_mtime < before:
                left.unlink()


def _changed(attachment: Attachment, what: str) -> str:
    return (
        f"The file {attachment.pk} of {attachment.case.number} {what}. It is not handed out. "
        "An admin finds it in the data folder, and a good copy in a backup."
    )


def _base_name(name: str) -> str:
    """The name without folders, as it came otherwise: what is hidden in it, is shown by the pages."""
    last = PureWindowsPath(PurePosixPath(name).name).name
    clean = last.encode("utf-8", "replace").decode().replace("\0", "")[-NAME_LENGTH:]
    return clean or "unnamed"


def _keep(name: str, content: BinaryIO) -> _Kept:
    """Write the bytes under their hash. Files of a killed upload stay under a temporary name until swept."""
    folder().mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=folder(), prefix=UPLOADING)
    try:
        with os.fdopen(descriptor, "wb") as out:
            kept = _copy(name, content, out)
            out.flush()
            os.fsync(out.fileno())
        place(Path(temporary), folder(), kept.sha256)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return kept


def _copy(name: str, content: BinaryIO, out: BinaryIO) -> _Kept:
    found, size, head = hashlib.sha256(), 0, b""
    for chunk in chunks(content):
        size += len(chunk)
        if size > settings.ATTACHMENT_BYTES:
            most = settings.ATTACHMENT_BYTES // CHUNK
            raise TriageError(
                f"The file is larger than {most} MB, the most that is kept with a case. Put it where large "
                "evidence is kept, and attach its path and SHA-256 as a text."
            )
        found.update(chunk)
        head += chunk[: HEAD - len(head)] if len(head) < HEAD else b""
        out.write(chunk)
    if not size:
        raise TriageError("The file is empty. Choose it again.")
    return _Kept(found.hexdigest(), size, file_type(name, head))


def _write(case: Case, row: Attachment, verb: str, actor: Actor, reason: str) -> None:
    data = {"attachment": row.pk, "sha256": row.sha256, "size": row.size, "type": row.content_type}
    journal.record(case, verb, actor=actor, subject=row.name, reason=reason, data=data)
    case.last_activity_at = timezone.now()
    case.save(update_fields=["last_activity_at"])
