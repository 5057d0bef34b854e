"""Set-up of the detections app."""

from django.apps import AppConfig


class DetectionsConfig(AppConfig):
    name = "detections"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from detections import checks, import_jobs, integrity  # noqa: F401 -- they register themselves

        integrity.connect(self)
