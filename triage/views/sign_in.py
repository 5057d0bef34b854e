"""Signing in and out, and the first account."""

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from triage import access, accounts
from triage.errors import TriageError
from triage.forms import FirstAdminForm

BACKEND = "django.contrib.auth.backends.ModelBackend"


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    if accounts.is_first_run():
        return redirect("first_run")
    form = AuthenticationForm(request, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        auth.login(request, form.get_user())
        return redirect(_destination(request))
    if request.user.is_authenticated and request.method == "GET":
        return redirect(_destination(request))
    return render(
        request,
        "registration/sign_in.html",
        {"form": form, "next": request.GET.get("next", "")},
        status=403 if form.is_bound else 200,
    )


def _destination(request: HttpRequest) -> str:
    target = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if target and is_ours else settings.LOGIN_REDIRECT_URL


@never_cache
@require_http_methods(["GET", "POST"])
def sign_in_once(request: HttpRequest, token: str) -> HttpResponse:
    """GET only shows a button: link previews and scanners must not use the token up."""
    if request.method == "GET":
        return render(request, "registration/sign_in_once.html", {"error": ""})
    try:
        user = access.redeem(token)
    except TriageError as refused:
        return render(request, "registration/sign_in_once.html", {"error": str(refused)}, status=403)
    auth.login(request, user, backend=BACKEND)
    return redirect(settings.LOGIN_REDIRECT_URL)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    auth.logout(request)
    return redirect("sign_in")


@sensitive_post_parameters("password", "repeated")
@never_cache
@require_http_methods(["GET", "POST"])
def first_run(request: HttpRequest) -> HttpResponse:
    """Makes the first admin account, as long as there is nobody."""
    if not accounts.is_first_run():
        return redirect("queue")
    form = FirstAdminForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            user = accounts.create_first_admin(
                username=given["username"], full_name=given["full_name"], password=given["password"]
            )
        except TriageError as refused:
            form.add_error(None, str(refused))
        else:
            auth.login(request, user, backend=BACKEND)
            return redirect("next_steps")
    status = 422 if form.is_bound else 200
    return render(request, "registration/first_run.html", {"form": form}, status=status)
