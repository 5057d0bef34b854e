"""Bad input: each piece is stored or quarantined by the rules of docs/telemetry.md, and costs no other."""

import json

from detections.enums import ImportStatus
from detections.imports import import_captures
from detections.models import QuarantinedRecord
from detections.stores.base import Clause, Filters, Operator
from tests.detections.test_imports import ALL_TIME, line, numbers

AT = '"@timestamp": "2026-03-18T09:41:00Z"'


def test_a_bad_line_is_quarantined_with_its_reason_and_its_neighbours_are_stored(store, tmp_path, product):
    bad = {
        "longer than 1,048,576 bytes": json.dumps({"a": "x" * 10_000_000}),
        "nested deeper than 100 levels": f'{{{AT}, "a": {"[" * 10_000}{"]" * 10_000}}}',
        "more than 5,000 keys": f"{{{AT}, {', '.join(f'{chr(34)}k{n}{chr(34)}: 1' for n in range(50_000))}}}",
        "no valid JSON": f'{{{AT}, "a": NaN}}',
        "beyond 64 bits": f'{{{AT}, "a": {10**30}}}',
        "outside of the years": '{"@timestamp": "1600-12-31T23:59:59Z"}',
        "is not an ISO 8601": '{"@timestamp": "10000-01-01T00:00:00Z"}',
    }
    path = tmp_path / "bad.ndjson"
    with path.open("wb") as file:
        for number, text in enumerate(bad.values()):
            file.write(line(number).encode() + text.encode() + b"\n")
        file.write(line(50).encode() + b'{"a": "\xff\xfe"}\n' + line(51).encode())
    summary = import_captures([path], actor=product, store=store)
    assert (summary.status, summary.new, summary.bad) == (ImportStatus.PARTIAL, len(bad) + 2, len(bad) + 1)
    assert numbers(store) == [*range(len(bad)), 50, 51]
    reasons = list(QuarantinedRecord.objects.order_by("pk").values_list("position", "reason"))
    for number, (wanted, (position, reason)) in enumerate(zip([*bad, "no valid JSON"], reasons, strict=True)):
        assert position == f"line {number * 2 + 2}"
        assert wanted in reason


def test_values_of_another_shape_are_stored_and_what_fits_is_found(store, tmp_path, product):
    shapes = [
        {"x": {"y": "deep"}},
        {"x": "flat"},
        {"x": [{"y": "one"}, {"y": "two"}]},
        {"x": ["flat", {"y": "mixed"}]},
        {"x": {"y": 18446744073709551615}},
        {"x": None},
        {"process": "text where ECS has an object"},
        {"process": {"pid": "no number"}},
        {"process": {"pid": {"a": 1}}},
        {"process": {"pid": 9223372036854775808}},
    ]
    path = tmp_path / "shapes.ndjson"
    path.write_text("".join(line(number, **shape) for number, shape in enumerate(shapes)))
    summary = import_captures([path], actor=product, store=store)
    assert (summary.status, summary.new, summary.bad) == (ImportStatus.SUCCEEDED, len(shapes), 0)
    page = store.search(Filters(((Clause("@timestamp", Operator.EXISTS),),)), ALL_TIME, limit=100)
    stored = {event.document["n"]: event.document for event in page.events}
    assert [{k: stored[n].get(k) for k in shape} for n, shape in enumerate(shapes)] == shapes

    def found(field, value):
        clause = Clause(field, Operator.IS, (value,))
        page = store.search(Filters(((clause,),)), ALL_TIME, limit=100)
        return [event.document["n"] for event in page.events]

    assert [found("x.y", value) for value in ("deep", "one", "two", "mixed")] == [[0], [2], [2], [3]]
    assert found("x", "flat") == [1, 3]
