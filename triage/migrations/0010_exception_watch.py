"""An exception lasts a year at most, also for who writes past the product."""

from typing import ClassVar

from django.db import migrations, models
from django.db.models import Q
from django.db.models.lookups import LessThanOrEqual

from triage.models.days import Days


class Migration(migrations.Migration):
    dependencies: ClassVar = [("triage", "0009_outside_alerts")]

    operations: ClassVar = [
        migrations.AddConstraint(
            model_name="exceptionversion",
            constraint=models.CheckConstraint(
                condition=Q(active_from__isnull=True)
                | Q(expires_at__isnull=True)
                | Q(LessThanOrEqual(Days("expires_at"), Days("active_from") + (366 + 1 / 86_400))),
                name="exception_lasts_a_year",
            ),
        ),
        migrations.AddConstraint(
            model_name="exceptionversion",
            constraint=models.CheckConstraint(
                condition=Q(state="draft")
                | Q(starts_at__isnull=True)
                | Q(expires_at__isnull=True)
                | Q(LessThanOrEqual(Days("expires_at"), Days("starts_at") + (366 + 1 / 86_400))),
                name="exception_lasts_a_year_once_begun",
            ),
        ),
    ]
