"""Narrowing by spellings leaves out only what no stage takes: the matches are those of the plain scan."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detections.eql import parse
from detections.eql.known import catalogue
from detections.stores.base import EqlSearch, MappedEvent, Region
from detections.stores.embedded import EmbeddedStore, MemoryManifest, narrowing
from tests.faults import number

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
EVERYTHING = Region(None, START + timedelta(days=1), 0, 2**40)
NAMES = ("mshta.exe", "MSHTA.EXE", "cmd.exe", "powershell.exe", None)
ACTIONS = ("start", "dns", "end", None)
CONDITIONS = (
    'process.name : "mshta.exe"',
    'process.name == "mshta.exe"',
    'process.name : ("m*.exe", "cmd.exe")',
    'process.name in ("cmd.exe", "absent.exe")',
    'process.name : "absent.exe"',
    'not process.name : "mshta.exe"',
    "process.name == null",
    'event.action == "dns"',
    'event.action : "DNS" and process.name : "cmd.exe"',
    'event.action == "start" or process.name : "cmd.exe"',
    "true",
)


def _event(number: int) -> MappedEvent:
    time = f"{START + timedelta(seconds=number):%Y-%m-%dT%H:%M:%S}Z"
    values = {
        "process.name": NAMES[number * 7 % 5],
        "event.action": ACTIONS[number * 5 % 4],
        "process.entity_id": f"e{number % 6}",
    }
    held = {name: value for name, value in values.items() if value is not None}
    document: dict[str, Any] = {"@timestamp": time, "event.category": ["process"], **held}
    return MappedEvent(f"{number:064x}", document)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedStore:
    folder: Path = tmp_path_factory.mktemp("narrowing")
    store = EmbeddedStore(folder, MemoryManifest(), catalogue(), clock=lambda: START + timedelta(hours=1))
    for start in range(0, 90, 30):
        store.append([_event(number) for number in range(start, start + 30)], batch=str(start))
    # A file without one of the columns, and one that has no process name but one.
    store.append([_event(5 * number + 4) for number in range(20, 30)], batch="nameless")
    return store


@pytest.fixture
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(narrowing, "LEAST_ROWS", 0)


def _found(store: EmbeddedStore, text: str, region: Region) -> list[list[str]]:
    [answer] = store.search_eql([EqlSearch("one", parse(text), timedelta(seconds=20))], region, limit=10_000)
    assert answer.error == ""
    return [[event.identity for event in match.events] for match in answer.matches]


@st.composite
def _queries(draw: st.DrawFn) -> str:
    one, two, three = (draw(st.sampled_from(CONDITIONS)) for _ in range(3))
    form = draw(st.integers(0, 3))
    return (
        f"process where {one}",
        f"sequence by process.entity_id with maxspan=20s [process where {one}] [process where {two}]",
        f"sequence by process.entity_id with maxspan=20s [process where {one}] ![process where {two}]",
        f"sequence by process.entity_id [process where {one}] [process where {two}] "
        f"until [process where {three}]",
    )[form]


@settings(
    max_examples=number(75, 500), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(query=_queries(), after=st.sampled_from((None, 30, 70)))
def test_same_matches_as_without(store: EmbeddedStore, query: str, after: int | None) -> None:
    region = EVERYTHING
    if after is not None:
        region = Region(START + timedelta(seconds=after), START + timedelta(days=1), 2**40, 2**40)
    plain = _found(store, query, region)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(narrowing, "LEAST_ROWS", 0)
        assert _found(store, query, region) == plain


@pytest.mark.usefixtures("_always")
def test_files_without_a_spelling_are_not_opened(store: EmbeddedStore) -> None:
    segments = store.reader.manifest.segments()
    query = parse('process where process.name : "mshta.exe"')
    found = narrowing.narrowing(store.reader.files, segments, query, store.known_fields(), "event.category")
    assert found is not None
    assert [(part.column, part.spellings) for part in found.parts] == [
        ("s.process.name", ("MSHTA.EXE", "mshta.exe"))
    ]
    assert [segment.path for segment in found.segments] == [segment.path for segment in segments[:3]]
