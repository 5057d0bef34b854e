"""The files for containers are what Docker reads, and keep to what they promise."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
COMPOSE = DOCKER / "compose.yaml"
OURS = ["beat", "prepare", "single", "web", "worker"]
TEAM = ["beat", "postgres", "prepare", "proxy", "redis", "web", "worker"]


@pytest.fixture(scope="module")
def composed():
    return yaml.safe_load(COMPOSE.read_text())


@pytest.fixture(scope="module")
def services(composed):
    return composed["services"]


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **options)


def test_the_compose_file_keeps_to_the_published_schema():
    schema = ["--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    checked = run(sys.executable, "-m", "check_jsonschema", *schema)
    assert (checked.returncode, checked.stdout.strip()) == (0, "ok -- validation done"), checked.stdout


def test_the_dockerfile_passes_its_linter():
    linter = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if linter is None:
        pytest.skip("hadolint is not installed")
    checked = run(linter, str(DOCKER / "Dockerfile"))
    assert (checked.returncode, checked.stdout) == (0, "")


def test_compose_itself_reads_the_file(tmp_path):
    if shutil.which("docker") is None or run("docker", "compose", "version").returncode:
        pytest.skip("the compose plugin of docker is not installed")
    shutil.copytree(DOCKER, tmp_path / "docker")
    shutil.copy(DOCKER / ".env.example", tmp_path / "docker" / ".env")
    read = run("docker", "compose", "config", "--quiet", cwd=tmp_path / "docker")
    assert (read.returncode, read.stderr) == (0, "")


def test_each_profile_has_its_processes(services):
    found = {}
    for name, service in services.items():
        for profile in service["profiles"]:
            found.setdefault(profile, []).append(name)
    assert {profile: sorted(names) for profile, names in found.items()} == {
        "single": ["single"],
        "team": TEAM,
        "elasticsearch": ["elasticsearch"],
    }


def test_whatever_stays_up_has_a_health_check(services):
    assert [name for name in services if "healthcheck" not in services[name]] == ["prepare"]


def test_secrets_come_from_files_alone(services):
    in_the_open = [
        f"{name}: {key}"
        for name, service in services.items()
        for key in service.get("environment", {})
        if key.split("_")[-1] in {"KEY", "PASSWORD", "URL", "TOKEN"}
    ]
    assert in_the_open == []


@pytest.mark.parametrize("name", [*OURS, "proxy"])
def test_ours_run_without_privileges_on_a_read_only_system(services, name):
    service = services[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_only_the_proxy_is_reachable_and_at_first_from_this_machine(services):
    assert {name: service["ports"] for name, service in services.items() if "ports" in service} == {
        "single": ["${CASEWRIGHT_BIND:-127.0.0.1:8000}:8000"],
        "proxy": ["${HTTPS_BIND:-127.0.0.1:8443}:8443"],
    }


def test_database_and_broker_reach_nothing_outside(composed, services):
    assert composed["networks"]["inside"] == {"internal": True}
    assert [services[name]["networks"] for name in ("postgres", "redis")] == [["inside"], ["inside"]]


def test_the_broker_drops_no_work(services):
    command = services["redis"]["command"][-1]
    assert "--maxmemory-policy noeviction" in command
    assert "--appendonly yes" in command


def test_every_image_can_be_pinned_by_a_digest(services):
    images = {name: service["image"] for name, service in services.items()}
    assert [name for name, image in images.items() if not re.fullmatch(r"\$\{\w+:-[^}]+\}", image)] == []
    froms = [line.split()[1] for line in dockerfile() if line.startswith("FROM ")]
    assert set(froms) == {"${PYTHON_IMAGE}", "environment"}


def dockerfile():
    return (DOCKER / "Dockerfile").read_text().splitlines()


def test_the_image_runs_as_an_account_of_its_own_with_hashed_requirements():
    assert "USER 10001:10001" in dockerfile()
    assert [line for line in dockerfile() if "pip install" in line and "--require-hashes" not in line] == []


def copied():
    lines = (line for line in dockerfile() if line.startswith("COPY ") and "--from" not in line)
    return [source for line in lines for source in line.split()[1:-1]]


def test_every_file_the_image_copies_is_there_and_in_the_context():
    allowed = [
        line[1:] for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines() if line[0] == "!"
    ]
    assert [source for source in copied() if not (ROOT / source).exists()] == []
    assert sorted(set(copied())) == sorted(allowed)


def test_every_setting_is_explained_in_the_example():
    table = (ROOT / "docs/settings.md").read_text()
    named = {
        name
        for line in table.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([A-Z][A-Z_]+[A-Z])`", line.split("|")[1])
    }
    example = (DOCKER / ".env.example").read_text()
    assert len(named) > 25
    assert sorted(name for name in named if not re.search(rf"^#?{name}(_FILE)?=", example, re.M)) == []


def test_every_variable_of_compose_is_explained_in_the_example_with_its_default():
    example = (DOCKER / ".env.example").read_text()
    variables = dict(re.findall(r"\$\{(\w+):-(.*?)\}", COMPOSE.read_text()))
    assert {name: default for name, default in variables.items() if f"{name}={default}" not in example} == {}


def test_the_script_makes_every_secret_once(tmp_path, composed):
    shutil.copy(DOCKER / "make-secrets.sh", tmp_path)
    script = str(tmp_path / "make-secrets.sh")
    assert run("sh", script, "casewright.example").returncode == 0
    folder = tmp_path / "secrets"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    wanted = [*composed["secrets"].values(), *composed["configs"].values()]
    assert [one["file"] for one in wanted if not (tmp_path / one["file"]).is_file()] == []
    assert b"postgres://casewright:" + before["postgres_password"] in before["database_url"]
    for name in ("proxy", "elasticsearch"):
        checked = run("openssl", "verify", "-CAfile", "ca.crt", f"{name}.crt", cwd=folder)
        assert checked.stdout.strip() == f"{name}.crt: OK"
    assert run("sh", script).returncode == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_inventory_lists_what_is_installed(tmp_path):
    made = run(sys.executable, str(DOCKER / "inventory.py"), str(ROOT / "pyproject.toml"), str(tmp_path))
    assert (made.returncode, made.stderr) == (0, "")
    bill = json.loads((tmp_path / "sbom.cdx.json").read_text())
    listed = {one["name"]: one for one in bill["components"]}
    required = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements/base.txt").read_text(), re.M)
    here = [name for name in required if "django" in name or name in ("celery", "duckdb", "redis")]
    assert [name for name in here if name not in listed] == []
    assert listed["django"]["licenses"] == [{"license": {"name": "BSD-3-Clause"}}]
    lines = (tmp_path / "licences.txt").read_text().splitlines()
    assert len(lines) == len(listed)
    assert bill["metadata"]["component"]["name"] == "casewright"
