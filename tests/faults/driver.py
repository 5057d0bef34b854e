"""Run as a process of its own over an instance's database: does what `stand.Driver` asks, line by line."""

import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
import traceback
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import django

django.setup()

from celery import current_app  # noqa: E402
from django.conf import settings  # noqa: E402
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY  # noqa: E402
from django.contrib.auth.models import Group, User  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import close_old_connections, connection, connections  # noqa: E402
from django.utils import timezone  # noqa: E402

from config import programs  # noqa: E402
from config.celery import app  # noqa: E402
from detections import broker, invariants, outbox, schedules, wake  # noqa: E402
from detections.actors import system  # noqa: E402
from detections.door import tokens  # noqa: E402
from detections.event_store import event_store  # noqa: E402
from detections.models import Alert, Lease, OutboxRow, Rule, RuleRun  # noqa: E402
from detections.models.alert import AlertQuerySet  # noqa: E402
from tests.factories.events import attack as attack_events  # noqa: E402
from tests.factories.events import mapped, mshta_start  # noqa: E402
from tests.factories.rules import SEQUENCE  # noqa: E402
from tests.factories.rules import rule as make_rule  # noqa: E402
from tests.instance import free_port  # noqa: E402
from triage.models import Case, Occurrence  # noqa: E402

assert app is current_app or app
UNDER_TEST = "mshta"


def prepare(template: str) -> None:
    """Tables, and one enabled rule whose telemetry settles at once.

    template: where an SQLite database with its tables lies, or is to be left for the next one.
    """
    if connection.vendor != "sqlite":
        call_command("migrate", verbosity=0)
    elif not Path(template).exists():
        call_command("migrate", verbosity=0)
        with closing(sqlite3.connect(template)) as kept:
            connection.ensure_connection()
            connection.connection.backup(kept)
    else:
        connections.close_all()
        shutil.copy(template, settings.DATABASES["default"]["NAME"])
    rule = make_rule(enabled=False, settle_seconds=0, interval_seconds=30, lookback_seconds=540)
    schedules.set_enabled(rule, True, actor=system("fault test"))


def command(kind: str) -> list[str]:
    made = {
        "broker": lambda: programs.broker(settings.BROKER_SOCKET),
        "worker": programs.worker,
        "beat": programs.beat,
        "web": lambda: programs.web("127.0.0.1", free_port()),
    }[kind]()
    return [str(part) for part in made.command]


def broker_answers() -> bool:
    return programs._answers_ping(settings.BROKER_SOCKET)


def attack(entity: str, count: int = 1) -> None:
    now = datetime.now(UTC) - timedelta(seconds=5)
    events = [
        one
        for index in range(count)
        for one in attack_events(now, entity=entity if count == 1 else f"{entity}-{index}")
    ]
    event_store().append(mapped(*events), batch=f"fault:{entity}")
    wake.request_wake()


def deliver_wake(times: int) -> None:
    for _ in range(times):
        current_app.send_task(wake.WAKE_TASK, retry=False, ignore_result=True)


def new_token() -> str:
    """The API key of a sender, as clients send it."""
    return tokens.create_token("faults", actor=system("fault test")).encoded


def flush_broker() -> None:
    import redis

    redis.Redis(unix_socket_path=str(settings.BROKER_SOCKET)).flushall()


def fill_broker(is_full: bool) -> None:
    import redis

    client = redis.Redis(unix_socket_path=str(settings.BROKER_SOCKET))
    client.config_set("maxmemory", "1" if is_full else "256mb")


def cases() -> int:
    return Case.objects.count()


def attack_alerts() -> AlertQuerySet:
    """Those of the rule under test: the canary and others go on beside it, and raise alerts of their own."""
    return Alert.objects.filter(rule__rule_id=UNDER_TEST)


def alerts() -> int:
    return attack_alerts().count()


def occurrences() -> int:
    return Occurrence.objects.count()


def leases_expire() -> None:
    """What thirty seconds do to the claims of a process that was killed."""
    past = timezone.now() - timedelta(seconds=1)
    Lease.objects.filter(expires_at__isnull=False).update(expires_at=past)
    OutboxRow.objects.filter(claimed_until__isnull=False).update(claimed_until=past)


def work() -> None:
    """What a worker does when it is woken."""
    wake.wake()
    outbox.drain()


def killed_work(at_ms: float) -> bool:
    """Do the work in a child that is killed so many milliseconds after it began. True if it was."""

    def after() -> None:
        time.sleep(at_ms / 1000)

    return _in_child(work, after)


def killed_between_commit_and_send(kind: str) -> bool:
    """A child that dies when its transaction is committed and nothing was sent yet."""

    def crash(name: str) -> None:
        if name == kind:
            os.kill(os.getpid(), signal.SIGKILL)

    def doomed() -> None:
        broker.nudge = crash
        work()

    return _in_child(doomed, None)


def killed_between_work_and_mark() -> bool:
    """A child that dies when an outbox row's work is done and the row does not say so yet."""
    run_row = outbox._run

    def crash(row: OutboxRow) -> None:
        run_row(row)
        os.kill(os.getpid(), signal.SIGKILL)

    def doomed() -> None:
        outbox._run = crash
        work()

    return _in_child(doomed, None)


