"""Which datasets the store has ever been sent, as far as events name theirs."""
# ruff: noqa: S608 -- identifiers are quoted by us

from datetime import timedelta

from detections.eql.fields import FieldCatalogue
from detections.stores.embedded.manifest import Segment
from detections.stores.embedded.reader import Reader
from detections.stores.embedded.scan import Row

TIMEOUT = timedelta(seconds=20)
_NAMES = ("data_stream.dataset", "event.dataset", "event.module")


def datasets(reader: Reader, known: FieldCatalogue) -> frozenset[str]:
    """Every dataset of a stored event; "" stands for events that name none. Raises StoreError."""

    def work(segments: list[Segment]) -> list[Row]:
        scan = reader.scan([one for one in segments if one.readable])
        leaves = [scan.leaf(known[name]) for name in _NAMES if name in known]
        values = [f"{leaf.sql}[1]" if leaf.is_list else leaf.sql for leaf in leaves]
        return scan.run(f"SELECT DISTINCT coalesce({', '.join([*values, chr(39) * 2])}) FROM {scan.source}",
                        [], timeout=TIMEOUT)  # fmt: skip

    return frozenset(str(row[0]) for row in reader.read(work))
