# Two commands matter: `make demo` and `make test`. CI runs `make check` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Byte code only of what a run imports: all of it would add 230 MB to the installation.
WARM := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -c 'import orchestrator.cli.run, orchestrator.report, orchestrator.records.store'
# Test suites that large dependencies ship inside their packages: 50 MB that nobody runs here.
SLIM := for package in dask matplotlib networkx pandas pyarrow scipy xarray; do find $(VENV)/lib/python*/site-packages/$$package -type d -name tests -prune -exec rm -rf {} +; done
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt

# Programs that tests start beside ours, each in the Debian package of its name. Where they cannot
# be installed (no root, no Debian) their tests are skipped.
PROGRAMS := redis-server
ABSENT := $(foreach program,$(PROGRAMS),$(if $(shell command -v $(program)),,$(program)))
INSTALL := apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends

.PHONY: demo test programs check soak faults latencies bench clean
.DEFAULT_GOAL := demo

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "operando needs Python >= 3.11, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable .
	@$(SLIM)
	@$(WARM)
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[test,check]'
	@$(SLIM)
	@$(WARM)
	touch $@ $(VENV)/.run

demo: $(VENV)/.run
	$(BIN)/operando demo

programs:
	@[ -z "$(ABSENT)" ] || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || { $(INSTALL) $(ABSENT); } >/dev/null

test: $(VENV)/.dev programs
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder --cov --cov-report=term --durations=15 --ignore=tests/benchmarks tests

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

soak: $(VENV)/.dev
	$(BIN)/python -m pytest -m soak --no-cov tests

faults: $(VENV)/.dev
	$(BIN)/python -m tests.fault_matrix

# Measures what the fault matrix promises in seconds, five times each, and writes it down.
latencies: $(VENV)/.dev
	$(BIN)/python -m pytest --no-cov --latencies 5 tests
	$(BIN)/python -m tests.fault_matrix

bench: $(VENV)/.dev
	$(BIN)/python -m pytest -s --no-cov tests/benchmarks

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .coverage* .import_linter_cache
