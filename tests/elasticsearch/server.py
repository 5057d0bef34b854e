"""A real Elasticsearch server for the tests, from the integration-test distribution on Maven Central.

It has no `_eql/search`, no `GET /` and no API keys; `front.py` stands before it and answers the first two.
"""

import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from zipfile import ZipFile

import pytest
import urllib3

from tests.instance import free_port

ARTIFACT = "org.elasticsearch.distribution.integ-test-zip:elasticsearch:{version}:zip"
VERSIONS = {"8.19.0": 17, "9.2.0": 21}
START_SECONDS = 240
ADMIN = "casewright_tests"
# Guards nothing: a server on loopback that lives as long as the tests. Python has no bcrypt of its own.
PASSWORD = "casewright-tests-only"
HASHED = "$2a$10$YSVs0cUZ9LCH4I.To18iZ.zEhJzhbtzgD.pBLJ3dXmFayQJQTv1Yy"
JAVA_FOLDERS = (Path("/usr/lib/jvm"),)
ROLES = """
casewright_detect:
  indices:
    - names: ["logs-*", "winlogbeat-*", "captures-*", "endgame-*", ".alerts-security.alerts-*"]
      privileges: ["read", "view_index_metadata"]
casewright_pivot:
  indices:
    - names: ["logs-*", "winlogbeat-*", "captures-*", "endgame-*", ".alerts-security.alerts-*"]
      privileges: ["read", "view_index_metadata"]
casewright_write:
  indices:
    - names: ["logs-casewright.alerts-*"]
      privileges: ["create_doc", "auto_configure"]
casewright_write_back:
  indices:
    - names: ["logs-casewright.alerts-*"]
      privileges: ["create_doc", "auto_configure"]
    - names: [".internal.alerts-security.alerts-*"]
      privileges: ["read", "write"]
casewright_canary:
  indices:
    - names: ["logs-casewright.canary-*"]
      privileges: ["create_doc", "auto_configure"]
nothing:
  cluster: []
"""
USERS = {
    ADMIN: "superuser",
    "detect": "casewright_detect",
    "pivot": "casewright_pivot",
    "write": "casewright_write",
    "write_back": "casewright_write_back",
    "canary": "casewright_canary",
    "nobody": "nothing",
}


class Server:
    """One server in a folder of its own. `url` is http on loopback; every user has the same `password`.

    native: whether it answers EQL itself.
    """

    native = False

    def __init__(self, folder: Path, version: str) -> None:
        self.folder, self.version = folder, version
        self.home = folder / f"elasticsearch-{version}"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.password = PASSWORD
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Unpack, configure, start and wait for its first answer; skips the test where that can't be."""
        java = java_for(self.version)
        with ZipFile(_distribution(self.folder, self.version)) as packed:
            packed.extractall(self.folder)
        _configure(self.home, self.port)
        for program in (self.home / "bin").iterdir():
            program.chmod(0o755)
        self._environment = {**os.environ, "ES_JAVA_HOME": str(java), "ES_TMPDIR": str(self._tmp())}
        self._environment.pop("JAVA_TOOL_OPTIONS", None)
        self._add_users()
        user = _unprivileged()
        if user:
            subprocess.run(["chown", "-R", f"{user}:", str(self.folder)], check=True)
        log = (self.folder / "server.log").open("wb")
        self.process = subprocess.Popen(
            [str(self.home / "bin" / "elasticsearch")],
            env=self._environment,
            user=user,
            group="nogroup" if user else None,
            extra_groups=[] if user else None,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=self.home,
            start_new_session=True,
        )
        self._wait()

    def _tmp(self) -> Path:
        tmp = self.folder / "tmp"
        tmp.mkdir(exist_ok=True)
        return tmp

    def _add_users(self) -> None:
        """As `elasticsearch-users` would write them, at once instead of starting a JVM for each."""
        config = self.home / "config"
        (config / "users").write_text("".join(f"{name}:{HASHED}\n" for name in USERS))
        roles: dict[str, list[str]] = {}
        for name, role in USERS.items():
            roles.setdefault(role, []).append(name)
        (config / "users_roles").write_text(
            "".join(f"{role}:{','.join(names)}\n" for role, names in roles.items())
        )
        (config / "roles.yml").write_text(ROLES)

    def _wait(self) -> None:
        end = time.monotonic() + START_SECONDS
        headers = urllib3.make_headers(basic_auth=f"{ADMIN}:{self.password}")
        while time.monotonic() < end:
            with suppress(urllib3.exceptions.HTTPError):
                answer = urllib3.request("GET", f"{self.url}/_cluster/health", headers=headers, retries=False)
                if answer.status == 200:
                    return
            assert self.process is not None
            if self.process.poll() is not None:
                break
            time.sleep(0.3)
        pytest.fail("Elasticsearch did not start:\n" + (self.folder / "server.log").read_text()[-3000:])

    def stop(self) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, 9)
            self.process.wait()
            self.process = None
        shutil.rmtree(self.home / "data", ignore_errors=True)


def java_for(version: str) -> Path:
    """The home of a Java that is new enough. Skips the test where none is found."""
    wanted = VERSIONS[version]
    homes = [home for folder in JAVA_FOLDERS for home in folder.glob("*") if (home / "bin" / "java").exists()]
    found = sorted((release, home) for home in homes if (release := _release(home)) >= wanted)
    if found:
        # The oldest that will do: what the server was made for.
        return found[0][1]
    pytest.skip(f"Elasticsearch {version} needs Java {wanted}, which was not found.")


def _release(home: Path) -> int:
    """The major version that a Java home states of itself, 0 if it states none."""
    stated = home / "release"
    if not stated.exists():
        return 0
    line = next((one for one in stated.read_text().splitlines() if one.startswith("JAVA_VERSION=")), "")
    number = line.partition("=")[2].strip('"').split(".")[0]
    return int(number) if number.isdigit() else 0


def _distribution(folder: Path, version: str) -> Path:
    """The packed server. Skips the test where Maven is missing or does not have it."""
    if shutil.which("mvn") is None:
        pytest.skip("Maven, which brings Elasticsearch, is not installed.")
    target = folder / f"elasticsearch-{version}.zip"
    if not target.exists():
        done = subprocess.run(
            [
                "mvn", "-q", "-B", "dependency:copy",
                f"-Dartifact={ARTIFACT.format(version=version)}",
                f"-DoutputDirectory={folder}",
            ],
            capture_output=True, text=True, cwd=folder, timeout=300, check=False,
        )  # fmt: skip
        if done.returncode or not target.exists():
            pytest.skip(f"Maven has no Elasticsearch {version}: {done.stdout[-300:]}")
    return target


def _configure(home: Path, port: int) -> None:
    config = home / "config"
    settings = {
        "discovery.type": "single-node",
        "network.host": "127.0.0.1",
        "http.port": port,
        "transport.port": free_port(),
        "cluster.routing.allocation.disk.threshold_enabled": "false",
        "xpack.security.enabled": "true",
        "xpack.security.http.ssl.enabled": "false",
        "xpack.security.transport.ssl.enabled": "false",
    }
    (config / "elasticsearch.yml").write_text(
        "".join(f"{name}: {value}\n" for name, value in settings.items())
    )
    (config / "jvm.options.d").mkdir(exist_ok=True)
    (config / "jvm.options.d" / "heap.options").write_text("-Xms512m\n-Xmx512m\n")


def _unprivileged() -> str | None:
    """Elasticsearch refuses to run as root: the account to run it as, None if this one will do."""
    return "nobody" if os.geteuid() == 0 else None
