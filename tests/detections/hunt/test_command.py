"""`manage.py hunt`, without a database: pytest-django refuses any query here."""

import json
import os
import subprocess
import sys
from collections import Counter
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from tests.shared import SHARED, shared

ROOT = Path(__file__).resolve().parents[3]
DCOM = "622ecb68-fa81-4601-90b5-f8cd661e4520"
SHIPPED_DCOM = "7bb81975-2fd7-4b62-ab7d-9d71e44822f0"
START = {"event": {"category": ["process"], "type": ["start"]}}


class Answer:
    """What a command wrote and how it ended."""

    def __init__(self, name, *arguments):
        out, err = StringIO(), StringIO()
        self.status = 0
        try:
            call_command(name, *map(str, arguments), stdout=out, stderr=err)
        except SystemExit as end:
            self.status = end.code
        self.lines, self.told = out.getvalue().splitlines(), err.getvalue()

    @property
    def rows(self):
        return [tuple(line.split("\t")) for line in self.lines]


def hunt(*arguments):
    return Answer("hunt", *arguments)


def rule_file(folder, query, name="Rule", rule_id="r-1", extra=""):
    path = folder / f"{rule_id}.toml"
    path.write_text(
        f"[metadata]\n[rule]\nrule_id = {json.dumps(rule_id)}\nname = {json.dumps(name)}\n"
        f'description = "d"\ntype = "eql"\nlanguage = "eql"\nseverity = "low"\nrisk_score = 1\n'
        f"{extra}\nquery = '''\n{query}\n'''\n"
    )
    return path


def capture(path, *documents):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(one)}\n" for one in documents))
    return path


def fresh(data):
    """The environment of an instance that was never set up."""
    kept = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return {**kept, "CASEWRIGHT_DATA": str(data)}


A_THEN_B = """sequence with maxspan=1m
  [process where process.name == "a.exe"]
  [process where process.name == "b.exe"]"""


def event(second, name="a.exe", **more):
    at = f"2024-01-01T00:00:{second:02}Z"
    return {"@timestamp": at, **START, "process": {"name": name}, **more}


@pytest.fixture(scope="module")
def public():
    """Every public rule over every scenario and capture, once."""
    rules = shared("rules/elastic-rules.tar.gz")
    folders = [shared("telemetry/scenarios"), shared("telemetry/captures")]
    return hunt(*folders, "--rules", rules, "--format", "tsv")


def counts(answer, file):
    return Counter(row[2] for row in answer.rows if row[0] == file)


def test_each_public_rule_runs_and_none_fails(public):
    assert public.status == 0
    assert "rules: 631 run, 656 skipped, 0 failed" in public.told
    assert "Skipped, type esql is not EQL: 133" in public.told


def test_the_scenarios_fire_the_rules_that_they_must(public):
    mshta, network = (
        "Incoming DCOM Lateral Movement via MSHTA",
        "Unusual Network Activity from a Windows System Binary",
    )
    assert counts(public, "malicious.ndjson") == {
        mshta: 1,
        network: 1,
        "Suspicious Windows Powershell Arguments": 1,
    }
    assert counts(public, "benign.ndjson") == {mshta: 15, network: 15}
    assert counts(public, "ambiguous.ndjson") == {mshta: 1}


def test_every_edge_case_alerts_as_its_labels_say(public):
    lines = shared("telemetry/scenarios/edge_cases.ndjson").read_text().splitlines()
    labels = [json.loads(line)["labels"] for line in lines]
    found = Counter(
        labels[int(row[3].split("+")[-1].removeprefix("L")) - 1]["case"]
        for row in public.rows
        if row[0] == "edge_cases.ndjson" and row[1] == DCOM
    )
    assert {one["case"]: found[one["case"]] for one in labels} == {
        one["case"]: int(one["expected"]) for one in labels
    }


def test_a_capture_with_a_wrong_clock_matches_in_repaired_order():
    path = shared("telemetry/captures/LM_DCOM_MSHTA_LethalHTA_Sysmon_3_1.evtx")
    answer = hunt(path, "--format", "tsv")
    assert answer.rows == [
        (path.name, SHIPPED_DCOM, answer.rows[0][2], "17589+17590", "clock_repaired"),
    ]
    told = json.loads(hunt(path, "--format", "ndjson").lines[0])
    assert (told["time_basis"], told["event_ids"]) == ("clock_repaired", ["17589", "17590"])
    assert "clock_repaired" in hunt(path).lines[1]


