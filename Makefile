# PIP_ARGS passes extra arguments to pip, e.g. PIP_ARGS="--find-links wheels" for a folder of wheels or a GPU build.
# LONG=1 runs the tests that take many seconds, too, as CI does.
PYTHON ?= python3
PIP_ARGS ?=
BIN := .venv/bin
PYTEST_ARGS ?=
WORKERS ?= 2
LONG ?=
ONLY ?=
PORT ?= 8501
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_ARGS)

.PHONY: install app run test check bench soak clean

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed-app: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing what the application needs into .venv (about a minute)"
	$(PIP) -e '.[app]'
	touch $@

.venv/installed-dev: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) -e '.[all,dev]'
	touch $@ .venv/installed-app

install: .venv/installed-dev

app: .venv/installed-app

run: app
	$(BIN)/mainstem demo --port $(PORT)

test: install
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(if $(filter-out 0,$(LONG)),--long) $(PYTEST_ARGS)

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(if $(filter-out 0,$(LONG)),--long) $(PYTEST_ARGS)

bench: install
	$(BIN)/python -m tests.benchmarks $(if $(ONLY),--only $(ONLY))

soak: install
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

clean:
	rm -rf .venv build dist
