"""Whose address is the other side's."""

import pytest

from detections import ecs
from detections.ingest import readers
from detections.ingest.remote import Remote, remote_side


def connection(direction, **fields):
    document = {"host": {"name": "PC"}, "network": {"direction": direction}}
    for side, ip, port in (("source", "10.0.0.1", 1), ("destination", "10.0.0.2", 2)):
        document[side] = {"ip": ip, "port": port}
    for name, value in fields.items():
        ecs.put(document, name.replace("_", "."), value)
    return document


def test_the_lethal_capture_points_to_the_attacker_though_sysmon_calls_it_the_destination(captures):
    capture = readers.open_capture(captures / "LM_DCOM_MSHTA_LethalHTA_Sysmon_3_1.evtx")
    documents = [event.document for event in capture]
    assert remote_side(documents) == Remote(
        "10.0.2.17", 55683, "destination", "source is the host itself (source.domain is its name)"
    )


@pytest.mark.parametrize("direction", ["ingress", "egress", ""])
def test_what_the_host_says_of_itself_beats_the_direction(direction):
    assert remote_side(connection(direction, host_ip=["10.0.0.1"])).ip == "10.0.0.2"
    assert remote_side(connection(direction, host_ip=["::ffff:10.0.0.2"])).ip == "10.0.0.1"
    assert remote_side(connection(direction), ["10.0.0.2"]).ip == "10.0.0.1"
    assert remote_side(connection(direction, destination_domain="pc.corp.example")).ip == "10.0.0.1"


def test_another_event_of_the_host_may_tell_its_address():
    known = {"host": {"name": "PC", "ip": ["10.0.0.2", "::1"]}}
    assert remote_side([known, connection("egress")]).ip == "10.0.0.1"


@pytest.mark.parametrize(
    ("direction", "ip"), [("ingress", "10.0.0.1"), ("inbound", "10.0.0.1"), ("egress", "10.0.0.2")]
)
def test_the_direction_alone_is_not_certain(direction, ip):
    remote = remote_side(connection(direction))
    assert (remote.ip, remote.is_certain) == (ip, False)


def test_a_fully_named_host_is_not_another_one_of_the_same_short_name():
    document = connection("", host_name="pc.one.example", source_domain="pc.two.example")
    assert remote_side(document) is None


def test_a_logon_names_the_other_side_alone():
    assert remote_side({"source": {"ip": "10.0.0.9", "port": 5}}).ip == "10.0.0.9"


def test_nothing_is_told_where_nothing_tells():
    assert remote_side(connection("")) is None
    assert remote_side({"host": {"name": "PC"}}) is None
    assert remote_side([]) is None
