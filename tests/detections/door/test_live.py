"""A real web server: killed while it takes events, refusing when it is busy, taking requests in chunks."""

import http.client
import json
import os
import random
import re
import signal
import threading
import time

import pytest

from tests.detections.door.conftest import pairs
from tests.instance import Instance, wait_for

pytestmark = pytest.mark.live
REQUESTS, EVENTS = 40, 25


@pytest.fixture(scope="module")
def instance(tmp_path_factory):
    instance = Instance(tmp_path_factory.mktemp("door") / "data", CASEWRIGHT_BULK_IN_FLIGHT="1").start()
    yield instance
    instance.kill()


@pytest.fixture(scope="module")
def authorization(instance):
    made = instance.manage("sender_token", "create", "live")
    return re.search(r"ApiKey \S+", made)[0]


def ask(instance, authorization, body, **more):
    """Status and answer; None where the server went away."""
    connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=20)
    try:
        connection.request(
            "POST", "/send/_bulk", body, {"Host": "localhost", "Authorization": authorization}, **more
        )
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def body_of(number):
    at = f"2026-03-18T09:{number:02d}"
    return pairs(*[{"@timestamp": f"{at}:{n:02d}Z", "message": f"{number}-{n}"} for n in range(EVENTS)])


def until_taken(instance, authorization, body):
    """Send until it is acknowledged, as senders do."""
    return wait_for(
        lambda: (told := ask(instance, authorization, body)) and told[0] == 200 and told[1],
        "the request is taken",
    )


def test_killed_again_and_again_every_event_is_there_once(instance, authorization):
    done = threading.Event()

    def kill():
        for _ in range(5):
            if done.wait(random.uniform(0.2, 1.5)):
                return
            for pid, command in instance.processes().items():
                if "gunicorn" in command:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        continue

    killer = threading.Thread(target=kill)
    killer.start()
    for number in range(REQUESTS):
        answer = until_taken(instance, authorization, body_of(number))
        assert {item["create"]["status"] for item in answer["items"]} <= {200, 201}
        time.sleep(0.1)
    done.set()
    killer.join()
    assert instance.ask("sum(row.rows for row in Segment.objects.filter(state='active'))") == str(
        REQUESTS * EVENTS
    )


def test_chunked_requests_are_read_and_a_slow_sender_makes_others_wait(instance, authorization):
    hold = threading.Event()
    taken = []

    def slowly():
        yield body_of(1)
        hold.wait(20)
        yield body_of(2)

    def send():
        taken.append(ask(instance, authorization, slowly(), encode_chunked=True))

    sender = threading.Thread(target=send)
    sender.start()
    # The slow one has to have the only place before another asks for it.
    time.sleep(2)
    status = wait_for(
        lambda: (told := ask(instance, authorization, body_of(3))) and told[0] == 429 and told[1]["status"],
        "the server is busy",
        seconds=15,
    )
    hold.set()
    sender.join()
    assert (status, taken[0][0], len(taken[0][1]["items"])) == (429, 200, 2 * EVENTS)
    large = pairs({"@timestamp": "2026-03-18T09:40:00Z", "text": "x" * 900_000}) * 120
    assert ask(instance, authorization, large) in (None, (413, {**_too_large(len(large))}))
    assert ask(instance, "ApiKey bm86bm8=", body_of(4))[0] == 401


def _too_large(size):
    error = {
        "type": "content_too_long_exception",
        "reason": f"the request has {size} bytes, more than 104857600; send it in parts",
    }
    return {"error": {"root_cause": [error], **error}, "status": 413}
