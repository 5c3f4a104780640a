# Set-up needs Python >= 3.11 with venv and nothing else; every target does its own.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PORT ?= 2024
HOST ?= 127.0.0.1

.PHONY: help serve test test-long chaos check bench lock clean
.DEFAULT_GOAL := help

help: ## Print this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Frontdesk needs Python 3.11 or newer with venv (Debian: apt-get install python3-venv)."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(PIP) install --no-deps --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.installed
	$(PIP) install --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

serve: $(VENV)/.installed ## Serve on HOST:PORT (default 127.0.0.1:2024), with embedded stores
	exec $(BIN)/frontdesk serve --host $(HOST) --port $(PORT)

test: $(VENV)/.dev ## Run the tests (under 8 minutes)
	$(BIN)/python -m pytest

test-long: $(VENV)/.dev ## Run the tests that take minutes
	$(BIN)/python -m pytest -m long

chaos: $(VENV)/.dev ## Kill what serves 1,000 runs, again and again, and count what is lost
	$(BIN)/python -m tests.chaos.campaign

check: $(VENV)/.dev ## Lint, types, import arrows, and no torch
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@! $(BIN)/python -c 'import torch' 2>/dev/null || { echo "torch is importable: a dependency pulled it in"; exit 1; }

bench: $(VENV)/.dev ## Print what the README claims
	$(BIN)/python -m bench

lock: ## Pin the dependencies again (needs uv)
	uv pip compile pyproject.toml --group build --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --quiet --output-file requirements.lock
	uv pip compile pyproject.toml --group dev -c requirements.lock --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --quiet --output-file requirements-dev.lock

clean: ## Remove what make made (not the data)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist
