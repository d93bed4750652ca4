# Each target makes what it needs; `make` alone lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The version of pip with `--group` (PEP 735).
PIP_VERSION := 26.3
# Minutes matter more than the last tenth of speed here; wheels for others come from `make build`.
PROFILE := quick
PART := scripts/part
TYPECHECK := scripts/typecheck
REACT := examples/react

RUST_SOURCES := Cargo.toml Cargo.lock $(shell find src -name '*.rs')
PYTEST := $(BIN)/python -m pytest
CARGO_TEST := cargo test --profile $(PROFILE) --no-default-features

.DEFAULT_GOAL := help
.PHONY: help demo test test-firefox check coverage matrix cut-matrix soak simulation fuzz mutants lint fmt build preflight chromium services clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

preflight:
	@scripts/preflight

$(BIN)/pip: | preflight
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q pip==$(PIP_VERSION)

# One stamp for each set of packages, so that the demo does not wait for linters and test clients.
$(VENV)/.build: pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install -q --group build
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install -q --group build --group lint --group test
	@touch $@

# npm writes this file last; what the lock says is in node_modules then.
$(TYPECHECK)/node_modules/.package-lock.json: $(TYPECHECK)/package-lock.json | $(VENV)/.dev
	$(BIN)/npm ci --prefix $(TYPECHECK) --no-audit --no-fund --loglevel=error
	@touch $@

$(REACT)/node_modules/.package-lock.json: $(REACT)/package-lock.json | $(VENV)/.dev
	$(BIN)/npm ci --prefix $(REACT) --no-audit --no-fund --loglevel=error
	@touch $@

# The extension module in the quick profile, with everything `novasonic demo` needs.
$(VENV)/.extension: $(RUST_SOURCES) pyproject.toml $(VENV)/.build
	@echo "building the Rust core (profile $(PROFILE)); a first build takes some minutes"
	$(PART) "build extension" $(BIN)/maturin develop --profile $(PROFILE) --extras demo
	@touch $@

# As make began: what a person waits for, building included.
STARTED := $(shell date +%s)

demo: preflight $(VENV)/.extension ## talk to the storyteller in your browser, no AWS account
	@NOVASONIC_DEMO_STARTED=$(STARTED) $(BIN)/novasonic demo --app storyteller.asgi:application --app-dir examples/storyteller

build: preflight $(VENV)/.build ## the release wheel, in dist/
	$(BIN)/maturin build --release --out dist

fmt: preflight $(VENV)/.dev ## format Rust and Python
	cargo fmt
	cargo fmt --manifest-path fuzz/Cargo.toml
	$(BIN)/ruff check -q --fix-only python tests examples scripts benchmarks
	$(BIN)/ruff format -q python tests examples scripts benchmarks

lint: preflight $(VENV)/.dev $(VENV)/.extension $(TYPECHECK)/node_modules/.package-lock.json $(REACT)/node_modules/.package-lock.json ## formats, clippy, ruff, types, stubs, who may import what
	$(PART) "lint: rustfmt" cargo fmt --check
	$(PART) "lint: rustfmt, fuzz" cargo fmt --check --manifest-path fuzz/Cargo.toml
	$(PART) "lint: clippy" cargo clippy --profile $(PROFILE) --all-targets -- -D warnings
	$(PART) "lint: clippy, no bindings" cargo clippy --profile $(PROFILE) --all-targets --no-default-features -- -D warnings
	$(PART) "lint: ruff" $(BIN)/ruff check python tests examples scripts benchmarks
	$(PART) "lint: ruff format" $(BIN)/ruff format --check python tests examples scripts benchmarks
	$(PART) "lint: mypy" $(BIN)/mypy
	$(PART) "lint: stubtest" $(BIN)/python -m mypy.stubtest novasonic._core --allowlist scripts/stubtest-allowlist.txt
	$(PART) "lint: tsc" $(BIN)/node $(TYPECHECK)/node_modules/typescript/bin/tsc -p $(TYPECHECK)/tsconfig.json
	$(PART) "lint: tsc, worklets" $(BIN)/node $(TYPECHECK)/node_modules/typescript/bin/tsc -p $(TYPECHECK)/tsconfig.worklet.json
	$(PART) "lint: tsc, React" $(BIN)/node $(REACT)/node_modules/typescript/bin/tsc -p $(REACT)/tsconfig.json
	$(PART) "lint: rooms" $(BIN)/python scripts/lint_rooms.py

check: preflight $(VENV)/.dev $(VENV)/.extension ## the quick part of test
	$(PART) "check: rust" $(CARGO_TEST) --lib
	$(PART) "check: python" $(PYTEST) -q -m "not slow and not browser and not firefox and not foreign"

coverage: preflight $(VENV)/.dev $(VENV)/.extension ## Python's branches that the tests reach, subprocesses too; fails below 95 %
	rm -rf .build/coverage && mkdir -p .build/coverage
	$(BIN)/python -m coverage run -m pytest -q -m "not browser and not firefox and not foreign"
	$(BIN)/python -m coverage combine -q
	$(BIN)/python -m coverage report

mutants: preflight ## defects in protocol/ and conversation/ that no test notices (cargo-mutants; over an hour)
	scripts/mutants

fuzz: preflight ## twenty seconds of each fuzz target; scripts/fuzz SECONDS TARGET for more
	$(PART) "fuzz" scripts/fuzz

test: preflight $(VENV)/.dev $(VENV)/.extension chromium services ## everything: Rust, Python, foreign clients, a real browser
	$(PART) "test: rust" $(CARGO_TEST)
	$(PART) "test: simulation" env NOVASONIC_SIMULATIONS=100000 $(CARGO_TEST) --lib simulation -- --nocapture
	$(PART) "test: python" $(PYTEST) -m "not browser and not firefox and not foreign"
	$(PART) "test: on PostgreSQL" scripts/with-postgres $(PYTEST) -q tests/django
	$(PART) "test: foreign clients" $(PYTEST) -m foreign
	$(PART) "test: browser" $(PYTEST) -m browser
	$(PART) "test: fuzz" scripts/fuzz 15
	scripts/matrix

test-firefox: preflight $(VENV)/.dev $(VENV)/.extension ## the page in stock Firefox ESR with PulseAudio for ears and mouth; not in `make test`
	$(PART) "install firefox" scripts/firefox
	$(PART) "test: firefox" $(PYTEST) -m firefox tests/firefox

matrix: preflight $(VENV)/.dev $(VENV)/.extension services ## the Django tests on the other pairs of Python and Django
	scripts/matrix

cut-matrix: preflight $(VENV)/.dev $(VENV)/.extension ## cut a conversation after each of its events, audio too
	$(PART) "cut matrix" $(BIN)/python tests/faults/cut_matrix.py --all

simulation: preflight ## 100,000 drawn conversations through everything that may befall a stream
	$(PART) "simulation" env NOVASONIC_SIMULATIONS=100000 $(CARGO_TEST) --lib simulation -- --nocapture

soak: preflight $(VENV)/.dev $(VENV)/.extension ## an hour of conversations that are cut and renewed; memory must not grow
	$(PART) "soak" $(BIN)/python tests/faults/soak.py

chromium:
	@$(PART) "install chromium" scripts/chromium

services:
	@$(PART) "install services" scripts/services

clean: ## remove everything that was built
	cargo clean
	rm -rf $(VENV) $(TYPECHECK)/node_modules $(REACT)/node_modules tests/browser/npm/node_modules .build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
