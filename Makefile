# Everything runs in .venv, which is made once, and again where pyproject.toml has changed.
# Another interpreter: make demo PYTHON=python3.12

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_READY := $(VENV)/.demo-ready
DEV_READY := $(VENV)/.dev-ready

# All tests of a file run in one process, as they share what the file sets up. With 0 everything
# runs in the first one: make test TEST_PROCESSES=0. Three suit two processors: most tests wait
# for something now and then.
TEST_PROCESSES ?= 3
IN_PARALLEL = -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder
PYTEST_ARGS ?=
BENCHMARKS ?= help first_frame app long_log guards data_path audit plan checkpoint memory doctor \
  fold watch first_step scale gpu allocator
PEERS ?= .venv-peers

.DEFAULT_GOAL := help
.PHONY: demo test slow torture mutants check docs bench peers clean help

demo: $(DEMO_READY) ## train the demo: 1,797 handwritten digits, in about three minutes
	@if [ -t 0 ] && [ -t 1 ]; then $(BIN)/ecotui digits; else $(BIN)/ecotui --headless digits; fi

test: $(DEV_READY) ## run the tests, those marked slow or torture left out
	$(BIN)/python -m pytest -m "not slow and not torture" $(IN_PARALLEL) $(PYTEST_ARGS)

slow: $(DEV_READY) ## run the tests that take minutes
	$(BIN)/python -m pytest -m slow

torture: $(DEV_READY) ## kill and signal runs by the hundred (docs/faults.md)
	$(BIN)/python -m pytest -m torture tests/faults

mutants: $(DEV_READY) ## change ecotui in one place after the other: tests must notice
	$(BIN)/python -m tests.mutants

check: $(DEV_READY) ## check lint, format, types and the floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(DEV_READY) ## write the pages that are made from the code
	$(BIN)/python docs/generate.py

bench: $(DEV_READY) ## measure what is promised about speed and memory
	@for name in $(BENCHMARKS); do \
	  echo "== $$name"; $(BIN)/python -m benchmarks.$$name || echo "== $$name: see above"; done
	$(BIN)/python -m benchmarks.report

peers: ## measure training loops beside those of Lightning, Hugging Face and timm
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -e ".[demo,peers]"
	$(PEERS)/bin/python -m benchmarks.loop
	$(PEERS)/bin/python -m benchmarks.report

clean: ## remove .venv and what the tools left; runs and configs stay
	rm -rf $(VENV) $(PEERS) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## list these targets
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## (.*)/\1\t\2/' | expand -t 10

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ecotui needs Python 3.11 or later: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(DEMO_READY): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[demo]"
	touch $@

$(DEV_READY): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[demo,dev]"
	touch $(DEMO_READY) $@
