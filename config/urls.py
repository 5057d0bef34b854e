"""The URLs of the whole product."""

from django.contrib import admin
from django.urls import include, path

from detections.door.views import root_or
from triage.views.queue import queue

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", root_or(queue), name="queue"),
    path("", include("detections.door.urls")),
    path("", include("triage.urls")),
]
