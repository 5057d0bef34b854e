"""Take one safeguard away at a time, in a copy of the sources, and show that the fault tests notice.

`python -m tests.faults.mutations` prints a line each; it ends with 1 if a mutation goes unnoticed.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.instance import ROOT

DETECTIONS = "detections/migrations/0001_squashed_0007_outside_alerts.py"
TRIAGE = "triage/migrations/0001_squashed_0011_scope_and_packs.py"
PARTS = ("config", "detections", "triage", "templates", "static", "tests", "manage.py", "pyproject.toml")


@dataclass(frozen=True, slots=True)
class Edit:
    """In one file, a pattern that occurs exactly once, and what takes its place."""

    path: str
    pattern: str
    replacement: str

    def apply(self, root: Path) -> None:
        file = root / self.path
        text, times = re.subn(self.pattern, self.replacement, file.read_text(), flags=re.DOTALL)
        if times != 1:
            raise ValueError(
                f"{self.path}: {self.pattern!r} occurs {times} times. Mend tests/faults/mutations.py."
            )
        file.write_text(text)


@dataclass(frozen=True, slots=True)
class Mutation:
    """A safeguard that is gone, and the tests that must say so."""

    name: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]


NO_CHECK = r'models.CheckConstraint(condition=models.Q(("pk__gte", 0)), name="\1")'


def _check(name: str) -> str:
    """A check of the database in a migration, by its name."""
    return rf'models\.CheckConstraint\((?:(?!Constraint\().)*?name="({name})",?\s*\)'


MUTATIONS = (
    Mutation(
        "no unique constraint on alerts",
        (
            Edit(
                "detections/models/alert.py",
                r"(alert_id = models\.CharField\(max_length=64), unique=True\)",
                r"\1)",
            ),
            Edit(
                DETECTIONS,
                r"(\(\"alert_id\", models\.CharField\(max_length=64), unique=True\)",
                r"\1)",
            ),
        ),
        ("tests/faults/test_late_telemetry.py",),
    ),
    Mutation(
        "no lease",
        (Edit("detections/lease.py", r"objects\.filter\(is_free, name=name\)", "objects.filter(name=name)"),),
        ("tests/faults/test_deliveries.py",),
    ),
    Mutation(
        "no completeness check",
        (
            Edit(
                "detections/rule_search.py",
                r"elif any\(answer\.completeness\.truncated for answer in answers\):",
                "elif not answers:",
            ),
        ),
        ("tests/faults/test_slices.py",),
    ),
    Mutation(
        "a failed run moves the watermark",
        (
            Edit(
                "detections/run.py",
                r"(filter\(pk=job\.rule\.pk, fence=job\.run\.fence\)\.update\()last_run_at=now\)",
                r"\1last_run_at=now, covered_until=job.region.until, mark=job.region.head)",
            ),
        ),
        ("tests/faults/test_late_telemetry.py",),
    ),
    Mutation(
        "late rows are not searched",
        (Edit("detections/windows.py", r"mark=mark, head=head\)", "mark=head, head=head)"),),
        ("tests/faults/test_late_telemetry.py",),
    ),
    Mutation(
        "no four eyes over exceptions in the database",
        (Edit(TRIAGE, _check("exception_approved_by_another"), NO_CHECK),),
        ("tests/triage/exceptions/test_states.py",),
    ),
    Mutation(
        "no four eyes over actions in the database",
        (Edit(TRIAGE, _check("action_approved_by_another"), NO_CHECK),),
        ("tests/triage/response/test_states.py",),
    ),
    Mutation(
        "who asked for an action may approve it",
        (Edit("triage/approvals.py", r"if actor\.user == row\.requested_by:", "if False:"),),
        ("tests/triage/response/test_states.py",),
    ),
    Mutation(
        "two actions may have one idempotency key",
        (
            Edit(
                TRIAGE,
                r"(\(\"idempotency_key\", models\.CharField\(max_length=64), unique=True\)",
                r"\1)",
            ),
        ),
        ("tests/triage/response/test_crashes.py",),
    ),
    Mutation(
        "an action's key is another one for each delivery",
        (
            Edit(
                "triage/models/action.py",
                r'return f"\{self\.idempotency_key\}-\{self\.attempts\}"',
                "return __import__('uuid').uuid4().hex",
            ),
        ),
        ("tests/triage/response/test_crashes.py",),
    ),
    Mutation(
        "an outside alert may be taken twice",
        (Edit(DETECTIONS, r"(\(\"uuid\", models\.CharField\(max_length=255), unique=True\)", r"\1)"),),
        ("tests/detections/test_outside_alerts.py",),
    ),
)


def copy(folder: Path) -> Path:
    """The sources, without what they do not need."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(
                source, folder / part, ignore=shutil.ignore_patterns("__pycache__", "node_modules")
            )
        else:
            shutil.copy(source, folder / part)
    return folder


def tests_fail(root: Path, tests: tuple[str, ...]) -> tuple[bool, str]:
    """Whether an assertion of these tests fails there, and the last line that was said."""
    environment = {k: v for k, v in os.environ.items() if k != "FAULTS"} | {
        "CASEWRIGHT_DATA": str(root / "var")
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-m", "not live", "-p", "no:cacheprovider", *tests],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout.strip().splitlines() or [done.stderr.strip()[-300:]]
    if done.returncode not in (0, 1):
        raise RuntimeError(f"The tests could not run: {said[-1]}")
    return done.returncode == 1, said[-1]


def main() -> int:
    unnoticed = 0
    with tempfile.TemporaryDirectory(prefix="casewright-mutations-") as folder:
        whole = copy(Path(folder) / "whole")
        every = tuple(sorted({test for mutation in MUTATIONS for test in mutation.tests}))
        is_red, said = tests_fail(whole, every)
        sys.stdout.write(f"nothing taken away: {'RED' if is_red else 'green'} ({said})\n")
        if is_red:
            return 1
        for index, mutation in enumerate(MUTATIONS):
            root = copy(Path(folder) / str(index))
            for edit in mutation.edits:
                edit.apply(root)
            is_red, said = tests_fail(root, mutation.tests)
            unnoticed += not is_red
            sys.stdout.write(f"{mutation.name}: {'red' if is_red else 'GREEN, unnoticed'} ({said})\n")
            sys.stdout.flush()
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
