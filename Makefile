# The same commands for everyone. `make` alone lists them. Needs GNU make, a POSIX shell, Python 3.11 to 3.13
# with venv; everything else is installed into .venv, once, and again only when pyproject.toml changes.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
# Processes for the tests; `make test JOBS=1` runs them one after the other.
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
# Where the published traces and series lie that some oracles compare with.
DCSIM_SHARED ?= $(abspath ../shared)
export DCSIM_SHARED

DEMO_MODELS := digits_mlp tiny_transformer
DEMO_PLACEMENTS := first_fit,spread,rack_local
DEMO_ENERGIES := none,power_cap,carbon_shift
DEMO_SEEDS := 5

.DEFAULT_GOAL := help
.PHONY: help setup demo report test check format oracle bench validate deep reference clean distclean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# Stamps: a set of extras is installed when its stamp is missing or older than pyproject.toml.
$(VENV)/.has-train: pyproject.toml scripts/install.sh
	@sh scripts/install.sh $(VENV) train

$(VENV)/.has-dev: pyproject.toml scripts/install.sh
	@sh scripts/install.sh $(VENV) dev,train

setup: $(VENV)/.has-dev ## install everything for development into .venv

demo: $(VENV)/.has-train ## measure two small models here, compare 9 policies with 5 seeds, write study/report.html
	@sh scripts/fresh_study.sh study
	@# --force: a busy machine gives noisy step times; the demo takes them, and the profile carries the warning.
	$(PY) -m trainers calibrate $(DEMO_MODELS) --quick --force --out study/profiles
	$(BIN)/dcsim compare scenarios/demo.yaml --profiles study/profiles --placement $(DEMO_PLACEMENTS) \
		--energy $(DEMO_ENERGIES) --seeds $(DEMO_SEEDS) --out study

report: $(VENV)/.has-train ## write study/report.html again from the runs in study/
	$(BIN)/dcsim report study

test: $(VENV)/.has-dev ## run the fast tests
	$(PY) -m pytest -n $(JOBS)

check: $(VENV)/.has-dev ## lint, types, layers, size
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PY) scripts/size_check.py

format: $(VENV)/.has-dev ## let the formatter rewrite the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

oracle: $(VENV)/.has-dev ## compare with independent answers and published results; reads DCSIM_SHARED
	$(PY) -m pytest -m oracle --capture=no tests

bench: $(VENV)/.has-dev ## time the simulator against its yardsticks
	$(PY) -m benchmarks

validate: $(VENV)/.has-train ## check predictions against real runs on this machine: most of an hour, writes docs/validation.md
	@# A missed target ends a step with 1; the page is written all the same, and says so.
	missed=0; \
	for what in counts tables resume holdout closed-loop; do \
		$(PY) -m trainers validate $$what --out validation/$$what; code=$$?; \
		if [ $$code -eq 1 ]; then missed=1; elif [ $$code -ne 0 ]; then exit $$code; fi; \
	done; \
	$(PY) -m trainers validate page --from validation --out docs/validation.md && exit $$missed

deep: $(VENV)/.has-dev ## long property, storm and mutation runs
	HYPOTHESIS_PROFILE=deep $(PY) -m pytest -n $(JOBS) -m "slow or deep"
	$(PY) scripts/mutate.py

reference: $(VENV)/.has-dev ## write docs/reference and the JSON Schema again from the code
	$(PY) scripts/generate_reference.py

clean: ## remove caches
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist *.egg-info
	find dcsim trainers tests scripts benchmarks scenarios -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove caches and .venv
	rm -rf $(VENV)
