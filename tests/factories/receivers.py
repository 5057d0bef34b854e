"""Local systems that orders are sent to: a receiver whose every answer is scripted, and a Kibana."""

import json
import ssl
import threading
import time
import uuid
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl


class Receiver:
    """Keeps what it gets, and answers from `answers`: (status, headers, body), or a function."""

    def __init__(self, tls: ssl.SSLContext | None = None):
        self.got, self.answers = [], []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                length = int(self.headers.get("Content-Length") or 0)
                outer.got.append((self.command, self.path, dict(self.headers), self.rfile.read(length)))
                outer.answer(self)

            do_GET = do_POST  # noqa: N815 -- the server's own name

            def log_message(self, *_given):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_given: None
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.scheme, self.port = ("https" if tls else "http"), self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def entry(self):
        return self.url if self.scheme == "http" else f"127.0.0.1:{self.port}"

    def answer(self, handler):
        scripted = self.answers.pop(0) if self.answers else (200, {}, {"result": "done", "says": "Done."})
        if callable(scripted):
            return scripted(handler)
        status, headers, body = scripted
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)
        return None

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@contextmanager
def receiver(settings, tls=None):
    made = Receiver(tls)
    settings.ALLOWED_TARGETS = [*settings.ALLOWED_TARGETS, made.entry]
    try:
        yield made
    finally:
        made.stop()


def silent(seconds):
    """Takes the order and says nothing for so long."""
    return lambda _handler: time.sleep(seconds)


def dripping(seconds):
    """A byte now and then."""

    def drip(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)

    return drip


def cut(handler):
    """Breaks off before a word."""
    handler.close_connection = True
    handler.connection.close()


COMMANDS = {
    "isolate": "isolate",
    "unisolate": "unisolate",
    "kill_process": "kill-process",
    "suspend_process": "suspend-process",
    "get_file": "get-file",
    "running_procs": "running-processes",
}
OF_A_BODY = {"endpoint_ids", "agent_type", "alert_ids", "case_ids", "comment", "parameters"}


def fault_of_body(path, body):
    """What Kibana's schema of a response action objects to, which knows no field beside its own; None."""
    if unknown := set(body) - OF_A_BODY:
        return f"[request body.{min(unknown)}]: definition for this key is missing"
    agents = body.get("endpoint_ids")
    if not isinstance(agents, list) or not agents or not all(isinstance(one, str) and one for one in agents):
        return "[request body.endpoint_ids]: expected a list of ids"
    given = body.get("parameters")
    if path in ("kill_process", "suspend_process"):
        is_entity = isinstance(given, dict) and set(given) == {"entity_id"} and given["entity_id"]
        is_pid = isinstance(given, dict) and set(given) == {"pid"} and isinstance(given["pid"], int)
        return None if is_entity or (is_pid and given["pid"] > 0) else "[request body.parameters]: one of"
    if path == "get_file":
        is_path = isinstance(given, dict) and set(given) == {"path"} and given["path"]
        return None if is_path else "[request body.parameters.path]: expected a path"
    return "[request body.parameters]: definition for this key is missing" if given is not None else None


class Kibana(Receiver):
    """Speaks the endpoint actions API. Endpoints obey at once, unless `is_slow`, `is_off` or `broken`."""

    def __init__(self):
        self.actions, self.isolated, self.faults = {}, set(), []
        self.is_slow, self.is_off, self.broken, self.key = False, False, "", "kibana-secret"
        super().__init__()

    def answer(self, handler):
        if self.faults:
            fault = self.faults.pop(0)
            if callable(fault):
                return fault(handler)
            if fault is not None:
                self.answers = [fault]
                return super().answer(handler)
        self.answers = [self._reply(handler)]
        return super().answer(handler)

    def _reply(self, handler):
        method, path, headers, body = self.got[-1]
        if headers.get("Authorization") != f"ApiKey {self.key}":
            return 401, {}, {"message": "unauthorised"}
        if method == "POST" and "kbn-xsrf" not in {name.lower() for name in headers}:
            return 400, {}, {"message": "Request must contain a kbn-xsrf header."}
        parts = path.partition("?")[0].strip("/").split("/")
        if method == "POST" and parts[:3] == ["api", "endpoint", "action"]:
            order = json.loads(body)
            if parts[3] not in COMMANDS:
                return 404, {}, {"message": "Not Found"}
            if fault := fault_of_body(parts[3], order):
                return 400, {}, {"statusCode": 400, "error": "Bad Request", "message": fault}
            return 200, {}, self._made(parts[3], order)
        if parts[:3] == ["api", "endpoint", "metadata"]:
            state = {"isolation": parts[3] in self.isolated}
            metadata = {
                "metadata": {"Endpoint": {"state": state}},
                "last_checkin": "2026-03-18T07:00:00.000Z",
            }
            return 200, {}, metadata | {"host_status": "offline" if self.is_off else "healthy"}
        if parts == ["api", "endpoint", "action"]:
            return 200, {}, {"page": 1, "pageSize": 100, "data": self._listed(path.partition("?")[2])}
        if len(parts) == 4 and parts[3] in self.actions:
            return 200, {}, {"data": self.actions[parts[3]]}
        if len(parts) > 5 and parts[4] == "file":
            return 200, {}, b"PK\x03\x04the file"
        return 404, {}, {"message": "not found"}

    def _listed(self, query):
        wanted = dict(parse_qsl(query))
        assert set(wanted) <= {"agentIds", "commands", "page", "pageSize"}
        assert wanted.get("commands", "isolate") in COMMANDS.values()
        rows = (
            row for row in self.actions.values() if wanted.get("commands", row["command"]) == row["command"]
        )
        return [row for row in rows if wanted.get("agentIds", row["agents"][0]) in row["agents"]]

    def comes_back(self):
        """Endpoints that were off do what waits for them."""
        self.is_off = False
        for row in self.actions.values():
            row |= {"isCompleted": True, "wasSuccessful": True, "status": "successful"}

    def _made(self, command, order):
        identity, agent = str(uuid.uuid4()), order["endpoint_ids"][0]
        waits = self.is_slow or self.is_off
        row = {
            "id": identity,
            "agents": [agent],
            "command": COMMANDS[command],
            "agentType": "endpoint",
            "comment": order.get("comment", ""),
            "parameters": order.get("parameters"),
            "isCompleted": not waits,
            "wasSuccessful": not self.broken and not waits,
            "isExpired": False,
            "status": "pending" if waits else "failed" if self.broken else "successful",
            "errors": [self.broken] if self.broken else [],
            "outputs": {agent: {"type": "json", "content": {"code": command}}},
        }
        self.actions[identity] = row
        if not self.broken and not self.is_off:
            if command == "isolate":
                self.isolated.add(agent)
            elif command == "unisolate":
                self.isolated.discard(agent)
        return {"action": identity, "data": row}
