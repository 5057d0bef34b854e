"""Exception items, their hits and back-tests."""

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    dependencies: ClassVar = [("triage", "0006_overlay_proposals")]

    operations: ClassVar = []
