# `make demo` and `make test` set everything up in .venv on a fresh machine and then run.
PYTHON ?= python3
VENV ?= .venv
SEED ?= 0
PROPOSER ?= torchvision
OUTPUT ?= runs/demo
WORKERS ?= 2
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-all check format clean

demo: $(READY)
	$(BIN)/ava-detect demo -o $(OUTPUT) --seed $(SEED) --proposer $(PROPOSER)

# Workers of one thread each: most tests are too small to share.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope

test: $(READY)
	$(PYTEST)

test-all: $(READY)
	$(PYTEST) -m ""

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy ava_eval ava_detect tools

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache

$(READY): setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@
