"""Telemetry like an endpoint agent's on Windows: the same from run to run.

200 hosts; users, programs, domains and addresses as Zipf's law has them, so that few are everywhere and many
are rare; about 1.8 kB an event. A program lies where it was installed, is signed by who made it and is
started by what starts it, so that one event in many thousands is what rules look for.
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
SYSTEM, OFFICE = "C:\\Windows\\System32", "C:\\Program Files\\Microsoft Office\\root\\Office16"
# Where files are written that are no programs.
FOLDERS = (
    "C:\\Windows\\Temp",
    "C:\\Program Files\\Vendor",
    "C:\\Program Files (x86)\\Suite",
    "C:\\Users\\{user}\\AppData\\Local\\Programs",
    "C:\\ProgramData\\Agent",
    "C:\\Users\\{user}\\Downloads",
)
# What does not lie in System32.
HOMES = {
    "chrome.exe": "C:\\Program Files\\Google\\Chrome\\Application",
    "msedge.exe": "C:\\Program Files (x86)\\Microsoft\\Edge\\Application",
    "explorer.exe": "C:\\Windows",
    "SearchHost.exe": "C:\\Windows\\SystemApps\\MicrosoftWindows.Client.CBS_cw5n1h2txyewy",
    "Teams.exe": "C:\\Program Files\\WindowsApps\\MSTeams_24004.1309_x64__8wekyb3d8bbwe",
    "MsMpEng.exe": "C:\\ProgramData\\Microsoft\\Windows Defender\\Platform\\4.18.24010.12-0",
    "WmiPrvSE.exe": SYSTEM + "\\wbem",
    "powershell.exe": SYSTEM + "\\WindowsPowerShell\\v1.0",
    "OneDrive.exe": "C:\\Program Files\\Microsoft OneDrive",
    "OUTLOOK.EXE": OFFICE,
    "EXCEL.EXE": OFFICE,
    "WINWORD.EXE": OFFICE,
    "code.exe": "C:\\Program Files\\Microsoft VS Code",
    "git.exe": "C:\\Program Files\\Git\\cmd",
    "python.exe": "C:\\Program Files\\Python312",
    "node.exe": "C:\\Program Files\\nodejs",
    "java.exe": "C:\\Program Files\\Java\\jre\\bin",
    "zoom.exe": "C:\\Program Files\\Zoom\\bin",
}
BY_MICROSOFT = 22
# What starts what; all else is started from the desktop.
_CHILDREN = {
    "services.exe": "svchost.exe MsMpEng.exe spoolsv.exe",
    "wininit.exe": "services.exe lsass.exe",
    "code.exe": "git.exe python.exe node.exe java.exe",
    "svchost.exe": "RuntimeBroker.exe SearchHost.exe backgroundTaskHost.exe taskhostw.exe "
    "dllhost.exe WmiPrvSE.exe",
    "cmd.exe": f"conhost.exe {_RARE}",
    "userinit.exe": "explorer.exe",
}
STARTED_BY = {child: parent for parent, children in _CHILDREN.items() for child in children.split()}
STARTERS = sorted({"explorer.exe", *STARTED_BY.values()})
SERVICES = {"services.exe", "wininit.exe", "svchost.exe"}
KEYS = (
    "HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Explorer\\Item{n}",
    "HKLM\\SYSTEM\\ControlSet001\\Services\\bam\\State\\UserSettings\\{n}",
    "HKEY_USERS\\{sid}\\Software\\Microsoft\\Office\\16.0\\Common\\Entry{n}",
)
ENDINGS = ("log", "tmp", "dat", "json", "db-wal", "etl", "docx", "dll", "exe", "ps1")
# What takes connections from elsewhere.
SERVING = {"svchost.exe", "lsass.exe", "services.exe", "spoolsv.exe", "WmiPrvSE.exe", "java.exe"}
OF_PARENTS = ("name", "entity_id", "pid", "executable", "command_line", "args")
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
        self.starters: dict[str, dict[str, Any]] = {host: {} for host in self.hosts.values}
        for host, held in self.starters.items():
            held["wininit.exe"] = self._process(host, "wininit.exe")
            held |= {name: self._process(host, name) for name in STARTERS}
        self.running = {
            host: [self._process(host, self.programs.pick(self.chance)) for _ in range(40)]
            for host in self.hosts.values
        }

    def documents(self, count: int) -> Iterator[dict[str, Any]]:
        for _ in range(count):
            yield self._event()

    def _process(self, host: str, name: str) -> dict[str, Any]:
        """A new process of a program, with the one that started it. `user` goes into its events."""
        chance, starters = self.chance, self.starters[host]
        starter = starters.get(STARTED_BY.get(name, "explorer.exe"), {})
        user = "SYSTEM" if starter.get("name") in SERVICES else self._user(host)
        path, option = f"{home_of(name).format(user=user)}\\{name}", chance.randrange(5000)
        arguments = [
            path,
            f"--type={'utility' if option % 3 else 'renderer'}",
            f"/prefetch:{option % 8}",
            "-k",
            f"Group{option % 40}",
            f"--handle={option}",
        ]
        return {
            "user": user,
            "parent": {key: starter[key] for key in OF_PARENTS if key in starter},
            "name": name,
            "entity_id": self._entity(host),
            "pid": chance.randrange(400, 60_000),
            "executable": path,
            "command_line": f'"{path}" ' + " ".join(arguments[1:]),
            "args": arguments,
            "args_count": len(arguments),
            "hash": {"sha256": hash_of(path)},
            "code_signature": signature_of(name),
            "pe": {"original_file_name": name},
            "Ext": {
                "token": {"integrity_level_name": "system" if user == "SYSTEM" else "medium"},
                "authentication_id": f"0x{option % 4096:x}",
            },
        }

    def _entity(self, host: str) -> str:
        """As the agent makes them: its own id, a process id and a time, in base64."""
        born = 133_541_000_000 + self.number * 40 + self.chance.randrange(4_000)
        return base64.b64encode(f"{hash_of(host)[:18]}-{born % 60_000}-{born}".encode()).decode()

    def _user(self, host: str) -> str:
        return (f"user{host}", f"user{host}", f"user{host}", f"admin{int(host) % 7}")[
            self.chance.randrange(4)
        ]

    def _event(self) -> dict[str, Any]:
        chance, kind, host = self.chance, self.kinds.pick(self.chance), self.hosts.pick(self.chance)
        moment = self.start + timedelta(seconds=self.number / self.rate + chance.random() / 50)
        running = self.running[host]
        place = self.busy.pick(chance)
        if kind == "process":
            place = chance.randrange(40)
            running[place] = self._process(host, self.programs.pick(chance))
            if running[place]["name"] in STARTERS:
                self.starters[host][running[place]["name"]] = running[place]
        process = dict(running[place])
        user = process.pop("user")
        if kind not in {"process", "end"}:
            del process["parent"]
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
            "user": {
                "domain": "NT AUTHORITY" if user == "SYSTEM" else DOMAIN,
                "name": user,
                "id": "S-1-5-18" if user == "SYSTEM" else f"S-1-5-21-7-8-9-{host}",
            },
            "process": process,
            "message": f"Endpoint {kind} event",
        }
        self._detail(document, kind, host)
        self.number += 1
        return document

    def _detail(self, document: dict[str, Any], kind: str, host: str) -> None:
        option = self.chance.randrange(10_000)
        if kind == "network":
            document |= connection(host, option, serves=document["process"]["name"] in SERVING)
        elif kind == "dns":
            document["dns"] = lookup(self.sites.pick(self.chance), option)
        elif kind in {"file", "library"}:
            document["dll" if kind == "library" else "file"] = file_of(document["user"]["name"], kind, option)
        elif kind == "registry":
            document["registry"] = value_of(document["user"]["id"], option)


def home_of(name: str) -> str:
    """The folder of a program, with a place for who installed it for himself."""
    if not name.startswith("app"):
        return HOMES.get(name, SYSTEM)
    number = int(name[3:6])
    if number % 10 == 3:
        return "C:\\Users\\{user}\\AppData\\Local\\Programs\\" + f"App{number}"
    suite = "C:\\Program Files (x86)\\Suite" if number % 3 else "C:\\Program Files\\Vendor"
    return f"{suite}{number % 30}\\App{number}"


def signature_of(name: str) -> dict[str, Any]:
    """Who signed a program; one of some dozens is not signed."""
    if name.startswith("app") and int(name[3:6]) % 40 == 7:
        return {"exists": False}
    is_own = name in COMMON[:BY_MICROSOFT] or name in RARE
    signer = "Microsoft Windows" if is_own else f"Vendor {hash_of(name)[:4]}"
    return {"exists": True, "trusted": True, "subject_name": signer, "status": "trusted"}


def connection(host: str, option: int, *, serves: bool) -> dict[str, Any]:
    is_incoming = option % 2 == 0 if serves else option % 250 == 0
    return {
        "network": {
            "direction": "ingress" if is_incoming else "egress",
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
            "port": 445 if option % 500 == 0 else (443, 443, 80, 8080, 443, 5985, 50_000)[option % 7],
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
    found = {
        "name": name,
        "path": f"{FOLDERS[option % 6].format(user=user)}\\{name}",
        "extension": ending,
        "size": option * 7,
        "hash": {"sha256": hash_of(name)},
    }
    if kind == "library":
        found["code_signature"] = signature_of(f"app{7 if option % 1000 == 7 else 1:03}.exe")
    return found


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
