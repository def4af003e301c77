# `make` explains itself; each target's line follows its ##.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo lint test test-fast test-long test-faults test-cluster test-image fuzz coverage bench pictures image sbom lock clean

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet
INSTALLED := $(VENV)/.installed
# Any interpreter of this version will do; `make setup PYTHON=/path/to/python3.11` names one.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
UNFETCHED := The packages could not be fetched: is there a network, and does pip reach its index? Then: make setup
COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-emit-find-links --quiet

# Where it is set, each of the many processes that tests start would compile everything that it imports again.
unexport PYTHONDONTWRITEBYTECODE

help: ## Say what can be done here
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## Install everything into .venv, from the lock, if it has changed

$(INSTALLED): requirements.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { \
		echo "Rapport needs Python 3.11, and neither python3.11 nor python3 is one." >&2; \
		echo "Install it (Debian, Ubuntu: python3.11 and python3.11-venv; macOS: brew install python@3.11)," >&2; \
		echo "or name it: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV) || { \
		echo "The module venv does not work; on Debian and Ubuntu it is the package python3.11-venv." >&2; \
		rm -rf $(VENV); exit 1; }
	@echo "Installing what requirements.lock lists; it takes up to a minute the first time."
	@# uv takes a fraction of pip's time, but does not read pip's settings: where it cannot, pip does the same.
	@sed -n '/^uv==/,/# via/p' requirements.lock > $(VENV)/uv.txt
	@$(PIP) --require-hashes -r $(VENV)/uv.txt || { echo "$(UNFETCHED)" >&2; exit 1; }
	@$(BIN)/uv pip install --python $(BIN)/python --system-certs --quiet --compile-bytecode --require-hashes -r requirements.lock || { \
		echo "uv could not fetch them; pip tries."; \
		$(PIP) --require-hashes -r requirements.lock || { echo "$(UNFETCHED)" >&2; exit 1; }; }
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## Run an agency with three invented clients; CHECK=1 verifies it and ends by itself
	@$(BIN)/rapport demo $(if $(CHECK),--check)

lint: setup ## Check style, types, and which part may import which
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

test: lint ## Lint, then run the tests on a real Kafka and MongoDB
	@$(BIN)/python -m pytest -n 3 --dist loadfile -m "not faults and not long"

test-long: setup ## Run the tests that take most of a minute or more each, in about half an hour
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m long

test-fast: setup ## Run the tests that need no server and no browser, in a minute and a half
	@# Neither what takes seconds nor what is made up at random, which needs hundreds of tries.
	@$(BIN)/python -m pytest -n 2 -m "not faults and not long and not stack and not e2e and not slow and not hypothesis" \
		tests/contracts tests/docs tests/domain tests/house tests/kit tests/services

coverage: setup ## Run the tests and say which lines they reach, in the services' processes too
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -n 3 --dist loadfile -m "not faults and not long"
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

test-faults: setup ## Kill, stop, wipe, stall and poison real processes, in about 45 minutes
	@# In the order of tests/faults/conftest.py, the longest files first.
	@$(BIN)/python -m pytest -v -n 2 --dist loadfile --no-loadscope-reorder -m "faults and not long" tests/faults tests/e2e

fuzz: setup ## Look for input that breaks a reader, SECONDS=60 for each; TARGET=facebook names one
	@$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60) $(TARGET)

test-cluster: setup ## Give the manifests to Kubernetes, built by Go, in about ten minutes the first time
	@$(BIN)/python -m tests.cluster

test-image: setup ## Build the image and run it, as root on Debian, in about ten minutes
	@$(BIN)/python -m tests.image

bench: setup ## Measure throughput and lateness on this machine
	@$(BIN)/python -m bench

pictures: setup ## Take the pictures of the portal in the docs again
	@$(BIN)/python -m tests.e2e.pictures

image: sbom ## Build the image, and write its bill of materials
	@$(BIN)/python -m deploy.image

sbom: setup ## Write the image's bill of materials, build/rapport.cdx.json (CycloneDX)
	@$(BIN)/python -m deploy.sbom build/rapport.cdx.json

lock: setup ## Update the locks: Python packages, the image's part of them, the broker's libraries
	@$(COMPILE) --upgrade --all-extras -o requirements.lock
	@$(COMPILE) --extra ingest --extra scorer --extra notifier --extra api -c requirements.lock -o requirements.image.lock
	@$(BIN)/python -m rapport.local.servers.jars

clean: ## Remove .venv and caches; the data of installations stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache .coverage .coverage.* .pytest_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
