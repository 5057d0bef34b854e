"""The embedded event store: immutable Parquet segments, a manifest that lists them, DuckDB to search them."""

from typing import TYPE_CHECKING, Any

from detections.stores.embedded.manifest import Manifest, ManifestMovedError, MemoryManifest, Segment

if TYPE_CHECKING:
    from detections.stores.embedded.engine import EmbeddedStore

__all__ = ["EmbeddedStore", "Manifest", "ManifestMovedError", "MemoryManifest", "Segment"]


def __getattr__(name: str) -> Any:
    # The engine brings DuckDB and Arrow along: commands that open no store start without them.
    if name == "EmbeddedStore":
        from detections.stores.embedded.engine import EmbeddedStore

        return EmbeddedStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
