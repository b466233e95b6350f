# Two commands for users (demo, test), two more for people who change the code (check, bench).
PYTHON ?= python3
VENV ?= .venv
# Three workers for two cores: over a third of the time tests wait for a process, a disk or a browser.
PYTEST_ARGS ?= -n 3 --dist worksteal --durations=40 --durations-min=1.0
BIN := $(VENV)/bin
# Linux without a GPU: torch's CPU build, 0.2 GB in place of 5, where its index answers. Elsewhere,
# and with TORCH_FROM= (empty), whatever the index at hand has.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH_FROM ?= $(shell [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null 2>&1 \
	&& $(PYTHON) -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=5)' \
	$(TORCH_INDEX)/torch/ >/dev/null 2>&1 && echo --extra-index-url $(TORCH_INDEX))
STAMP := $(VENV)/.installed
# Tests start some hundred processes: none has to compile what the one before did.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check bench docs smoke dist install clean
.DEFAULT_GOAL := demo

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "recsec needs Python 3.11 or newer; set PYTHON=..." >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt $(TORCH_FROM) torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev --group docs --editable .
	touch $@

install: $(STAMP)

demo: $(STAMP)
	$(BIN)/recsec demo

test: $(STAMP)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

bench: $(STAMP)
	for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

# The reference pages from the code, then the site; strict, and nothing on it is fetched from elsewhere.
docs: $(STAMP)
	$(BIN)/python docs/reference/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --clean
	@echo "open site/index.html"

# The built wheel in a clean venv, without the development tools: what a user installs.
smoke: $(STAMP)
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	$(BIN)/python -m build --quiet --wheel --outdir "$$folder" . && \
	$(PYTHON) -m venv "$$folder/venv" && \
	"$$folder/venv/bin/python" -m pip install --quiet --constraint constraints.txt "$$folder"/*.whl && \
	cd "$$folder" && venv/bin/recsec --version && venv/bin/recsec demo --quick

# What is released: sdist and wheel, checked.
dist: $(STAMP)
	rm -rf dist
	$(BIN)/python -m build --quiet .
	$(BIN)/python -m pip install --quiet twine
	$(BIN)/python -m twine check --strict dist/*

clean:
	rm -rf $(VENV) dist site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
