# `make demo` and `make test` are all that a fresh machine with Python 3.11+ needs: each makes .venv first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint types check bench clean

demo: .venv/ready
	$(BIN)/closeout demo

# Most files of tests run side by side; those that count arrivals at the wire need the machine to themselves.
test: .venv/ready
	$(BIN)/pytest -q -m "not alone" --numprocesses 3 --dist loadfile --no-loadscope-reorder
	$(BIN)/pytest -q -m alone

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy

check: lint types test

bench: .venv/ready
	$(BIN)/python -m benchmarks

# Every package is pinned with its hashes; closeout itself is installed in place, without looking for anything more.
.venv/ready: requirements.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache
