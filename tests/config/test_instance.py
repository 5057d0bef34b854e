"""What an instance claims: its data folder and a port."""

import socket

import pytest

from config.instance import DataFolder, InstanceError, choose_port


@pytest.fixture
def taken():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_second_instance_on_a_data_folder_is_refused_and_told_of_the_first(tmp_path):
    first = DataFolder(tmp_path)
    first.claim()
    first.say("http://127.0.0.1:8000/")
    with pytest.raises(InstanceError, match=r"already runs on .*process \d+, http://127.0.0.1:8000/.*Stop"):
        DataFolder(tmp_path).claim()


def test_a_data_folder_is_free_again_when_released(tmp_path):
    first = DataFolder(tmp_path)
    first.claim()
    first.release()
    DataFolder(tmp_path).claim()


def test_a_wanted_port_in_use_is_refused_with_what_to_do(taken):
    with pytest.raises(InstanceError, match=f"Port {taken} on 127.0.0.1 is in use.*--port"):
        choose_port("127.0.0.1", taken, default=8000)


def test_without_a_wish_the_next_free_port_is_taken(taken):
    assert choose_port("127.0.0.1", None, default=taken) > taken


def test_a_host_without_an_address_is_refused():
    with pytest.raises(InstanceError, match="has no address here"):
        choose_port("no such host", None, default=8000)
