"""The event store of this deployment."""

import os
import threading
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from detections.eql.known import catalogue
from detections.manifest import DatabaseManifest
from detections.stores.base import EventStore

if TYPE_CHECKING:
    from detections.stores.embedded import EmbeddedStore

_lock = threading.Lock()
_opened: "dict[tuple[int, str], EmbeddedStore]" = {}


def event_store() -> EventStore:
    """The store that the settings name; one instance a process, shared by its threads.

    Raises ImproperlyConfigured if they name an Elasticsearch.
    """
    return embedded_store()


def embedded_store() -> "EmbeddedStore":
    """The same, for what only an embedded store needs: sweeping its folder."""
    if settings.ELASTICSEARCH_URL:
        raise ImproperlyConfigured(
            "ELASTICSEARCH_URL is set, but this version searches its embedded event store only. "
            "Unset it to go on with the embedded store."
        )
    # Not above: a command that opens no store starts without DuckDB.
    from detections.stores.embedded import EmbeddedStore

    # A forked child opens its own: locks and DuckDB's threads belong to the process that made them.
    key = (os.getpid(), str(settings.EVENTS_DIR))
    with _lock:
        if key not in _opened:
            _opened[key] = EmbeddedStore(settings.EVENTS_DIR, DatabaseManifest(), catalogue())
        return _opened[key]
