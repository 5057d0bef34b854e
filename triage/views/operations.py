"""What machines ask: does it live, does it do its work, and its figures."""

import logging

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from detections import readiness
from detections.actors import of_user
from triage import metrics

log = logging.getLogger(__name__)


@require_safe
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """The web process answers. Nothing else is asked, so a broken database does not restart the pages."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """200 while detection does its work, else 503 with the reasons."""
    reasons = readiness.reasons()
    answer = JsonResponse({"ready": not reasons, "reasons": reasons}, status=503 if reasons else 200)
    # Whoever asks is told; a line in the log for each question would drown the others.
    answer._has_been_logged = True  # type: ignore[attr-defined]  # Django's own mark
    return answer


@require_safe
@never_cache
def figures(request: HttpRequest) -> HttpResponse:
    """The figures, for who has the token or may see runs."""
    if not _has_token(request):
        if not request.user.is_authenticated:
            refused = HttpResponse("Send the token of METRICS_TOKEN as a bearer token.\n", status=401)
            refused.headers["WWW-Authenticate"] = 'Bearer realm="metrics"'
            return refused
        if not of_user(request.user).can("detections.view_rulerun"):
            return HttpResponse("The permission detections.view_rulerun is missing.\n", status=403)
    return HttpResponse(metrics.exposition(), content_type=CONTENT_TYPE_LATEST)


def _has_token(request: HttpRequest) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    wanted = settings.METRICS_TOKEN
    return bool(wanted) and scheme.lower() == "bearer" and constant_time_compare(given.strip(), wanted)
