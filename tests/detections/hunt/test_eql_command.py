"""`manage.py eql`, without a database."""

import pytest
from django.core.management.base import CommandError

from tests.detections.hunt.test_command import Answer, capture, event
from tests.shared import shared

SEQUENCE = """sequence with maxspan=1m
  [process where process.name : "a*"]
  [process where process.name == "b.exe" and not process.args : "-x"]"""


def eql(*arguments):
    return Answer("eql", *arguments)


@pytest.fixture
def events(tmp_path):
    return capture(tmp_path / "x.ndjson", event(1, "a.exe"), event(2, "b.exe"), event(3, "c.exe"))


def test_a_query_finds_its_matches(events):
    answer = eql(SEQUENCE, "--events", events, "--format", "tsv")
    assert answer.rows == [("x.ndjson", "query", "query", "L1+L2", "strict")]


def test_a_query_can_stand_in_a_file(events, tmp_path):
    file = tmp_path / "q.eql"
    file.write_text(SEQUENCE)
    assert len(eql(f"@{file}", "--events", events, "--format", "tsv").rows) == 1


def test_the_plan_tells_leaves_distinct_values_and_rows_left(events):
    told = eql(SEQUENCE, "--events", events, "--explain").told
    assert "stage 1, process: 3 rows" in told
    assert '  process.name : "a*"  [test of 3 distinct values]: 1 left' in told
    assert '  process.name == "b.exe"  [look-up of 1 among 3 distinct values]: 1 left' in told
    assert "  not: 1 left" in told


def test_a_fault_is_shown_with_its_place(events):
    with pytest.raises(CommandError) as fault:
        eql('process where process.name = "x"', "--events", events)
    assert str(fault.value).splitlines()[:3] == [
        "line 1, column 28: expected the end of the query, but found '='",
        '    process where process.name = "x"',
        "                               ^",
    ]


def test_an_unknown_field_is_shown_with_its_place(events):
    with pytest.raises(CommandError) as fault:
        eql('process where proces.name == "x"', "--events", events)
    assert str(fault.value).splitlines() == [
        "line 1, column 15: unknown column [proces.name]",
        '    process where proces.name == "x"',
        "                  ^",
        "Did you mean process.name?",
    ]


def test_a_missing_file_fails(events, tmp_path):
    answer = eql("any where true", "--events", events, tmp_path / "none", "--format", "tsv")
    assert (answer.status, len(answer.rows)) == (1, 3)


@pytest.mark.parametrize(
    ("excluded", "found"),
    [('process.command_line : "-Embedding"', ["17589"]), ('process.args : "-Embedding"', [])],
)
def test_an_exclusion_of_the_whole_command_line_spares_no_argument(excluded, found):
    path = shared("telemetry/captures/LM_DCOM_MSHTA_LethalHTA_Sysmon_3_1.evtx")
    query = f'process where process.name : "mshta.exe" and not {excluded}'
    assert [row[3] for row in eql(query, "--events", path, "--format", "tsv").rows] == found
