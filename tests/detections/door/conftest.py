"""A sender with a token, and a client that sends like one."""

import json

import pytest

from detections.door.tokens import create_token


def pairs(*documents, operation="create", index="logs-test-default", ids=None):
    """A bulk body: an action line and a document line each."""
    lines = []
    for number, document in enumerate(documents):
        told = {"_index": index} | ({"_id": ids[number]} if ids else {})
        lines += [
            json.dumps({operation: told}),
            document if isinstance(document, str) else json.dumps(document),
        ]
    return "".join(f"{line}\n" for line in lines).encode()


@pytest.fixture
def token(db, product):
    return create_token("dc-01", actor=product)


@pytest.fixture
def send(client, token, store):
    """Send a body; what came back, as JSON."""

    def send(body, path="/send/_bulk", *, status=200, authorization=None, **headers):
        answer = client.post(
            path,
            body,
            content_type="application/x-ndjson",
            headers={"Authorization": authorization or f"ApiKey {token.encoded}", **headers},
        )
        assert answer.status_code == status, answer.content
        return answer.json()

    return send


@pytest.fixture
def stored(store):
    """The documents in the store, in order of their times."""
    from datetime import UTC, datetime

    from detections.stores.base import Clause, Filters, Operator, Window

    def stored():
        window = Window(datetime(1970, 1, 2, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
        everything = Filters(((Clause("@timestamp", Operator.EXISTS),),))
        return [event.document for event in store.search(everything, window, limit=10_000).events]

    return stored
