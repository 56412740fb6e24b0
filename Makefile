# Needs Python 3.11 or newer and make; everything else goes into .venv.
#   make demo    a live three-node replica set to break and bring back; removed on exit
#   make test    every check, and the tests in minutes; with CI=1 the slow ones too, as CI runs them
#   make check   the static checks alone
#   make bench   dump, restore and replay against mongodump and mongorestore; BENCH="--nodes 1" for less of it
#   make bench-memory   the memory that dump and restore need as the data grows; SIZES="0.5 5" in GB
#   make bench-console   what the console costs and how fast it answers

CANDIDATES := python3.13 python3.12 python3.11 python3
ENOUGH := import sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in $(CANDIDATES); do $$p -c '$(ENOUGH)' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
# Tests wait for servers now and then: on two cores a third run uses that. More would only wait for each other.
WORKERS ?= 3

# The members of a dozen replica sets wait for the disk most of all: in memory they do not, where there is enough.
SHM := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 10000000 {print "TMPDIR=/dev/shm"}')

# Heavy fault runs and walks through the real terminal take longer than a person waits: CI runs them.
SELECT := $(if $(CI),,-m "not slow")
# What is counted costs a fifth of the time, and CI has 25 minutes for all of it.
COVER := $(if $(CI),,--cov --cov-report=term)

# Hundreds of processes are started: none should compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check bench bench-memory bench-console clean

demo: .venv/installed
	@$(BIN)/mdr demo

test: check
	$(SHM) $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(SELECT) $(COVER) --durations=12

check: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/installed
	@$(BIN)/python bench/speed.py $(BENCH)

bench-memory: .venv/installed
	@$(BIN)/python bench/memory.py $(SIZES)

bench-console: .venv/installed
	@$(BIN)/python bench/console.py

.venv/installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer with venv was found; name one: make PYTHON=..." >&2; exit 1; }
	@echo "Installing into .venv, the first time a few minutes ..."
	@$(PYTHON) -m venv .venv || { echo "On Debian and Ubuntu venv is a package: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[sandbox,dev]'
	@touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .coverage.* htmlcov
