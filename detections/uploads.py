"""Files that people uploaded: needed until their import has ended, and not longer."""

import shutil
import time
from datetime import timedelta
from pathlib import Path

from django.conf import settings

from detections.enums import ImportStatus, OutboxState
from detections.imports import RUN_IMPORT
from detections.models import Import, OutboxRow

# Between the first byte of an upload and its import's row lie moments; a day is more than any of them.
ORPHANED_AFTER = timedelta(days=1)


def sweep() -> int:
    """Delete uploads whose import has ended, and those that never got one. Returns how many folders."""
    folder = Path(settings.UPLOADS_DIR)
    if not folder.is_dir():
        return 0
    needed = _needed(folder)
    gone = [one for one in folder.iterdir() if one.is_dir() and not _is_kept(one, needed)]
    for one in gone:
        shutil.rmtree(one, ignore_errors=True)
    return len(gone)


def _needed(folder: Path) -> dict[str, bool]:
    """The folders that imports name: whether one of these imports still needs its files."""
    needed: dict[str, bool] = {}
    # Work that was given up may be asked for again.
    asked = OutboxRow.objects.filter(kind=RUN_IMPORT).exclude(state=OutboxState.DONE)
    again = set(asked.values_list("subject", flat=True))
    for row in Import.objects.only("files", "status").iterator(chunk_size=500):
        is_open = row.status == ImportStatus.RUNNING or row.pk in again
        for file in row.files:
            if folder in Path(file).parents:
                name = Path(file).relative_to(folder).parts[0]
                needed[name] = needed.get(name, False) or is_open
    return needed


def _is_kept(one: Path, needed: dict[str, bool]) -> bool:
    if one.name in needed:
        return needed[one.name]
    return time.time() - one.stat().st_mtime < ORPHANED_AFTER.total_seconds()
