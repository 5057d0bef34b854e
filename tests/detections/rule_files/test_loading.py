"""Many rule files at once: a bad one does not stop the others."""

import json
import tarfile

import pytest

from detections.rule_files import load_rules
from tests.detections.rule_files.test_reading import GOOD
from tests.shared import shared


def as_json(rule_id, **more):
    rule = {"rule_id": rule_id, "name": "n", "description": "d", "type": "query", "language": "kuery"}
    return json.dumps({**rule, "query": "a: b", "severity": "low", "risk_score": 21, "to": "now", **more})


def test_one_bad_file_does_not_stop_the_others(tmp_path):
    (tmp_path / "bad.toml").write_text("[rule]\nname = 3\n")
    (tmp_path / "good.toml").write_text(GOOD)
    loaded = load_rules([tmp_path, tmp_path / "absent.toml"])
    assert [rule.rule_id for rule in loaded.rules] == ["r-1"]
    assert [error.faults[0].location.path for error in loaded.errors] == [
        str(tmp_path / "bad.toml"),
        str(tmp_path / "absent.toml"),
    ]


def test_an_overlay_beside_the_rule_is_read_and_is_no_rule(tmp_path):
    (tmp_path / "good.toml").write_text(GOOD)
    (tmp_path / "good.guide.toml").write_text('applies_to = ["other"]\n')
    (rule,) = load_rules([tmp_path]).rules
    assert rule.replaces == ("other",)


def test_an_export_has_one_rule_a_line_and_other_things_are_named(tmp_path):
    export = tmp_path / "export.ndjson"
    lines = [
        as_json("a"),
        "{broken",
        as_json("b", risk_score=101),
        '{"list_id": "x"}',
        '{"exported_count": 2}',
    ]
    export.write_text("\n".join(lines))
    loaded = load_rules([export])
    assert [rule.rule_id for rule in loaded.rules] == ["a"]
    assert [error.faults[0].location.line for error in loaded.errors] == [2, 3]
    assert [str(fault).rsplit(": ", 1)[1] for fault in loaded.skipped] == [
        "an exception list or item, left out.",
        "the summary of the export, left out.",
    ]


def test_a_line_of_an_export_ends_at_a_line_feed_alone(tmp_path):
    export = tmp_path / "export.ndjson"
    first = json.loads(as_json("a", note="one\u2028two\u0085three"))
    summary = {"exported_count": 1, "missing_rules": [{"rule_id": "gone"}]}
    lines = [json.dumps(first, ensure_ascii=False), as_json("b"), json.dumps(summary)]
    export.write_text("\ufeff" + "\r\n".join(lines))
    loaded = load_rules([export])
    assert [(rule.rule_id, rule.note) for rule in loaded.rules] == [
        ("a", "one\u2028two\u0085three"),
        ("b", ""),
    ]
    assert loaded.errors == ()
    assert [str(fault) for fault in loaded.skipped] == [f"{export}:3: the summary of the export, left out."]


def test_a_rule_over_several_lines_of_json_is_one_fault(tmp_path):
    export = tmp_path / "export.ndjson"
    export.write_text(json.dumps(json.loads(as_json("a")), indent=2))
    [error] = load_rules([export]).errors
    assert str(error.faults[0]) == (f"{export}:1: JSON over several lines. Write one rule a line (jq -c .).")


def test_a_rule_id_that_is_taken_is_a_fault_and_the_same_rule_twice_is_not(tmp_path):
    (tmp_path / "a.toml").write_text(GOOD)
    (tmp_path / "b.toml").write_text(GOOD)
    (tmp_path / "c.toml").write_text(GOOD.replace("Shell", "A shell"))
    loaded = load_rules([tmp_path])
    assert (len(loaded.rules), len(loaded.errors), len(loaded.skipped)) == (1, 1, 1)


def test_an_archive_is_read_without_unpacking(tmp_path):
    (tmp_path / "good.toml").write_text(GOOD)
    with tarfile.open(tmp_path / "rules.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "good.toml", arcname="../../escape.toml")
    (rule,) = load_rules([tmp_path / "rules.tar.gz"]).rules
    assert rule.path == f"{tmp_path}/rules.tar.gz:../../escape.toml"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.toml", "rules.tar.gz"]


def test_archives_in_a_folder_are_read_and_a_broken_one_stops_nothing(tmp_path):
    (tmp_path / "good.toml").write_text(GOOD)
    with tarfile.open(tmp_path / "rules.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "good.toml", "rules/good.toml")
    (tmp_path / "good.toml").unlink()
    (tmp_path / "torn.tgz").write_bytes((tmp_path / "rules.tar.gz").read_bytes()[:40])
    loaded = load_rules([tmp_path])
    assert [rule.rule_id for rule in loaded.rules] == ["r-1"]
    assert [error.faults[0].location.path for error in loaded.errors] == [str(tmp_path / "torn.tgz")]


def test_a_path_without_any_rule_file_is_an_error(tmp_path):
    (tmp_path / "notes.md").write_text("nothing")
    (error,) = load_rules([tmp_path]).errors
    assert (error.faults[0].location.path, error.faults[0].message[:26]) == (
        str(tmp_path),
        "there is no rule file in i",
    )


@pytest.mark.parametrize("packing", ["bz2", "xz"])
def test_an_archive_damaged_in_its_middle_is_an_error_and_the_others_are_read(tmp_path, packing):
    (tmp_path / "good.toml").write_text(GOOD)
    path = tmp_path / f"torn.tar.{packing}"
    with tarfile.open(path, f"w:{packing}") as archive:
        archive.add(tmp_path / "good.toml", "a.toml")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + b"\x00\xff" * 8 + whole[len(whole) // 2 + 16 :])
    loaded = load_rules([tmp_path])
    assert [error.faults[0].location.path for error in loaded.errors] == [str(path)]
    assert [rule.path for rule in loaded.rules] == [str(tmp_path / "good.toml")]


def test_a_torn_archive_is_an_error(tmp_path):
    (tmp_path / "torn.tar.gz").write_bytes(b"\x1f\x8b\x08\x00torn")
    (error,) = load_rules([tmp_path / "torn.tar.gz"]).errors
    assert "can't be read" in str(error)


@pytest.mark.parametrize("packing", ["gz", "bz2", "xz"])
def test_tar_archives_are_read_however_they_are_packed(tmp_path, packing):
    (tmp_path / "good.toml").write_text(GOOD)
    path = tmp_path / f"rules.tar.{packing}"
    with tarfile.open(path, f"w:{packing}") as archive:
        archive.add(tmp_path / "good.toml", "good.toml")
    assert [rule.rule_id for rule in load_rules([path]).rules] == ["r-1"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("rules.zip", b"PK\x03\x04\n\n", "no text, so no rule file."),
        ("rules.bin", b"\x7fELF\0\n\n", "no text, so no rule file."),
        ("rules.tgz", b"hello", "can't be read: it is no tar archive. Check"),
    ],
)
def test_what_is_no_rule_file_at_all_is_one_fault(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    [error] = load_rules([tmp_path / name]).errors
    [fault] = error.faults
    assert reason in str(fault)


def test_text_that_is_not_utf8_is_placed(tmp_path):
    (tmp_path / "x.toml").write_bytes(b"[rule]\nname = '\xff'\n")
    (error,) = load_rules([tmp_path]).errors
    assert str(error) == f"{tmp_path}/x.toml:2: not UTF-8 text. Save the file as UTF-8."


def test_all_public_rules_load():
    loaded = load_rules([shared("rules/elastic-rules.tar.gz")])
    assert [str(error) for error in loaded.errors] == []
    assert len(loaded.rules) == 1287
