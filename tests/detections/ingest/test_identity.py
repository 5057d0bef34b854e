"""What makes two events the same one."""

from detections.ingest import identity


def test_the_order_of_keys_does_not_matter():
    one = identity.of_document({"a": 1, "b": {"c": 2, "d": 3}})
    assert one == identity.of_document({"b": {"d": 3, "c": 2}, "a": 1})
    assert len(one) == 64


def test_parts_cannot_run_into_each_other():
    assert identity.of_source("a", "bc") != identity.of_source("ab", "c")


def test_a_record_number_that_starts_again_is_another_event():
    first = identity.of_windows_record("PC", "Security", "1", "2019-01-01T00:00:00Z")
    assert first != identity.of_windows_record("PC", "Security", "1", "2019-02-01T00:00:00Z")
    assert first == identity.of_windows_record("pc", "security", "1", "2019-01-01T00:00:00Z")


def test_a_retimed_event_is_another_one_and_the_same_shift_gives_it_again():
    assert identity.of_retimed("x", 5) == identity.of_retimed("x", 5)
    assert len({"x", identity.of_retimed("x", 5), identity.of_retimed("x", 6)}) == 3
