# The doors of the project. Each does all of its own set-up.
PYTHON ?= python3.11
BIN := .venv/bin
DEMO_ARGS ?=

.PHONY: demo test test-slow check format wheel bench bench-cli bench-job bench-ingest bench-tracing bench-model clean

demo: .venv/run.stamp
	$(BIN)/silkscreen demo $(DEMO_ARGS)

test: .venv/dev.stamp tests/nodes/node_modules/run.stamp
	$(BIN)/pytest -m "not slow"

test-slow: .venv/dev.stamp tests/nodes/node_modules/run.stamp
	$(BIN)/pytest -m slow
	$(BIN)/pytest -m "hypothesis and not slow" --hypothesis-profile=fresh

check: .venv/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/dev.stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

wheel: .venv/dev.stamp
	rm -rf dist
	$(BIN)/python -m build --wheel --no-isolation

bench: bench-cli bench-job bench-ingest bench-tracing bench-model

bench-cli: .venv/dev.stamp
	$(BIN)/python -m benchmarks.command_line

bench-job: .venv/dev.stamp
	$(BIN)/python -m benchmarks.main_job

bench-ingest: .venv/dev.stamp tests/nodes/node_modules/run.stamp
	$(BIN)/python -m benchmarks.ingest

bench-tracing: .venv/dev.stamp
	$(BIN)/python -m benchmarks.tracing

bench-model: .venv/dev.stamp
	$(BIN)/python -m benchmarks.model

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: install it (Debian: apt install python3.11 python3.11-venv), or name another with make PYTHON=…"; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "$(PYTHON) cannot make an environment: install its venv (Debian: apt install python3.11-venv)"; exit 1; }

.venv/run.stamp: requirements/run.txt pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: requirements/dev.txt pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@touch $@

tests/nodes/node_modules/run.stamp: tests/nodes/package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: the tests start a real EVM node from it; install Node 20 (Debian: apt install nodejs npm)"; exit 1; }
	npm ci --prefix tests/nodes --no-progress --loglevel=error
	@touch $@

clean:
	rm -rf .venv tests/nodes/node_modules dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
