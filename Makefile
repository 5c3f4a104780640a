# Set-up needs Python >= 3.11 with venv and nothing else; every target does its own.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
WEB := tests/web
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PEER := .venv-peer
PORT ?= 2024
HOST ?= 127.0.0.1

.PHONY: help serve test test-long chaos api-parity check bench lock clean
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

# The official dev server sees what we need at run time, and we see nothing of what it needs.
$(PEER)/.installed: requirements-peer.lock $(VENV)/.installed
	$(BIN)/python -m venv --clear --without-pip $(PEER)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $(PEER)/shared
	mv $(PEER)/shared "$$($(PEER)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/shared.pth"
	$(PIP) --python $(PEER)/bin/python install --no-deps --require-hashes -r requirements-peer.lock
	@touch $@

# The JavaScript clients that the tests drive; without Node those tests are skipped and say so.
$(WEB)/node_modules/.installed: $(WEB)/package-lock.json
	@if npm --version >/dev/null 2>&1; then \
		npm ci --prefix $(WEB) --ignore-scripts --no-audit --no-fund --loglevel=error && touch $@ || \
		echo "npm cannot install the JavaScript clients: their tests will be skipped"; \
	else echo "no npm: the tests of the JavaScript clients will be skipped"; fi

serve: $(VENV)/.installed ## Serve on HOST:PORT (default 127.0.0.1:2024), with embedded stores
	exec $(BIN)/frontdesk serve --host $(HOST) --port $(PORT)

test: $(VENV)/.dev $(PEER)/.installed $(WEB)/node_modules/.installed ## Run the tests
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

test-long: $(VENV)/.dev $(PEER)/.installed ## Run the tests that take minutes
	$(BIN)/python -m pytest -m long

chaos: $(VENV)/.dev ## Kill what serves 1,000 runs, again and again, and count what is lost
	$(BIN)/python -m tests.chaos.campaign

api-parity: $(VENV)/.dev $(PEER)/.installed ## Compare our API with the official dev server's, scenario by scenario
	$(BIN)/python -m tests.api

check: $(VENV)/.dev ## Lint, types, import arrows, and no torch
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@! $(BIN)/python -c 'import torch' 2>/dev/null || { echo "torch is importable: a dependency pulled it in"; exit 1; }

bench: $(VENV)/.dev $(PEER)/.installed ## Print what the README claims
	$(BIN)/python -m bench

lock: ## Pin the dependencies again (needs uv and npm)
	uv pip compile pyproject.toml --group build --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --quiet --output-file requirements.lock
	uv pip compile pyproject.toml --group dev -c requirements.lock --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --quiet --output-file requirements-dev.lock
	uv pip compile --group peer -c requirements.lock --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --quiet --output-file requirements-peer.lock
	npm install --prefix $(WEB) --package-lock-only --ignore-scripts --no-audit --silent
	node $(WEB)/lock.js

clean: ## Remove what make made (not the data)
	rm -rf $(VENV) $(PEER) $(WEB)/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist
