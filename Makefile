# Needs Python 3.11 or newer and make; everything else comes from requirements.lock into .venv.
PYTHON ?= python3
BIN := .venv/bin
PATHS := libs services tests $(wildcard benchmarks)
ARGS ?=

.PHONY: help demo up test check format bench lock clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
	|| sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1  \2/p' $(MAKEFILE_LIST)

demo: .venv/.stamp  ## real trades copied between simulated brokers, before your eyes (ARGS="--once --json")
	@$(BIN)/copypro demo $(ARGS)

up: .venv/.stamp  ## the ring for real accounts; set ApiMT4 and ApiMT5 (see .env.example)
	@$(BIN)/copypro up $(ARGS)

test: .venv/.stamp  ## the whole test suite
	$(BIN)/python -m pytest -n 2 $(ARGS)

check: .venv/.stamp  ## format, lint, types, import contracts, fast tests: under a minute
	$(BIN)/ruff format --check $(PATHS)
	$(BIN)/ruff check $(PATHS)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2 -q -m "not slow" $(ARGS)

format: .venv/.stamp  ## put the code into its one format
	$(BIN)/ruff format $(PATHS)
	$(BIN)/ruff check --fix $(PATHS)

bench: .venv/.stamp  ## side-by-side ratios against bare floors
	$(BIN)/python -m benchmarks $(ARGS)

lock:  ## make requirements.lock anew from pyproject.toml
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet uv
	.venv-lock/bin/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --quiet \
		--custom-compile-command "make lock" --output-file requirements.lock
	rm -rf .venv-lock

clean:  ## remove what make made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The stamp is newer than the lock: nothing to do, and a warm start costs nothing.
.venv/.stamp: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
