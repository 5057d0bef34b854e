"""What an Elasticsearch store keeps."""

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    dependencies: ClassVar = [("detections", "0005_saved_queries")]

    operations: ClassVar = []
