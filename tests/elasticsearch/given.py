"""The cluster that ELASTICSEARCH_URL names, instead of a server of the tests' own: its EQL is its own.

One to try with: accounts are made there and taken away; a template for `logs-*` and test events stay.
"""

import os
from typing import Any

import pytest
import urllib3

from tests.elasticsearch.front import Front
from tests.elasticsearch.server import ADMIN, PASSWORD, ROLES, USERS

URL = os.environ.get("ELASTICSEARCH_URL", "")


class Given:
    """As `Server`, for a cluster that runs already. Its admin is ELASTICSEARCH_SETUP_USER with
    ELASTICSEARCH_SETUP_PASSWORD; ELASTICSEARCH_CA_FILE vouches for its certificate."""

    native = True
    password = PASSWORD

    def __init__(self) -> None:
        self._pool = urllib3.PoolManager(ca_certs=os.environ.get("ELASTICSEARCH_CA_FILE"))
        # What speaks TLS is reached through this one, so that the tests speak plain HTTP to all of them.
        self._passage = Front(URL, native=True, pool=self._pool)
        self.url = self._passage.url
        self.version = ""

    def start(self) -> None:
        """Make the tests' accounts, where they are not there."""
        about = self._ask("GET", "/")
        if not about:
            pytest.fail(f"ELASTICSEARCH_URL={URL} does not answer, or not to ELASTICSEARCH_SETUP_USER.")
        self.version = about["version"]["number"]
        self._made = [name for name in USERS if not self._may_sign_in(name)]
        if not self._made:
            return
        for name, role in _roles().items():
            self._ask("PUT", f"/_security/role/{name}", role)
        for name in self._made:
            body = {"password": PASSWORD, "roles": [USERS[name]]}
            if self._ask("PUT", f"/_security/user/{name}", body) is None:
                pytest.fail(
                    f"The account {name} can't be made at {URL}: ELASTICSEARCH_SETUP_USER has to be an admin."
                )

    def _may_sign_in(self, name: str) -> bool:
        headers = urllib3.make_headers(basic_auth=f"{name}:{PASSWORD}")
        return self._pool.request("GET", f"{URL}/_security/_authenticate", headers=headers).status == 200

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        user, password = (os.environ.get(f"ELASTICSEARCH_SETUP_{one}", "") for one in ("USER", "PASSWORD"))
        headers = urllib3.make_headers(basic_auth=f"{user}:{password}")
        answer = self._pool.request(method, URL + path, headers=headers, json=body)
        return answer.json() if answer.status == 200 else None

    def stop(self) -> None:
        for name in sorted(self._made, key=ADMIN.__eq__):
            self._ask("DELETE", f"/_security/user/{name}")
        for name in _roles() if self._made else ():
            self._ask("DELETE", f"/_security/role/{name}")
        self._passage.stop()


def _roles() -> dict[str, Any]:
    import yaml

    found: dict[str, Any] = yaml.safe_load(ROLES)
    return found
