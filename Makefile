# filesync's workshop. GNU make and Python 3.11 or newer are all that a fresh machine needs:
#   make demo       set up, then watch the story: three sites, a matriz, four kinds of trouble, difference zero
#   make test       set up, then every check that a change must pass
# Other targets:    make setup | test-all | lint | format | catalogue | bench | lock | clean
#                   make demo DIR=/some/folder SEED=7     make test PYTHON=python3.12 JOBS=4

PYTHON ?= python3
JOBS ?= 2
DIR ?= demo
SEED ?= 1

VENV := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
PY := $(BIN)/python
# Written when an environment is complete; an interrupted set-up leaves none and is done again.
STAMP := $(VENV)/.complete
# `make lock` resolves in an environment of its own: the resolver is no part of what is locked.
LOCKER := build/locker

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all test-slow lint format catalogue bench lock clean tools

help:
	@sed -n 's/^# \{0,1\}//p; /^$$/q' Makefile

setup: $(STAMP)

# --require-hashes: nothing gets in that the lock does not name. --only-binary: no build script of a stranger is run.
$(STAMP): requirements.lock pyproject.toml
	@rm -f $(STAMP)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "filesync needs Python 3.11 or newer, and '$(PYTHON)' is not. Name one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PY) -m pip --version >/dev/null 2>&1 || { PYTHON="$(PYTHON)" sh .ci/tools venv && $(PYTHON) -m venv --clear $(VENV); }
	@echo "installing the locked versions into $(VENV)"
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $(STAMP)

demo: setup
	@$(BIN)/filesync demo "$(DIR)" --seed $(SEED)

# What the tests call besides Python (ssh-keygen): installed where that is allowed, otherwise named.
tools:
	@sh .ci/tools tests

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The texts of the command line and their translations (src/filesync/locale); says what is not translated yet.
catalogue: setup
	$(PY) .ci/catalogue.py

test: setup tools lint
	$(PY) -m pytest -n $(JOBS) --dist worksteal -m "not slow"

# The longer proofs alone; `make test test-all` runs nothing twice.
test-slow: setup tools
	$(PY) -m pytest -n $(JOBS) --dist worksteal -m slow

test-all: test test-slow

# QUICK=1: smaller sizes, and docs/performance.md stays as it is. ONLY=P8,P9: these figures alone. The peers get an environment of their own (bench/.peers).
bench: setup
	$(PY) -m bench $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

# Resolved for every platform and Python at once (markers), hashes of every wheel, and no word about where from.
lock:
	@test -x $(LOCKER)/bin/uv || { $(PYTHON) -m venv $(LOCKER) && $(LOCKER)/bin/python -m pip install --quiet uv; }
	$(LOCKER)/bin/uv pip compile pyproject.toml --quiet --no-config --all-extras --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command "make lock" --output-file requirements.lock $(LOCK_FLAGS)

clean:
	rm -rf $(VENV) build dist demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests $(wildcard bench) -name __pycache__ -type d -prune -exec rm -rf {} +
