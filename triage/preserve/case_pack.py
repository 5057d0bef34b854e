"""The case pack: a zip with report, evidence, journal and files, the hashes of all, and what checks them."""

import hashlib
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from detections.actors import system
from detections.journal import canonical_json
from detections.models import JournalStream
from triage import attachments, observables, verification
from triage.errors import TriageError
from triage.files_by_hash import CHUNK
from triage.models import Case, CasePack, Observable
from triage.preserve import case_report, pack_files, pack_records, preserved, spreadsheets
from triage.preserve.preserved import Kept
from triage.scope import matrix as scope_matrix

FORMAT = 1
VERIFIER = Path(__file__).parent / "pack_verifier.py"
# Nothing that differs between two makings of the same content, and a date that every zip can hold.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_README = """{number}: {title}

A case pack of Casewright, made at {at} UTC.

  report.html, report.pdf   what happened, for people; start here
  case.json                 the case, its questions, answers and decision
  evidence/                 runs.ndjson: each search; rows.ndjson: each event, with its SHA-256; evidence.csv
  observables.csv, .ndjson  the typed values that the evidence holds
  scope/                    the searches of other hosts
  journal.ndjson            who did what, each entry chained to the one before
  attachments/              files that people put to the case, as they came; index.ndjson names them
  manifest.json             the size and SHA-256 of every file

To check the pack, with Python 3 and nothing else:

  python3 verify.py                 where it was unpacked
  python3 verify.py {name}

The SHA-256 of the whole zip stands in the case's journal, outside of this pack. Files under attachments/ are
evidence: they may be malicious. Do not open them on a machine that matters.
{pdf}"""


@dataclass(frozen=True, slots=True)
class Made:
    """A pack that lies on the disk."""

    sha256: str
    size: int
    kept: tuple[Kept, ...]
    findings: tuple[str, ...]
    without_pdf: str
    journal_number: int


MemberSource = Callable[[Case], Iterable[tuple[str, Iterable[str]]]]
_sources: list[MemberSource] = []


def members(source: MemberSource) -> MemberSource:
    """Register further text files of a pack: names and lines. For use as a decorator."""
    if source not in _sources:
        _sources.append(source)
    return source


def build(pack: CasePack) -> Made:
    """Write the pack of a case as it stands. Raises TriageError for an attachment that was changed, OSError.

    Rows of evidence and entries of the journal never change, so what is read after another part of it is
    not older, and the journal ends at the entry that the manifest names.
    """
    case = pack.case
    head = JournalStream.objects.filter(name=case.stream).values_list("head_number", "head_hash").first()
    findings = tuple(verification.verify_case(case))
    kept = tuple(preserved.of_case(case))
    report = case_report.written(case, actor=system("case pack"), findings=findings)
    about: dict[str, Any] = {
        "format": FORMAT,
        "case": case.number,
        "pack": pack.number,
        "asked_at": pack.asked_at.isoformat(),
        "asked_by": str(pack.asked_by) if pack.asked_by else "the system",
        "journal": {"stream": case.stream, "number": head[0] if head else 0, "hash": head[1] if head else ""},
        "preserved": [asdict(one) for one in kept],
        "findings": list(findings),
        "without_pdf": report.without_pdf,
    }

    def fill(out: BinaryIO) -> None:
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            writer = _Writer(archive)
            _members(writer, pack, report, about)
            writer.manifest(about)

    sha256, size = pack_files.write(fill)
    return Made(sha256, size, kept, findings, report.without_pdf, about["journal"]["number"])


class _Writer:
    """Adds members one after the other and remembers the hash of each."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._files: dict[str, dict[str, Any]] = {}

    def chunks(self, name: str, content: Iterable[bytes]) -> None:
        """Add a member. A name that is there already is a defect here, never overwritten."""
        if name in self._files:
            raise TriageError(f"The pack has two files called {name}.")
        found, size = hashlib.sha256(), 0
        with self._archive.open(_info(name), "w", force_zip64=True) as member:
            for chunk in content:
                found.update(chunk)
                size += len(chunk)
                member.write(chunk)
        self._files[name] = {"sha256": found.hexdigest(), "size": size}

    def lines(self, name: str, content: Iterable[str]) -> None:
        self.chunks(name, (line.encode("utf-8", "replace") for line in content))

    def records(self, name: str, content: Iterable[Any]) -> None:
        """Add NDJSON: canonical JSON, a record a line."""
        self.lines(name, (f"{canonical_json(one)}\n" for one in content))

    def manifest(self, about: dict[str, Any]) -> None:
        """The hashes of all members, and of itself: of its own text without that line."""
        content = {**about, "files": self._files}
        content["manifest_sha256"] = hashlib.sha256(canonical_json(content).encode()).hexdigest()
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
        self._archive.writestr(_info("manifest.json"), f"{text}\n".encode("utf-8", "replace"))


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, date_time=_EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o100644 << 16
    return info


