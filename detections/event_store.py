"""The event store of this deployment."""

import os
import threading
from typing import TYPE_CHECKING

from django.conf import settings

from detections.eql.known import catalogue
from detections.manifest import DatabaseManifest
from detections.stores.base import EventStore

if TYPE_CHECKING:
    from detections.stores.elasticsearch import ElasticsearchStore
    from detections.stores.embedded import EmbeddedStore

_lock = threading.Lock()
_opened: "dict[tuple[int, str], EmbeddedStore]" = {}
_clusters: "dict[tuple[int, str], ElasticsearchStore]" = {}


def event_store() -> EventStore:
    """The store that the settings name; one instance a process, shared by its threads.

    With a cluster it is both: the cluster's events, and what was imported here.
    """
    cluster = cluster_store()
    if cluster is None:
        return embedded_store()
    from detections.stores.both import BothStores

    return BothStores(cluster, embedded_store())


def canary_store() -> EventStore:
    """The store that a canary has to come through: the cluster, where there is one."""
    return cluster_store() or embedded_store()


def embedded_store() -> "EmbeddedStore":
    """The store in this instance's folder: sweeping and compacting need it, and captures go there."""
    # Not above: a command that opens no store starts without DuckDB.
    from detections.stores.embedded import EmbeddedStore

    # A forked child opens its own: locks and DuckDB's threads belong to the process that made them.
    key = (os.getpid(), str(settings.EVENTS_DIR))
    with _lock:
        if key not in _opened:
            _opened[key] = EmbeddedStore(settings.EVENTS_DIR, DatabaseManifest(), catalogue())
        return _opened[key]


def cluster_store() -> "ElasticsearchStore | None":
    """The store over the cluster that the settings name, None where they name none.

    Raises StoreError if they ask for a connection that is refused.
    """
    if not settings.ELASTICSEARCH_URL:
        return None
    from detections.cluster_settings import cluster
    from detections.stores.elasticsearch import ElasticsearchStore

    named = cluster()
    key = (os.getpid(), named.identity)
    with _lock:
        if key not in _clusters:
            _clusters[key] = ElasticsearchStore(named, catalogue())
        return _clusters[key]
