"""A sender over real HTTP, with the requests that Beats make, in their order."""

import gzip
import http.client
import json

import pytest

from detections.door.tokens import create_token
from detections.models import Import
from tests.detections.door.conftest import pairs

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def beat(live_server, product):
    token = create_token("beat", actor=product)
    connection = http.client.HTTPConnection(live_server.thread.host, live_server.thread.port, timeout=20)

    def ask(method, path, body=None, **headers):
        headers = {"Authorization": f"ApiKey {token.encoded}", "Accept": "application/json", **headers}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        return answer, json.loads(content) if content else None

    yield ask
    connection.close()


def test_a_beat_starts_and_sends_and_sends_again(beat, store):
    number = beat("GET", "/send/")[1]["version"]["number"]
    assert number == "8.19.0"
    assert beat("GET", "/send/_license?human=false")[1]["license"]["type"] == "basic"
    assert beat("HEAD", "/send/_index_template/filebeat-8.19.0")[0].status == 404
    assert beat("PUT", "/send/_index_template/filebeat-8.19.0", b"{}")[1] == {"acknowledged": True}
    events = [{"@timestamp": f"2026-03-18T09:40:{n:02d}.123Z", "message": f"line {n}"} for n in range(50)]
    body = gzip.compress(pairs(*events, "{torn", index="filebeat-8.19.0"))
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    path = "/send/_bulk?filter_path=errors,items.*.error,items.*.status"
    answer, told = beat("POST", path, body, **headers)
    assert (answer.status, answer.getheader("Set-Cookie"), told["errors"]) == (200, None, True)
    assert [item["create"]["status"] for item in told["items"]] == [201] * 50 + [400]
    again = beat("POST", path, body, **headers)[1]
    assert [item["create"]["status"] for item in again["items"]] == [200] * 50 + [400]
    assert store.statistics()["rows"] == 50
    day = Import.objects.get()
    assert (day.events_new, day.events_known, day.records_bad) == (50, 50, 1)
