#!/usr/bin/env python3
"""Check a case pack: every file, the journal's chain, every row of evidence, every search.

    python3 verify.py              the folder that this file lies in
    python3 verify.py PACK.zip     a pack that was not unpacked

Needs Python 3.8 or later and nothing else. Ends with 0 if everything is as it was written down, else with 1
and a line for each thing that is not. Nothing is unpacked, and nothing of the pack is run.
"""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

FORMAT = 1
CHUNK = 1024 * 1024
MANIFEST = "manifest.json"
LARGEST_MANIFEST = 64 * CHUNK
BROKEN = (OSError, LookupError, ValueError, TypeError, RuntimeError, EOFError, zipfile.BadZipFile)


class UnreadableError(Exception):
    """What was named is no case pack, or can't be read."""


class Folder:
    """A pack that was unpacked."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        """Every file, with / between folders. Links are named too: they are never part of a pack."""
        found = [one for one in self.path.rglob("*") if one.is_symlink() or not one.is_dir()]
        return sorted(one.relative_to(self.path).as_posix() for one in found)

    def open(self, name: str) -> BinaryIO:
        path = self.path.joinpath(*name.split("/"))
        if any(one.is_symlink() for one in (path, *path.parents) if self.path in one.parents):
            raise OSError("it is a link, or lies behind one")
        return path.open("rb")


class Zip:
    """A pack as it was made."""

    def __init__(self, path: Path) -> None:
        try:
            self.archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise UnreadableError(f"{path} can't be read as a zip: {error}") from error

    def names(self) -> list[str]:
        return [info.filename for info in self.archive.infolist()]

    def open(self, name: str) -> BinaryIO:
        return self.archive.open(name)  # type: ignore[return-value]


def canonical(value: Any) -> str:
    """JSON with sorted keys and no blanks: the text that every hash is taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sha256(value: Any) -> str:
    return hashlib.sha256(canonical(value).encode()).hexdigest()


class Check:
    """One pass over a pack. counts: what was looked at."""

    def __init__(self, source: Folder | Zip) -> None:
        self.source = source
        self.counts = {
            "files": 0,
            "journal entries": 0,
            "evidence rows": 0,
            "searches": 0,
            "scope records": 0,
        }
        self.manifest: dict[str, Any] = {}

    def faults(self) -> Iterator[str]:
        """A sentence for everything that is not as it was written down."""
        names = self.source.names()
        yield from _names(names)
        self.manifest = self._manifest()
        yield from _own_hash(self.manifest)
        for told in self.manifest.get("findings", []):
            yield f"already found when the pack was made: {told}"
        files = self.manifest["files"]
        for name in sorted(set(names) - set(files) - {MANIFEST}):
            yield f"{name}: not in the manifest; somebody added it."
        for name in sorted(files):
            yield from self._file(name, files[name], name in names)
        parts = (
            ("journal.ndjson", self._journal),
            ("evidence/rows.ndjson", self._evidence),
            ("attachments/index.ndjson", self._attachments),
        )
        for name, check in parts:
            if name in names:
                yield from self._guarded(name, check)
        for name in sorted(set(names)):
            if name.startswith("scope/") and name.endswith(".ndjson"):
                yield from self._guarded(name, partial(self._scope, name))

    def _manifest(self) -> dict[str, Any]:
        try:
            with self.source.open(MANIFEST) as file:
                found = json.loads(file.read(LARGEST_MANIFEST).decode("utf-8"))
        except BROKEN as error:
            raise UnreadableError(f"{MANIFEST} can't be read: {error}") from error
        if not isinstance(found, dict) or not isinstance(found.get("files"), dict):
            raise UnreadableError(f"{MANIFEST} names no files.")
        if found.get("format") != FORMAT:
            raise UnreadableError(f"The pack has format {found.get('format')}; this checks format {FORMAT}.")
        return found

    def _file(self, name: str, told: dict[str, Any], is_there: bool) -> Iterator[str]:
        if not is_there:
            yield f"{name}: missing."
            return
        self.counts["files"] += 1
        digest, size = hashlib.sha256(), 0
        try:
            with self.source.open(name) as file:
                # What is longer than it was is changed; it need not be read to its end.
                while size <= told["size"] and (chunk := file.read(CHUNK)):
                    digest.update(chunk)
                    size += len(chunk)
        except BROKEN as error:
            yield f"{name}: can't be read: {type(error).__name__}: {error}"
            return
        if (digest.hexdigest(), size) != (told["sha256"], told["size"]):
            yield f"{name}: was changed; its SHA-256 is not that of the manifest."

    def _guarded(self, name: str, check: Callable[[], Iterator[str]]) -> Iterator[str]:
        """What breaks the reading of a part is a finding about that part."""
        try:
            yield from check()
        except BROKEN as error:
            yield f"{name}: can't be read: {type(error).__name__}: {error}"

    def _records(self, name: str) -> Iterator[dict[str, Any]]:
        with self.source.open(name) as file:
            for line in file:
                yield json.loads(line.decode("utf-8"))

    def _journal(self) -> Iterator[str]:
        number, previous = 0, ""
        told = self.manifest["journal"]
        for entry in self._records("journal.ndjson"):
            self.counts["journal entries"] += 1
            number += 1
            if entry["number"] != number:
                yield f"journal: entry {number} is missing."
                number = entry["number"]
            if entry["previous_hash"] != previous:
                yield f"journal: entry {number} does not follow the one before."
            fields = ("stream", "number", "at", "user", "actor", "verb", "before", "after", "reason", "data")
            if sha256([entry[field] for field in fields] + [entry["previous_hash"]]) != entry["hash"]:
                yield f"journal: entry {number} was changed."
            if entry["stream"] != told["stream"]:
                yield f"journal: entry {number} is of another case."
            previous = entry["hash"]
        if (number, previous) != (told["number"], told["hash"]):
            yield "journal: its end is not the one that the manifest names."

    def _evidence(self) -> Iterator[str]:
        rows: dict[int, list[tuple[int, str]]] = {}
        for row in self._records("evidence/rows.ndjson"):
            self.counts["evidence rows"] += 1
            rows.setdefault(row["run"], []).append((row["position"], row["sha256"]))
            if sha256(row["document"]) != row["sha256"]:
                yield f"evidence: row {row['position']} of search {row['run']} was changed."
        told = self._told()
        for run in self._records("evidence/runs.ndjson"):
            self.counts["searches"] += 1
            named = f"search {run['id']} ({run['label']})"
            hashes = [one for _position, one in sorted(rows.pop(run["id"], []))]
            if run["sha256"]:
                content = [run["query"], run["window_start"], run["window_end"], run["segments"], hashes]
                if sha256(content) != run["sha256"]:
                    yield f"evidence: {named}: query, window or rows are not those that ran."
            if told.get(run["id"], run["sha256"]) != run["sha256"]:
                yield f"evidence: {named} has another hash than the journal says."
        for run_id in rows:
            yield f"evidence: rows of search {run_id}, which is not there."

    def _told(self) -> dict[int, str]:
        """The hash that the journal has of each search; the last entry about one counts."""
        entries = [entry["data"] for entry in self._records("journal.ndjson")]
        return {data["pivot"]: data["sha256"] for data in entries if "pivot" in data and "sha256" in data}

    def _attachments(self) -> Iterator[str]:
        files = self.manifest["files"]
        for one in self._records("attachments/index.ndjson"):
            if not one["file"]:
                yield f"attachments: {one['name']} was left out when the pack was made: {one['lacking']}"
            elif files.get(one["file"], {}).get("sha256") != one["sha256"]:
                yield f"attachments: {one['file']} is not the file that was attached."

    def _scope(self, name: str) -> Iterator[str]:
        columns: dict[str, str] = {}
        for one in self._records(name):
            self.counts["scope records"] += 1
            if one["type"] == "sample":
                if sha256(one["document"]) != one["sha256"]:
                    yield f"{name}: an event of {one['host']} was changed."
                continue
            if sha256(one["content"]) != one["sha256"]:
                yield f"{name}: a {one['type']} was changed."
            if one["type"] == "column":
                columns[one["content"][0]] = one["sha256"]
            else:
                for key, digest in one["content"][2]:
                    if digest and columns.get(key) != digest:
                        yield f"{name}: the column {key} is missing or another one."


