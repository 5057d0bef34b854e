"""Which rows of a search the cluster gave, and which were here."""

from hypothesis import given
from hypothesis import strategies as st

from triage import evidence_origin

PROCESS, FILE = (
    "elasticsearch:logs-endpoint.events.process-default",
    "elasticsearch:logs-endpoint.events.file-default",
)
SEARCHED = ["elasticsearch:logs-*", "2026/03/a.parquet", "2026/03/b.parquet"]


def test_each_row_says_where_it_came_from():
    noted = evidence_origin.noted(SEARCHED, [PROCESS, PROCESS, "", FILE, PROCESS])
    assert noted[3:] == [f"{PROCESS}#1-2,5", f"{FILE}#4"]
    assert [evidence_origin.of_row(noted, row) for row in range(1, 6)] == [
        "data stream logs-endpoint.events.process-default of the cluster",
        "data stream logs-endpoint.events.process-default of the cluster",
        "imported here",
        "data stream logs-endpoint.events.file-default of the cluster",
        "data stream logs-endpoint.events.process-default of the cluster",
    ]
    assert evidence_origin.searched(noted) == "1 index pattern and 2 segments"
    assert evidence_origin.came_from(noted, 5) == "4 from the cluster, 1 imported here"


def test_where_there_is_one_place_nothing_is_said():
    assert evidence_origin.noted(["a.parquet"], ["", ""]) == ["a.parquet"]
    assert evidence_origin.of_row(["a.parquet"], 1) == ""
    assert evidence_origin.came_from(["a.parquet"], 2) == ""
    assert evidence_origin.searched(["a.parquet"]) == "1 segment"


@given(st.lists(st.sampled_from(["", PROCESS, FILE]), max_size=40))
def test_no_row_is_said_to_come_from_elsewhere(origins):
    noted = evidence_origin.noted(SEARCHED, origins)
    for number, origin in enumerate(origins, start=1):
        said = evidence_origin.of_row(noted, number)
        assert said == (f"data stream {origin[14:]} of the cluster" if origin else "imported here")
