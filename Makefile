# gameday: `make run` shows a whole incident, `make test` passes the tests. Nothing is installed
# outside .venv, and nothing but Python 3.11+ and make is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DOCS_READY := $(VENV)/.docs
FORMAT_PATHS := gameday system_under_test tests docs

.PHONY: run setup test check docs format lint types bench bench-redis lock clean

run: setup ## Break Redis in the middle of a coupon drop, and see it noticed and mended.
	@$(BIN)/python -m gameday doctor --brief
	$(BIN)/gameday run redis-slow

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: gameday needs Python 3.11 or later; $$($(PYTHON) --version) was found"; \
	       echo "  help: make PYTHON=python3.11 run"; exit 2; }
	@$(PYTHON) -I gameday/stacks/wheels.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

test: setup ## Everything that is tested, against real stores.
	$(BIN)/python -m pytest -q -m "compose and slow"
	$(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder -m "compose and not slow"
	$(BIN)/python -m pytest -q -n 3 --dist loadfile -m "not compose"

check: setup ## Format, lint, types, then the tests; what .ci/run calls.
	@sh tests/stages.sh "$(BIN)" $(FORMAT_PATHS)

docs: setup $(DOCS_READY) ## The pages of docs/ with the reference made from the code, as a site: build/docs/index.html.
	@rm -rf build/docs
	$(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going --quiet \
	  --doctree-dir build/doctrees --jobs auto docs build/docs
	@echo "build/docs/index.html"

$(DOCS_READY): docs/requirements.lock $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r docs/requirements.lock
	@touch $(DOCS_READY)

format: setup
	$(BIN)/ruff format $(FORMAT_PATHS)
	$(BIN)/ruff check --fix $(FORMAT_PATHS)

bench: setup ## Speed, as ratios against peers in the same run.
	$(BIN)/python -m tests.benchmarks

lock: setup ## Pin the dependencies again: names, versions and hashes, no addresses.
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url \
	  --no-emit-find-links --python-version 3.11 --group dev pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url \
	  --no-emit-find-links --python-version 3.11 --group docs --constraints requirements.lock -o docs/requirements.lock
	$(BIN)/python -m tests.support.lock_wheels
	$(BIN)/python -m tests.support.lock_wheels docs/requirements.lock

clean:
	rm -rf $(VENV) build dist docs/reference .mypy_cache .pytest_cache .ruff_cache .hypothesis
