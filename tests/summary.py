"""Says what the test runs came to, and what was skipped and why: `python -m tests.summary RESULTS.xml`"""

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

# What each results file is of.
RUNS = {
    "unit": "unit tests, SQLite",
    "postgresql": "those of the database, PostgreSQL",
    "live": "real processes and browser",
}


def read(paths: list[Path]) -> tuple[Counter[str], Counter[str]]:
    """How many tests ended how, and how many were skipped for which reason. A run without results counts
    as one that failed."""
    ended: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for path in paths:
        if not path.exists():
            ended["failed"] += 1
            continue
        for case in ElementTree.parse(path).getroot().iter("testcase"):
            outcome = next((child for child in case if child.tag in {"failure", "error", "skipped"}), None)
            if outcome is None:
                ended["passed"] += 1
            elif outcome.tag == "skipped":
                ended["skipped"] += 1
                reasons[outcome.get("message", "no reason given")] += 1
            else:
                ended["failed"] += 1
    return ended, reasons


def _by_run(paths: list[Path]) -> list[str]:
    """A line a run: which tests ran on which database."""
    runs = ((path, read([path])[0]) for path in paths)
    return [
        f"{RUNS.get(path.stem, path.stem):34} {ended['passed']:5} passed, {ended['failed']} failed, "
        f"{ended['skipped']} skipped"
        for path, ended in runs
    ]


def main() -> None:
    paths = [Path(argument) for argument in sys.argv[1:]]
    ended, reasons = read(paths)
    lines = ["", "Skipped:" if reasons else "Nothing was skipped."]
    lines += [f"  {count} x {reason}" for reason, count in reasons.most_common()]
    lines += ["", *_by_run(paths)]
    lines += [f"{ended['passed']} passed, {ended['failed']} failed, {ended['skipped']} skipped", ""]
    sys.stdout.write("\n".join(lines))
    sys.exit(1 if ended["failed"] or not ended["passed"] else 0)


if __name__ == "__main__":
    main()
