"""Elastic Defend, through Kibana's endpoint actions API."""

import json
import re
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from triage.actions import outward
from triage.actions.adapter import adapter
from triage.actions.answers import asked, read_json, refused, tried, unreadable
from triage.actions.outcomes import Order, Outcome, Proof, Result
from triage.enums import CheckOutcome

COMMANDS = {
    "isolate_host": ("isolate", "isolate"),
    "release_host": ("unisolate", "unisolate"),
    "kill_process": ("kill_process", "kill-process"),
    "suspend_process": ("suspend_process", "suspend-process"),
    "collect_file": ("get_file", "get-file"),
    "list_processes": ("running_procs", "running-processes"),
}
_POLL = timedelta(seconds=10)
_TAKEN = "Kibana took it; the endpoint has not answered yet."
# What Kibana calls an endpoint that it does not hear of.
_AWAY = frozenset({"offline", "inactive", "unenrolled"})
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
# Of its public API, the only one since Kibana 8.11; older ones don't read the header.
_VERSION = "2023-10-31"
_FILE_BYTES = 25 * 1024 * 1024


@adapter("elastic_defend")
class ElasticDefend:
    label = "Elastic Defend"
    fields: Mapping[str, str] = {
        "url": "Kibana, with the space: https://kibana.example:5601/s/security",
        "ca_file": "file of the authority that signed its certificate; empty: the system's",
        "seconds": "time limit of a request, 30 if empty",
    }
    secrets: Mapping[str, str] = {"api_key": "an API key with the privileges of the response console"}
    kinds: frozenset[str] = frozenset(COMMANDS)

    def __init__(self, config: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        self.url, self.ca_file = str(config.get("url", "")).rstrip("/"), str(config.get("ca_file", ""))
        self.seconds, self.api_key = float(config.get("seconds") or 30), secrets.get("api_key", "")

    def send(self, order: Order) -> Outcome:
        agent = str(order.parameters.get("agent_id") or "")
        if order.kind not in COMMANDS:
            return Outcome(Result.FAILED, f"Elastic Defend has no command for {order.kind}.")
        if not agent:
            return Outcome(
                Result.FAILED, f"No event of {order.target_value} names its agent, so it can't be addressed."
            )
        body: dict[str, Any] = {"endpoint_ids": [agent], "comment": self._comment(order)}
        if parameters := _parameters(order):
            body["parameters"] = parameters
        path = f"/api/endpoint/action/{COMMANDS[order.kind][0]}"
        return tried(lambda: self._sent(self._request("POST", path, body)))

    def look_up(self, order: Order) -> Outcome:
        if order.external_id:
            return asked(lambda: self._status(order))
        return asked(lambda: self._find(order))

    def prove(self, order: Order) -> Proof:
        """Isolation, by the state that the endpoint reports; other effects show in telemetry."""
        if order.kind not in ("isolate_host", "release_host"):
            return Proof(CheckOutcome.UNKNOWN, "Only telemetry can show whether it holds.")
        agent = str(order.parameters.get("agent_id") or "")
        try:
            answer = self._request("GET", f"/api/endpoint/metadata/{_identity(agent)}")
        except outward.OutwardError as error:
            return Proof(CheckOutcome.UNKNOWN, str(error))
        found = read_json(answer) if answer.status == 200 else None
        isolated = _at(found, "metadata", "Endpoint", "state", "isolation")
        if not isinstance(isolated, bool):
            return Proof(
                CheckOutcome.UNKNOWN, f"The endpoint's state could not be read (answer {answer.status})."
            )
        says = (
            "The endpoint reports that it is isolated."
            if isolated
            else "The endpoint reports that it is not isolated."
        )
        wanted = order.kind == "isolate_host"
        return Proof(CheckOutcome.HOLDING if isolated == wanted else CheckOutcome.BROKEN, says)

    def test(self) -> Outcome:
        return tried(lambda: self._tested(self._request("GET", "/api/endpoint/action?page=1&pageSize=1")))

    def _tested(self, answer: outward.Answer) -> Outcome:
        bad = refused(answer, "Kibana")
        return bad or Outcome(Result.DONE, "Kibana answers, and the key may read response actions.")

    def _comment(self, order: Order) -> str:
        return f"Casewright {order.case}, {order.number}: {order.reason}"[:500] + f" [{order.key}]"

    def _sent(self, answer: outward.Answer) -> Outcome:
        if (bad := refused(answer, "Kibana")) is not None:
            return bad
        found = read_json(answer)
        identity = _at(found, "data", "id") or (found or {}).get("action")
        if not isinstance(identity, str) or not identity:
            return unreadable("Kibana")
        return Outcome(
            Result.STARTED,
            _TAKEN,
            identity[:255],
            again_after=_POLL,
        )

    def _find(self, order: Order) -> Outcome:
        """An order whose sending was cut off is told by the key in its comment."""
        agent = str(order.parameters.get("agent_id") or "")
        command = COMMANDS.get(order.kind, ("", ""))[1]
        query = urlencode({"agentIds": agent, "commands": command, "page": 1, "pageSize": 100})
        answer = self._request("GET", f"/api/endpoint/action?{query}")
        rows = _at(read_json(answer), "data") if answer.status == 200 else None
        if not isinstance(rows, list):
            return Outcome(
                Result.UNKNOWN, f"Kibana's list of actions could not be read (answer {answer.status})."
            )
        for row in rows:
            if isinstance(row, dict) and f"[{order.key}]" in str(row.get("comment", "")):
                return self._told(row, order)
        return Outcome(Result.NOT_TAKEN, "Kibana has no such action: the order never arrived.")

    def _status(self, order: Order) -> Outcome:
        answer = self._request("GET", f"/api/endpoint/action/{_identity(order.external_id)}")
        if answer.status == 404:
            return Outcome(Result.UNKNOWN, "Kibana does not know the action that it took.")
        row = _at(read_json(answer), "data") if answer.status == 200 else None
        if not isinstance(row, dict):
            return Outcome(
                Result.UNKNOWN, f"Kibana's answer about it could not be read (answer {answer.status})."
            )
        return self._told(row, order)

    def _told(self, row: Mapping[str, Any], order: Order) -> Outcome:
        identity = str(row.get("id", order.external_id))[:255]
        if row.get("isExpired") and not row.get("isCompleted"):
            return Outcome(Result.FAILED, "It lapsed: the endpoint did not answer in time.", identity)
        if not row.get("isCompleted"):
            return Outcome(Result.STARTED, self._waiting(order), identity, again_after=_POLL)
        output = row.get("outputs") if isinstance(row.get("outputs"), dict) else {}
        if not row.get("wasSuccessful"):
            errors = row.get("errors")
            told = errors if isinstance(errors, list) else []
            says = "; ".join(str(error) for error in told)[:500] or "without a reason"
            return Outcome(
                Result.FAILED, f"The endpoint says that it failed: {says}.", identity, output or {}
            )
        files = self._files(identity, order) if order.kind == "collect_file" else ()
        return Outcome(Result.DONE, "The endpoint says that it is done.", identity, output or {}, files=files)

    def _waiting(self, order: Order) -> str:
        """What an order waits for: an endpoint that is off gets it when it comes back."""
        try:
            agent = _identity(str(order.parameters.get("agent_id") or ""))
            answer = self._request("GET", f"/api/endpoint/metadata/{agent}")
        except outward.OutwardError:
            return _TAKEN
        found = (read_json(answer) or {}) if answer.status == 200 else {}
        status, seen = str(found.get("host_status", "")), str(found.get("last_checkin", ""))
        if status not in _AWAY:
            return _TAKEN
        heard = f", last heard of {seen[:16].replace('T', ' ')} UTC" if _TIME.match(seen) else ""
        return f"Kibana took it and keeps it: the endpoint is {status}{heard}. It acts when it comes back."

    def _files(self, identity: str, order: Order) -> tuple[tuple[str, bytes], ...]:
        agent = str(order.parameters.get("agent_id") or "")
        action = _identity(identity)
        path = f"/api/endpoint/action/{action}/file/{action}.{_identity(agent)}/download"
        answer = self._request("GET", path, most=_FILE_BYTES)
        return ((f"{order.number}-file.zip", answer.body),) if answer.status == 200 and answer.body else ()

    def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, most: int = outward.MOST_BYTES
    ) -> outward.Answer:
        headers = {
            "Authorization": f"ApiKey {self.api_key}",
            "kbn-xsrf": "casewright",
            "Elastic-Api-Version": _VERSION,
            "Content-Type": "application/json",
            "Accept": "*/*",
        }
        content = json.dumps(body, ensure_ascii=True).encode() if body is not None else b""
        return outward.send(
            method,
            self.url + path,
            body=content,
            headers=headers,
            seconds=self.seconds,
            ca_file=self.ca_file,
            most_bytes=most,
        )


def _parameters(order: Order) -> dict[str, Any]:
    given = order.parameters
    if order.kind in ("kill_process", "suspend_process"):
        if entity := given.get("entity_id"):
            return {"entity_id": entity}
        pid = str(given.get("pid", ""))
        return {"pid": int(pid)} if pid.isascii() and pid.isdigit() else {}
    if order.kind == "collect_file":
        paths = given.get("paths") or [""]
        return {"path": paths[0]}
    return {}


def _identity(text: str) -> str:
    """An id as Kibana makes them. Raises RefusedTargetError for anything else: it would be another path."""
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise outward.RefusedTargetError(f"{text[:80]!r} is no id of an agent or action.") from error


def _at(found: Any, *names: str) -> Any:
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found
