"""Set-up of the detections app."""

import gc

from django.apps import AppConfig


class DetectionsConfig(AppConfig):
    name = "detections"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from detections import (  # noqa: F401 -- they register themselves
            alert_copies,
            back_search,
            checks,
            import_jobs,
            integrity,
            wake,
        )

        # Events are many small objects without cycles: by default a fifth of an import would be collection.
        gc.set_threshold(50_000, 20, 50)
        integrity.connect(self)
