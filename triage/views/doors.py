"""What every page does before it does its own work: who asks, and what a refusal looks like."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django_htmx.middleware import HtmxDetails

from detections.actors import Actor, NotPermittedError, of_user

P = ParamSpec("P")


class Asked(HttpRequest):
    """A request of a signed-in person. `actor` is who acts."""

    user: User
    actor: Actor
    htmx: HtmxDetails


def page(
    view: Callable[Concatenate[Asked, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """Only for the signed-in; NotPermittedError becomes a page that says what is missing."""

    @wraps(view)
    def opened(plain: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        request = cast("Asked", plain)
        request.actor = of_user(request.user)
        try:
            return view(request, *args, **kwargs)
        except NotPermittedError as refused:
            return forbidden(request, str(refused))

    return login_required(opened)


def forbidden(request: HttpRequest, why: str) -> HttpResponse:
    return render(request, "403.html", {"exception": why}, status=403)
