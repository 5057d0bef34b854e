"""Files that lie under their own SHA-256: attachments and case packs."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

CHUNK = 1024 * 1024


def chunks(content: BinaryIO) -> Iterator[bytes]:
    """What is left of a file, a megabyte at a time."""
    while chunk := content.read(CHUNK):
        yield chunk


def digest(file: BinaryIO) -> str:
    """SHA-256 hex of what is left of a file."""
    found = hashlib.sha256()
    for chunk in chunks(file):
        found.update(chunk)
    return found.hexdigest()


def place(temporary: Path, root: Path, sha256: str) -> None:
    """Give a file its final name below a folder, so that it is there after a power cut."""
    target = where(root, sha256)
    target.parent.mkdir(exist_ok=True)
    temporary.chmod(0o400)
    temporary.replace(target)
    for each in (target.parent, root):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def where(root: Path, sha256: str) -> Path:
    """Where the file with this hash lies below a folder."""
    return root / sha256[:2] / sha256
