"""Stands before a real Elasticsearch of the tests: answers `GET /` and `_eql/search`, injects faults.

Its EQL answers come from the documents that the server returns for the request's indices and filter,
evaluated by our Python back end, in Elasticsearch's response shape. It refuses what Elasticsearch refuses,
with Elasticsearch's error types. Everything else goes through to the server as it came.
"""

import json
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import urllib3

from detections.eql.ast import SequenceQuery
from detections.eql.execute import ResultPosition, execute
from detections.eql.fields import Field, FieldCatalogue, FieldType
from detections.eql.parser import parse
from detections.errors import EqlError, EqlSyntaxError

KNOWN_BODY = {
    "query", "filter", "size", "timestamp_field", "tiebreaker_field", "event_category_field",
    "result_position",
    "fetch_size", "fields", "runtime_mappings", "max_samples_per_key", "keep_alive", "keep_on_completion",
    "wait_for_completion_timeout", "allow_partial_search_results", "allow_partial_sequence_results",
}  # fmt: skip
KNOWN_PARAMETERS = {
    "allow_no_indices", "expand_wildcards", "ignore_unavailable", "allow_partial_search_results",
    "allow_partial_sequence_results", "ccs_minimize_roundtrips", "pretty", "human", "error_trace",
}  # fmt: skip
HEADERS = {
    "Content-Type": "application/vnd.elasticsearch+json;compatible-with=8",
    "X-elastic-product": "Elasticsearch",
}
TYPES = {
    "keyword": FieldType.KEYWORD, "wildcard": FieldType.KEYWORD, "constant_keyword": FieldType.KEYWORD,
    "text": FieldType.TEXT, "long": FieldType.LONG, "integer": FieldType.LONG, "double": FieldType.DOUBLE,
    "float": FieldType.DOUBLE, "boolean": FieldType.BOOLEAN, "date": FieldType.DATE, "ip": FieldType.IP,
    "date_nanos": FieldType.DATE,
}  # fmt: skip
Answer = tuple[int, dict[str, Any]]


@dataclass
class Fault:
    """One thing that goes wrong. where: part of the request's path. times: for how many requests.

    status and body: what is answered instead. cut: the answer ends in its middle. reset: the connection is
    cut before an answer. garbage: no JSON. delay: seconds before the true answer. changes: put into the true
    answer's body.
    """

    where: str
    status: int = 0
    body: dict[str, Any] = field(default_factory=dict)
    times: int = 1
    after: int = 0
    cut: bool = False
    reset: bool = False
    garbage: bool = False
    delay: float = 0.0
    changes: dict[str, Any] = field(default_factory=dict)


def error(status: int, type_: str, reason: str) -> dict[str, Any]:
    """An error body in Elasticsearch's shape."""
    cause = {"type": type_, "reason": reason}
    return {"error": {"root_cause": [cause], **cause}, "status": status}


