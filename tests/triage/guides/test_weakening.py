"""What a change of an overlay's exception policy weakens, key by key."""

from dataclasses import replace

import pytest

from triage.guides.model import Anchor, FalsePositives, Guide, Refusal
from triage.guides.weakening import Bearing, compare

POLICY = FalsePositives(
    anchors=(Anchor("source.ip", True, "Where from.", ("host.id",), "Build it on the source."),),
    refusals=(Refusal(("user.name",), says="An account.", quotes="Never on the user."),),
    max_share=20,
)


def changes(**parts):
    before, after = (
        Guide(title="g", false_positives=POLICY),
        Guide(title="g", false_positives=replace(POLICY, **parts)),
    )
    return [(one.bearing, one.says) for one in compare(before, after)]


ANCHOR, REFUSAL = POLICY.anchors[0], POLICY.refusals[0]
CASES = {
    "nothing": ({}, []),
    "another alternative": (
        {"anchors": (replace(ANCHOR, others=("host.id", "host.name")),)},
        [(Bearing.WEAKER, "An exception may have an entry on host.name instead of source.ip.")],
    ),
    "no alternative": (
        {"anchors": (replace(ANCHOR, others=()),)},
        [(Bearing.STRONGER, "An entry on host.id no longer stands in for source.ip.")],
    ),
    "another quotation": (
        {"anchors": (replace(ANCHOR, quotes=""),)},
        [(Bearing.OTHER, "The demand for source.ip quotes no sentence of the guide.")],
    ),
    "another wording of a refusal": (
        {"refusals": (replace(REFUSAL, says="A name.", quotes="Not the user."),)},
        [
            (Bearing.OTHER, 'The refusal of user.name alone quotes "Not the user.".'),
            (Bearing.OTHER, "The refusal of user.name alone has another wording."),
        ],
    ),
    "a larger share": (
        {"max_share": 60},
        [(Bearing.WEAKER, "An exception may hide 60 % of the rule's alerts instead of 20 %.")],
    ),
    "the share left to the default": (
        {"max_share": None},
        [(Bearing.WEAKER, "An exception may hide 50 % of the rule's alerts instead of 20 %.")],
    ),
    "a smaller share": (
        {"max_share": 5},
        [(Bearing.STRONGER, "An exception may hide 5 % of the rule's alerts instead of 20 %.")],
    ),
}


@pytest.mark.parametrize(("parts", "found"), CASES.values(), ids=CASES)
def test_each_key_of_the_policy_is_compared(parts, found):
    assert changes(**parts) == found
