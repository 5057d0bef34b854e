"""Install the index templates of our streams, and say which roles and keys to make."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from detections.errors import StoreError
from detections.stores.elasticsearch.connection import Access, Cluster, Connection
from detections.stores.elasticsearch.streams import KEY_EXPIRES, role, templates


def install(cluster: Cluster) -> list[str]:
    """Put our templates; again is harmless. Returns their names.

    Raises StoreError if the credential may not, or there is none.
    """
    if not cluster.credentials:
        raise StoreError(
            "No credential for setting up. Set ELASTICSEARCH_SETUP_API_KEY, or ELASTICSEARCH_SETUP_USER and "
            "ELASTICSEARCH_SETUP_PASSWORD, for this one command; it needs manage_index_templates."
        )
    connection = Connection(cluster)
    client = connection.client(Access.WRITE, "setup")
    for name, body in templates().items():
        connection.ask(
            "install index templates",
            partial(
                client.indices.put_index_template,
                name=name,
                index_patterns=body["index_patterns"],
                data_stream=body["data_stream"],
                priority=body["priority"],
                meta=body["_meta"],
                template=body["template"],
            ),
        )
    return list(templates())


def instructions(patterns: Sequence[str], *, templates_too: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Requests for an admin's console: what line, which body."""
    if templates_too:
        for name, body in templates().items():
            yield f"PUT /_index_template/{name}", body
    for access in Access:
        yield f"PUT /_security/role/casewright_{access.value}", role(access, patterns)
    for access in Access:
        name = f"casewright_{access.value}"
        yield (
            "POST /_security/api_key",
            {"name": name, "expiration": KEY_EXPIRES, "role_descriptors": {name: role(access, patterns)}},
        )