def _names(names: list[str]) -> Iterator[str]:
    """Names that no pack has: twice the same, outside of the folder, or hidden tricks."""
    if len(set(names)) != len(names):
        yield "The zip has the same name twice."
    for name in names:
        parts = name.split("/")
        if name.startswith("/") or ".." in parts or "\\" in name or ":" in name or "\0" in name:
            yield f"{name!r}: a name that leaves the folder; do not unpack this."


def _own_hash(manifest: dict[str, Any]) -> Iterator[str]:
    content = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    if sha256(content) != manifest.get("manifest_sha256"):
        yield f"{MANIFEST}: was changed."


def opened(path: Path) -> Folder | Zip:
    """The pack at a path: a zip, or a folder that holds one unpacked."""
    return Folder(path) if path.is_dir() else Zip(path)


def file_sha256(path: Path) -> str:
    """SHA-256 hex of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()


def main(arguments: list[str]) -> int:
    """Check what is named, or this file's own folder. Returns 0, 1 for findings, 2 for what is no pack."""
    if len(arguments) > 1 or "-h" in arguments or "--help" in arguments:
        sys.stdout.write(f"{__doc__}\n")
        return 2
    path = Path(arguments[0]) if arguments else Path(__file__).resolve().parent
    try:
        check = Check(opened(path))
        faults = list(check.faults())
    except UnreadableError as error:
        sys.stdout.write(f"{error}\n")
        return 2
    if path.is_file():
        told = f"SHA-256 of the zip, to compare with the case's journal: {file_sha256(path)}"
        sys.stdout.write(f"{told}\n")
    looked = ", ".join(f"{count} {what}" for what, count in check.counts.items())
    sys.stdout.write(f"{check.manifest['case']}, pack {check.manifest['pack']}: {looked}.\n")
    for fault in faults:
        sys.stdout.write(f"FOUND: {fault.encode('ascii', 'backslashreplace').decode()}\n")
    number = f"{len(faults)} finding{'' if len(faults) == 1 else 's'}."
    sys.stdout.write(f"{number if faults else 'Everything is as it was written down.'}\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
