"""Case packs on the disk: written whole or not at all, under their SHA-256, checked when handed out."""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from triage.errors import TriageError
from triage.files_by_hash import digest, place, where
from triage.models import CasePack

BUILDING = ".building-"
LEFT_BEHIND = 24 * 3600


class ChangedPackError(TriageError):
    """The bytes on disk are not those that were made, or are gone; they are not handed out."""


def folder() -> Path:
    return Path(settings.DATA_DIR) / "packs"


def path_of(sha256: str) -> Path:
    """Where the pack with this hash lies."""
    return where(folder(), sha256)


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
        place(Path(temporary), folder(), sha256)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return sha256, size


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


def sweep() -> None:
    """Remove what a killed worker left half-built, once it is a day old."""
    before = time.time() - LEFT_BEHIND
    for left in folder().glob(f"{BUILDING}*"):
        with contextlib.suppress(FileNotFoundError):
            if left.stat().st_mtime < before:
                left.unlink()
