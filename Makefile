# `make` builds the environment and the report; `make help` lists what else there is.
PYTHON ?= python3
PRESET ?=
SHELL := /bin/sh
BIN := .venv/bin
READY := .venv/ready
export PYTHONPATH := $(CURDIR)/src
# Where bytecode is not kept, every stage compiles torch anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := report
.PHONY: report install test pytest lint experiments why params deps lock help

report: $(READY)  ## build .venv, then run what is out of date, up to results/report.html (PRESET=name takes workflow/presets/name.yaml first)
ifneq ($(PRESET),)
	@$(BIN)/python -m omokage.presets $(PRESET)
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

test: $(READY)  ## run every test, the linter and the type checker
	@$(MAKE) --no-print-directory --jobs 2 --keep-going lint pytest

pytest: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)  ## run ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

experiments: $(READY)  ## compare experiments: lr, schedule, score, floor and time
	$(BIN)/dvc exp show --drop '^(?!(Experiment|Created|State|lr|schedule|distance|distance_floor|train.seconds)$$)'

why: $(READY)  ## say what made a figure or report: make why FIGURE=path
	@$(BIN)/omokage why $(FIGURE)

params: $(READY)  ## write the comments of params.yaml and the presets anew from the schema
	$(BIN)/python -m omokage.params.whole params.yaml workflow/presets/*.yaml

deps: $(READY)  ## write the stages' code and packages into dvc.yaml, and the table of reruns into the README
	$(BIN)/python -m omokage.imports .
	$(BIN)/python -m omokage.reruns README.md

lock: $(READY)  ## pin the newest packages that pyproject.toml allows
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.lock

help:  ## list what there is
	@sed -n 's/^\([a-z]*\):.*  ## /\1 - /p' $(MAKEFILE_LIST) | awk -F ' - ' '{ printf "make %-12s %s\n", $$1, $$2 }'
