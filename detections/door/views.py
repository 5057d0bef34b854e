"""Where senders' requests arrive: the bulk request, and what clients ask before they send one."""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from detections.door import answers, greetings
from detections.door.body import Body, BodyError, Readable, unpacked
from detections.door.pressure import pressure
from detections.door.receiving import receive
from detections.door.requests import answered, door, refused
from detections.door.tokens import Sender, is_sender_s
from detections.event_store import event_store

Page = Callable[[HttpRequest], HttpResponseBase]


@door("POST", "PUT")
def bulk(request: HttpRequest, sender: Sender, target: str = "") -> HttpResponse:
    """Store the events of a bulk request; what the answer calls stored is durable."""
    started = time.monotonic()
    size = _announced_size(request)
    with pressure.held(size, requests=settings.BULK_IN_FLIGHT, total=settings.BULK_IN_FLIGHT_BYTES):
        body = _body(request)
        try:
            items = receive(
                body,
                sender=sender,
                store=event_store(),
                default_index=target,
                limit=settings.BULK_ITEMS,
            )
        finally:
            body.file.close()
    milliseconds = round((time.monotonic() - started) * 1000)
    answer = answers.bulk(milliseconds, items)
    return answered(200, answers.filtered(answer, request.GET.get("filter_path", "")))


def _announced_size(request: HttpRequest) -> int:
    """Bytes that the request says it has. Raises BodyError, before any is read, for too many."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    size = int(length) if length.isascii() and length.isdigit() else 0
    if size > settings.BULK_BODY_BYTES:
        raise BodyError(
            f"the request has {size} bytes, more than {settings.BULK_BODY_BYTES}; send it in parts",
            type="content_too_long_exception",
            status=413,
        )
    return size


def _body(request: HttpRequest) -> Body:
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    return unpacked(_stream(request), encoding, limit=settings.BULK_BODY_BYTES)


def _stream(request: HttpRequest) -> Readable:
    """The request's bytes. Django takes a request without a length (sent in chunks) for an empty one."""
    source: Readable = request
    if not request.META.get("CONTENT_LENGTH") and request.META.get("wsgi.input_terminated"):
        source = request.META["wsgi.input"]
    return source


@door("GET", "HEAD")
def root(request: HttpRequest, sender: Sender) -> HttpResponse:
    return answered(200, greetings.about())


def root_or(page: Page) -> Page:
    """The front page, which is the pages' own, unless a sender asks: one with a header that browsers lack."""

    @wraps(page)
    def chosen(request: HttpRequest) -> HttpResponseBase:
        asks = is_sender_s(request.headers.get("Authorization", ""))
        if asks and "text/html" not in request.headers.get("Accept", ""):
            return root(request)
        return page(request)

    return chosen


@door("GET", "HEAD")
def told(request: HttpRequest, sender: Sender, what: Callable[[], dict[str, Any]]) -> HttpResponse:
    """What the server says of itself."""
    return answered(200, what())


@door("GET", "HEAD", "PUT", "POST", "DELETE")
def set_up(request: HttpRequest, sender: Sender, name: str = "") -> HttpResponse:
    """Templates, policies, pipelines, data streams: none is needed, so none is there and all are accepted."""
    if request.method in {"PUT", "POST"}:
        return answered(200, {"acknowledged": True})
    if request.method != "DELETE" and not name:
        return answered(200, {})
    return refused(
        404, "resource_not_found_exception", f"[{name}] not found: nothing of the kind is kept here"
    )


@door("GET", "HEAD", "PUT")
def index(request: HttpRequest, sender: Sender, target: str) -> HttpResponse:
    """An index or alias: none needs to be made before events are sent to it."""
    if request.method == "PUT":
        return answered(200, {"acknowledged": True, "shards_acknowledged": True, "index": target})
    return refused(404, "index_not_found_exception", f"no such index [{target}]", index=target)


@door("GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS")
def unknown(request: HttpRequest, sender: Sender, rest: str = "") -> HttpResponse:
    reason = f"no handler found for uri [{request.path}] and method [{request.method}]"
    return refused(400, "illegal_argument_exception", reason)
