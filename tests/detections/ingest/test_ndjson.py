"""NDJSON is read strictly; one bad line costs no other."""

import io
import json

import pytest

from detections.errors import RecordError
from detections.ingest import ndjson

GOOD = {"@timestamp": "2026-03-18T09:40:05.1180000Z", "event": {"kind": "event"}}


def read(*lines):
    """The items of lines given as bytes, or as documents to be written."""
    text = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    return list(ndjson.events(io.BytesIO(text), "x.ndjson"))


def test_documents_are_read_as_they_are():
    (event,) = read(GOOD)
    assert (event.document, event.source) == (GOOD, "x.ndjson:1")


def nested(depth):
    return b'{"@timestamp":"2026-03-18T09:40:05Z","a":' + b'{"b":' * depth + b"1" + b"}" * depth + b"}"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"@timestamp":', "The line is no valid JSON"),
        (b'{"@timestamp": "2026-03-18T09:40:05Z", "a": NaN}', "The line is no valid JSON"),
        (b'{"@timestamp": "2026-03-18T09:40:05Z", "a": "\xff\xfe"}', "The line is no valid JSON"),
        (b'{"@timestamp": "2026-03-18T09:40:05Z", "a": 18446744073709551616}', "beyond 64 bits"),
        (b'{"@timestamp": "2026-03-18T09:40:05Z", "a": [18446744073709551616]}', "beyond 64 bits"),
        (b"[1, 2]", "The line is no JSON object"),
        ({"event": {}}, "The document has no @timestamp"),
        (
            {"took": 1, "hits": {"hits": [{"_id": "a", "_source": {}}]}},
            "The line is a whole answer of a search",
        ),
        ({"@timestamp": "2026-03-18T09:40:05.118"}, "no time zone"),
        ({"@timestamp": 1773826805118}, "@timestamp is no text"),
        ({"@timestamp": ["2026-03-18T09:40:05Z"] * 2}, "more than one @timestamp"),
        ({**GOOD, "event": {"created": "2026-03-18 09:40:05"}}, "event.created: .* is not an ISO 8601"),
        (b'{"@timestamp": "2026-03-18T09:40:05Z", "a": -9223372036854775809}', "beyond 64 bits"),
        ({"@timestamp": "1600-12-31T23:59:59Z"}, "outside of the years 1601 to 9998"),
        ({"@timestamp": "10000-01-01T00:00:00Z"}, "is not an ISO 8601 date and time"),
        ({**GOOD, "event": {"end": "9999-12-31T23:59:59Z"}}, "event.end: .* outside of the years"),
        (b'{"@timestamp": "2026-03-18T09:40:05Z", "a": Infinity}', "The line is no valid JSON"),
        (b'{"@timestamp": "2026-03-18T09:40:05Z", "a": "\\ud800"}', "The line is no valid JSON"),
        (nested(100), "nested deeper than 100 levels"),
        (nested(10_000), "nested deeper than 100 levels"),
        ({**GOOD, "k": dict.fromkeys(map(str, range(5001)), 1)}, "more than 5,000 keys"),
        ({**GOOD, "k": "x" * ndjson.LINE_LIMIT}, "longer than 1,048,576 bytes"),
        ({"_id": "1", "_source": "x"}, "no object as `_source`"),
    ],
)
def test_a_bad_line_is_named_and_its_neighbours_are_kept(line, reason):
    before, bad, after = read(GOOD, line, {**GOOD, "n": 2})
    assert isinstance(bad, RecordError)
    assert bad.position == "line 2"
    with pytest.raises(RecordError, match=reason):
        raise bad
    assert (before.document, after.document) == (GOOD, {**GOOD, "n": 2})


def test_a_hit_of_a_search_gives_its_source_and_is_known_by_its_id():
    hit = {"_index": "logs-a", "_id": "1", "_source": {**GOOD, "event": {"dataset": "endpoint"}}}
    moved = {**hit, "_index": "logs-b"}
    other = {**hit, "_id": "2"}
    one, same, another = read(hit, moved, other)
    assert one.document == hit["_source"]
    assert one.identity == same.identity != another.identity


def test_the_last_of_duplicate_keys_counts():
    (event,) = read(b'{"@timestamp": "2026-03-18T09:40:05Z", "a": 1, "a": {"b": 2}}')
    assert event.document["a"] == {"b": 2}


def test_numbers_up_to_64_bits_keep_every_digit():
    numbers = [18446744073709551615, 9223372036854775808, -9223372036854775808, 1.5e300, -1e19]
    (event,) = read({**GOOD, "a": numbers, "long": "0" * 40})
    assert event.document["a"] == numbers


def test_dotted_keys_a_byte_order_mark_and_blank_lines_are_fine():
    (event,) = read(
        b"\xef\xbb\xbf" + json.dumps({"@timestamp": GOOD["@timestamp"], "host.id": "a"}).encode(), b"", b"  "
    )
    assert event.document["host.id"] == "a"
