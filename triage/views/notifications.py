"""What a person should look at."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from triage import notes
from triage import notifications as told
from triage.models import Notification
from triage.views.doors import Asked, page

A_PAGE = 50


@page
def notifications(request: Asked) -> HttpResponse:
    visible = Notification.objects.visible_to(request.actor).select_related("acknowledged_by")
    past = visible.filter(resolved_at__isnull=False).order_by("-resolved_at")
    mentions = notes.mentions_of(request.actor)
    context = {
        "mentions": mentions[:A_PAGE],
        "unread": mentions.filter(read_at__isnull=True).count(),
        "standing": visible.unresolved(),
        "page": Paginator(past, A_PAGE).get_page(request.GET.get("page")),
        "may_acknowledge": request.actor.can("triage.acknowledge_notification"),
    }
    return render(request, "notifications/list.html", context)


@page
@require_POST
def notification_acknowledge(request: Asked, pk: int) -> HttpResponse:
    shown = get_object_or_404(Notification.objects.visible_to(request.actor), pk=pk)
    if told.acknowledge(shown, actor=request.actor):
        messages.success(request, "Acknowledged. It stays listed until the state is over.")
    return redirect("notifications")
