"""The files for teams are what Docker reads, and keep to what they promise."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker/compose.yaml"
OURS = ["beat", "migrate", "web", "worker"]


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load(COMPOSE.read_text())["services"]


def test_the_compose_file_keeps_to_the_published_schema():
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        str(COMPOSE),
    ]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout.strip()) == (0, "ok -- validation done"), checked.stdout


def test_it_has_every_process(services):
    assert sorted(services) == sorted([*OURS, "postgres", "redis"])


def test_whatever_stays_up_has_a_health_check(services):
    assert [name for name in services if "healthcheck" not in services[name]] == ["migrate"]


def test_secrets_come_from_files_alone(services):
    in_the_open = [
        f"{name}: {key}"
        for name, service in services.items()
        for key in service.get("environment", {})
        if key.split("_")[-1] in {"KEY", "PASSWORD", "URL"}
    ]
    assert in_the_open == []


@pytest.mark.parametrize("name", OURS)
def test_ours_run_without_privileges_on_a_read_only_system(services, name):
    service = services[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])


def test_only_the_web_server_is_reachable_and_only_from_this_machine(services):
    assert {name: service["ports"] for name, service in services.items() if "ports" in service} == {
        "web": ["${CASEWRIGHT_BIND:-127.0.0.1:8000}:8000"]
    }


def test_the_image_runs_as_an_account_of_its_own_with_hashed_requirements():
    lines = (ROOT / "docker/Dockerfile").read_text().splitlines()
    assert "USER casewright" in lines
    assert [line for line in lines if "pip install" in line and "--require-hashes" not in line] == []


def test_every_file_the_image_copies_is_there():
    copied = [
        source
        for line in (ROOT / "docker/Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    ]
    assert [source for source in copied if not (ROOT / source).exists()] == []
