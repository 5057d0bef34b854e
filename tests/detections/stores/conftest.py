"""The engines that the contract is held against."""

import pytest

from detections.eql.fields import Field, FieldCatalogue, FieldType
from detections.stores.embedded import EmbeddedStore, MemoryManifest

CATALOGUE = FieldCatalogue(
    [
        Field("@timestamp", FieldType.DATE),
        Field("event.category", FieldType.KEYWORD, is_list=True),
        Field("event.created", FieldType.DATE),
        Field("event.dataset", FieldType.KEYWORD),
        Field("event.id", FieldType.KEYWORD),
        Field("event.sequence", FieldType.LONG),
        Field("host.id", FieldType.KEYWORD),
        Field("host.ip", FieldType.IP, is_list=True),
        Field("process.args", FieldType.KEYWORD, is_list=True),
        Field("process.name", FieldType.KEYWORD),
        Field("process.pid", FieldType.LONG),
        Field("source.ip", FieldType.IP),
    ]
)


@pytest.fixture(params=["embedded"])
def new_store(request, tmp_path):
    """Makes a store, empty at first; `clock` says what time it is on arrival."""

    def make(**options):
        return EmbeddedStore(tmp_path / "events", MemoryManifest(), CATALOGUE, **options)

    return make


@pytest.fixture
def empty(new_store):
    return new_store()