def test_a_field_that_orders_can_be_named():
    path = shared("telemetry/captures/LM_DCOM_MSHTA_LethalHTA_Sysmon_3_1.evtx")
    answer = hunt(path, "--format", "tsv", "--timestamp-field", "event.created")
    assert [row[3:] for row in answer.rows] == [("17589+17590", "strict")]


def test_events_that_cannot_be_ordered_are_counted(tmp_path):
    path = capture(tmp_path / "x.ndjson", event(1), event(2, process={"name": "a", "start": "2024-01-01"}))
    rule = rule_file(tmp_path, "process where true")
    answer = hunt(path, "--rules", rule, "--format", "tsv", "--timestamp-field", "process.start")
    assert [row[3] for row in answer.rows] == ["L2"]
    assert "1 candidate left out: no value in the rule's timestamp field (process.start)." in answer.told


def test_the_same_hunt_prints_the_same_lines(public):
    again = hunt(
        SHARED / "telemetry/scenarios",
        SHARED / "telemetry/captures",
        "--rules",
        SHARED / "rules/elastic-rules.tar.gz",
        "--format",
        "tsv",
    )
    assert again.lines == public.lines


def test_ids_are_those_of_the_capture(tmp_path):
    hit = {"_id": "abc", "_source": event(2)}
    path = capture(tmp_path / "x.ndjson", event(1), hit, {**event(3), "_id": "own"})
    rule = rule_file(tmp_path, 'process where process.name == "a.exe"')
    answer = hunt(path, "--rules", rule, "--format", "tsv")
    assert [row[3] for row in answer.rows] == ["L1", "abc", "own"]


def test_files_are_named_relative_to_the_argument(tmp_path):
    path = capture(tmp_path / "caps" / "sub" / "x.ndjson", event(1))
    rule = rule_file(tmp_path, "process where true")
    found = [hunt(one, "--rules", rule, "--format", "tsv").rows[0][0] for one in (tmp_path / "caps", path)]
    assert found == ["sub/x.ndjson", "x.ndjson"]


def test_files_meet_only_when_told_so(tmp_path):
    caps = tmp_path / "caps"
    capture(caps / "a.ndjson", event(1, "a.exe"))
    capture(caps / "b.ndjson", event(2, "b.exe"))
    rule = rule_file(tmp_path, A_THEN_B)
    assert hunt(caps, "--rules", rule, "--format", "tsv").rows == []
    answer = hunt(caps, "--rules", rule, "--format", "tsv", "--together")
    assert answer.rows == [("a.ndjson+b.ndjson", "r-1", "Rule", "L1+L1", "strict")]


def test_an_event_of_two_files_counts_once_together(tmp_path):
    caps = tmp_path / "caps"
    capture(caps / "a.ndjson", event(1))
    capture(caps / "b.ndjson", event(1))
    answer = hunt(caps, "--rules", rule_file(tmp_path, "any where true"), "--format", "tsv", "--together")
    assert [row[0] for row in answer.rows] == ["a.ndjson"]
    assert "1 event came in more than one file and counted once." in answer.told


def test_a_missing_stage_adds_no_id(tmp_path):
    path = capture(tmp_path / "x.ndjson", event(1, "a.exe"), event(3, "b.exe"))
    missing = '![process where process.name == "c.exe"]'
    rule = rule_file(tmp_path, A_THEN_B.replace("[process", f"{missing} [process", 2).replace(missing, "", 1))
    assert [row[3] for row in hunt(path, "--rules", rule, "--format", "tsv").rows] == ["L1+L2"]


def test_more_matches_than_elasticsearch_would_return_are_all_there(tmp_path):
    path = capture(tmp_path / "x.ndjson", *(event(n % 60) for n in range(300)))
    answer = hunt(path, "--rules", rule_file(tmp_path, "process where true"), "--format", "tsv")
    assert len(answer.rows) == 300


def test_the_tiebreaker_of_the_rule_decides(tmp_path):
    documents = [event(1, "a.exe", n=2), event(1, "b.exe", n=1)]
    path = capture(tmp_path / "x.ndjson", *documents)
    plain = rule_file(tmp_path, A_THEN_B)
    tied = rule_file(tmp_path, A_THEN_B, rule_id="r-2", extra='tiebreaker_field = "n"')
    answer = hunt(path, "--rules", plain, tied, "--format", "tsv")
    assert [row[1] for row in answer.rows] == ["r-1"]


