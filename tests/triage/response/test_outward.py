"""Where orders may go: hostile addresses, names that lie, redirects, certificates. None connects."""

import socket
import ssl

import pytest
import trustme

from tests.factories.receivers import dripping, receiver
from triage.actions import outward
from triage.actions.outward import NoAnswerError, NotReachedError, OutwardError, RefusedTargetError

LISTED = ["soar.example:443", "inner.example:443@10.1.2.0/24", "10.9.9.9:8443", "http://plain.example:8080"]
HOSTILE = [
    "http://127.0.0.1/", "https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f000001/",
    "https://0177.0.0.1/", "https://0x7f.0.0.1/", "https://017700000001/", "https://127.0.0.1.:443/",
    "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[0:0:0:0:0:ffff:a00:1]/",
    "https://[fe80::1%25eth0]/", "https://[::]/", "https://0.0.0.0/", "https://0/", "https://169.254.169.254/",
    "http://169.254.169.254/latest/meta-data/", "https://[fd00:ec2::254]/", "https://localhost/",
    "https://soar.example@127.0.0.1/", "https://127.0.0.1#@soar.example/", "https://soar.example:443@127.0.0.1/",
    "https://soar.example\\@127.0.0.1/", "https://soar.example%2f@127.0.0.1/",
    "https://soar.example.127.0.0.1.example/",
    "https://soar.example:80/", "http://soar.example:443/", "https://soar.example:99999/", "https://soar.example:0/",
    "https://SOAR.example.:443/", "https://soar\u3002example/", "https://\u24e2oar.example/",
    "https://soar.example/\r\nHost: x",
    "https://soar.example/a b", "https:///soar.example/", "https:soar.example/", "//soar.example/", "file:///etc/passwd",
    "gopher://soar.example:443/", "ftp://soar.example/", "unix:///run/docker.sock", "javascript:alert(1)",
    "https://-soar.example/", "https://soar..example/", "https://10.9.9.9/", "https://10.9.9.8:8443/",
]  # fmt: skip


@pytest.fixture
def listed(settings):
    settings.ALLOWED_TARGETS = list(LISTED)


@pytest.fixture
def connects(monkeypatch):
    """Every attempt to connect anywhere, which none may be."""
    made = []
    monkeypatch.setattr(socket.socket, "connect", lambda _self, address: made.append(address))
    monkeypatch.setattr(socket, "create_connection", lambda address, *_more: made.append(address))
    return made


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_address_is_refused_before_anything_connects(url, listed, connects, monkeypatch):
    monkeypatch.setattr(outward, "resolve", lambda host, port: ["93.184.215.14"])
    with pytest.raises(RefusedTargetError):
        outward.send("POST", url)
    assert connects == []


def test_there_are_forty_forms():
    assert len(set(HOSTILE)) >= 40


@pytest.mark.parametrize(
    "found",
    [
        ["127.0.0.1"], ["10.0.0.1"], ["169.254.169.254"], ["::1"], ["fe80::1"], ["::ffff:10.0.0.1"],
        ["100.64.0.1"],
        ["64:ff9b::7f00:1"], ["2002:7f00:1::"], ["224.0.0.1"], ["0.0.0.0"], ["93.184.215.14", "127.0.0.1"],
    ],
)  # fmt: skip
def test_a_name_that_leads_inside_is_refused(found, listed, connects, monkeypatch):
    monkeypatch.setattr(outward, "resolve", lambda host, port: found)
    with pytest.raises(RefusedTargetError, match="is not public"):
        outward.send("POST", "https://soar.example/")
    assert connects == []


def test_a_name_inside_is_reached_where_its_network_is_listed(listed, monkeypatch):
    monkeypatch.setattr(outward, "resolve", lambda host, port: ["10.1.2.3"])
    assert outward.addresses(outward.target_of("https://inner.example/")) == ["10.1.2.3"]
    assert outward.addresses(outward.target_of("https://10.9.9.9:8443/")) == ["10.9.9.9"]
    monkeypatch.setattr(outward, "resolve", lambda host, port: ["10.1.3.3"])
    with pytest.raises(RefusedTargetError, match="is not public"):
        outward.addresses(outward.target_of("https://inner.example/"))


def test_a_name_is_asked_for_once_and_its_answer_is_pinned(settings, monkeypatch):
    """A name that answers otherwise the second time changes nothing."""
    with receiver(settings) as target:
        settings.ALLOWED_TARGETS = [f"http://rebind.example:{target.port}@127.0.0.1"]
        answers = [["127.0.0.1"], ["169.254.169.254"]]
        monkeypatch.setattr(outward, "resolve", lambda host, port: answers.pop(0))
        answer = outward.send("GET", f"http://rebind.example:{target.port}/a?b=c")
        assert (answer.status, len(answers)) == (200, 1)
        assert target.got[0][1:3] == ("/a?b=c", target.got[0][2])
        assert target.got[0][2]["Host"] == f"rebind.example:{target.port}"


def test_a_redirect_is_an_answer_and_is_not_followed(settings):
    with receiver(settings) as inside, receiver(settings) as target:
        target.answers = [(302, {"Location": f"{inside.url}/secret"}, {})]
        assert outward.send("GET", f"{target.url}/").status == 302
        assert inside.got == []


def test_proxies_of_the_environment_are_not_used(settings, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with receiver(settings) as target:
        assert outward.send("GET", f"{target.url}/").status == 200


def test_an_answer_that_drips_is_cut_off(settings):
    with receiver(settings) as target:
        target.answers = [dripping(3)]
        with pytest.raises(NoAnswerError, match=r"no whole answer within 0\.3 s"):
            outward.send("POST", f"{target.url}/", seconds=0.3)


def test_an_answer_without_an_end_is_refused(settings):
    with receiver(settings) as target:
        target.answers = [(200, {}, b"x" * 2000)]
        with pytest.raises(OutwardError, match="larger than 1,000 bytes"):
            outward.send("GET", f"{target.url}/", most_bytes=1000)


def tls(name):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return authority, context


def test_a_certificate_must_be_trusted_and_for_that_name(settings, tmp_path):
    authority, context = tls("127.0.0.1")
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    with receiver(settings, context) as target:
        assert outward.send("GET", f"{target.url}/", ca_file=str(trusted)).status == 200
        with pytest.raises(NotReachedError, match=r"is not trusted .* Nothing was sent") as refused:
            outward.send("GET", f"{target.url}/")
        assert (refused.value.may_pass, len(target.got)) == (False, 1)
    authority, context = tls("elsewhere.example")
    authority.cert_pem.write_to_path(str(trusted))
    with receiver(settings, context) as target, pytest.raises(NotReachedError, match="not trusted"):
        outward.send("GET", f"{target.url}/", ca_file=str(trusted))


def test_nobody_at_the_port_is_said_so(settings):
    with receiver(settings) as target:
        url = target.url
    with pytest.raises(NotReachedError, match="could not be reached") as refused:
        outward.send("GET", f"{url}/")
    assert refused.value.may_pass
