"""Set-up of the detections app."""

from django.apps import AppConfig


class DetectionsConfig(AppConfig):
    name = "detections"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from detections import (  # noqa: F401 -- they register themselves
            back_search,
            checks,
            import_jobs,
            integrity,
            wake,
        )

        integrity.connect(self)
