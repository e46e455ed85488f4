# Every target sets up what it needs; 'make help' lists them.
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 20

$(STAMP): pyproject.toml
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed" >&2; exit 1; }
	@python3 -c 'import ensurepip' 2>/dev/null || { echo "python3-venv is missing; run: apt-get install python3-venv" >&2; exit 1; }
	python3 -m venv $(VENV)
	$(PY) -m pip install --quiet --editable '.[dev]'
	@touch $@

install: $(STAMP) ## make the virtual environment and install everything into it

format: $(STAMP) ## rewrite the code in the one format
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

lint: $(STAMP) ## check format, lint and types
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy

test: $(STAMP) ## run every test; says what it skipped and why
	$(PY) -m pytest

clean: ## remove everything that was made
	rm -rf $(VENV) .demo build dist .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis

.PHONY: help install format lint test clean
