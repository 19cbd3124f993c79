# Everything is set up on first use: tools are checked, .venv is filled, the native module is built. A second
# run builds and fetches nothing (the files under .venv/.stamps are newer than what they depend on).

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8080
DATA ?= data
PYTEST ?=
CARGO_TEST ?=
PEERS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
# One interpreter for every build, or cargo would build the bindings again for each.
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Folders are among the sources: one changes when a file in it is added or removed.
RUST_SOURCES := $(shell find rust -type d -o -name '*.rs' -o -name '*.cpp' -o -name '*.hpp' -o -name Cargo.toml)
NATIVE_SOURCES := $(RUST_SOURCES) Cargo.toml Cargo.lock pyproject.toml

.PHONY: help run test bench bench-peers lint format clean torture tools system setup \
	audit format-check clippy ruff types floors rust-tests python-tests

help: ## show this
	@echo "ingot, a self-hosted store for embeddings"; echo
	@sed -n 's/^\([a-z-]*\): .*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name what; do \
		printf '  make %-11s %s\n' "$$name" "$$what"; done
	@echo; echo "Each sets up what it needs from a bare clone. Start with: make run"

run: setup ## build, serve on 127.0.0.1:8080 (PORT=9000 for another), upload a sample, search it
	@$(BIN)/python -m ingot.tour --host $(HOST) --port $(PORT) --data $(DATA)

STAGES := format-check clippy ruff types floors rust-tests python-tests

test: setup system ## format, lint, types, floors, Rust tests, Python tests; stops at the first that fails
	@summary=''; \
	for stage in $(STAGES); do \
		printf '\n== %s\n' "$$stage"; started=$$SECONDS; \
		$(MAKE) $$stage || { printf '\nmake test: FAILED at %s. Again: make %s\n' "$$stage" "$$stage" >&2; exit 1; }; \
		summary+=$$(printf '  %-13s ok  %4d s' "$$stage" $$((SECONDS - started)))$$'\n'; \
	done; \
	printf '\nmake test: all %d stages passed\n%s' $(words $(STAGES)) "$$summary"

torture: ## the same tests, with larger loads (minutes instead of seconds)
	@INGOT_TORTURE=large $(MAKE) test

lint: format-check clippy ruff types ## format check, clippy and ruff with warnings denied, mypy strict

# Both ask databases of advisories over the network; what needs none is in `make test` (tests/test_dependencies.py).
audit: $(STAMPS)/python ## known vulnerabilities of what is locked and pinned (pip-audit, cargo-audit, cargo-deny)
	@command -v pip-audit >/dev/null || { echo "make: pip-audit not found: pipx install pip-audit" >&2; exit 2; }
	@command -v cargo-audit >/dev/null || { echo "make: cargo-audit not found: cargo install --locked cargo-audit" >&2; exit 2; }
	@command -v cargo-deny >/dev/null || { echo "make: cargo-deny not found: cargo install --locked cargo-deny" >&2; exit 2; }
	@$(BIN)/python -m pip freeze --exclude-editable | pip-audit --no-deps --disable-pip --strict -r /dev/stdin
	@cargo audit --deny warnings
	@cargo deny --locked check

bench: setup ## uploads and searches against bare ceilings: one table, and .bench/<date>.json
	@$(BIN)/python -m benches
	@$(BIN)/python -m pytest benches -q --benchmark-columns=min,median,max,rounds --benchmark-sort=name

bench-peers: setup ## ours beside other stores (PEERS='usearch chroma' for some): one table, and a file in .bench
	@$(BIN)/python -m benches.peers $(PEERS)

format: $(STAMPS)/python ## rewrite the sources in the house format
	@cargo fmt --all
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix --select I .

clean: ## remove what was built (.venv and target); data stays
	rm -rf $(VENV) target python/ingot/*.so .mypy_cache .ruff_cache .pytest_cache

format-check: $(STAMPS)/python
	@cargo fmt --all -- --check
	@$(BIN)/ruff format --check --quiet . || { echo "ruff: not in the house format; run: make format" >&2; exit 1; }

clippy: $(STAMPS)/python
	@cargo clippy --locked --quiet --workspace --all-targets -- -D warnings

ruff: $(STAMPS)/python
	@$(BIN)/ruff check .

types: setup
	@$(BIN)/mypy

floors: $(STAMPS)/python
	@$(BIN)/python -m pytest -q tests/test_floors.py

rust-tests: tools
	@cargo test --locked --quiet --workspace --exclude ingot-python $(CARGO_TEST)

python-tests: setup
	@$(BIN)/python -m pytest -q $(PYTEST)

setup: $(STAMPS)/native

# What a test needs of the operating system is installed here where that is possible.
system:
	@[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0; mkdir -p $(STAMPS); updated=; \
	for pair in curl:curl chromium:chromium chromedriver:chromium-driver; do \
		command -v "$${pair%%:*}" >/dev/null && continue; \
		echo "make: installing $${pair##*:}"; \
		[ -n "$$updated" ] || apt-get update -qq >/dev/null 2>&1 || true; updated=1; \
		DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$${pair##*:}" \
			>$(STAMPS)/apt.log 2>&1 || tail -n 3 $(STAMPS)/apt.log >&2; \
	done

tools:
	@need() { echo "make: $$1" >&2; exit 2; }; \
	command -v $(PYTHON) >/dev/null || need "$(PYTHON) not found: install Python 3.10 or newer"; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| need "$$($(PYTHON) --version 2>&1) is too old: install Python 3.10 or newer, or name one: make PYTHON=python3.12"; \
	$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
		|| need "$(PYTHON) has no venv module: install it (Debian and Ubuntu: apt install python3-venv)"; \
	command -v cargo >/dev/null || need "cargo not found: install Rust 1.89 or newer (rustup does it)"; \
	minor=$$(cargo --version | sed -n 's/^cargo 1\.\([0-9]*\).*/\1/p'); \
	[ "$${minor:-0}" -ge 89 ] || need "$$(cargo --version) is too old: install Rust 1.89 or newer (rustup update)"; \
	command -v "$${CXX:-c++}" >/dev/null \
		|| need "no C++ compiler ($${CXX:-c++}): install one (Debian and Ubuntu: apt install g++)"

$(STAMPS)/python: requirements-dev.txt | tools
	@echo "make: filling $(VENV)"
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/native: $(STAMPS)/python $(NATIVE_SOURCES)
	@echo "make: building the native module (a few minutes the first time)"
	@PIP_QUIET=1 PATH="$(CURDIR)/$(BIN):$$PATH" VIRTUAL_ENV="$(CURDIR)/$(VENV)" \
		$(BIN)/maturin develop --release --locked --quiet
	@touch $@