def test_a_rule_whose_field_nobody_knows_is_skipped_and_named(tmp_path):
    path = capture(tmp_path / "x.ndjson", event(1))
    rule = rule_file(tmp_path, 'process where nowhere.seen == "x"')
    answer = hunt(path, "--rules", rule, "--format", "tsv")
    assert (answer.status, answer.rows) == (0, [])
    assert "Skipped, not applicable here: field nowhere.seen: 1\n  Rule (r-1)" in answer.told


def test_a_field_that_the_capture_has_is_known_there_alone(tmp_path):
    caps = tmp_path / "caps"
    capture(caps / "a.ndjson", event(1, custom={"field": "x"}))
    capture(caps / "b.ndjson", event(1))
    rule = rule_file(tmp_path, 'process where custom.field == "x"')
    answer = hunt(caps, "--rules", rule, "--format", "tsv")
    assert [row[0] for row in answer.rows] == ["a.ndjson"]
    assert "not applicable here: field custom.field (in 1 of 2 files): 1" in answer.told


def test_a_query_that_can_mean_nothing_fails_alone(tmp_path):
    path = capture(tmp_path / "x.ndjson", event(1))
    bad = rule_file(tmp_path, 'process where process.pid : "x"', name="Bad", rule_id="bad")
    good = rule_file(tmp_path, "process where true")
    answer = hunt(path, "--rules", bad, good, "--format", "tsv")
    assert (answer.status, [row[1] for row in answer.rows]) == (1, ["r-1"])
    assert "1 run, 0 skipped, 1 failed" in answer.told
    assert "Failed: Bad (bad): line 1, column 15" in answer.told


def test_a_rule_file_that_does_not_load_fails_alone(tmp_path):
    path = capture(tmp_path / "x.ndjson", event(1))
    bad = tmp_path / "bad.toml"
    bad.write_text("not toml")
    answer = hunt(path, "--rules", bad, rule_file(tmp_path, "process where true"), "--format", "tsv")
    assert (answer.status, len(answer.rows)) == (1, 1)
    assert "bad.toml:1" in answer.told


def test_bad_records_are_counted_and_are_no_failure(tmp_path):
    path = capture(tmp_path / "x.ndjson", event(1))
    path.write_text(path.read_text() + "{broken\n" + json.dumps(event(2)) + "\n")
    answer = hunt(path, "--rules", rule_file(tmp_path, "process where true"), "--format", "tsv")
    assert (answer.status, [row[3] for row in answer.rows]) == (0, ["L1", "L3"])
    assert "1 bad record" in answer.told
    assert "x.ndjson, line 2: The line is no valid JSON" in answer.told


def test_files_that_cannot_be_read_do_not_stop_the_others(tmp_path):
    good = capture(tmp_path / "good.ndjson", event(1))
    zipped = tmp_path / "bad.ndjson"
    zipped.write_bytes(b"PK\x03\x04")
    rule = rule_file(tmp_path, "process where true")
    answer = hunt(tmp_path / "missing", zipped, good, "--rules", rule, "--format", "tsv")
    assert (answer.status, [row[0] for row in answer.rows]) == (1, ["good.ndjson"])
    assert "missing: there is no such file or folder" in answer.told
    assert "bad.ndjson: The file is neither EVTX nor NDJSON but a zip archive" in answer.told


def test_a_file_of_which_nothing_could_be_read_is_no_empty_result(tmp_path):
    path = capture(tmp_path / "x.ndjson", {"no": "time"})
    answer = hunt(path, "--rules", rule_file(tmp_path, "process where true"), "--format", "tsv")
    assert (answer.status, answer.rows) == (1, [])
    assert "Not read (to its end): x.ndjson: None of its records could be read." in answer.told


