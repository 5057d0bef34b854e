"""Files are read by what they hold; whatever is wrong with them, the good records are kept."""

import bz2
import gzip
import io
import json
import lzma
import shutil
import tarfile

import pytest

from detections.errors import RecordError, SourceError
from detections.ingest import readers

LETHAL = "LM_DCOM_MSHTA_LethalHTA_Sysmon_3_1.evtx"
LINES = [{"@timestamp": f"2026-03-18T09:40:0{n}Z", "n": n} for n in range(3)]
TEXT = "".join(json.dumps(line) + "\n" for line in LINES).encode()


def read(path):
    """Good events, bad records, and the fault of the file, in words."""
    events, faults, end = [], [], ""
    try:
        for item in readers.open_capture(path):
            (faults if isinstance(item, RecordError) else events).append(item)
    except SourceError as error:
        end = str(error)
    return events, faults, end


def file(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def tar_of(content):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("a.ndjson")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def test_a_gzip_file_is_unpacked(tmp_path):
    events, faults, end = read(file(tmp_path, "a.ndjson.gz", gzip.compress(TEXT)))
    assert ([event.document for event in events], faults, end) == (LINES, [], "")


def test_a_torn_gzip_file_gives_what_it_holds(tmp_path):
    lines = b"".join(json.dumps({**LINES[0], "n": n}).encode() + b"\n" for n in range(20_000))
    events, _, end = read(file(tmp_path, "a.ndjson.gz", gzip.compress(lines)[:-5000]))
    assert 0 < len(events) < 20_000
    assert end.startswith("The file ends too early or is damaged")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.evtx", b"", "The file is empty."),
        ("a.ndjson", b"\n\n", "The file is empty."),
        ("a.evtx", b"\x07garbage" * 100, "The file is neither EVTX"),
        ("a.evtx", b"ElfFile\0 and no more", "The file ends within the event log's header."),
        ("a.ndjson", b"PK\x03\x04zip", "a zip archive; unpack it first"),
        ("a.ndjson", '{"a":1}'.encode("utf-16"), "UTF-16 text; save it as UTF-8"),
        ("a.ndjson", TEXT.decode().encode("utf-16-le"), "UTF-16 text; save it as UTF-8"),
        ("a.ndjson", TEXT.decode().encode("utf-16-be"), "UTF-16 text; save it as UTF-8"),
        ("a.ndjson", TEXT.decode().encode("utf-32"), "UTF-32 text; save it as UTF-8"),
        ("a.ndjson", b"\x28\xb5\x2f\xfd\x04", "packed with zstd; unpack it first"),
        ("a.ndjson", lzma.compress(TEXT), "packed with xz; unpack it first"),
        ("a.ndjson", bz2.compress(TEXT), "packed with bzip2; unpack it first"),
        ("a.ndjson.gz", gzip.compress(gzip.compress(TEXT)), "packed twice with gzip"),
        ("a.json.gz", gzip.compress(tar_of(TEXT)), "a tar archive; unpack it first"),
        ("a.json", b'[{"@timestamp":"2026-01-01T00:00:00Z"}]', "a JSON array; write one document a line"),
        ("a.json", b'{\n  "@timestamp": "2026-01-01T00:00:00Z"\n}\n', "JSON over several lines"),
    ],
)
def test_a_file_that_is_none_says_what_it_is(tmp_path, name, content, reason):
    events, faults, end = read(file(tmp_path, name, content))
    assert (events, faults) == ([], [])
    assert reason in end


def test_the_content_counts_not_the_name(tmp_path):
    events, faults, _ = read(file(tmp_path, "a.evtx", TEXT))
    assert [event.document for event in events] == LINES
    assert [str(fault) for fault in faults] == [
        "The name says EVTX, the content is NDJSON; it was read as NDJSON."
    ]


def test_an_event_log_under_another_name_is_read(tmp_path, captures):
    path = tmp_path / "log.bin"
    shutil.copyfile(captures / LETHAL, path)
    events, faults, end = read(path)
    assert (len(events), faults, end) == (2, [], "")


def test_a_torn_event_log_gives_the_records_before_the_tear(tmp_path, captures):
    whole = (captures / "exec_persist_rundll32_mshta_scheduledtask_sysmon_1_3_11.evtx").read_bytes()
    all_events, _, _ = read(file(tmp_path, "whole.evtx", whole))
    events, faults, end = read(file(tmp_path, "torn.evtx", whole[:14_000]))
    assert 0 < len(events) < len(all_events)
    assert [event.identity for event in events] == [event.identity for event in all_events[: len(events)]]
    assert (faults, end) == ([], "The file ends within a chunk; copy it again from its source.")


def test_a_log_without_its_last_chunk_is_torn_too(tmp_path, captures):
    whole = (captures / LETHAL).read_bytes()
    assert read(file(tmp_path, "a.evtx", whole[:4096]))[2] == (
        "The file holds 0 of the 1 chunks that its header tells."
    )


def test_a_damaged_chunk_costs_only_itself(tmp_path, captures):
    whole = bytearray((captures / LETHAL).read_bytes())
    two = bytes(whole) + b"\xff" * 65536 + bytes(whole[4096:])
    events, faults, end = read(file(tmp_path, "a.evtx", two))
    assert len(events) == 4
    assert [(fault.position, str(fault)) for fault in faults] == [
        ("chunk 2", "The chunk has no valid header; its records are lost.")
    ]
    assert end == ""


def test_a_damaged_record_is_counted_and_the_others_are_kept(tmp_path, captures):
    whole = bytearray(
        (captures / "exec_persist_rundll32_mshta_scheduledtask_sysmon_1_3_11.evtx").read_bytes()
    )
    start = whole.index(b"\x2a\x2a\0\0", 4096 + 512 + 3000)
    whole[start + 24 : start + 40] = b"\xee" * 16
    events, faults, _ = read(file(tmp_path, "a.evtx", bytes(whole)))
    assert len(events) + sum("lost" in str(f) or "decoded" in str(f) for f in faults) >= 8
    assert faults


def test_a_file_that_has_grown_keeps_the_identities_it_had(tmp_path):
    before = [event.identity for event in read(file(tmp_path, "a.ndjson", TEXT))[0]]
    grown = TEXT + json.dumps({**LINES[0], "n": 9}).encode() + b"\n"
    after = [event.identity for event in read(file(tmp_path, "a.ndjson", grown))[0]]
    assert (after[:3], len(set(after))) == (before, 4)


def test_progress_is_told_in_bytes(tmp_path):
    capture = readers.open_capture(file(tmp_path, "a.ndjson", TEXT))
    assert (capture.position, capture.size) == (0, len(TEXT))
    list(capture)
    assert capture.position == len(TEXT)


def test_folders_are_walked_in_order_and_each_file_comes_once(tmp_path):
    (tmp_path / "in").mkdir()
    paths = [file(tmp_path, name, TEXT) for name in ("in/b.ndjson", "a.EVTX", "c.txt", "d.json.gz")]
    found = readers.captures_in([tmp_path, paths[0], paths[2]])
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        "a.EVTX",
        "d.json.gz",
        "in/b.ndjson",
        "c.txt",
    ]


def test_a_path_that_is_not_there_and_a_folder_without_captures_are_errors(tmp_path):
    with pytest.raises(SourceError, match="there is no such file or folder"):
        readers.captures_in([tmp_path / "missing"])
    with pytest.raises(SourceError, match="the folder has no capture files"):
        readers.captures_in([tmp_path])
