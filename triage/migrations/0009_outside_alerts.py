"""Alerts that another product raised."""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("triage", "0008_response_actions"), ("detections", "0006_elasticsearch")]

    operations: ClassVar = [
        migrations.AddField(
            model_name='guideversion',
            name='external_rule_id',
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AlterField(
            model_name='guideversion',
            name='rule_version',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='guides', to='detections.ruleversion'),
        ),
        migrations.AddConstraint(
            model_name='guideversion',
            constraint=models.UniqueConstraint(condition=models.Q(('rule_version__isnull', True)), fields=('external_rule_id', 'sha256'), name='guide_of_an_alert_once'),
        ),
        migrations.AddConstraint(
            model_name='guideversion',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('external_rule_id', ''), ('rule_version__isnull', False)), models.Q(('rule_version__isnull', True), models.Q(('external_rule_id', ''), _negated=True)), _connector='OR'), name='guide_names_its_rule'),
        ),
    ]