def _in_child(doing: Any, killer: Any) -> bool:
    """Whether the child was killed. It opens connections and store of its own."""
    connections.close_all()
    pid = os.fork()
    if pid == 0:
        os.dup2(2, 1)
        try:
            doing()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    if killer is not None:
        killer()
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError("the child failed by itself; see its traceback")
    return os.WIFSIGNALED(status)


def in_child() -> float:
    """Milliseconds that the same work takes in a child that is left alone."""
    begin = time.monotonic()
    _in_child(work, None)
    return (time.monotonic() - begin) * 1000


def run_begins(seconds: float) -> None:
    """Return at a random moment of this stretch."""
    time.sleep(random.random() * seconds)


def ledger() -> dict[str, Any]:
    """What can be said of loss and doubling, and what the invariants say."""
    rule = Rule.objects.get(rule_id=UNDER_TEST)
    runs = list(rule.runs.filter(status="succeeded").order_by("pk"))
    own = [run for run in runs if not run.filled_gaps.exists()] if hasattr(RuleRun, "filled_gaps") else runs
    own = [run for run in own if run.window_start is not None]
    twice = [
        f"{late.pk}: {late.window_start} before {early.window_end}"
        for early, late in pairwise(own)
        if late.window_start != early.window_end or late.mark_from != early.mark_to
    ]
    return {
        "alerts": alerts(),
        "distinct": len(set(attack_alerts().values_list("alert_id", flat=True))),
        "unrouted": attack_alerts().unrouted().count(),
        "occurrences": Occurrence.objects.count(),
        "cases": Case.objects.count(),
        "runs": rule.runs.count(),
        "runs_not_succeeded": [f"{run.status}: {run.error}" for run in rule.runs.exclude(status="succeeded")],
        "windows_searched_twice": twice,
        "outbox_pending": OutboxRow.objects.filter(state="pending", not_before__lte=timezone.now()).count(),
        "broken": list(invariants.broken()),
        "covered_until_age": (timezone.now() - rule.covered_until).total_seconds(),
    }


def latencies() -> list[tuple[float, float]]:
    """Of each case: the seconds since its run began, and since its last event arrived."""
    found = []
    for case in Case.objects.order_by("pk"):
        alert = Occurrence.objects.filter(case=case).select_related("alert__run").earliest("pk").alert
        arrived = max(datetime.fromisoformat(event["arrived_at"]) for event in alert.events)
        found.append(tuple((case.opened_at - at).total_seconds() for at in (alert.run.started_at, arrived)))
    return found


def more_rules(number: int) -> None:
    """Rules beside the one under test, on the same schedule, that find nothing."""
    for index in range(number):
        query = SEQUENCE.replace("mshta.exe", f"program-{index}.exe")
        made = make_rule(f"load-{index}", query=query, enabled=False, settle_seconds=0, interval_seconds=30)
        schedules.set_enabled(made, True, actor=system("fault test"))


def background(number: int) -> None:
    """Telemetry that no rule looks for, from fifty hosts."""
    now = datetime.now(UTC) - timedelta(seconds=5)
    events = [
        mshta_start(now, host=f"desk-{index % 50}", entity=f"{now:%H%M%S%f}-{index}")
        for index in range(number)
    ]
    for event in events:
        event["process"]["name"] = "chrome.exe"
    event_store().append(mapped(*events), batch=f"background:{now.isoformat()}")


def sign_in() -> str:
    """The session cookie of an analyst."""
    user, _made = User.objects.get_or_create(username="ana")
    user.groups.set(Group.objects.filter(name="Analyst"))
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return f"{settings.SESSION_COOKIE_NAME}={session.session_key}"


def refuse_writes(table: str, is_full: bool) -> None:
    """The database takes no more than one row into this table, as with a full disk; or it does again."""
    assert table in {"detections_alert", "triage_occurrence"}
    with connection.cursor() as cursor:
        for statement in DISK_FULL[connection.vendor, is_full]:
            cursor.execute(statement.replace("TABLE", table))


DISK_FULL = {
    ("sqlite", True): [
        "CREATE TRIGGER disk_full AFTER INSERT ON TABLE WHEN NEW.id % 2 = 0 "
        "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
    ],
    ("sqlite", False): ["DROP TRIGGER disk_full"],
    ("postgresql", True): [
        "CREATE OR REPLACE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' "
        "USING ERRCODE = '53100'; END $$",
        "CREATE TRIGGER disk_full AFTER INSERT ON TABLE "
        "FOR EACH ROW WHEN (NEW.id % 2 = 0) EXECUTE FUNCTION disk_full()",
    ],
    ("postgresql", False): ["DROP TRIGGER disk_full ON TABLE"],
}


def outbox_errors() -> int:
    return OutboxRow.objects.exclude(error="").count()


def failed_runs() -> int:
    return RuleRun.objects.filter(status="failed").count()


def main() -> None:
    # What the product prints must not get between the answers.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(value: Any) -> None:
        out.write(json.dumps(value, default=str) + "\n")
        out.flush()

    say("ready")
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        close_old_connections()
        try:
            say({"value": globals()[name](*arguments)})
        except Exception:
            connection.close()
            say({"error": traceback.format_exc()})


if __name__ == "__main__":
    main()
