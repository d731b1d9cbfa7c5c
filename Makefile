# Everything sets itself up: python3 (3.11 or newer), git and make are enough. `make help` lists the targets.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# `make test WORKERS=2` takes half the time: each has engines of its own, and a machine that is busy loses races.
WORKERS ?= 0

.DEFAULT_GOAL := help
.PHONY: help demo test test-faults check format bench lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/run.stamp  ## run the main job on real input
	$(BIN)/kafold demo

test: $(VENV)/dev.stamp  ## the tests, without the long fault campaigns
	$(BIN)/python -m pytest -m "not faults_campaign" -n $(WORKERS) --dist loadfile

test-faults: $(VENV)/dev.stamp  ## the long campaigns of faults and seeds
	$(BIN)/python -m pytest -m faults_campaign -n $(WORKERS) --dist loadfile

check: $(VENV)/dev.stamp  ## format, lint, types and the layer law
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev.stamp  ## format and fix what can be fixed
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(VENV)/bench.stamp  ## measure, against peers too
	$(BIN)/python -m tests.benchmarks

clean:  ## remove the environment and the caches; data in .kafold stays
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

# An environment is made from one hashed file and this package, editable. The stamp makes the second time quick.
# Build isolation is off because it would fetch the build backend unhashed.
$(VENV)/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "kafold needs Python 3.11 or newer; '$(PYTHON)' is older or missing." \
	       "Name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "Making $(VENV) (once) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/%.stamp: requirements/%.txt pyproject.toml | $(VENV)/python.stamp
	@echo "Installing requirements/$*.txt ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$*.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

# The widest file is resolved first and constrains the others, so that all three agree on every version.
UV_COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	pyproject.toml requirements/build.in --extra embedded --extra registry --extra files

lock: $(VENV)/dev.stamp  ## resolve the dependencies anew
	$(UV_COMPILE) --upgrade --extra dev --extra bench -o requirements/bench.txt
	$(UV_COMPILE) --extra dev -c requirements/bench.txt -o requirements/dev.txt
	$(UV_COMPILE) -c requirements/bench.txt -o requirements/run.txt
	$(BIN)/python -m infra.engines.jars_lock
