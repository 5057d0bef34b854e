"""How far apart two moments are, in a way that a constraint of either database can tell."""

from typing import Any, ClassVar

from django.db.models import FloatField, Func, Q
from django.db.models.lookups import LessThanOrEqual

# A year and a day, and a second, since days as floating numbers lose microseconds.
LONGEST_DAYS = 366 + 1 / 86_400


class Days(Func):
    """A moment as a number of days since some moment."""

    arity = 1
    output_field: ClassVar = FloatField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="julianday(%(expressions)s)", **extra)

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = "(EXTRACT(EPOCH FROM %(expressions)s) / 86400.0)"
        return self.as_sql(compiler, connection, template=template, **extra)


def within_a_year(begins: str) -> Q:
    """`expires_at` lies at most a year after the moment in the column `begins`, where both are known."""
    known = Q(**{f"{begins}__isnull": True}) | Q(expires_at__isnull=True)
    return known | Q(LessThanOrEqual(Days("expires_at"), Days(begins) + LONGEST_DAYS))
