"""Which telemetry a query reads, and so must exist before its silence says anything."""

import pytest

from detections.eql.parser import parse
from triage.guides.telemetry import needed


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ('network where dns.question.name : "x"', ["dns"]),
        ("network where destination.port == 135", ["connection"]),
        ('process where process.name : "x"', ["process"]),
        (
            'sequence by host.id [network where destination.port == 135] [process where process.name : "x"]',
            ["connection", "process"],
        ),
        (
            'sequence by host.id [any where file.path : "x"] [network where dns.question.name : "y"]',
            ["file", "dns"],
        ),
    ],
)
def test_each_stage_of_a_query_needs_its_own_telemetry(query, kinds):
    assert sorted(needed(parse(query))) == sorted(kinds)
