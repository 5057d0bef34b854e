"""Response actions."""

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    dependencies: ClassVar = [("triage", "0007_exception_items")]

    operations: ClassVar = []
