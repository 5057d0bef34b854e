"""Nudges: a broker that is gone never breaks or holds up the caller."""

import subprocess
import threading
import time

import pytest
import redis
from django_celery_beat.schedulers import DatabaseScheduler

from config import programs
from config.schedulers import CasewrightScheduler
from detections import broker
from tests.instance import wait_for


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(broker, "_silent_until", 0.0)
    monkeypatch.setattr(broker, "_counted_until", 0.0)
    monkeypatch.setattr(broker, "_lock", threading.Lock())


def sends(monkeypatch, send):
    monkeypatch.setattr(broker.current_app, "send_task", send)


def test_a_nudge_names_its_task_and_expires(monkeypatch):
    sent = []
    sends(monkeypatch, lambda name, **options: sent.append((name, options["expires"])))
    broker.nudge("detections.tasks.wake")
    assert sent == [("detections.tasks.wake", 60)]


def test_a_broker_that_is_gone_is_left_alone_for_a_while(monkeypatch, caplog):
    calls = []

    def refuse(name, **_):
        calls.append(name)
        raise OSError("No such file or directory")

    sends(monkeypatch, refuse)
    broker.nudge("one")
    broker.nudge("two")
    assert calls == ["one"]
    assert "The broker does not take one (No such file or directory)" in caplog.text


def test_a_broker_that_hangs_holds_the_caller_for_a_second_at_most(monkeypatch):
    over = threading.Event()
    sends(monkeypatch, lambda name, **_: over.wait(20))
    began = time.monotonic()
    broker.nudge("one")
    broker.nudge("two")
    took = time.monotonic() - began
    over.set()
    assert took < 2.5


def test_the_messages_that_wait_are_counted_and_a_dead_broker_is_no_answer(tmp_path_factory, monkeypatch):
    path = tmp_path_factory.mktemp("b") / "s"
    monkeypatch.setattr(broker.current_app.conf, "broker_url", f"redis+socket://{path}")
    assert broker.waiting() is None
    command = [str(part) for part in programs.broker(path).command]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: programs._answers_ping(path), "the broker answers", seconds=15)
        assert broker.waiting() == 0
        redis.Redis(unix_socket_path=str(path)).rpush("celery", "one", "two")
        assert broker.waiting() == 2
    finally:
        server.kill()
        server.wait()
    assert broker.waiting() is None


@pytest.mark.parametrize(
    ("waiting", "wanted"), [(None, True), (broker.MOST_WAITING - 1, True), (broker.MOST_WAITING, False)]
)
def test_messages_that_no_worker_takes_do_not_pile_up(monkeypatch, waiting, wanted):
    sent = []
    monkeypatch.setattr(broker, "waiting", lambda: waiting)
    monkeypatch.setattr(DatabaseScheduler, "apply_async", lambda *_, **__: sent.append("by beat"))
    sends(monkeypatch, lambda name, **_: sent.append(name))
    broker.nudge("one")
    CasewrightScheduler.apply_async(object.__new__(CasewrightScheduler), "entry", advance=False)
    assert sent == (["one", "by beat"] if wanted else [])
