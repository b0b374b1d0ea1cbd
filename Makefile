# Everything works from a bare `python3` (3.11 or newer): the first target that needs it sets up .venv.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-fast coverage kernels check static golden bench docs lock

# Python keeps compiled files, whatever the environment says: else every process compiles the 4,000 it imports again.
export PYTHONDONTWRITEBYTECODE :=
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# uv from PATH where it runs; otherwise a private copy under .uv, fetched with pip.
UV := $(shell uv --version >/dev/null 2>&1 && command -v uv || echo .uv/bin/uv)
export UV_HTTP_TIMEOUT ?= 300
# One thread a worker: two workers share the cores instead of fighting for them.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## create .venv with the locked packages and this one (the other targets do it when needed)
	@echo "setup: ready, $$($(BIN)/python -V) in .venv"

demo: $(READY)  ## train ICL and plain cross-entropy on real digits and compare them
	@$(BIN)/python examples/demo.py

test: $(READY)  ## run the tests
	@$(PYTEST) -q -n 2 --dist worksteal

test-fast: $(READY)  ## run the tests but those marked slow, while you work
	@$(PYTEST) -q -n 2 --dist worksteal -m "not slow"

coverage: $(READY)  ## run the fast tests and list the lines that none of them runs
	@$(PYTEST) -q -n 2 --dist worksteal -m "not slow" --cov --cov-report=term-missing:skip-covered

kernels: $(READY)  ## run the tests of numbers once more with kernels for an older CPU, which round differently
	@OMP_NUM_THREADS=1 $(BIN)/python tests/other_kernels.py

check: static docs test  ## everything that has to pass before a commit: static, docs, test

static: $(READY)  ## format, lint, spelling, types and import contracts
	@$(BIN)/ruff format --check --quiet || { echo "fix it with: $(BIN)/ruff format" >&2; exit 1; }
	@$(BIN)/ruff check --quiet
	@$(BIN)/typos
	@$(BIN)/mypy
	@$(BIN)/lint-imports

golden: $(READY)  ## rewrite the golden traces (only after an intended change of numbers; see CHANGELOG)
	@LONGTAIL_UPDATE_GOLDEN=1 $(PYTEST) -q tests/golden

bench: $(READY)  ## measure speed and growth on this machine, beside what they have to reach (four minutes on two cores)
	@$(BIN)/python benchmarks/bench.py

docs: $(READY)  ## build the documentation into docs/_build/html; a warning is an error
	@$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

lock: $(READY)  ## resolve requirements.lock afresh from pyproject.toml
	@$(UV) pip compile pyproject.toml --extra dev --universal --python-version 3.11 --upgrade --quiet \
		--no-emit-index-url --no-emit-find-links --no-annotate --no-header --output-file requirements.lock

$(READY): requirements.lock pyproject.toml | $(UV)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: longtail needs Python 3.11 or newer, this is $$($(PYTHON) -V 2>&1); name another: make PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) .venv
	@echo "setup: installing the packages of requirements.lock into .venv (PyTorch is large: minutes on a slow line)"
	@$(UV) pip install --quiet --python $(BIN)/python --requirement requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

.uv/bin/uv:
	@echo "setup: fetching uv with pip into .uv"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-warn-script-location \
		--root-user-action ignore --target .uv uv || { \
		echo "error: '$(PYTHON) -m pip' did not work; install pip (Debian: apt install python3-pip) or uv" >&2; exit 1; }
