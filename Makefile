# PIP_ARGS passes extra arguments to pip, e.g. PIP_ARGS="--find-links wheels" for a folder of wheels or a GPU build.
PYTHON ?= python3
PIP_ARGS ?=
BIN := .venv/bin
PYTEST_ARGS ?=

.PHONY: install test check soak clean

.venv/installed-dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_ARGS) -e '.[all,dev]'
	touch $@

install: .venv/installed-dev

test: install
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(PYTEST_ARGS)

soak: install
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

clean:
	rm -rf .venv build dist
