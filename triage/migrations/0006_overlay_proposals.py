"""Overlays proposed and approved."""

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    dependencies: ClassVar = [("triage", "0005_collaboration")]

    operations: ClassVar = []
