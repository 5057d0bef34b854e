"""Split a Windows command line into arguments, as a program's C runtime does.

Rules: "Parsing C command-line arguments" and CommandLineToArgvW in Microsoft's documentation. The first
argument knows no escape: it ends at the next quote if it starts with one, else at the next blank.
"""

import re

from detections import ecs
from detections.ecs import Document

_BLANKS = " \t"
_RUN_OF_BLANKS = re.compile("[ \t]+")
_QUOTE, _SLASH = '"', "\\"
# What stands for itself within quotes and outside of them; and a run of slashes, maybe none.
_WITHIN, _OUTSIDE, _SLASHES = re.compile(r'[^\\"]+'), re.compile(r'[^\\" \t]+'), re.compile(r"\\*")


def arguments(command_line: str) -> list[str]:
    """The arguments, quotes removed: backslash pairs before a quote halved, `""` within quotes a quote."""
    text = command_line.strip(_BLANKS)
    if not text:
        return []
    if _QUOTE not in text:  # then blanks alone count, and this is the usual case
        return _RUN_OF_BLANKS.split(text)
    program, at = _program(text)
    found = [program]
    while (at := _past_blanks(text, at)) < len(text):
        argument, at = _argument(text, at)
        found.append(argument)
    return found


def put(document: Document, text: str, under: str = "process") -> None:
    """A process's command line with its arguments and their number."""
    if not text:
        return
    ecs.put(document, f"{under}.command_line", text)
    found = arguments(text)
    if found:
        ecs.put(document, f"{under}.args", found)
        ecs.put(document, f"{under}.args_count", len(found))


def _program(text: str) -> tuple[str, int]:
    if text[0] == _QUOTE:
        end = text.find(_QUOTE, 1)
        return (text[1:], len(text)) if end < 0 else (text[1:end], end + 1)
    end = next((at for at, character in enumerate(text) if character in _BLANKS), len(text))
    return text[:end], end


def _argument(text: str, at: int) -> tuple[str, int]:
    """The argument that starts at a position, and the position after it."""
    parts: list[str] = []
    quoted = False
    while at < len(text) and (quoted or text[at] not in _BLANKS):
        plain = (_WITHIN if quoted else _OUTSIDE).match(text, at)
        if plain is not None:
            parts.append(plain.group())
            at = plain.end()
            continue
        slashes = _run_of_slashes(text, at)
        at += slashes
        if at >= len(text) or text[at] != _QUOTE:
            parts.append(_SLASH * slashes)
            continue
        parts.append(_SLASH * (slashes // 2))
        if slashes % 2:
            parts.append(_QUOTE)
        elif quoted and text.startswith(_QUOTE, at + 1):
            parts.append(_QUOTE)
            at += 1
        else:
            quoted = not quoted
        at += 1
    return "".join(parts), at


def _run_of_slashes(text: str, at: int) -> int:
    found = _SLASHES.match(text, at)
    return 0 if found is None else found.end() - at


def _past_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANKS:
        at += 1
    return at
