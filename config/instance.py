"""What one running instance claims on this machine: its data folder, and a port."""

import fcntl
import os
import socket
from pathlib import Path
from typing import TextIO

PORTS_TRIED = 20


class InstanceError(Exception):
    """The instance can't start here. The message says why and what to do."""


class DataFolder:
    """Holds a data folder for one `manage.py up` at a time, for as long as the process lives."""

    def __init__(self, path: Path) -> None:
        self.path = path / "up.lock"
        self._file: TextIO | None = None

    def claim(self) -> None:
        """Take the folder. Raises InstanceError, naming the holder, where another instance runs on it."""
        lock = self.path.open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            holder = lock.read().strip() or "another process"
            lock.close()
            raise InstanceError(
                f"Casewright already runs on {self.path.parent} ({holder}). Stop that one first, or set "
                "CASEWRIGHT_DATA to another folder for a second instance."
            ) from error
        self._file = lock
        self.say("starting")

    def say(self, where: str) -> None:
        """Leave a word for whoever finds the folder taken."""
        assert self._file is not None
        self._file.seek(0)
        self._file.truncate()
        self._file.write(f"process {os.getpid()}, {where}\n")
        self._file.flush()

    def release(self) -> None:
        if self._file is not None:
            self._file.close()


def _is_free(host: str, port: int) -> bool:
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise InstanceError(
            f"The host {host!r} has no address here: {error}. Try --host 127.0.0.1."
        ) from error
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except PermissionError as error:
            raise InstanceError(
                f"This account may not use port {port}. Choose one above 1023: --port 8000."
            ) from error
        except OSError:
            return False
    return True


def choose_port(host: str, wanted: int | None, *, default: int) -> int:
    """The wanted port if it is free, else InstanceError; without a wish, the first free from `default` on."""
    if wanted is not None:
        if not _is_free(host, wanted):
            raise InstanceError(
                f"Port {wanted} on {host} is in use or not this machine's. Choose another "
                "with --port, or stop what uses it."
            )
        return wanted
    for port in range(default, default + PORTS_TRIED):
        if _is_free(host, port):
            return port
    raise InstanceError(
        f"Ports {default} to {default + PORTS_TRIED - 1} on {host} are all in use. "
        "Name a free one with --port."
    )
