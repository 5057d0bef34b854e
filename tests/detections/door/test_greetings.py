"""What clients ask before they send, and that pages stay pages."""

import pytest


@pytest.fixture
def ask(client, token):
    def ask(path, method="get", **headers):
        return getattr(client, method)(path, headers={"Authorization": f"ApiKey {token.encoded}", **headers})

    return ask


@pytest.mark.parametrize("path", ["/", "/send", "/send/"])
def test_the_version_is_told_to_senders(ask, path):
    answer = ask(path)
    told = answer.json()
    assert (answer.status_code, answer["X-elastic-product"], told["name"]) == (
        200,
        "Elasticsearch",
        "casewright",
    )
    assert (told["version"]["number"], told["version"]["build_flavor"], told["tagline"]) == (
        "8.19.0",
        "default",
        "You Know, for Search",
    )
    assert ask(path, "head").status_code == 200


def test_another_version_can_be_told(ask, settings):
    settings.BULK_VERSION = "9.1.0"
    assert ask("/send/").json()["version"]["number"] == "9.1.0"


def test_the_front_page_stays_the_pages_own(client, ask, ana):
    assert client.get("/")["Location"].startswith("/sign-in/")
    client.force_login(ana)
    assert client.get("/").templates != []
    # A reverse proxy may ask people for a password of its own.
    assert ask("/", Accept="text/html,*/*").templates != []
    assert ask("/cases/1/", Accept="*/*").status_code == 404


@pytest.mark.parametrize("prefix", ["/send/", "/"])
@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("_license", "license"),
        ("_license?human=false", "license"),
        ("_xpack", "features"),
        ("_nodes/http", "nodes"),
        ("_cluster/health", "status"),
    ],
)
def test_what_clients_look_at_first_is_answered(ask, prefix, path, key):
    answer = ask(prefix + path)
    assert (answer.status_code, key in answer.json()) == (200, True)


@pytest.mark.parametrize(
    "path",
    [
        "_index_template/winlogbeat-8.19.0",
        "_template/ecs-logstash",
        "_component_template/x",
        "_ilm/policy/winlogbeat",
        "_ingest/pipeline/winlogbeat-8.19.0-routing",
        "_data_stream/winlogbeat-8.19.0",
    ],
)
def test_set_up_is_accepted_and_nothing_of_it_is_kept(ask, path):
    for prefix in ("/send/", "/"):
        assert ask(prefix + path, "head").status_code == 404
        assert ask(prefix + path, "put").json() == {"acknowledged": True}
        assert ask(prefix + path).json()["error"]["type"] == "resource_not_found_exception"


def test_an_index_needs_not_be_made(ask):
    assert ask("/send/logs-a", "head").status_code == 404
    assert ask("/send/logs-a", "put").json()["acknowledged"] is True
    assert ask("/send/_alias/logstash", "head").status_code == 404


def test_what_is_not_understood_is_said_to_be(ask):
    answer = ask("/send/_search/scroll")
    assert (answer.status_code, answer.json()["error"]["reason"]) == (
        400,
        "no handler found for uri [/send/_search/scroll] and method [GET]",
    )


@pytest.mark.parametrize(
    "path", ["/send", "/send/_license", "/_license", "/send/_ilm/policy/x", "/send/any", "/send/_any"]
)
def test_without_a_token_nothing_is_told(client, db, path):
    for method in (client.get, client.put):
        answer = method(path)
        assert (answer.status_code, answer.json()["error"]["type"]) == (401, "security_exception")
