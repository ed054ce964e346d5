# mxrc: every target is safe to call from several terminals at once; `make help` lists them.
.DEFAULT_GOAL := help
.NOTPARALLEL:
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

PYTHON ?= python3
ifeq ($(origin CC),default)
CC := gcc
endif
export CC

VENV := .venv
BIN := $(VENV)/bin
VENV_STAMP := $(VENV)/.installed
CORE := shared/_core.abi3.so
CORE_INPUTS := setup.py cffi_build/src cffi_build/include/mxrc $(wildcard cffi_build/*.py) \
	$(wildcard cffi_build/src/*.c cffi_build/src/*.h cffi_build/include/mxrc/*)
PACKAGES := $(wildcard shared rt_process nonrt_process logsim)
TYPED := setup.py cffi_build $(PACKAGES) $(wildcard benchmarks scripts/*.py) tests
C_FILES = $(shell find cffi_build -name '*.c' -o -name '*.h' | sort)
SCRIPTS = .ci/run $(shell find scripts systemd -name '*.sh' 2>/dev/null | sort)
PYTEST := $(BIN)/python -m pytest

# $(call tool,PROGRAM,PACKAGE,COMMAND): run COMMAND if PROGRAM is there. Without it name the package;
# under CI=true that is a failure.
define tool
if command -v $(1) >/dev/null; then $(3); \
	else echo "$(1) is missing, not run: apt-get install $(2)"; [[ "$${CI:-}" != true ]]; fi
endef

# $(call pytest,FOLDER,OPTIONS): run the tests of a folder; says so when it has none.
define pytest
	if [[ -n "$$(find $(1) -name 'test_*.py' -print -quit)" ]]; then $(PYTEST) $(1) $(2); else echo "$(1): no tests"; fi
endef

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-18s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  Settings: PYTHON=$(PYTHON) (for a new .venv), CC=$(CC), ARGS=... (for pytest, run and bench)"

# ---- Set up and run -----------------------------------------------------------------------------

# The lock is taken first and the time stamps are looked at inside, so that of several calls at once
# one works and the others find it done.
.PHONY: venv
venv: ## Create .venv with everything mxrc and its development need
	@mkdir -p build
	@flock build/venv.lock $(MAKE) -s --no-print-directory $(VENV_STAMP)

$(VENV_STAMP): pyproject.toml setup.py
	@scripts/check-prerequisites.sh $(PYTHON) $(CC)
	@[[ -x $(BIN)/python ]] || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check 'setuptools>=77' wheel 'cffi>=1.17'
	@MXRC_SKIP_EXT=1 $(BIN)/python -m pip install -q --disable-pip-version-check \
		--no-build-isolation -e '.[dev]'
	@touch $@

.PHONY: build
build: venv ## Compile the C core in place (only when something it is made of has changed)
	@# A umask of 002 leaves a clone group-writable, and mxrc refuses such configuration files.
	@if [[ -d config ]]; then chmod -R go-w config; fi
	@flock build/core.lock $(MAKE) -s --no-print-directory $(CORE)
	@# Importing from source takes so long that a killed Non-RT process would be back too late.
	@$(BIN)/python -m compileall -q $(PACKAGES)

# Made aside and renamed into place: a running process keeps the old file. It gets the time of the
# start, so that a file saved during the compilation counts as newer.
$(CORE): $(CORE_INPUTS) build/compiler
	@echo "Compiling $@ with $(CC) ..."
	@touch build/core.start
	@rm -rf build/core
	@MXRC_WERROR=1 $(BIN)/python setup.py -q build_ext --force --build-lib build/core/lib --build-temp build/core/tmp
	@touch -r build/core.start build/core/lib/$@
	@mv -f build/core/lib/$@ $@

build/compiler: always
	@mkdir -p build
	@[[ "$$(cat $@ 2>/dev/null)" == "$(CC)" ]] || echo "$(CC)" > $@
.PHONY: always

.PHONY: run
run: build ## Set up, compile, and run the demo until Ctrl-C
	@exec $(BIN)/mxrc up --demo $(ARGS)

# ---- Tests --------------------------------------------------------------------------------------

.PHONY: test
test: test-c-short test-unit test-integration ## C, unit and integration tests (at most 10 minutes)

# One of the five builds; `make test-c` runs them all.
.PHONY: test-c-short
test-c-short:
	@$(MAKE) --no-print-directory test-c C_VARIANTS=gcc

C_ARGS = PYTHON=$(abspath $(BIN)/python) $(if $(C_VARIANTS),VARIANTS="$(C_VARIANTS)")

.PHONY: fuzz fuzz-short
fuzz: ## Fuzz the validator and the executor of programs for five minutes (clang)
	@$(MAKE) --no-print-directory -C cffi_build fuzz FUZZ_SECONDS=300
fuzz-short: ## The same for one minute
	@$(MAKE) --no-print-directory -C cffi_build fuzz FUZZ_SECONDS=60

.PHONY: api-fuzz
api-fuzz: build ## Schemathesis over the OpenAPI document of running processes (MXRC_FUZZ_EXAMPLES: a longer run)
	@$(PYTEST) tests/stress/test_api_fuzz.py -s $(ARGS)

.PHONY: test-c
test-c: venv ## C tests of the core without Python: gcc, clang, ASan, UBSan, TSan
	@flock build/test-c.lock bash -euc '\
		$(MAKE) -s --no-print-directory -C cffi_build -j$(shell nproc) programs $(C_ARGS); \
		$(MAKE) --no-print-directory -C cffi_build test $(C_ARGS)'

.PHONY: test-unit
test-unit: build ## Unit tests
	@$(call pytest,tests/unit,-n logical --maxprocesses 4 $(ARGS))

.PHONY: test-integration
test-integration: build ## Integration tests: real processes on free ports
	@$(call pytest,tests/integration,$(ARGS))

.PHONY: test-stress-short
test-stress-short: build ## Those of the stress tests that take a minute or two together
	@if grep -rqs 'mark\.short' tests/stress --include='test_*.py'; then $(PYTEST) tests/stress -m short $(ARGS); \
	else echo "tests/stress: no short tests"; fi

.PHONY: test-stress
test-stress: build ## Load, kills and long runs (ARGS='-m "not short"': without the short ones)
	@$(call pytest,tests/stress,--durations=12 $(ARGS))

.PHONY: test-lab
test-lab: build ## Tests against real outside parts (collector, containers, ...)
	@$(call pytest,tests/lab,$(ARGS))

.PHONY: test-vm
test-vm: build ## Placement, units and repair on emulated PREEMPT_RT machines (root; part of test-lab)
	@$(PYTEST) -n 2 --dist loadfile -rA --durations=4 tests/lab/test_vm.py tests/lab/test_vm_units.py \
		tests/lab/test_vm_repair.py $(ARGS)

.PHONY: test-pythons
test-pythons: build ## Unit tests on every other Python 3.10 to 3.13 of this machine
	@scripts/test-pythons.sh $(BIN)/python

.PHONY: test-lowest
test-lowest: build ## Unit and integration tests with the lowest versions pyproject.toml allows
	@scripts/test-lowest.sh $(BIN)/python

.PHONY: bench
bench: build ## Run the benchmarks (benchmarks/bench_*.py)
	@for file in benchmarks/bench_*.py; do \
		if [[ -e $$file ]]; then $(BIN)/python -P "$$file" $(ARGS); else echo "benchmarks: none"; fi; done

# ---- Source -------------------------------------------------------------------------------------

.PHONY: lint
lint: venv ## Check style, types and imports
	@failed=0; check() { echo "$$@" | cut -c 1-100; "$$@" || failed=1; }; \
	check $(BIN)/ruff check .; \
	check $(BIN)/ruff format --check .; \
	check $(BIN)/mypy $(TYPED); \
	check $(BIN)/lint-imports; \
	check $(BIN)/clang-format --dry-run -Werror $(C_FILES); \
	$(call tool,shellcheck,shellcheck,check shellcheck $(SCRIPTS)) || failed=1; \
	exit $$failed

.PHONY: format
format: venv ## Format Python and C, sort imports
	$(BIN)/ruff check --fix-only --select I .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(C_FILES)

.PHONY: dist
dist: venv ## Make sdist and wheel and check that both install
	@flock build/dist.lock scripts/check-dist.sh $(BIN)/python

.PHONY: clean
clean: ## Remove what make has built (.venv too with ALL=1)
	rm -rf build dist *.egg-info $(CORE) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
	$(if $(ALL),rm -rf $(VENV))