def test_links_that_lead_nowhere_or_in_circles_do_not_stop_the_others(tmp_path):
    folder = tmp_path / "evidence"
    capture(folder / "good.ndjson", event(1))
    (folder / "circle").symlink_to(folder)
    (folder / "gone.ndjson").symlink_to(folder / "missing.ndjson")
    (folder / "self.ndjson").symlink_to("self.ndjson")
    os.mkfifo(folder / "pipe.ndjson")
    answer = hunt(folder, "--rules", rule_file(tmp_path, "process where true"), "--format", "tsv")
    assert (answer.status, [row[0] for row in answer.rows]) == (1, ["good.ndjson"])
    assert [line for line in answer.told.splitlines() if line.startswith("Not read")] == [
        "Not read (to its end): gone.ndjson: there is no such file.",
        "Not read (to its end): pipe.ndjson: it is no file.",
        "Not read (to its end): self.ndjson: there is no such file.",
    ]


def test_a_folder_that_cannot_be_listed_is_told(tmp_path, monkeypatch):
    folder = tmp_path / "evidence"
    capture(folder / "good.ndjson", event(1))
    closed = folder / "closed"
    closed.mkdir()
    scandir = os.scandir

    def refuses(path):
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuses)
    answer = hunt(folder, "--rules", rule_file(tmp_path, "process where true"), "--format", "tsv")
    assert (answer.status, [row[0] for row in answer.rows]) == (1, ["good.ndjson"])
    assert "Not read (to its end): closed: the folder can't be listed." in answer.told


def test_nothing_in_the_data_can_break_a_line(tmp_path):
    hit = {"_id": "a\tb\nc\x1b[31m\u202e\\", "_source": event(1)}
    path = capture(tmp_path / "x.ndjson", hit)
    rule = rule_file(tmp_path, "process where true", name="Tab\there")
    [row] = hunt(path, "--rules", rule, "--format", "tsv").rows
    assert row[2:4] == ("Tab\\there", "a\\tb\\nc\\x1b[31m\\u202e\\\\")
    [line] = hunt(path, "--rules", rule, "--format", "ndjson").lines
    assert json.loads(line)["event_ids"] == [hit["_id"]]
    assert line.isascii()


def test_a_fresh_instance_needs_nothing(tmp_path):
    """As a newcomer runs it: an empty data folder, no migration, the shipped rule."""
    path = shared("telemetry/scenarios/malicious.ndjson")
    done = subprocess.run(
        [sys.executable, "manage.py", "hunt", str(path), "--format", "tsv"],
        cwd=ROOT,
        env=fresh(tmp_path / "data"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.split("\t")[3:]) == (0, ["L8+L11", "strict\n"])
    assert not list((tmp_path / "data").glob("*.sqlite3"))


@pytest.mark.django_db
def test_open_cases_imports_and_opens_them(product):
    from detections.rule_loading import SHIPPED, load_rules
    from triage.models import Case

    load_rules([SHIPPED], actor=product, enable=True, shipped=True)
    path = shared("telemetry/scenarios/malicious.ndjson")
    answer = hunt(path, "--format", "tsv", "--open-cases")
    assert (answer.status, len(answer.rows)) == (0, 1)
    assert "Imported: 32 new events" in answer.told
    assert Case.objects.count() == 1


@pytest.mark.django_db
def test_open_cases_names_rules_that_the_instance_does_not_run():
    path = shared("telemetry/scenarios/malicious.ndjson")
    answer = hunt(path, "--format", "tsv", "--open-cases")
    assert f"({SHIPPED_DCOM}): it is not enabled here (load_rules)." in answer.told


def test_open_cases_without_a_database_says_so(tmp_path):
    path = capture(tmp_path / "x.ndjson", event(1))
    done = subprocess.run(
        [sys.executable, "manage.py", "hunt", str(path), "--open-cases"],
        cwd=ROOT,
        env=fresh(tmp_path / "data"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "it is not migrated. Run `manage.py migrate` first" in done.stderr


def test_hunts_start_without_the_applications(tmp_path):
    """What takes longest to load is left: Celery, the settings, the database's models."""
    event = {"@timestamp": "2026-03-02T08:00:00Z", "process": {"name": "cmd.exe"}, **START}
    (tmp_path / "one.ndjson").write_text(json.dumps(event) + "\n")
    program = (
        "import sys; sys.argv = ['manage.py', 'hunt', sys.argv[1]]; import manage\n"
        "try: manage.main()\n"
        "finally: print(sorted({'celery', 'config.settings', 'detections.models'} & set(sys.modules)))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "[]\n", done.stderr
    assert done.returncode == 0