def _members(writer: _Writer, pack: CasePack, report: case_report.Written, about: dict[str, Any]) -> None:
    case = pack.case
    pdf = f"\nThere is no report.pdf: {report.without_pdf}\n" if report.without_pdf else ""
    readme = _README.format(
        number=case.number,
        title=" ".join(case.title.split()),
        at=f"{pack.asked_at:%Y-%m-%d %H:%M}",
        name=pack.name,
        pdf=pdf,
    )
    writer.lines("README.txt", [readme])
    writer.chunks("verify.py", [VERIFIER.read_bytes()])
    writer.lines("report.html", [report.html])
    if report.pdf:
        writer.chunks("report.pdf", [report.pdf])
    about_case = json.dumps(pack_records.case(case), indent=1, ensure_ascii=False, default=str)
    writer.lines("case.json", [about_case, "\n"])
    writer.records("evidence/runs.ndjson", pack_records.runs(case))
    writer.records("evidence/rows.ndjson", pack_records.rows(case))
    writer.lines("evidence/evidence.csv", spreadsheets.lines(pack_records.COLUMNS, pack_records.table(case)))
    held = Observable.objects.filter(case=case).order_by("type", "value")
    writer.lines("observables.csv", [observables.as_csv(held)])
    writer.lines("observables.ndjson", observables.as_ndjson(held, case))
    _scope(writer, case)
    writer.records("journal.ndjson", pack_records.journal(case, about["journal"]["number"]))
    _attachments(writer, case)
    for source in _sources:
        for name, lines in source(case):
            writer.lines(name, lines)


def _scope(writer: _Writer, case: Case) -> None:
    for run in case.scope_runs.exclude(sha256="").select_related("case").order_by("number"):
        writer.records(f"scope/{run.number:02d}.ndjson", pack_records.scope_records(run))
        writer.lines(
            f"scope/{run.number:02d}.csv",
            spreadsheets.lines(scope_matrix.EXPORTED, scope_matrix.exported(run)),
        )


# -- files of people


def _attachments(writer: _Writer, case: Case) -> None:
    index: list[dict[str, Any]] = []
    for file in case.attachments.select_related("attached_by").order_by("pk"):
        file.case = case
        name = f"attachments/{file.pk:06d}-{safe_name(file.name)}"
        try:
            content = attachments.open_checked(file)
        except attachments.ChangedFileError as changed:
            # The pack is made all the same: it says which file is not there, and why.
            index.append({"file": "", "name": file.name, "sha256": file.sha256, "lacking": str(changed)})
            continue
        with content:
            writer.chunks(name, _chunks(content))
        index.append(
            {
                "file": name,
                "name": file.name,
                "sha256": file.sha256,
                "size": file.size,
                "content_type": file.content_type,
                "attached_by": str(file.attached_by),
                "attached_at": file.attached_at.isoformat(),
                "withdrawn_reason": file.withdrawn_reason,
            }
        )
    writer.records("attachments/index.ndjson", index)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


def safe_name(name: str) -> str:
    """A file's name for a zip: no folders, no hidden or reserved characters; the index has the true one."""
    last = re.split(r"[/\\]", name)[-1]
    clean = re.sub(r"[^A-Za-z0-9._-]+", "_", last).strip("._-")
    return clean[-80:].lstrip("._-") or "file"
