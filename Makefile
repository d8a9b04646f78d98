# Needs Python 3.11 or newer and make; everything else is made in .venv from requirements.lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=
# Processes that share the tests; ARGS="-n 0" runs them in one.
WORKERS ?= 2
# Else each of the hundreds of processes that tests start would compile the whole project anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test chaos lint check bench bench-kafka bench-stats bench-api docs lock clean infra-up infra-down up-distributed down-distributed
help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("CopyPro needs Python 3.11 or newer; PYTHON=python3.12 make ... picks one" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: $(STAMP) ## simulated brokers, real trades, a check of the books (ARGS="--once --json")
	@$(BIN)/copypro demo $(ARGS)

test: $(STAMP) ## the whole test suite
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

chaos: $(STAMP) ## 500 random faults of real processes on a real Kafka and MongoDB (half an hour to an hour)
	COPYPRO_CHAOS_FAULTS=500 $(BIN)/python -m pytest tests/faults/test_chaos.py -o log_cli=true -o log_cli_level=WARNING $(ARGS)

lint: $(STAMP) ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint ## the same, and the fast tests of the rules (tests/unit)
	COPYPRO_TEST_EXAMPLES=0.1 $(BIN)/python -m pytest -n $(WORKERS) -m "not slow" -q tests/unit

bench: $(STAMP) ## side-by-side ratios, measured in one run (ARGS=latency for one of them)
	$(BIN)/python -m benchmarks $(ARGS)

bench-kafka: $(STAMP) ## the same on a Kafka broker and a mongod of its own
	$(BIN)/python -m benchmarks kafka read-models takeover

bench-api: $(STAMP) ## reads by REST against a bare route, and what they cost a copy
	$(BIN)/python -m benchmarks api

bench-stats: $(STAMP) ## statistics of a million orders, reports, TradeStats against a bare route
	$(BIN)/python -m benchmarks statistics

docs: $(STAMP) ## docs/events.md, asyncapi.json, openapi.json and errors.md from the code
	$(BIN)/python -m docs.generating

infra-up: $(STAMP) ## a Kafka broker and a mongod on this machine, without Docker (needs Java 17 and Maven)
	@$(BIN)/python -m infra.local up

infra-down: $(STAMP) ## stops them; their data stays in .infra
	@$(BIN)/python -m infra.local down

up-distributed: $(STAMP) ## every service as processes on that Kafka and mongod; simulated bridges unless ApiMT4/ApiMT5 are set
	@$(BIN)/python -m infra.local.distributed up $(ARGS)

down-distributed: $(STAMP) ## stops all of them
	@$(BIN)/python -m infra.local.distributed down

lock: $(STAMP) ## requirements.lock from pyproject.toml, with hashes
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev pyproject.toml -o requirements.lock

clean: ## removes .venv and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
