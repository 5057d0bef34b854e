"""Alerts that another product raised."""

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    dependencies: ClassVar = [("triage", "0008_response_actions"), ("detections", "0006_elasticsearch")]

    operations: ClassVar = []
