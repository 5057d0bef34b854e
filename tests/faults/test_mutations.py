"""The mutation check can still take away what it says; `make faults-mutate` runs it."""

import pytest

from tests.faults.mutations import MUTATIONS, copy


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_each_safeguard_can_be_taken_away(mutation, tmp_path):
    root = copy(tmp_path / "copy")
    for edit in mutation.edits:
        before = (root / edit.path).read_text()
        edit.apply(root)
        assert (root / edit.path).read_text() != before
