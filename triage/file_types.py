"""What a file is: by its bytes, and by what its name claims. Nothing here opens or runs it."""

import mimetypes
from dataclasses import dataclass

import filetype

# As many bytes as tell every kind that is known here.
HEAD = 8192
UNKNOWN = "application/octet-stream"
TEXT = "text/plain"
HTML = "text/html"
PROGRAM = "application/x-msdownload"

# The list that comes with Python alone: what the machine's own files say differs from place to place.
_NAMES = mimetypes.MimeTypes(filenames=())
_SAME = {
    "application/x-msdos-program": PROGRAM,
    "application/x-zip-compressed": "application/zip",
    "image/jpg": "image/jpeg",
    "audio/x-wav": "audio/wav",
    "application/x-tar": "application/x-tar",
}
# Names that Python's list lacks and that investigations bring.
_MORE = {".evtx": "application/x-evtx", ".log": TEXT, ".md": TEXT, ".eml": "message/rfc822", ".ndjson": TEXT}
_PROGRAMS = (".exe", ".dll", ".scr", ".sys", ".com", ".cpl", ".ocx")
_TEXTUAL = (
    "application/json",
    "application/xml",
    "application/javascript",
    "message/rfc822",
    "image/svg+xml",
)
_OFFICE = "application/vnd.openxmlformats-officedocument"


@dataclass(frozen=True, slots=True)
class FileType:
    """by_content: what the bytes are. by_name: what the name claims, "" if nothing."""

    by_content: str
    by_name: str
    is_mismatch: bool


def file_type(name: str, head: bytes) -> FileType:
    """What a file is and claims to be. head: its first bytes, HEAD of them are enough."""
    by_content, by_name = _by_content(head), _by_name(name)
    return FileType(by_content, by_name, bool(by_name) and not _agree(by_content, by_name))


def _by_content(head: bytes) -> str:
    if head.startswith(b"ElfFile\0"):
        return "application/x-evtx"
    guessed = filetype.guess(head)
    if guessed is not None:
        mime = str(guessed.mime)
        return _SAME.get(mime, mime)
    if b"\0" in head or not _is_utf8(head):
        return UNKNOWN
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:200].lower()
    return HTML if start.startswith((b"<!doctype html", b"<html", b"<script")) else TEXT


def _is_utf8(head: bytes) -> bool:
    """Whether it reads as text; the last character may be cut in the middle."""
    for cut in range(4):
        try:
            head[: len(head) - cut].decode()
        except UnicodeDecodeError:
            continue
        return True
    return False


def _by_name(name: str) -> str:
    lower = name.lower().strip()
    if lower.endswith(_PROGRAMS):
        return PROGRAM
    for ending, more in _MORE.items():
        if lower.endswith(ending):
            return more
    kind, packed = _NAMES.guess_type(lower, strict=False)
    if packed:
        return {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}.get(
            packed, ""
        )
    return _SAME.get(kind or "", kind or "")


def _agree(by_content: str, by_name: str) -> bool:
    if by_content == by_name:
        return True
    if by_content == TEXT:
        return by_name.startswith("text/") or by_name in _TEXTUAL
    # Office documents are archives, and some are told apart from one only deep inside.
    if by_content == "application/zip":
        return by_name.startswith((_OFFICE, "application/vnd.oasis")) or by_name == "application/java-archive"
    if by_content == UNKNOWN:
        return not _is_told_by_bytes(by_name)
    return False


def _is_told_by_bytes(kind: str) -> bool:
    """Whether such a file would have been recognised, so that that it was not speaks against its name."""
    known = {_SAME.get(one.mime, one.mime) for one in filetype.types}
    return kind in known or kind.startswith("text/") or kind in (*_TEXTUAL, "application/x-evtx")
