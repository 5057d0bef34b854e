"""Observables."""

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    dependencies: ClassVar = [("triage", "0003_pivots_asked_by_people")]

    operations: ClassVar = []
