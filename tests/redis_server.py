"""A Redis of the tests' own: Debian's redis-server with a password, over TLS alone, on a free port."""

import shutil
import socket
import ssl
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from tests.instance import free_port, wait_for

PASSWORD = "p@ss/word: 1"
QUOTED = "p%40ss%2Fword%3A%201"


class RedisServer:
    """Started; skips the test where there is none. url: as REDIS_URL takes it."""

    def __init__(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("Redis is not installed (Debian: apt-get install redis-server)")
        self.folder, self.port = Path(tempfile.mkdtemp(prefix="casewright-redis-")), free_port()
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.folder / "ca.crt")
        issued = authority.issue_cert("localhost", "127.0.0.1")
        issued.cert_chain_pems[0].write_to_path(self.folder / "redis.crt")
        issued.private_key_pem.write_to_path(self.folder / "redis.key")
        settings = {
            "port": "0",
            "bind": "127.0.0.1",
            "tls-port": str(self.port),
            "tls-cert-file": str(self.folder / "redis.crt"),
            "tls-key-file": str(self.folder / "redis.key"),
            "tls-ca-cert-file": str(self.folder / "ca.crt"),
            "tls-auth-clients": "no",
            "requirepass": f'"{PASSWORD}"',
            "maxmemory": "256mb",
            "maxmemory-policy": "noeviction",
            "appendonly": "yes",
            "save": '""',
            "dir": str(self.folder),
            "logfile": str(self.folder / "redis.log"),
        }
        self.configuration = self.folder / "redis.conf"
        self.configuration.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        self._program = program
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen([self._program, str(self.configuration)], stdin=subprocess.DEVNULL)
        wait_for(self.answers, f"Redis answers: {self.folder}", seconds=20)

    def answers(self) -> bool:
        context = ssl.create_default_context(cafile=self.folder / "ca.crt")
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), timeout=2) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as client,
        ):
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"-NOAUTH")
        return False

    @property
    def url(self) -> str:
        checked = f"ssl_cert_reqs=required&ssl_ca_certs={self.folder / 'ca.crt'}"
        return f"rediss://:{QUOTED}@127.0.0.1:{self.port}/0?{checked}"

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
