"""Telemetry like an endpoint agent's on Windows: the same from run to run.

200 hosts; users, programs, domains and addresses as Zipf's law has them, so that few are everywhere and many
are rare; about 1.6 kB an event. One event in some thousands is what rules look for.
"""

import base64
import hashlib
import random
from bisect import bisect
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
HOSTS = 200
DOMAIN = "CORP"
_COMMON = """
svchost.exe chrome.exe msedge.exe explorer.exe RuntimeBroker.exe SearchHost.exe conhost.exe Teams.exe
OUTLOOK.EXE MsMpEng.exe backgroundTaskHost.exe taskhostw.exe dllhost.exe WmiPrvSE.exe EXCEL.EXE WINWORD.EXE
OneDrive.exe spoolsv.exe lsass.exe services.exe cmd.exe powershell.exe code.exe git.exe python.exe node.exe
java.exe zoom.exe
"""
# What administrators use too, and rules look at twice.
_RARE = """
rundll32.exe msiexec.exe schtasks.exe reg.exe net.exe whoami.exe ipconfig.exe tasklist.exe sc.exe wmic.exe
certutil.exe bitsadmin.exe regsvr32.exe mshta.exe wscript.exe cscript.exe nltest.exe vssadmin.exe
"""
COMMON, RARE = _COMMON.split(), _RARE.split()
PROGRAMS = [*COMMON, *(f"app{n:03}.exe" for n in range(350)), *RARE]
SITES = [f"{'www' if n % 3 else 'cdn'}{n}.example{n % 40}.{'com' if n % 5 else 'net'}" for n in range(3000)]
FOLDERS = (
    "C:\\Windows\\System32",
    "C:\\Program Files\\Vendor",
    "C:\\Program Files (x86)\\Suite",
    "C:\\Users\\{user}\\AppData\\Local\\Programs",
    "C:\\ProgramData\\Agent",
    "C:\\Users\\{user}\\Downloads",
)
KEYS = (
    "HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Explorer\\Item{n}",
    "HKLM\\SYSTEM\\ControlSet001\\Services\\bam\\State\\UserSettings\\{n}",
    "HKEY_USERS\\{sid}\\Software\\Microsoft\\Windows\\CurrentVersion\\Run\\Entry{n}",
)
ENDINGS = ("log", "tmp", "dat", "json", "db-wal", "etl", "docx", "dll", "exe", "ps1")
# What of a hundred events is of which kind.
MIX = (
    ("process", 16),
    ("end", 12),
    ("network", 20),
    ("dns", 14),
    ("file", 22),
    ("registry", 10),
    ("library", 5),
    ("logon", 1),
)


class Zipf:
    """Picks one of some values; the first is the most frequent by far."""

    def __init__(self, values: list[Any], exponent: float = 1.1) -> None:
        self.values = values
        self.weights = list(accumulate(1 / (n + 1) ** exponent for n in range(len(values))))

    def pick(self, chance: random.Random) -> Any:
        return self.values[bisect(self.weights, chance.random() * self.weights[-1]) % len(self.values)]


