"""Install the index templates of our streams, and say which keys or roles to make."""

from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Request:
    """One request for an admin's console. says: what it is for."""

    says: str
    line: str
    body: dict[str, Any]


def template_requests() -> Iterator[Request]:
    """Those that `install` sends."""
    for name, body in templates().items():
        yield Request(f"Data streams {body['index_patterns'][0]}.", f"PUT /_index_template/{name}", body)


def key_requests(cluster: Cluster) -> Iterator[Request]:
    """An API key for each purpose, with its own least role."""
    for access in Access:
        name = f"casewright_{access.value}"
        body = {"name": name, "expiration": KEY_EXPIRES, "role_descriptors": {name: role(access, cluster)}}
        setting = f"ELASTICSEARCH_{access.value.upper()}_API_KEY"
        yield Request(f"`encoded` of the answer is {setting}.", "POST /_security/api_key", body)


def role_requests(cluster: Cluster) -> Iterator[Request]:
    """A role for each purpose, where users sign in with names and passwords."""
    for access in Access:
        name = access.value.upper()
        says = f"For ELASTICSEARCH_{name}_USER and ELASTICSEARCH_{name}_PASSWORD."
        yield Request(says, f"PUT /_security/role/casewright_{access.value}", role(access, cluster))
