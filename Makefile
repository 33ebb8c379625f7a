# swxlake: the doors of the house. `make` alone lists them.
#
# Variables, all optional:
#   PYTHON       the Python (3.11 or newer) that .venv is made with           make setup PYTHON=python3.12
#   PYTEST_ARGS  options and paths for pytest                                 make test PYTEST_ARGS="tests/lake -x"
#   ROOT         the lake's folder; default $SWXLAKE_ROOT or ./lakehouse      make status ROOT=demo/lakehouse
#   INBOX        folder with new telemetry files                              make nightly INBOX=/data/moc/drop
#   QUERY        one SQL query; without it a shell opens                      make sql QUERY="SELECT 1"
#   ARGS         further options and arguments of the command behind a target make levels ARGS="--dry-run"

PYTHON ?= python3
PYTEST_ARGS ?= -n 2 --dist loadfile
ROOT ?=
INBOX ?=
QUERY ?=
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
SWXLAKE := $(BIN)/swxlake
ROOT_OPTION = $(if $(ROOT),--root "$$ROOT")

export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help

.PHONY: help setup demo nightly receive contacts levels check alerts gaps report export deliver forward backup datasets site monitor hapi notebook sql status doctor rebuild fsck maintain test torture lint format bench screenshots docs clean distclean

##@ Begin
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nVariables (PYTHON, PYTEST_ARGS, ROOT, INBOX, QUERY, ARGS) are explained at the top of the Makefile.\n'

setup: $(VENV)/.installed ## Make .venv from requirements.lock and install swxlake into it, once

$(VENV)/.installed: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON): not found. Install Python 3.11 or newer, or say make PYTHON=..." >&2; exit 2; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("%s is Python %d.%d. swxlake needs 3.11 or newer: say make PYTHON=..." % (sys.executable, v[0], v[1]))'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## Simulate a PADRE day and half an hour of HERMES, run the night on them, say where to look
	$(SWXLAKE) simulate padre --day 2026-08-01 --out demo/drop --seed 7
	$(SWXLAKE) simulate hermes --day 2026-08-01 --hours 0.5 --out demo/drop --seed 7
	$(SWXLAKE) night --inbox demo/drop --root demo/lakehouse
	@printf '\nMade: a lake in demo/lakehouse, with raw files, tables and these CDF files:\n'
	@find demo/lakehouse/exports -name '*.cdf' | sort | sed 's/^/  /'
	@printf '\nTry next:\n'
	@printf '  open demo/lakehouse/site/index.html in a browser, or make monitor ROOT=demo/lakehouse to zoom in\n'
	@printf '  %s sql --root demo/lakehouse --file sql/queries/flare_candidates.sql\n' $(SWXLAKE)
	@printf '  %s sql --root demo/lakehouse --file sql/queries/solar_wind_per_minute.sql\n' $(SWXLAKE)
	@printf '  %s describe hermes.eea_l2_moments@2026-08-01 --root demo/lakehouse\n' $(SWXLAKE)
	@printf '  make notebook, and open a_flare_in_meddea.py\n'

##@ Operate
nightly: setup ## Ingest, transform, check and export whatever is new (INBOX=folder)
	$(SWXLAKE) night $(if $(INBOX),--inbox "$$INBOX") $(ROOT_OPTION) $(ARGS)

receive: setup ## Fetch and land what the sources of receive.toml have (ARGS=--dry-run lists it)
	$(SWXLAKE) receive $(ROOT_OPTION) $(ARGS)

contacts: setup ## Say which passes are complete, late or missing, by contacts.toml
	$(SWXLAKE) contacts $(ROOT_OPTION) $(ARGS)

levels: setup ## Build the table-days that are out of date (ARGS=--dry-run lists them)
	$(SWXLAKE) transform $(ROOT_OPTION) $(ARGS)

check: setup ## Measure, judge and watch the table-days that changed
	$(SWXLAKE) check $(ROOT_OPTION) $(ARGS)

alerts: setup ## Say what is wrong now, and tell who has to know (for cron, hourly)
	$(SWXLAKE) alerts update $(ROOT_OPTION) $(ARGS)

