# `make` builds the environment and the report; `make help` lists all targets.
PYTHON ?= python3
PRESET ?=
SHELL := /bin/sh
BIN := .venv/bin
export PYTHONPATH := $(CURDIR)/src
# With this variable Python would save no bytecode, and every stage would compile torch's modules again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := report
.PHONY: report install environment test test-all pytest lint docs experiments why deps lock help

report: install  ## build .venv, then run all stages that are out of date, up to results/report.html; PRESET="NAME ..." first writes params.yaml from presets
ifneq ($(PRESET),)
	@$(BIN)/omokage presets use $(PRESET)
endif
	@$(BIN)/python -m omokage.cli.folder_check
	$(BIN)/dvc repro
	@$(BIN)/python -m omokage.cli.report_line

install:  ## build .venv from requirements.lock, unless it is complete
	@$(PYTHON) workflow/install.py

# Targets that only ask depend on this one. It stops them if .venv does not fit, and never builds it.
environment:
	@$(PYTHON) workflow/install.py --check

test: install  ## run the tests (without the slow ones), the linters and the type checker, and build the documentation
	@$(MAKE) --no-print-directory --jobs 2 --keep-going lint pytest docs

test-all: install  ## as `make test`, with the slow tests
	@$(MAKE) --no-print-directory --jobs 2 --keep-going lint pytest docs TESTS='-m "slow or not slow"'

pytest: environment
	$(BIN)/python -m pytest $(TESTS)

lint: environment  ## run ruff, import-linter, mypy, snakefmt and Snakemake's linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

docs: environment  ## build the documentation, site/index.html; stop at a dead link; needs no network
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo 'documentation: site/index.html'

experiments: environment  ## compare experiments: the scores and parameters that differ
	$(BIN)/dvc exp show --only-changed --drop '.*/|pictures$$'

why: environment  ## print the parameters, data and code behind a figure or report: make why FIGURE=path
	@$(BIN)/omokage why $(FIGURE)

deps: environment  ## rewrite what is derived from the code: params of dvc.yaml, comments of params.yaml, package lists, pages of the reference
	$(BIN)/python -m omokage.pipeline.declare
	$(BIN)/python -m omokage.documentation.write

# Needs only uv, so that it also works after a merge conflict in requirements.lock.
lock:  ## write requirements.lock with the newest versions that pyproject.toml allows
	@test -x $(BIN)/uv || { echo 'omokage: .venv is missing: run `make install`' >&2; exit 2; }
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.lock

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*  ## /\1 - /p' $(MAKEFILE_LIST) | awk -F ' - ' '{ printf "make %-12s %s\n", $$1, $$2 }'
