"""`manage.py up`: everything on one machine, supervised."""

import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config import programs
from config.instance import DataFolder, InstanceError, choose_port
from config.supervisor import ProgramFailedError, Supervisor

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
DEFAULT_PORT = 8000
DEMO_WAKE_SECONDS = "5"


class Command(BaseCommand):
    help = "Run everything on this machine: broker, worker, beat and web. Ctrl-C stops it."
    # The children check themselves; here it would only delay the first word.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--demo", action="store_true", help="load the shipped scenarios and three people")
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
        parser.add_argument(
            "--port", type=int, help=f"port to listen on (default: {DEFAULT_PORT} or the next free)"
        )

    def handle(self, *_args: Any, demo: bool, host: str, port: int | None, **_options: Any) -> None:
        folder = DataFolder(settings.DATA_DIR)
        try:
            folder.claim()
            port = choose_port(host, port, default=DEFAULT_PORT)
            os.chdir(settings.BASE_DIR)
            supervisor = Supervisor(environment=_environment(demo=demo), out=self.stdout)  # type: ignore[arg-type]  # it prints like a file
            supervisor.stop_on_signals()
            try:
                self._run(supervisor, folder, host=host, port=port, demo=demo)
            finally:
                supervisor.stop()
        except (InstanceError, ProgramFailedError, programs.BrokerFolderError) as error:
            raise CommandError(str(error)) from error
        finally:
            folder.release()
        self.stdout.write("Stopped.")

    def _run(self, supervisor: Supervisor, folder: DataFolder, *, host: str, port: int, demo: bool) -> None:
        url = programs.address(host, port)
        supervisor.say(f"Starting Casewright on {settings.DATA_DIR}")
        supervisor.run(programs.manage("prepare", name="prepare"))
        if not settings.REDIS_URL:
            supervisor.start(programs.broker(settings.BROKER_SOCKET))
        if demo:
            # Before the web server: with nobody in it, the first-run page would be open to anybody.
            supervisor.run(programs.manage("demo", name="demo"))
        supervisor.start(programs.web(host, port))
        supervisor.start(programs.worker())
        supervisor.start(programs.beat())
        folder.say(url)
        if not supervisor.is_stopping:
            self._greet(supervisor, url, host=host, port=port, demo=demo)
        supervisor.watch()

    def _greet(self, supervisor: Supervisor, url: str, *, host: str, port: int, demo: bool) -> None:
        if port != DEFAULT_PORT:
            supervisor.say(f"It listens on port {port}.")
        if host not in LOOPBACK:
            supervisor.say(
                "Others can reach it: set ALLOWED_HOSTS to its names, and put HTTPS in front of it."
            )
        if demo:
            supervisor.say(
                "Sign in once with a link, within 12 hours; each start of the demo prints new ones:"
            )
            people = ["analyst", "lead", "admin"]
            supervisor.run(programs.manage("sign_in_link", *people, "--address", url, name="demo"))
        supervisor.say(f"Casewright runs at {url}  (Ctrl-C stops it)")


def _environment(*, demo: bool) -> dict[str, str]:
    environment = {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "LOG_LEVEL": "WARNING",
        # Celery warns at each start as root; the broker's socket is private, and only JSON is read.
        "PYTHONWARNINGS": "ignore",
        "PYTHONUNBUFFERED": "1",
        # Else each thread keeps for good what its largest search once took: a fifth of a worker's memory.
        "MALLOC_ARENA_MAX": "2",
        "CASEWRIGHT_DATA": str(settings.DATA_DIR),
    }
    if demo:
        environment["CASEWRIGHT_WAKE_SECONDS"] = DEMO_WAKE_SECONDS
    return environment | {key: value for key, value in os.environ.items() if key != "CASEWRIGHT_DATA"}
