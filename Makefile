# Needs Python 3.11 or newer, make, and a package index. Everything else comes from requirements.lock into .venv, once.
PYTHON ?= python3
PYTEST_ARGS ?= -n 2
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed

.PHONY: demo test lint bench conformance contracts belimo enos fuzz clean

demo: $(READY)
	@$(BIN)/ems-bridge demo

test: lint
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	@$(BIN)/python -m benchmarks

conformance: $(READY)
	@PYTHONPATH=tests $(BIN)/python -m conformance $(PART)

contracts: $(READY)
	@PYTHONPATH=tests $(BIN)/python -m contracts $(PART)

belimo: $(READY)
	@PYTHONPATH=tests $(BIN)/python -m belimo

enos: $(READY)
	@PYTHONPATH=tests $(BIN)/python -m enos

fuzz: $(READY)
	@PYTHONPATH=tests $(BIN)/python -m fuzz $(PART)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ems-bridge needs Python 3.11 or newer: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
