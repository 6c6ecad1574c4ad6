# Commands for users and developers. `make run` and `make test` need only Python 3.11+ and git.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Two processes: more compete for memory, since each loads PyTorch. The tests of a file share the
# servers that it starts, and tests/conftest.py puts the files in order.
PARALLEL := --numprocesses 2 --dist loadfile --no-loadscope-reorder
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup run up serve monitor retrain retain repro test test-fast check dvc-deps docs lock bench bench-serving clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

setup: $(READY) ## Create the virtual environment from the lock file

# torch is installed first, by pip, which finds CPU and CUDA builds that uv does not look for.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	@echo "setting up $(VENV) (once; a minute or two)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check "$$(grep '^torch==' requirements.lock)" "$$(grep -o '^uv==[^ ]*' requirements.lock)"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --requirements requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q src flows monitoring
	@$(BIN)/python -m flows.setup
	@touch $@

run: $(READY) ## Run the whole loop once and print what it found
	@$(BIN)/python -m flows.run

up: $(READY) ## Keep the system up: Prefect UI, service, reports
	@$(BIN)/python -m flows.up

serve: $(READY) ## Serve the champion only
	@$(BIN)/python -m flows.up --service-only

monitor: $(READY) ## Run the monitor flow once
	@$(BIN)/python -m flows.once monitor

retrain: $(READY) ## Run the retrain flow once
	@$(BIN)/python -m flows.once retrain

retain: $(READY) ## Run the retention flow once
	@$(BIN)/python -m flows.once retain

repro: $(READY) ## Reproduce the pipeline in this checkout with DVC
	@PATH="$(CURDIR)/$(BIN):$$PATH" DO_NOT_TRACK=1 ORT_DISABLE_TELEMETRY=1 GX_ANALYTICS_ENABLED=false $(BIN)/dvc repro

test: $(READY) ## Run the whole test suite with coverage
	@$(BIN)/python -m pytest $(PARALLEL) --cov --cov-report=term

test-fast: $(READY) ## Run the tests that start no server and take no more than a few seconds
	@$(BIN)/python -m pytest $(PARALLEL) -m "not system and not slow"

check: $(READY) ## Format, lint, types and import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

dvc-deps: $(READY) ## Write the source files that each stage imports into dvc.yaml
	@$(BIN)/python -m tests.support.dvc_deps

docs: $(READY) ## Write docs/configuration.md from the classes that read the settings
	@$(BIN)/python -m tests.support.configuration_page

lock: $(READY) ## Write requirements.lock from pyproject.toml
	@echo 'torch==2.13.0 ; sys_platform == "never"' > $(VENV)/override.txt
	@(echo 'torch==2.13.0'; $(BIN)/uv pip compile --quiet --all-extras --universal --python-version 3.11 --no-header --no-annotate --override $(VENV)/override.txt pyproject.toml | grep -v '^torch==') > $(VENV)/lock
	@mv $(VENV)/lock requirements.lock

bench: $(READY) ## Run the offline benchmark; options in ARGS
	@$(BIN)/python -m benchmarks.offline $(ARGS)

bench-serving: $(READY) ## Load the service at constant rates; options in ARGS
	@$(BIN)/python -m benchmarks.serving.run $(ARGS)

clean: ## Remove the virtual environment, the state and every output
	@git update-index --no-skip-worktree dvc.lock && git checkout --quiet dvc.lock
	rm -rf $(VENV) .recloop data artifacts reports .mypy_cache .pytest_cache .ruff_cache .hypothesis
