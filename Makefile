# What a person types. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= $(firstword $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p; done))
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes
# The demo has a data folder of its own, so that it never mixes with an instance in use; tests too.
DEMO_DATA ?= var/demo
# Compiled once and kept, whatever the shell says: the tests start hundreds of processes.
TEST_ENV := PYTHONDONTWRITEBYTECODE= CASEWRIGHT_DATA=$(CURDIR)/build/test LOG_LEVEL=WARNING
PYTEST := $(TEST_ENV) $(BIN)/python -m pytest
# The tests that touch the database, on a PostgreSQL of their own; a machine without one says so.
ON_POSTGRESQL = $(TEST_ENV) $(BIN)/python -m tests.postgresql $(BIN)/python -m pytest -n 2 --dist loadfile \
	--junitxml=build/results/postgresql.xml
DEBIAN_PACKAGES := chromium fonts-inter fonts-jetbrains-mono postgresql redis-server nginx-light

.PHONY: help install demo run test test-postgresql test-quick lint format screenshots requirements dev system-packages \
	faults faults-quick faults-mutate

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 24

install: .venv/.base ## make .venv with what the product needs

demo: install ## start everything with the shipped scenarios, and print how to sign in
	@CASEWRIGHT_DATA=$${CASEWRIGHT_DATA:-$(DEMO_DATA)} exec $(BIN)/python manage.py up --demo

run: install ## start everything on an empty instance
	@exec $(BIN)/python manage.py up

# Live tests wait for processes a quarter of the time: three of them keep two cores at work.
test: dev system-packages lint ## everything: lint, unit tests on both databases, live and browser tests (18 minutes)
	@rm -rf build/test build/results && mkdir -p build/test build/results
	@status=0; \
	$(PYTEST) -n 2 --dist loadfile -m "not live and not e2e" --junitxml=build/results/unit.xml || status=1; \
	$(ON_POSTGRESQL) -m "db and not live and not e2e and not slow" || status=1; \
	$(PYTEST) -n 2 --no-loadscope-reorder -m "live or e2e" --timeout=600 --junitxml=build/results/live.xml || status=1; \
	$(BIN)/python -m tests.summary build/results/{unit,postgresql,live}.xml || status=1; \
	exit $$status

test-postgresql: dev system-packages ## every unit test that touches the database on PostgreSQL, slow ones too
	@rm -rf build/test && mkdir -p build/test build/results
	@$(ON_POSTGRESQL) -m "db and not live and not e2e"

test-quick: dev ## the unit tests on both cores (5 minutes at most)
	@rm -rf build/test && mkdir -p build/test build/results
	@$(PYTEST) -n 2 --dist loadfile -m "not live and not e2e and not slow" --junitxml=build/results/quick.xml

lint: dev ## ruff, mypy, import-linter, djlint and Django's own checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(TEST_ENV) $(BIN)/mypy detections triage config benchmarks
	$(TEST_ENV) $(BIN)/lint-imports
	$(BIN)/djlint templates --check --lint --quiet
	$(TEST_ENV) $(BIN)/python manage.py check --fail-level WARNING
	$(TEST_ENV) $(BIN)/python manage.py makemigrations --check --dry-run

format: dev ## let ruff and djlint put the layout right
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .
	$(BIN)/djlint templates --reformat --quiet

screenshots: dev system-packages ## write docs/screenshots/ from a fresh demo
	$(BIN)/python -m tests.e2e.screenshots

requirements: dev ## resolve requirements/*.txt anew from pyproject.toml
	$(BIN)/uv pip compile $(RESOLVE) pyproject.toml -o requirements/base.txt
	$(BIN)/uv pip compile $(RESOLVE) pyproject.toml --group dev -o requirements/dev.txt
RESOLVE := --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url \
	--no-emit-find-links --python-version 3.11

dev: .venv/.dev

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Casewright needs Python 3.11 or newer. None was found as python3, python3.13," \
		"python3.12 or python3.11; install one, or name it: make install PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "$(PYTHON) could not make a virtual environment." \
		"On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

.venv/.base: requirements/base.txt | .venv/bin/python
	@echo "Installing what Casewright needs into .venv"
	@$(PIP) -r requirements/base.txt
	@touch $@

.venv/.dev: requirements/dev.txt .venv/.base
	@echo "Installing what the tests need into .venv"
	@$(PIP) -r requirements/dev.txt
	@touch $@

# Browser and database for the tests. Where they can't be installed, the tests that need them say so and skip.
system-packages:
	@mkdir -p build; missing=(); \
	if command -v dpkg-query >/dev/null; then \
		for p in $(DEBIAN_PACKAGES); do \
			dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing+=($$p); done; \
	else echo "Not a Debian: for all tests, install Chromium and PostgreSQL by hand."; fi; \
	if [ $${#missing[@]} -eq 0 ]; then exit 0; fi; \
	if [ "$$(id -u)" -ne 0 ]; then \
		echo "Missing for some tests: $${missing[*]}. As root: apt-get install $${missing[*]}"; exit 0; fi; \
	echo "Installing $${missing[*]}"; export DEBIAN_FRONTEND=noninteractive; \
	{ apt-get update -qq && apt-get install -y -qq --no-install-recommends "$${missing[@]}"; } \
		>build/apt.log 2>&1 </dev/null || { tail -5 build/apt.log; \
		echo "Could not install $${missing[*]}; the tests that need them will be skipped."; }

# Faults: docs/reliability.md says what each does and what it showed.
FIGURES := build/results/faults.jsonl

faults: dev system-packages ## every fault in its full number; figures in build/results (two hours or so)
	@mkdir -p build/test build/results && rm -f $(FIGURES)
	FAULTS=full FAULTS_FIGURES=$(CURDIR)/$(FIGURES) $(PYTEST) tests/faults tests/elasticsearch/test_faults.py \
		tests/triage/exceptions/test_concurrency.py tests/triage/response/test_crashes.py \
		tests/triage/response/test_killed_workers.py tests/triage/test_storms.py \
		tests/detections/stores/embedded/test_durability.py tests/detections/stores/test_regions.py \
		tests/detections/stores/test_narrowing.py tests/detections/stores/test_rule_sets.py \
		tests/triage/guides/test_bad_notes.py --timeout=1500
	@cat $(FIGURES)

faults-quick: dev system-packages ## every fault a few times, as in make test
	@mkdir -p build/test build/results && rm -f $(FIGURES)
	FAULTS_FIGURES=$(CURDIR)/$(FIGURES) $(PYTEST) tests/faults
	@cat $(FIGURES)

faults-mutate: dev ## take a safeguard away at a time: the fault tests must go red
	$(TEST_ENV) $(BIN)/python -m tests.faults.mutations
