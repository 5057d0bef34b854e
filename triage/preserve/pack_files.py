"""Case packs on the disk: written whole or not at all, under their SHA-256, checked when handed out."""

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from triage.errors import TriageError
from triage.models import CasePack

CHUNK = 1024 * 1024
BUILDING = ".building-"
LEFT_BEHIND = 24 * 3600


class ChangedPackError(TriageError):
    """The bytes on disk are not those that were made, or are gone; they are not handed out."""


def folder() -> Path:
    return Path(settings.DATA_DIR) / "packs"


def path_of(sha256: str) -> Path:
    """Where the pack with this hash lies."""
    return folder() / sha256[:2] / sha256


def write(fill: Callable[[BinaryIO], None]) -> tuple[str, int]:
    """Have a new file filled and keep it under its SHA-256. Returns the hash and the size."""
    folder().mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=folder(), prefix=BUILDING)
    try:
        with os.fdopen(descriptor, "w+b") as out:
            fill(out)
            out.flush()
            os.fsync(out.fileno())
            out.seek(0)
            sha256 = digest(out)
        size = Path(temporary).stat().st_size
        _place(Path(temporary), path_of(sha256))
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return sha256, size


def _place(temporary: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    temporary.chmod(0o400)
    temporary.replace(target)
    for each in (target.parent, folder()):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def open_checked(pack: CasePack) -> BinaryIO:
    """The pack, from its start, after its bytes were hashed again. Raises ChangedPackError."""
    remedy = "It is not handed out. Make a new one; the journal has the hash of each."
    try:
        file = path_of(pack.sha256).open("rb")
    except OSError as error:
        raise ChangedPackError(f"{pack.name} can't be read ({error.strerror}). {remedy}") from error
    if digest(file) != pack.sha256:
        file.close()
        raise ChangedPackError(f"{pack.name} is not what was made: its SHA-256 differs. {remedy}")
    file.seek(0)
    return file


def digest(file: BinaryIO) -> str:
    """SHA-256 hex of what is left of a file."""
    found = hashlib.sha256()
    while chunk := file.read(CHUNK):
        found.update(chunk)
    return found.hexdigest()


def sweep() -> None:
    """Remove what a killed worker left half-built, once it is a day old."""
    before = time.time() - LEFT_BEHIND
    for left in folder().glob(f"{BUILDING}*"):
        with contextlib.suppress(FileNotFoundError):
            if left.stat().st_mtime < before:
                left.unlink()