class Front:
    """The front as a server on loopback. requests: every request that came, newest last.

    tls: a context to answer with. native: the server answers EQL itself. pool: connections to the server.
    """

    def __init__(
        self,
        upstream: str,
        *,
        tls: Any = None,
        native: bool = False,
        pool: urllib3.PoolManager | None = None,
    ) -> None:
        self.upstream, self.native = upstream, native
        self.faults: list[Fault] = []
        self.requests: deque[tuple[str, str, bytes, dict[str, str]]] = deque(maxlen=5000)
        self.pool = pool or urllib3.PoolManager(maxsize=8)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        scheme = "https" if tls is not None else "http"
        self.url = f"{scheme}://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def inject(self, fault: Fault) -> None:
        self.faults.append(fault)

    def fault_for(self, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.where in path and fault.times > 0:
                if fault.after > 0:
                    fault.after -= 1
                    continue
                fault.times -= 1
                return fault
        return None

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> Any:
        length = () if body else ("content-length", "content-type")
        kept = {name: value for name, value in headers.items() if name.lower() not in length}
        return self.pool.request(
            method, self.upstream + path, headers=kept, body=body, retries=False, timeout=60
        )


def _handler(front: Front) -> type[BaseHTTPRequestHandler]:  # noqa: C901 -- one class, small methods
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def _any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else b""
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            front.requests.append((self.command, self.path, body, {k.lower(): v for k, v in headers.items()}))
            fault = front.fault_for(self.path)
            if fault is not None and fault.delay:
                time.sleep(fault.delay)
            if fault is not None and fault.reset:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            if fault is not None and fault.status:
                self._send(fault.status, json.dumps(fault.body).encode(), HEADERS, fault)
                return
            status, answer, sent = self._true(headers, body)
            if fault is not None and fault.changes and status == 200:
                answer = json.dumps({**json.loads(answer), **fault.changes}).encode()
            self._send(status, answer, sent, fault)

        def _true(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes, dict[str, str]]:
            parts = urlsplit(self.path)
            if not front.native and parts.path == "/":
                about = {"name": "front", "version": {"number": "8.19.0"}, "tagline": "You Know, for Search"}
                return 200, json.dumps(about).encode(), HEADERS
            if not front.native and parts.path.endswith("/_eql/search"):
                status, found = eql_search(front, parts.path, parse_qs(parts.query), headers, body)
                return status, json.dumps(found).encode(), HEADERS
            answer = front.ask(self.command, self.path, headers, body)
            kept = {name: value for name, value in answer.headers.items() if name.lower() in
                    ("content-type", "x-elastic-product", "warning")}  # fmt: skip
            return answer.status, answer.data, kept

        def _send(self, status: int, body: bytes, headers: dict[str, str], fault: Fault | None) -> None:
            if fault is not None and fault.garbage:
                body = b"<html>not what was asked for</html>"
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body[: len(body) // 2] if fault is not None and fault.cut else body)
            if fault is not None and fault.cut:
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True

    for method in ("GET", "POST", "PUT", "DELETE", "HEAD"):
        setattr(Handler, f"do_{method}", Handler._any)
    return Handler


def eql_search(
    front: Front, path: str, parameters: dict[str, list[str]], headers: dict[str, str], body: bytes
) -> Answer:
    """As the EQL API answers, errors included."""
    indices = path.strip("/").removesuffix("/_eql/search")
    asked = json.loads(body or b"{}")
    if strange := set(asked) - KNOWN_BODY:
        reason = f"[eql/search] unknown field [{sorted(strange)[0]}]"
        return 400, error(400, "x_content_parse_exception", reason)
    if strange := set(parameters) - KNOWN_PARAMETERS:
        reason = f"request [/{path}] contains unrecognized parameter: [{sorted(strange)[0]}]"
        return 400, error(400, "illegal_argument_exception", reason)
    if asked.get("size", 10) > 10_000:
        return 400, error(400, "illegal_argument_exception", "size cannot be greater than [10000]")
    fields = _caps(front, indices, headers)
    if isinstance(fields, tuple):
        return fields
    try:
        query = parse(asked["query"])
    except EqlSyntaxError as fault:
        return 400, error(400, "parsing_exception", f"line {fault.line}:{fault.column}: {fault.message}")
    status, hits = _documents(front, indices, asked, headers)
    if status != 200:
        return status, hits
    documents = [{**hit["_source"], "\0hit": index} for index, hit in enumerate(hits)]
    try:
        rows = execute(
            query,
            documents,
            FieldCatalogue(fields),
            timestamp_field=asked.get("timestamp_field", "@timestamp"),
            tiebreaker_field=asked.get("tiebreaker_field", ""),
            event_category_field=asked.get("event_category_field", "event.category"),
            size=asked.get("size", 10),
            result_position=ResultPosition(asked.get("result_position", "tail")),
        )
    except EqlError as fault:
        name = getattr(fault, "field", "")
        said = f"Unknown column [{name}]" if name else fault.message
        reason = f"Found 1 problem\nline {fault.line}:{fault.column}: {said}"
        return 400, error(400, "verification_exception", reason)
    return 200, _answer(rows, hits, is_sequence=len(query.stages) != 1 or isinstance(query, SequenceQuery))


def _answer(rows: list[Any], hits: list[dict[str, Any]], *, is_sequence: bool) -> dict[str, Any]:
    def event(document: Any) -> dict[str, Any]:
        if document is None:
            return {"_index": "", "_id": "", "_source": {}, "missing": True}
        hit = hits[document["\0hit"]]
        return {"_index": hit["_index"], "_id": hit["_id"], "_source": hit["_source"]}

    found: dict[str, Any] = {"total": {"value": len(rows), "relation": "eq"}}
    if is_sequence:
        found["sequences"] = [
            {"join_keys": list(row.keys), "events": [event(one) for one in row.events]} for row in rows
        ]
    else:
        found["events"] = [event(row.events[0]) for row in rows]
    return {"is_partial": False, "is_running": False, "took": 1, "timed_out": False, "hits": found}


def _caps(front: Front, indices: str, headers: dict[str, str]) -> list[Field] | Answer:
    answer = front.ask(
        "GET",
        f"/{indices}/_field_caps?fields=*&allow_no_indices=true&ignore_unavailable=false",
        headers,
        None,
    )
    if answer.status != 200:
        return answer.status, json.loads(answer.data)
    found = []
    for name, types in json.loads(answer.data)["fields"].items():
        type_ = next((TYPES[one] for one in types if one in TYPES), None)
        if type_ is not None:
            found.append(Field(name, type_))
    return found


def _own(headers: dict[str, str]) -> dict[str, str]:
    """The front's own request, with the credential of who asked."""
    credential = {name: value for name, value in headers.items() if name.lower() == "authorization"}
    return {**credential, "Content-Type": "application/json", "Accept": "application/json"}


def _documents(front: Front, indices: str, asked: dict[str, Any], headers: dict[str, str]) -> tuple[int, Any]:
    """Every document of the request's filter, oldest first."""
    body = {
        "size": 10_000,
        "query": {"bool": {"filter": [asked["filter"]] if asked.get("filter") else []}},
        "sort": [{asked.get("timestamp_field", "@timestamp"): "asc"}, {"_doc": "asc"}],
    }
    answer = front.ask("POST", f"/{indices}/_search", _own(headers), json.dumps(body).encode())
    found = json.loads(answer.data)
    return answer.status, found["hits"]["hits"] if answer.status == 200 else found
