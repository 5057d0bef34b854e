"""What every request of a sender goes through: who sends, and errors in the shape that clients read."""

import json
import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from detections.actors import NotPermittedError
from detections.door import answers
from detections.door.body import BodyError
from detections.door.pressure import BusyError
from detections.door.tokens import Sender, sender_of
from detections.errors import StoreError

log = logging.getLogger(__name__)
P = ParamSpec("P")
Answer = Callable[Concatenate[HttpRequest, Sender, P], HttpResponse]
_CHALLENGES = ["ApiKey", 'Bearer realm="security"']


def answered(status: int, content: dict[str, Any] | list[Any]) -> HttpResponse:
    """JSON, with the header by which clients know a server of the kind that they expect."""
    response = HttpResponse(
        json.dumps(content, separators=(",", ":")), content_type="application/json", status=status
    )
    response["X-elastic-product"] = "Elasticsearch"
    return response


def refused(status: int, kind: str, reason: str, **more: Any) -> HttpResponse:
    return answered(status, answers.refusal(status, kind, reason, **more))


def door(*methods: str) -> Callable[[Answer[P]], Callable[Concatenate[HttpRequest, P], HttpResponse]]:
    """Let in senders with these methods. No session, no cookie, and so no CSRF: a token stands for itself.

    401 without a token in use; 405; 413, 400 or 415 for a request that can't be taken; 429 when busy; 503
    when the store or the database fails. In every case but success nothing is acknowledged.
    """

    def decorated(view: Answer[P]) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
        @csrf_exempt
        @wraps(view)
        def opened(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            try:
                sender = sender_of(request.headers.get("Authorization", ""))
                if sender is None:
                    return _unknown_sender()
                if request.method not in methods:
                    return _wrong_method(request, methods)
                return view(request, sender, *args, **kwargs)
            except BodyError as error:
                return refused(error.status, error.type, str(error))
            except BusyError as error:
                return refused(429, "es_rejected_execution_exception", str(error))
            except NotPermittedError as error:
                return refused(403, "security_exception", str(error))
            except (StoreError, DatabaseError, OSError) as error:
                log.exception("A sender's request was not taken.")
                reason = f"the events were not stored, send them again: {type(error).__name__}"
                return refused(503, "unavailable_shards_exception", reason)

        return opened

    return decorated


def _unknown_sender() -> HttpResponse:
    reason = (
        "unable to authenticate: no sender's token that is in use came with this request. "
        "An administrator makes one with manage.py sender_token create NAME"
    )
    response = refused(401, "security_exception", reason, header={"WWW-Authenticate": _CHALLENGES})
    response["WWW-Authenticate"] = ", ".join(_CHALLENGES)
    return response


def _wrong_method(request: HttpRequest, methods: tuple[str, ...]) -> HttpResponse:
    reason = (
        f"Incorrect HTTP method for uri [{request.path}] and method [{request.method}], "
        f"allowed: [{', '.join(sorted(methods))}]"
    )
    response = answered(405, {"error": reason, "status": 405})
    response["Allow"] = ", ".join(sorted(methods))
    return response
