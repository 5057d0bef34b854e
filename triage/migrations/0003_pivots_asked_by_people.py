"""Pivots that people ask for, and evidence that came late."""

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    dependencies: ClassVar = [("triage", "0002_notifications_and_storm_columns"), ("detections", "0005_saved_queries")]

    operations: ClassVar = []
