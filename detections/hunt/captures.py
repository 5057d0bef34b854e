"""Hunt through capture files: one universe a file, or one for all of them together."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from detections.eql.fields import Field
from detections.errors import RecordError, SourceError
from detections.hunt.rows import FieldTree
from detections.hunt.rules import RuleSet
from detections.hunt.universe import Found, Universe, inferred
from detections.ingest.readers import Capture, captures_in, open_capture
from detections.stores.base import MappedEvent

FAULTS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class CaptureFile:
    """A file to search. label: its path relative to the argument that named it or its folder."""

    path: Path
    label: str


@dataclass
class HuntSummary:
    """What a hunt came to. inapplicable: rule id -> unknown field -> in how many universes.

    known: events that another file of the universe had already. unordered: see `Universe`.
    positions: rule id -> what is wrong with its query, with position and caret. unreadable: file -> why it
    could not be read, or not to its end. faults: the first bad records.
    """

    files: int = 0
    universes: int = 0
    events: int = 0
    matches: int = 0
    repaired: int = 0
    bad: int = 0
    known: int = 0
    unordered: int = 0
    ran: set[str] = field(default_factory=set)
    matched: set[str] = field(default_factory=set)
    inapplicable: dict[str, dict[str, int]] = field(default_factory=dict)
    positions: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class HuntProgress:
    """How far a hunt is: bytes of this file read, of all bytes; matches so far."""

    label: str
    bytes_done: int
    bytes_total: int
    matches: int


Report = Callable[[HuntProgress], None]


@dataclass
class Hunt:
    """One hunt: a rule set over files.

    together: all files are one universe, in which an event that several of them hold counts once.
    keep_rows: keep each universe in one piece, with its plans, for whoever explains a query afterwards.
    """

    rules: RuleSet
    together: bool = False
    report: Report | None = None
    keep_rows: bool = False
    summary: HuntSummary = field(default_factory=HuntSummary)
    searched: list[Universe] = field(default_factory=list)
    _bytes_before: int = 0
    _bytes_total: int = 0

    def run(self, paths: Sequence[Path]) -> Iterator[Found]:
        """Every match, universe by universe; the summary is complete when this ends.

        Raises nothing for what is wrong with a file, a record or a rule: the summary says it.
        """
        files = self._files(paths)
        self._bytes_total = sum(map(_size, files))
        for group in [files] if self.together else [[one] for one in files]:
            yield from self._universe(group)

    def _files(self, paths: Sequence[Path]) -> list[CaptureFile]:
        found: dict[str, CaptureFile] = {}
        for path in paths:
            try:
                for capture in captures_in([path]):
                    label = capture.relative_to(path).as_posix() if path.is_dir() else path.name
                    found.setdefault(os.path.realpath(capture), CaptureFile(capture, label))
            except (SourceError, OSError) as error:
                self.summary.unreadable[str(path)] = _reason(error, path)
        self.summary.files = len(found)
        return list(found.values())

    def _universe(self, files: Sequence[CaptureFile]) -> Iterator[Found]:
        universe = Universe(self.rules.planned(self._seen(files)))
        if self.keep_rows:
            universe.chunk, universe.explained = 2**62, []
            self.searched.append(universe)
        identities: set[bytes] = set()
        for file in files:
            for event in self._events(file):
                if len(files) > 1 and self._is_known(event, identities):
                    continue
                universe.feed(event.document, file=file.label, record_id=event.record_id)
        matches = universe.found()
        self._count(universe, matches)
        yield from matches

    def _is_known(self, event: MappedEvent, identities: set[bytes]) -> bool:
        identity = bytes.fromhex(event.identity)
        if identity in identities:
            self.summary.known += 1
            return True
        identities.add(identity)
        return False

    def _events(self, file: CaptureFile) -> Iterator[MappedEvent]:
        """The good records of a file; what is bad about it is counted."""
        summary, bad = self.summary, self.summary.bad
        is_good = False
        try:
            capture = open_capture(file.path)
            for number, item in enumerate(capture):
                if isinstance(item, RecordError):
                    self._bad(file, item)
                else:
                    is_good = True
                    yield item
                if number % 1_000 == 0:
                    self._tell(file, capture)
            self._tell(file, capture)
            self._bytes_before += capture.size
        except (SourceError, OSError) as error:
            summary.unreadable[file.label] = _reason(error, file.path)
        else:
            # "No matches" would be said of a file of which nothing was searched.
            if not is_good and summary.bad > bad:
                summary.unreadable[file.label] = "None of its records could be read."

    def _bad(self, file: CaptureFile, error: RecordError) -> None:
        self.summary.bad += 1
        if len(self.summary.faults) < FAULTS_SHOWN:
            place = f", {error.position}" if error.position else ""
            self.summary.faults.append(f"{file.label}{place}: {error}")

    def _tell(self, file: CaptureFile, capture: Capture) -> None:
        if self.report is not None:
            done = self._bytes_before + capture.position
            self.report(HuntProgress(file.label, done, self._bytes_total, self.summary.matches))

    def _seen(self, files: Iterable[CaptureFile]) -> set[Field]:
        """Those of the fields that nobody declared that the files have: a pass of its own, if any."""
        tree, found = FieldTree(self.rules.undeclared), dict[str, Field]()
        if not tree.names:
            return set()
        for file in files:
            try:
                for item in open_capture(file.path):
                    if isinstance(item, MappedEvent):
                        for name, value in tree.taken(item.document).items():
                            found.setdefault(name, inferred(name, value))
            except (SourceError, OSError):
                continue  # the second pass reads as far and says so
        return set(found.values())

    def _count(self, universe: Universe, matches: Sequence[Found]) -> None:
        summary, planned = self.summary, universe.planned
        summary.universes += 1
        summary.events += universe.count
        summary.matches += len(matches)
        summary.unordered += universe.unordered
        summary.repaired += sum(match.is_repaired for match in matches)
        summary.matched.update(match.rule.rule_id for match in matches)
        summary.ran.update(one.rule.rule_id for one in planned.rules)
        summary.failed.update({**planned.failed, **universe.failed})
        summary.positions.update(planned.faults)
        for rule_id, name in planned.inapplicable.items():
            counts = summary.inapplicable.setdefault(rule_id, {})
            counts[name] = counts.get(name, 0) + 1


def _size(file: CaptureFile) -> int:
    """Its bytes; nothing for a link that leads nowhere, which is told when it is opened."""
    try:
        return file.path.stat().st_size
    except OSError:
        return 0


def _reason(error: Exception, path: Path) -> str:
    """What is wrong and where, without the path, which stands before it."""
    place = f" ({error.position})" if isinstance(error, SourceError) and error.position else ""
    return f"{str(error).removeprefix(f'{path}: ')}{place}"
