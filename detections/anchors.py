"""Anchors: how far each chain of the journal had come, written to a file that is only ever added to.

A chain says by itself that an entry was changed, or is missing in its middle. Whoever cuts its end off and
turns its head back as well leaves a chain that holds; the anchors tell that it was longer. They help as far
as the file is out of that person's reach: docs/operations.md says how.
"""

import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from detections.journal import canonical_json
from detections.models import JournalEntry, JournalStream

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Anchor:
    """That a stream had an entry of this number with this hash. line: in the file, from 1."""

    line: int
    stream: str
    number: int
    hash: str


def path() -> Path:
    return Path(settings.DATA_DIR) / "anchors" / "journal.jsonl"


def write() -> int:
    """Add the head of every chain that has grown since its last anchor. How many were added.

    Each line holds the SHA-256 of the one before. The last one's goes to the log as well, which may be kept
    elsewhere. Of two writers at once, one waits.
    """
    path().parent.mkdir(parents=True, exist_ok=True)
    with path().open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        lines = file.read().splitlines()
        known = {anchor.stream: anchor.number for anchor in _parsed(lines)}
        heads = JournalStream.objects.filter(head_number__gt=0).order_by("pk")
        grown = [head for head in heads if head.head_number > known.get(head.name, 0)]
        previous = _digest(lines[-1]) if lines else ""
        for head in grown:
            line = _line(head, previous)
            file.write(line + b"\n")
            previous = _digest(line)
        file.flush()
        os.fsync(file.fileno())
    if grown:
        log.info("%d journal chains anchored; the file ends with %s.", len(grown), previous)
    return len(grown)


def faults(stream: str = "") -> Iterator[str]:
    """What contradicts the anchors, in words: all chains, or one. Nothing where none was written yet."""
    lines = path().read_bytes().splitlines() if path().exists() else []
    if not stream:
        yield from _broken(lines)
    wanted = [anchor for anchor in _parsed(lines) if stream in ("", anchor.stream)]
    there = _hashes({anchor.stream for anchor in wanted})
    for anchor in wanted:
        found = there.get((anchor.stream, anchor.number))
        if found is None:
            yield (
                f"{anchor.stream}: the end of the chain is missing: entry {anchor.number} was anchored "
                f"(line {anchor.line} of {path().name}) and is not there."
            )
        elif found != anchor.hash:
            yield (
                f"{anchor.stream}: entry {anchor.number} is not the one that was anchored "
                f"(line {anchor.line} of {path().name})."
            )


def _line(head: JournalStream, previous: str) -> bytes:
    content = {
        "at": timezone.now().isoformat(),
        "stream": head.name,
        "number": head.head_number,
        "hash": head.head_hash,
        "previous": previous,
    }
    return canonical_json(content).encode()


def _parsed(lines: list[bytes]) -> list[Anchor]:
    return [anchor for number, line in enumerate(lines, start=1) if (anchor := _anchor(number, line))]


def _anchor(number: int, line: bytes) -> Anchor | None:
    try:
        content: Any = json.loads(line)
        return Anchor(number, str(content["stream"]), int(content["number"]), str(content["hash"]))
    except (ValueError, KeyError, TypeError):
        return None


def _broken(lines: list[bytes]) -> Iterator[str]:
    """Lines that can't be read, or do not follow the one before."""
    previous = ""
    for number, line in enumerate(lines, start=1):
        try:
            follows = json.loads(line)["previous"] == previous
        except (ValueError, KeyError, TypeError):
            yield f"anchors: line {number} of {path().name} can't be read."
        else:
            if not follows:
                yield f"anchors: line {number} of {path().name} does not follow the one before."
        previous = _digest(line)


def _hashes(streams: set[str]) -> dict[tuple[str, int], str]:
    rows = (
        JournalEntry.objects.all()
        if len(streams) > 1
        else JournalEntry.objects.filter(stream__name__in=streams)
    )
    return {
        (name, number): kept
        for name, number, kept in rows.values_list("stream__name", "number", "hash").iterator()
    }


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
