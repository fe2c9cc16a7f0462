# Everything a person does here, by name. `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
# Test files run beside each other, one worker a core.
WORKERS ?= auto
RUN := .venv/bin/python
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

.PHONY: help setup dev demo demo-real test check lint types imports format chaos bench docs readme clean

help: ## list what can be done
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: .venv/.ready ## install what Greylag needs, from the lock file, into this folder only

.venv/.ready: uv.lock pyproject.toml scripts/setup.py scripts/package_index.py scripts/fetch_claude.py
	@$(PYTHON) scripts/setup.py

# A chat server that only tests talk to.
.tools/matrix/.ready: uv.lock pyproject.toml scripts/setup.py scripts/package_index.py | .venv/.ready
	@$(PYTHON) scripts/setup.py --for-tests

dev: setup ## start Greylag here with the example repository, for looking around
	@.venv/bin/greylag up --home .cache/dev --with-example

demo: setup ## show the main job end to end: no account, no key
	@.venv/bin/greylag demo

demo-real: setup ## the same with a real package from the registry and an old bug of it
	@.venv/bin/greylag demo --real

test: setup .tools/matrix/.ready ## run the tests
	@$(RUN) -m pytest -q -n $(WORKERS) --maxprocesses 4 --dist loadfile

check: setup lint types imports ## run the quality gates

lint: setup
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .

types: setup
	@.venv/bin/mypy

imports: setup
	@.venv/bin/lint-imports

format: setup ## put the code into its form
	@.venv/bin/ruff check --fix -q . ; .venv/bin/ruff format -q .

chaos: setup ## kill the demo at 50 random moments on each database
	@$(RUN) -m pytest -q -m chaos tests/chaos --kills 50

bench: setup ## measure, each figure beside a floor of the same run
	@$(RUN) bench/run.py

docs: setup ## write the generated reference pages
	@for each in errors states settings cli; do $(RUN) scripts/$${each}_doc.py; done

readme: setup ## write the transcript of `make demo` into the README
	@$(RUN) scripts/readme.py

clean: ## remove what set-up made
	@rm -rf .venv .toolchain .tools .cache dist build
