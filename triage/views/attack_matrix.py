"""Which techniques of ATT&CK the enabled rules look for."""

from itertools import zip_longest

from django.http import HttpResponse
from django.shortcuts import render

from detections import rule_catalogue
from triage.views.doors import Asked, page


@page
def attack_matrix(request: Asked) -> HttpResponse:
    known = rule_catalogue.catalogue(actor=request.actor)
    columns = rule_catalogue.coverage(known)
    cells = [[(column.tactic, cell) for cell in column.cells] for column in columns]
    techniques = {cell.technique for column in columns for cell in column.cells}
    covered = {cell.technique for column in columns for cell in column.cells if cell.enabled}
    return render(
        request,
        "rules/coverage.html",
        {
            "columns": columns,
            "rows": list(zip_longest(*cells)),
            "known": len(known),
            "unmapped": sum(1 for rule in known if not rule.mapping),
            "enabled": sum(1 for rule in known if rule.enabled and rule.is_runnable),
            "covered": len(covered),
            "techniques": len(techniques),
        },
    )
