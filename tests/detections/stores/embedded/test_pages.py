"""Single values from the pages that hold them: the same as Arrow reads, and damage is told."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detections.stores.embedded.pages import UnusualLayoutError, pages_of, values_at

TEXTS = st.lists(st.one_of(st.text(), st.text("ab", min_size=200, max_size=400)), min_size=1, max_size=60)


def written(path, texts, **options):
    """A file with one column of texts, as a segment has its documents."""
    table = pa.table({"_raw": pa.array(texts, pa.string())})
    layout = {"use_dictionary": False, "write_page_checksum": True, "compression": "zstd"} | options
    pq.write_table(table, path, store_schema=False, **layout)
    return str(path), path.stat().st_size


@given(
    TEXTS,
    st.data(),
    st.integers(1, 50),
    st.integers(1, 8),
    st.sampled_from([1, 300, 10_000]),
    st.booleans(),
)
def test_the_values_are_those_that_arrow_reads(tmp_path_factory, texts, data, group, batch, page, stated):
    path, size = written(
        tmp_path_factory.mktemp("pages") / "x.parquet",
        texts,
        row_group_size=group,
        write_batch_size=batch,
        data_page_size=page,
        write_statistics=stated,
    )
    rows = sorted(data.draw(st.sets(st.integers(0, len(texts) - 1))))
    found = [(row, value.decode()) for row, value in values_at(path, size, "_raw", rows)]
    assert found == [(row, texts[row]) for row in rows]
    pages = pages_of(path, size, "_raw")
    assert [page.first for page in pages] == [sum(one.rows for one in pages[:n]) for n in range(len(pages))]
    assert sum(page.rows for page in pages) == len(texts)


def test_a_row_of_a_large_file_is_in_a_page_of_its_own(tmp_path):
    texts = [f"{number:09}" * 200 for number in range(5_000)]
    path, size = written(tmp_path / "x.parquet", texts, data_page_size=1024**2, row_group_size=2_000)
    assert len(pages_of(path, size, "_raw")) > 4
    assert dict(values_at(path, size, "_raw", [0, 1_999, 2_000, 4_999])) == {
        row: texts[row].encode() for row in (0, 1_999, 2_000, 4_999)
    }


@pytest.mark.parametrize(
    ("texts", "options"),
    [
        (["a", None, "b"], {}),
        (["a", "a"], {"use_dictionary": True}),
        (["a", "b"], {"compression": "snappy"}),
        (["a", "b"], {"data_page_version": "2.0"}),
        (["a", "b"], {"use_dictionary": False, "column_encoding": {"_raw": "DELTA_BYTE_ARRAY"}}),
    ],
)
def test_what_is_laid_out_otherwise_is_left_to_arrow(tmp_path, texts, options):
    path, size = written(tmp_path / "x.parquet", texts, **options)
    with pytest.raises(UnusualLayoutError):
        list(values_at(path, size, "_raw", [0]))


def test_a_changed_byte_of_a_page_is_told(tmp_path):
    path, size = written(tmp_path / "x.parquet", [f"text {number}" for number in range(1_000)])
    [page] = pages_of(path, size, "_raw")
    with (tmp_path / "x.parquet").open("r+b") as file:
        file.seek(page.start + page.packed // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(OSError, match="is not what was written"):
        list(values_at(path, size, "_raw", [500]))


def test_no_damage_of_a_header_is_anything_but_an_unreadable_file_or_another_layout(tmp_path):
    path, size = written(tmp_path / "x.parquet", [f"text {number}" for number in range(1_000)])
    [page] = pages_of(path, size, "_raw")
    whole = (tmp_path / "x.parquet").read_bytes()
    for offset in range(4, page.start):
        for value in (0, 1, 0x15, 0x7F, 0x80, 0xFF):
            pages_of.cache_clear()
            (tmp_path / "x.parquet").write_bytes(whole[:offset] + bytes([value]) + whole[offset + 1 :])
            try:
                found = list(values_at(path, size, "_raw", [500]))
            except (OSError, UnusualLayoutError):
                continue
            assert found == [(500, b"text 500")]
