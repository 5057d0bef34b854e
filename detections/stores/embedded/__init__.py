"""The embedded event store: immutable Parquet segments, a manifest that lists them, DuckDB to search them."""

from detections.stores.embedded.engine import EmbeddedStore
from detections.stores.embedded.manifest import Manifest, ManifestMovedError, MemoryManifest, Segment

__all__ = ["EmbeddedStore", "Manifest", "ManifestMovedError", "MemoryManifest", "Segment"]
