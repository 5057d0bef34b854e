"""Rules of files, folders and archives. One bad file never stops the others."""

import json
import lzma
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from detections.errors import Location, RuleFault, RuleFileError
from detections.rule_files.model import Loaded, RuleFile
from detections.rule_files.reading import load_json_rule, load_rule_text

OVERLAY = ".guide.toml"
SUFFIXES = (".toml", ".ndjson")
ARCHIVES = (".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tar.xz")
UNREADABLE = (OSError, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)
# What the lines of an export that are no rules have; rules may have it too.
_NO_RULES = ('"exported_', '"list_id"', '"attributes"')
OVER_LINES = ("JSON over several lines.", "Write one rule a line (jq -c .).")
# A published rule has at most some 60 kB; an export of all of them some 20 MB.
_HEAD = 8192
LARGEST_RULE = 2_000_000
LARGEST_EXPORT = 200_000_000


@dataclass(frozen=True, slots=True)
class Source:
    """The bytes of one file with its name, and the overlay beside it; or why they can't be had."""

    path: str
    content: bytes = b""
    overlay: bytes = b""
    problem: str = ""

    @property
    def overlay_path(self) -> str:
        return overlay_path(self.path)


def overlay_path(path: str) -> str:
    """The name of the overlay beside a rule file: `x.toml` -> `x.guide.toml`."""
    return path.removesuffix(".toml") + OVERLAY


def load_rules(paths: Iterable[Path]) -> Loaded:
    """Every rule of the files, folders (read to any depth, archives in them too) and tar archives.

    Faults are collected file by file. A rule id that another file has already is a fault of the second one;
    the same text twice is skipped.
    """
    collection = _Collection()
    for path in paths:
        is_empty = True
        try:
            for source in sources_of(path):
                is_empty = False
                collection.load(source)
        except UNREADABLE as error:
            collection.refuse(str(path), f"can't be read: {why(error)}.", "Check the path and the file.")
        else:
            if is_empty:
                kinds = ", ".join(SUFFIXES + ARCHIVES)
                collection.refuse(str(path), f"there is no rule file in it ({kinds}).", "Name another path.")
    return Loaded(tuple(collection.rules), tuple(collection.errors), tuple(collection.skipped))


class _Collection:
    """What has been read so far."""

    def __init__(self) -> None:
        self.rules: list[RuleFile] = []
        self.errors: list[RuleFileError] = []
        self.skipped: list[RuleFault] = []
        self._by_id: dict[str, RuleFile] = {}

    def refuse(self, path: str, message: str, remedy: str) -> None:
        self.errors.append(RuleFileError([RuleFault(Location(path), message, remedy)]))

    def load(self, source: Source) -> None:
        if source.problem:
            self.refuse(source.path, source.problem, "Check the file.")
            return
        try:
            for read in _readers(source, self.skipped):
                self._take(read)
        except RuleFileError as error:
            self.errors.append(error)

    def _take(self, read: "_Reader") -> None:
        try:
            self._add(read(), Location(read.source.path, read.number or None))
        except RuleFileError as error:
            self.errors.append(error)

    def _add(self, rule: RuleFile, place: Location) -> None:
        first = self._by_id.setdefault(rule.rule_id, rule)
        if first is rule:
            self.rules.append(rule)
        elif first.sha256 == rule.sha256:
            self.skipped.append(RuleFault(place, f"the same rule as in {first.path}, left out."))
        else:
            message = f"rule_id {rule.rule_id} is taken by another rule in {first.path}."
            raise RuleFileError([RuleFault(place, message, "Give one of them another id.")])


class _Reader:
    """One rule to read: the whole of a source, or one line of it."""

    def __init__(self, source: Source, line: str = "", number: int = 0) -> None:
        self.source, self.line, self.number = source, line, number

    def __call__(self) -> RuleFile:
        if self.number:
            return load_json_rule(self.line, self.source.path, self.number)
        return load_rule_text(
            decoded(self.source.content, self.source.path),
            self.source.path,
            overlay=decoded(self.source.overlay, self.source.overlay_path),
            overlay_path=self.source.overlay_path,
        )


