"""The event store of a deployment that has an Elasticsearch: its events, its EQL, its field types."""

from detections.stores.elasticsearch.connection import Access, Cluster, Credential
from detections.stores.elasticsearch.store import ElasticsearchStore

__all__ = ["Access", "Cluster", "Credential", "ElasticsearchStore"]
