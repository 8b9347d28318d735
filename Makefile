# `make demo` and `make test` are all that a fresh machine with Python 3.11+ needs: each makes .venv first, `demo` with
# what closeout itself needs, the others with all extras and the tools of its developers.
PYTHON ?= python3
BIN := .venv/bin
# What is tested: the code in place, or `wheel`, which is built from the sdist and installed as users have it.
FROM ?= editable
# How long `make torture` goes on.
MINUTES ?= 10


.PHONY: demo test torture wheel lint types docs check bench pace-lab requirements clean

demo: .venv/ready
	$(BIN)/closeout demo

# Tests wait more than they compute: more run side by side than there are cores, a file in one process, as its tests
# share what they set up. Those that count arrivals at the wire compute next to nothing, and have only their like beside.
test: .venv/ready-dev $(filter wheel,$(FROM))
	$(BIN)/pytest -q -m "not alone" --numprocesses 4 --max-worker-restart 0 --dist loadfile --no-loadscope-reorder --durations 10
	$(BIN)/pytest -q -m alone tests/front_door --numprocesses 4 --max-worker-restart 0 --dist loadgroup --no-loadscope-reorder --durations 10

# Processes killed and stopped at random, under clocks that are wrong; each round prints the seed that repeats it.
torture: .venv/ready-dev
	$(BIN)/python -m tests.torture --minutes $(MINUTES)

lint: .venv/ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready-dev
	$(BIN)/mypy

# Warnings are errors; what is built lies in site/.
docs: .venv/ready-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

check: lint types docs test

bench: .venv/ready-dev
	$(BIN)/python -m benchmarks

# The law of the pace beside production, in virtual time: the table of docs/decisions/pace.md.
pace-lab: .venv/ready-dev
	$(BIN)/python -m benchmarks.pace_lab

# Every package is pinned with its hashes; closeout itself is installed in place, without looking for anything more.
.venv/ready: requirements.txt pyproject.toml
	$(call install,requirements.txt)

.venv/ready-dev: requirements-dev.txt pyproject.toml
	$(call install,requirements-dev.txt)

define install
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r $(1)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@
endef

# Anew each time, as the code may have changed; whoever works on the code in place afterwards gets that back.
wheel: .venv/ready-dev
	rm -rf dist .venv/ready .venv/ready-dev
	$(BIN)/python -m hatchling build --target sdist --directory dist
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps --no-build-isolation dist/closeout-*.tar.gz

COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml

requirements:
	$(COMPILE) --extra all --group dev -o requirements-dev.txt
	$(COMPILE) --group build -c requirements-dev.txt -o requirements.txt
	$(COMPILE) --group build --extra services -c requirements-dev.txt -o requirements-image.txt

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache
