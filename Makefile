# `make demo` shows what awase does, `make test` checks everything. Both make .venv themselves.
# Variables: PYTHON, TORCH_BACKEND (cpu, auto, cu130, ...), TORCH_INDEX (a mirror), EXTRAS, CONSTRAINTS (empty:
# newest versions), JOBS (test processes), PYTEST (more pytest options).

PYTHON := $(shell for p in python3 python3.11 python3.12 python3.13 python; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
EXTRAS ?= dev
CONSTRAINTS ?= constraints.txt
RESOLUTION ?= highest
JOBS ?= 2
BIN := .venv/bin
ENVIRONMENT := $(or $(PYTHON),$(error awase needs Python 3.11 or newer)) tools/environment.py \
  --constraints "$(CONSTRAINTS)" --resolution $(RESOLUTION)
# a stamp is remade when what it was made from changes
MADE_FROM := pyproject.toml $(CONSTRAINTS) tools/environment.py

.PHONY: demo test check bench docs clean
.DEFAULT_GOAL := demo

demo: .venv/.demo
	@$(BIN)/awase demo

test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(PYTEST)

check: .venv/.$(EXTRAS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: .venv/.$(EXTRAS)
	$(BIN)/python benchmarks/check.py
	$(BIN)/python benchmarks/ood.py
	$(BIN)/python benchmarks/tune.py
	$(BIN)/python benchmarks/transfer.py
	$(BIN)/python benchmarks/pairs.py

docs: .venv/.$(EXTRAS)
	$(BIN)/python tools/made_docs.py

# with Japanese segmentation, which the demo shows
.venv/.demo: $(MADE_FROM)
	$(ENVIRONMENT) ja
	@touch $@

.venv/.$(EXTRAS): $(MADE_FROM)
	$(ENVIRONMENT) $(EXTRAS)
	@touch $@ .venv/.demo

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache awase-demo
