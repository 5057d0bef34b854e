"""Alerts that Elastic Security raised, and how far they were read."""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("detections", "0006_elasticsearch")]

    operations: ClassVar = [
        migrations.CreateModel(
            name='OutsideSource',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('pattern', models.CharField(max_length=255, unique=True)),
                ('from_time', models.DateTimeField()),
                ('cursor_at', models.DateTimeField(null=True)),
                ('cursor_uuid', models.CharField(blank=True, max_length=255)),
                ('fence', models.BigIntegerField(default=0)),
                ('deep_at', models.DateTimeField(null=True)),
                ('polled_at', models.DateTimeField(null=True)),
                ('succeeded_at', models.DateTimeField(null=True)),
                ('failing_since', models.DateTimeField(null=True)),
                ('error', models.TextField(blank=True)),
                ('unreadable', models.JSONField(default=list)),
                ('lag_seconds', models.FloatField(null=True)),
                ('taken', models.PositiveBigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name='OutsideAlert',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uuid', models.CharField(max_length=255, unique=True)),
                ('index', models.CharField(max_length=255)),
                ('document_id', models.CharField(max_length=512)),
                ('raised_at', models.DateTimeField(db_index=True)),
                ('rule_name', models.CharField(max_length=255)),
                ('rule_type', models.CharField(blank=True, max_length=30)),
                ('note', models.TextField(blank=True)),
                ('about', models.JSONField(default=dict)),
                ('copied_events', models.PositiveIntegerField(default=0)),
                ('status_written', models.CharField(blank=True, max_length=20)),
                ('alert', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='outside', to='detections.alert')),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='alerts', to='detections.outsidesource')),
            ],
        ),
    ]
