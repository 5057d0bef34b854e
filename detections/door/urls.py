"""The addresses of the live door: all below `/send/`, and those that can't be a page's also at the root.

Nothing here has a name: no page leads here.
"""

from django.urls import URLPattern, URLResolver, include, path, re_path

from detections.door import greetings, views

_SET_UP = (
    "_index_template|_template|_component_template|_ilm/policy|_ingest/pipeline|_data_stream|_alias|"
    "_data_stream/_lifecycle"
)
_both: list[URLPattern | URLResolver] = [
    re_path(r"^_bulk/?$", views.bulk),
    re_path(r"^(?P<target>[^/]+)/_bulk/?$", views.bulk),
    re_path(r"^_license/?$", views.told, {"what": greetings.license}),
    re_path(r"^_xpack/?$", views.told, {"what": greetings.features}),
    re_path(r"^_nodes(?:/http|/ingest|/_local)?/?$", views.told, {"what": greetings.nodes}),
    re_path(r"^_cluster/health/?$", views.told, {"what": greetings.health}),
    re_path(rf"^(?:{_SET_UP})(?:/(?P<name>[^/]*))?/?$", views.set_up),
]
urlpatterns: list[URLPattern | URLResolver] = [
    re_path(r"^send/?$", views.root),
    path("send/", include(_both)),
    re_path(r"^send/(?P<target>[^_/][^/]*)/?$", views.index),
    re_path(r"^send/(?P<rest>.*)$", views.unknown),
    path("", include(_both)),
]
