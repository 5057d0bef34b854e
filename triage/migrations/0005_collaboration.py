"""Notes, attachments, tasks, merges and overrides."""

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    dependencies: ClassVar = [("triage", "0004_observables")]

    operations: ClassVar = []
