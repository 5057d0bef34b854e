"""Files that somebody's browser sent, kept in folders of their own until they are used."""

import shutil
import uuid
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath, PureWindowsPath

from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.uploadedfile import UploadedFile
from django.utils import timezone
from django.utils.text import get_valid_filename

RULES = "rules"
KEPT = timedelta(days=1)


def keep_rule_files(files: "list[UploadedFile[bytes]]") -> uuid.UUID:
    """Write the files into a new folder; its key finds them again for a day."""
    _sweep(timezone.now() - KEPT)
    key = uuid.uuid4()
    folder = rule_folder(key)
    folder.mkdir(parents=True)
    for number, file in enumerate(files, start=1):
        target = folder / safe_name(file.name or "", number)
        if target.exists():
            target = target.with_name(f"{number}-{target.name}")
        with target.open("xb") as out:
            for chunk in file.chunks():
                out.write(chunk)
    return key


def rule_folder(key: uuid.UUID) -> Path:
    return Path(settings.UPLOADS_DIR) / RULES / key.hex


def kept_rule_files(key: uuid.UUID) -> list[Path]:
    """The files of a key, in order; empty if they are gone."""
    folder = rule_folder(key)
    return sorted(folder.iterdir()) if folder.is_dir() else []


def drop_rule_files(key: uuid.UUID) -> None:
    shutil.rmtree(rule_folder(key), ignore_errors=True)


def safe_name(name: str, number: int) -> str:
    """The name without folders, dots in front or odd characters."""
    last = PureWindowsPath(PurePosixPath(name).name).name
    try:
        clean = get_valid_filename(last).lstrip(".")[-120:]
    except SuspiciousFileOperation:
        clean = ""
    return clean or f"upload-{number}"


def _sweep(before: datetime) -> None:
    """Remove what nobody came back for."""
    folder = Path(settings.UPLOADS_DIR) / RULES
    for old in folder.iterdir() if folder.is_dir() else ():
        if old.stat().st_mtime < before.timestamp():
            shutil.rmtree(old, ignore_errors=True)