def _readers(source: Source, skipped: list[RuleFault]) -> Iterator[_Reader]:
    if source.path.endswith(".toml"):
        yield _Reader(source)
        return
    if b"\0" in source.content[:_HEAD] or source.content.startswith(b"PK\x03\x04"):
        kinds = ", ".join(SUFFIXES + ARCHIVES)
        remedy = f"Rule files end in {kinds}; unpack any other archive first."
        raise RuleFileError([RuleFault(Location(source.path), "no text, so no rule file.", remedy)])
    # Not splitlines: JSON text may hold U+2028, which is no end of a line here.
    lines = source.content.decode("utf-8-sig", errors="replace").split("\n")
    if lines[0].strip() in ("{", "["):
        raise RuleFileError([RuleFault(Location(source.path, 1), *OVER_LINES)])
    for number, line in enumerate(lines, start=1):
        sort = _no_rule(line)
        if sort:
            skipped.append(RuleFault(Location(source.path, number), f"{sort}, left out."))
        elif line.strip():
            yield _Reader(source, line.strip(), number)


def _no_rule(line: str) -> str:
    """What a line of an export is when it is no rule; "" for a rule or a broken line."""
    if not any(mark in line for mark in _NO_RULES):
        return ""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(values, dict) or "rule_id" in values:
        return ""
    if "exported_count" in values or "exported_rules_count" in values:
        return "the summary of the export"
    if "list_id" in values:
        return "an exception list or item"
    return "an action connector" if "attributes" in values and "connector_type_id" in line else ""


def decoded(content: bytes, path: str) -> str:
    """The text of a file. Raises RuleFileError with the line of the first byte that is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        fault = RuleFault(Location(path, line), "not UTF-8 text.", "Save the file as UTF-8.")
        raise RuleFileError([fault]) from error


def sources_of(path: Path) -> Iterator[Source]:
    """The rule files of a file, a folder (to any depth) or a tar archive, in order.

    An archive in a folder that can't be read is a source with a problem. Raises UNREADABLE for what can't be
    read itself.
    """
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if not file.is_file():
                continue
            if _is_rule(file.name):
                yield _of_file(file)
            elif file.name.endswith(ARCHIVES) and not file.name.startswith("."):
                yield from _of_archive_within(file)
    elif path.name.endswith(ARCHIVES):
        yield from _of_archive(path)
    else:
        yield _of_file(path)


def _is_rule(name: str) -> bool:
    return name.endswith(SUFFIXES) and not name.endswith(OVERLAY) and not name.startswith(".")


def _of_file(path: Path) -> Source:
    limit = LARGEST_RULE if path.suffix == ".toml" else LARGEST_EXPORT
    beside = Path(overlay_path(str(path)))
    has_overlay = path.suffix == ".toml" and beside.is_file()
    try:
        if (problem := _too_large(path.stat().st_size, limit)) != "":
            return Source(str(path), problem=problem)
        return Source(str(path), path.read_bytes(), beside.read_bytes() if has_overlay else b"")
    except OSError as error:
        return Source(str(path), problem=f"can't be read: {error.strerror}.")


def _too_large(size: int, limit: int) -> str:
    return f"has {size} bytes, a rule file at most {limit}." if size > limit else ""


def _of_archive_within(path: Path) -> Iterator[Source]:
    try:
        yield from _of_archive(path)
    except UNREADABLE as error:
        yield Source(str(path), problem=f"can't be read: {why(error)}.")


def why(error: Exception) -> str:
    """Why a file can't be read. What is no archive is told in a line for each way of packing."""
    text = str(error)
    return "it is no tar archive" if text.startswith("file could not be opened successfully") else text


def _of_archive(path: Path) -> Iterator[Source]:
    """The rule files of a tar archive, read in memory: nothing is unpacked, whatever its names say."""
    overlays: dict[str, bytes] = {}
    sources: list[Source] = []
    unpacked = 0
    with tarfile.open(path) as archive:
        for member in archive:
            name = f"{path}:{member.name}"
            is_overlay = member.name.endswith(OVERLAY)
            if not member.isfile() or not (is_overlay or _is_rule(Path(member.name).name)):
                continue
            unpacked += member.size
            if unpacked > LARGEST_EXPORT:
                raise tarfile.ReadError(f"its rule files have more than {LARGEST_EXPORT} bytes together")
            problem = _too_large(member.size, LARGEST_RULE)
            stream = None if problem else archive.extractfile(member)
            content = stream.read() if stream else b""
            if is_overlay and not problem:
                overlays[name] = content
            else:
                sources.append(Source(name, content, problem=problem))
    for source in sources:
        yield replace(source, overlay=overlays.get(source.overlay_path, b""))
