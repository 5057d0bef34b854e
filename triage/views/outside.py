"""Pages for who has no account here: the block list, results of orders, and replies of owners."""

import base64
import binascii
import json
from collections.abc import Callable
from hashlib import sha256

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.cache import get_conditional_response
from django.utils.crypto import constant_time_compare
from django.utils.http import quote_etag
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from triage import reply_links
from triage.enums import ObservableType
from triage.errors import TriageError
from triage.response import block_feed
from triage.response import results as response_results

MOST_BODY = 64 * 1024


@require_safe
def block_list(request: HttpRequest) -> HttpResponse:
    """One value a line; `?type=ip`, `domain` or `hash` for one sort."""
    wanted = request.GET.get("type", "")
    if wanted and wanted not in (ObservableType.IP, ObservableType.DOMAIN, ObservableType.HASH):
        return HttpResponse(
            "There are the types ip, domain and hash.\n", status=400, content_type="text/plain"
        )
    return _feed(request, lambda: block_feed.as_text(wanted), "text/plain; charset=utf-8")


@require_safe
def block_list_stix(request: HttpRequest) -> HttpResponse:
    """A STIX 2.1 bundle."""
    return _feed(request, block_feed.as_stix, "application/stix+json;version=2.1")


def _feed(request: HttpRequest, content: Callable[[], str], content_type: str) -> HttpResponse:
    if not settings.FEED_TOKEN:
        return HttpResponse(
            "The block list is off: CASEWRIGHT_FEED_TOKEN is not set.\n",
            status=404,
            content_type="text/plain",
        )
    if not _has_token(request):
        refused = HttpResponse("Send the token, as a bearer token or as the password.\n", status=401)
        refused.headers["WWW-Authenticate"] = 'Basic realm="block list"'
        return refused
    body = content().encode()
    etag = quote_etag(sha256(body).hexdigest())
    block_feed.pulled()
    answer = HttpResponse(
        body, content_type=content_type, headers={"ETag": etag, "Cache-Control": "no-cache"}
    )
    found = get_conditional_response(request, etag=etag, response=answer)
    return (
        answer
        if found is None
        else HttpResponse(found.content, status=found.status_code, headers=dict(found.headers))
    )


def _has_token(request: HttpRequest) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif scheme.lower() != "bearer":
        return False
    return constant_time_compare(given.strip(), settings.FEED_TOKEN)


@csrf_exempt
@require_POST
@never_cache
def action_result(request: HttpRequest, token: str) -> HttpResponse:
    """A target says what came of an order: `{"result": "done" or "failed", "says": "..."}`."""
    if int(request.headers.get("Content-Length") or 0) > MOST_BODY:
        return JsonResponse({"error": f"More than {MOST_BODY} bytes."}, status=413)
    try:
        given = json.loads(request.body)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        return JsonResponse({"error": 'Send a JSON object: {"result": "done"}.'}, status=400)
    try:
        action = response_results.called_back(
            token, result=str(given.get("result", "")), says=str(given.get("says", ""))
        )
    except TriageError as refused:
        return JsonResponse({"error": str(refused)}, status=409)
    return JsonResponse({"action": action.number, "state": action.state})


@require_http_methods(["GET", "POST"])
@never_cache
def reply(request: HttpRequest, token: str) -> HttpResponse:
    """The question to an owner, and their one answer."""
    given = request.POST
    if request.method == "POST":
        try:
            if given.get("confirms") not in ("yes", "no"):
                raise TriageError("Choose whether you confirm it.")
            reply_links.answer(
                token,
                confirms=given.get("confirms") == "yes",
                name=given.get("name", ""),
                statement=given.get("statement", ""),
            )
        except TriageError as refused:
            return _reply_page(request, token, str(refused), status=422)
        return render(request, "response/replied.html")
    return _reply_page(request, token, "", status=200)


def _reply_page(request: HttpRequest, token: str, refusal: str, *, status: int) -> HttpResponse:
    try:
        link = reply_links.of_token(token)
    except TriageError as refused:
        return render(request, "response/reply.html", {"over": str(refused)}, status=404)
    context = {"link": link, "refusal": refusal, "typed": request.POST}
    return render(request, "response/reply.html", context, status=status)