class Telemetry:
    """A stream of documents in the order of time, `rate` of them a second."""

    def __init__(self, rate: float = 278.0, seed: int = 7, start: datetime = START) -> None:
        self.chance, self.rate, self.start, self.number = random.Random(seed), rate, start, 0
        self.programs, self.sites = Zipf(PROGRAMS), Zipf(SITES)
        self.hosts = Zipf([f"{n:04}" for n in range(HOSTS)], 0.4)
        self.kinds = Zipf([kind for kind, share in MIX for _ in range(share)], 0)
        self.busy = Zipf(list(range(40)), 0.9)
        self.running = {host: [self._process(host) for _ in range(40)] for host in self.hosts.values}

    def documents(self, count: int) -> Iterator[dict[str, Any]]:
        for _ in range(count):
            yield self._event()

    def _process(self, host: str) -> dict[str, Any]:
        chance, name = self.chance, self.programs.pick(self.chance)
        user = self._user(host)
        folder = FOLDERS[0 if name in COMMON[:20] else chance.randrange(6)].format(user=user)
        path, option = f"{folder}\\{name}", chance.randrange(5000)
        arguments = [
            path,
            f"--type={'utility' if option % 3 else 'renderer'}",
            f"/prefetch:{option % 8}",
            "-k",
            f"Group{option % 40}",
            f"--handle={option}",
        ]
        signer = "Microsoft Windows" if folder == FOLDERS[0] else f"Vendor {hash_of(name)[:4]}"
        return {
            "name": name,
            "entity_id": self._entity(host),
            "pid": chance.randrange(400, 60_000),
            "executable": path,
            "command_line": f'"{path}" ' + " ".join(arguments[1:]),
            "args": arguments,
            "args_count": len(arguments),
            "hash": {"sha256": hash_of(path)},
            "code_signature": {
                "exists": True,
                "trusted": option % 9 > 0,
                "subject_name": signer,
                "status": "trusted" if option % 9 else "errorUntrustedRoot",
            },
            "pe": {"original_file_name": name},
            "Ext": {
                "token": {"integrity_level_name": "system" if option % 2 else "medium"},
                "authentication_id": f"0x{option % 4096:x}",
            },
        }

    def _entity(self, host: str) -> str:
        """As the agent makes them: its own id, a process id and a time, in base64."""
        born = 133_541_000_000 + self.number * 40 + self.chance.randrange(4_000)
        return base64.b64encode(f"{hash_of(host)[:18]}-{born % 60_000}-{born}".encode()).decode()

    def _user(self, host: str) -> str:
        return ("SYSTEM", f"user{host}", f"user{host}", f"admin{int(host) % 7}")[self.chance.randrange(4)]

    def _event(self) -> dict[str, Any]:
        chance, kind, host = self.chance, self.kinds.pick(self.chance), self.hosts.pick(self.chance)
        moment = self.start + timedelta(seconds=self.number / self.rate + chance.random() / 50)
        running = self.running[host]
        if kind == "process":
            running[chance.randrange(40)] = self._process(host)
        process, parent = dict(running[self.busy.pick(chance)]), running[self.busy.pick(chance)]
        category = {"end": "process", "dns": "network", "logon": "authentication"}.get(kind, kind)
        document: dict[str, Any] = {
            "@timestamp": f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z",
            "agent": {"id": hash_of(f"agent{host}")[:32], "type": "endpoint", "version": "8.19.0"},
            "ecs": {"version": "8.10.0"},
            "data_stream": {"type": "logs", "dataset": f"endpoint.events.{category}", "namespace": "default"},
            "event": {
                "id": f"NQzDKD9qa9{self.number:010x}++",
                "sequence": self.number,
                "kind": "event",
                "category": [category],
                "type": [{"end": "end", "file": "creation", "registry": "change"}.get(kind, "start")],
                "action": kind,
                "module": "endpoint",
                "dataset": f"endpoint.events.{category}",
                "created": f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z",
                "outcome": "unknown",
            },
            "host": {
                "id": hash_of(f"host{host}")[:36],
                "name": f"ws-{host}",
                "hostname": f"WS-{host}",
                "architecture": "x86_64",
                "ip": [f"10.20.{int(host) % 250}.7", "127.0.0.1", "::1"],
                "mac": [f"00-50-56-{int(host) % 256:02x}-aa-01"],
                "os": {
                    "type": "windows",
                    "family": "windows",
                    "name": "Windows",
                    "platform": "windows",
                    "version": "22H2 (10.0.22621.3447)",
                },
            },
            "user": {"domain": DOMAIN, "name": self._user(host), "id": f"S-1-5-21-7-8-9-{host}"},
            "process": process,
            "message": f"Endpoint {kind} event",
        }
        self._detail(document, kind, host, parent)
        self.number += 1
        return document

    def _detail(self, document: dict[str, Any], kind: str, host: str, parent: dict[str, Any]) -> None:
        option = self.chance.randrange(10_000)
        if kind in {"process", "end"}:
            document["process"]["parent"] = {
                key: parent[key] for key in ("name", "entity_id", "pid", "executable", "command_line", "args")
            }
        elif kind == "network":
            document |= connection(host, option)
        elif kind == "dns":
            document["dns"] = lookup(self.sites.pick(self.chance), option)
        elif kind in {"file", "library"}:
            document["dll" if kind == "library" else "file"] = file_of(document["user"]["name"], kind, option)
        elif kind == "registry":
            document["registry"] = value_of(document["user"]["id"], option)


def connection(host: str, option: int) -> dict[str, Any]:
    return {
        "network": {
            "direction": "ingress" if option % 4 == 0 else "egress",
            "transport": "tcp",
            "type": "ipv4",
            "bytes": option * 13,
        },
        "source": {
            "ip": f"10.20.{int(host) % 250}.7",
            "port": 49_152 + option,
            "bytes": option,
        },
        "destination": {
            "ip": f"203.0.{option % 113}.{option % 250}",
            "bytes": option * 12,
            "port": (443, 443, 80, 8080, 445, 5985, 50_000)[option % 7],
        },
    }


def lookup(site: str, option: int) -> dict[str, Any]:
    return {
        "question": {"name": site, "type": "A"},
        "resolved_ip": [f"203.0.113.{option % 250}"],
        "Ext": {"status": 0},
    }


def file_of(user: str, kind: str, option: int) -> dict[str, Any]:
    ending = "dll" if kind == "library" else ENDINGS[option % 10]
    name = f"f{option % 2500}.{ending}"
    return {
        "name": name,
        "path": f"{FOLDERS[option % 6].format(user=user)}\\{name}",
        "extension": ending,
        "size": option * 7,
        "hash": {"sha256": hash_of(name)},
    }


def value_of(user_id: str, option: int) -> dict[str, Any]:
    path = KEYS[option % 3].format(n=option % 700, sid=user_id)
    return {
        "path": path,
        "key": path.rpartition("\\")[0],
        "hive": path[:4],
        "value": path.rpartition("\\")[2],
        "data": {"strings": [f"value {option}"], "type": "REG_SZ"},
    }


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
