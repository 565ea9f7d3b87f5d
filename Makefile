# Everything here sets itself up: it needs only Python 3.11 or newer with venv, and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
STAMP := .venv/.installed
JOBS ?= auto
SEEDS ?= 100

.PHONY: help setup demo test lint bench soak clean
help:            ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

setup: $(STAMP)  ## a virtual environment with pinned versions
$(STAMP): pyproject.toml requirements/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "secured-node needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements/constraints.txt -e '.[test,lint]'
	@touch $@

demo: $(STAMP)   ## four hospitals' daemons fit one model on real patients (DATA=folder for the heart disease files)
	$(BIN)/python -m demo

test: $(STAMP)   ## unit, property and end-to-end tests
	$(BIN)/pytest -n $(JOBS) -m 'not soak'

lint: $(STAMP)   ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)  ## bytes, processor time, wall time and memory of real daemons, one JSON object a line
	$(BIN)/python -m benchmarks.federation
	$(BIN)/python -m benchmarks.simulator

soak: $(STAMP)   ## the long tests, then SEEDS more seeds of each trial; .soak/tally.json counts, and is gone on from
	$(BIN)/pytest -n $(JOBS) -m soak
	mkdir -p .soak && $(BIN)/secured-sim seeds --seeds $(SEEDS) --tally .soak/tally.json

clean:           ## remove what make made
	rm -rf build .venv .demo .soak .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
