"""Reference material beside the checkout. A test that needs it skips, with the reason, where it is absent."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared(name: str) -> Path:
    """The path of a file or folder of the reference material; skips the test where it is missing."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"reference material is not here: {name}")
    return path