gaps: setup ## Account for packets by APID and day (ARGS="--request FILE" writes what to send again)
	$(SWXLAKE) gaps $(ROOT_OPTION) $(ARGS)

report: setup ## Write checks, anomalies and alerts as pages to report/
	$(SWXLAKE) report --out report $(ROOT_OPTION) $(ARGS)

export: setup ## Write CDF files for the days whose checks passed
	$(SWXLAKE) export $(ROOT_OPTION) $(ARGS)

deliver: setup ## Send products to those who get them, by delivery.toml (ARGS="--dry-run", ARGS="--verify")
	$(SWXLAKE) deliver $(ROOT_OPTION) $(ARGS)

forward: setup ## Give new packets on to those who get them, by forward.toml
	$(SWXLAKE) forward push $(ROOT_OPTION) $(ARGS)

backup: setup ## Copy what is new in the lake to the places of backup.toml
	$(SWXLAKE) backup run $(ROOT_OPTION) $(ARGS)

datasets: setup ## Write masters, skeletons and SPASE records of all datasets to datasets/
	$(SWXLAKE) datasets --out datasets $(ARGS)

site: setup ## Draw quick looks and write the status site, where they changed, to site/ below the lake
	$(SWXLAKE) quicklook $(ROOT_OPTION)
	$(SWXLAKE) site $(ROOT_OPTION) $(ARGS)

monitor: setup ## Serve the site on this machine, with channels that zoom to raw rows
	$(SWXLAKE) monitor serve $(ROOT_OPTION) $(ARGS)

hapi: setup ## Serve the products' tables on this machine by HAPI
	$(SWXLAKE) hapi serve $(ROOT_OPTION) $(ARGS)

notebook: setup ## Open the notebooks in a browser
	$(if $(ROOT),SWXLAKE_ROOT="$(if $(findstring ://,$(ROOT)),$(ROOT),$(abspath $(ROOT)))") $(BIN)/marimo edit notebooks --skip-update-check --no-sandbox $(ARGS)

sql: setup ## Query the lake (QUERY="SELECT ..."), or open a shell
	$(SWXLAKE) sql $(if $(QUERY),"$$QUERY") $(ROOT_OPTION) $(ARGS)

status: setup ## Show which table-days there are and what does not add up
	$(SWXLAKE) status $(ROOT_OPTION) $(ARGS)

doctor: setup ## Check configuration, definitions, code and storage
	$(SWXLAKE) doctor $(ROOT_OPTION) $(ARGS)

rebuild: setup ## Make again what is missing of tables/ and exports/, be it all, from raw/ and journal/
	$(SWXLAKE) night $(ROOT_OPTION) $(ARGS)

fsck: setup ## Compare raw files, journal, tables and products with each other (ARGS=--quick without hashes)
	$(SWXLAKE) fsck $(ROOT_OPTION) $(ARGS)

maintain: setup ## Compact the books, remove files that nothing needs any more (ARGS=--dry-run lists them)
	$(SWXLAKE) maintain $(ROOT_OPTION) $(ARGS)

##@ Develop
test: setup ## Run the tests (PYTEST_ARGS="tests/lake -x" for some)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

torture: setup ## Kill, mutate, race and starve the lake for hours, print what held (ARGS=--short takes minutes)
	$(BIN)/python -m bench.torture $(ARGS)

lint: setup ## Check style, types, imports and generated pages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m swxlake.reference --check

format: setup ## Format the code
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: setup ## Measure decoding, ingest and a quiet night; writes docs/benchmarks.md
	$(BIN)/python -m bench

screenshots: setup ## Make the pictures of the site in docs/screenshots anew, with Chromium
	$(BIN)/python -m bench.screenshots

docs: setup ## Write the generated pages of docs/reference anew
	$(BIN)/python -m swxlake.reference

##@ Clean up
clean: ## Remove the demo and the caches of the tools
	rm -rf demo report datasets .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## Also remove .venv
	rm -rf $(VENV)
