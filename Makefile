# `make demo`, `make test` and `make check` need nothing but Python 3.11 or newer and make.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: test check clean

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $@

test: .venv/.installed
	$(BIN)/python -m pytest -n 2 $(ARGS)

check: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf .venv build dist
