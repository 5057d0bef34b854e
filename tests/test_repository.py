"""What must hold for every file of the repository."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Written apart, so that this file does not name what it looks for.
HOSTS = re.compile(
    "|".join(["pypi" + r"\.org", "python" + "hosted", "registry" + r"\.npm", "crates" + r"\.io"])
)
PATHS = re.compile(r"(?<![\w.])/(?:home|Users|root|work|mnt)/[\w.-]+")
TEXT = {".py", ".md", ".toml", ".txt", ".html", ".css", ".js", ".svg", ".yaml", ".yml", ".json", ""}


def committed() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in committed()
        if path.suffix in TEXT
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_a_package_registry():
    assert lines_with(HOSTS) == []


def test_no_file_names_a_folder_of_somebody_s_machine():
    assert lines_with(PATHS) == []


def test_every_requirement_has_a_hash():
    for name in ("base", "dev"):
        blocks = re.split(r"\n(?=\S)", (ROOT / f"requirements/{name}.txt").read_text().strip())
        assert [block for block in blocks if "--hash=sha256:" not in block] == []


def test_every_setting_is_documented():
    read = re.findall(r'(?:env\.\w+|_flag)\(\s*"([A-Z_]+)"', (ROOT / "config/settings.py").read_text())
    documented = (ROOT / "docs/settings.md").read_text()
    assert [name for name in read if f"| `{name}` |" not in documented] == []


def test_ci_is_make_test():
    assert (ROOT / ".ci/run").read_text().splitlines()[-1] == "exec make test </dev/null"


def test_the_summary_lists_what_was_skipped_and_why(tmp_path):
    from tests.summary import read

    results = tmp_path / "results.xml"
    results.write_text(
        "<testsuites><testsuite>"
        "<testcase/><testcase><failure/></testcase><testcase><error/></testcase>"
        '<testcase><skipped message="no browser"/></testcase>'
        "</testsuite></testsuites>"
    )
    ended, reasons = read([results, tmp_path / "never-written.xml"])
    assert (dict(ended), dict(reasons)) == ({"passed": 1, "failed": 3, "skipped": 1}, {"no browser": 1})
