# `make` builds the environment and the report; `make help` lists all targets.
PYTHON ?= python3
PRESET ?=
SHELL := /bin/sh
BIN := .venv/bin
READY := .venv/ready
export PYTHONPATH := $(CURDIR)/src
# With this variable Python would save no bytecode, and every stage would compile torch's modules again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := report
.PHONY: report install test test-all pytest lint experiments why deps lock help

report: $(READY)  ## build .venv, then run all stages that are out of date, up to results/report.html; PRESET="NAME ..." first writes params.yaml from presets
ifneq ($(PRESET),)
	@$(BIN)/omokage presets use $(PRESET)
endif
	$(BIN)/dvc repro

install: $(READY)  ## build .venv from requirements.lock

$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v[:2] <= (3, 13) else "omokage needs Python 3.11 to 3.13, and %s is %d.%d: name another with `make PYTHON=python3.12`" % (sys.executable, v[0], v[1]))'
	$(PYTHON) -m venv --clear .venv
	sed -n '/^uv==/,/^    # via/p' requirements.lock > .venv/uv.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r .venv/uv.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-index --no-deps --editable .
	$(BIN)/dvc config --local remote.checkout.url .
	@touch $@

test: $(READY)  ## run the tests (without the slow ones), the linters and the type checker
	@$(MAKE) --no-print-directory --jobs 2 --keep-going lint pytest

test-all: $(READY)  ## run all tests (with the slow ones), the linters and the type checker
	@$(MAKE) --no-print-directory --jobs 2 --keep-going lint pytest TESTS='-m "slow or not slow"'

pytest: $(READY)
	$(BIN)/python -m pytest $(TESTS)

lint: $(READY)  ## run ruff, import-linter and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

experiments: $(READY)  ## compare experiments: lr, schedule, Fréchet distance, real-vs-real baseline and training time
	$(BIN)/dvc exp show --drop '^(?!(Experiment|Created|State|lr|schedule|distance|distance_floor|train.seconds)$$)'

why: $(READY)  ## print the parameters, data and code behind a figure or report: make why FIGURE=path
	@$(BIN)/omokage why $(FIGURE)

deps: $(READY)  ## rewrite what is derived from the schema and the imports: params of dvc.yaml, comments of params.yaml, package lists, tables in the docs
	$(BIN)/python -m omokage.pipeline.declare

lock: $(READY)  ## write requirements.lock with the newest versions that pyproject.toml allows
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.lock

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*  ## /\1 - /p' $(MAKEFILE_LIST) | awk -F ' - ' '{ printf "make %-12s %s\n", $$1, $$2 }'
