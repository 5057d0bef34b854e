"""Saved queries are a rule type."""

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    dependencies: ClassVar = [("detections", "0004_merged_segments")]

    operations: ClassVar = []
