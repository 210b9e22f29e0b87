# Two commands set everything up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

WHEELHOUSE := build/wheelhouse

.PHONY: help wheelhouse install-offline demo test acceptance lint audit bench bench-harness bench-transforms \
	bench-gleam bench-statistics bench-ray bench-kill bench-untrained fuzz atlas ui services services-stop \
	picture schema browser postgresql clean

help:
	@echo "make wheelhouse  fetch scanproof and all it needs into $(WHEELHOUSE), for a machine without internet"
	@echo "make install-offline  install from $(WHEELHOUSE) alone"
	@echo "make demo        install, run studies/demo.yaml, say where the report is"
	@echo "make test        install, run the test suite"
	@echo "make lint        style, types, import contracts, security, audit"
	@echo "make audit       look up every pinned package in the database of published vulnerabilities"
	@echo "make acceptance  check the results of a finished demo (make demo first)"
	@echo "make bench       start-up, re-run and storing; prints a table, writes JSON to build/bench"
	@echo "make bench-harness  all that the harness costs: these, overhead, workers, 10^6 tasks, 10^8 rows (an hour)"
	@echo "make bench-transforms  the artifacts against TorchIO's and MONAI's"
	@echo "make bench-untrained   un-trained fits against the published procedure"
	@echo "make bench-gleam       memory and step time of the ways to train an unrolled network"
	@echo "make bench-statistics  metrics of bootstrap resamples against a loop over scikit-learn"
	@echo "make bench-ray  a Ray cluster against processes of this machine, on tasks that do almost nothing"
	@echo "make bench-kill        runs killed at random moments and started again, against undisturbed ones"
	@echo "make fuzz        read 11,000 damaged, odd and hostile inputs of every kind"
	@echo "make atlas       measure and picture every artifact at every severity into studies/artifacts/results"
	@echo "make ui          open MLflow on the results, http://127.0.0.1:5000"
	@echo "make services    start PostgreSQL and an MLflow server in SERVICES=mlruns/services; make services-stop"
	@echo "make picture     copy the demo's overview into studies/demo/results"
	@echo "make schema      write studies/study.schema.json"

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; set PYTHON=..., e.g. make demo PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@# torch first and by its exact version: a range may fetch a build of several gigabytes
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

# what a machine without internet needs: copy the checkout with $(WHEELHOUSE) there, then make install-offline
wheelhouse: pyproject.toml constraints.txt
	mkdir -p $(WHEELHOUSE)
	$(PYTHON) -m pip download --quiet --dest $(WHEELHOUSE) --constraint constraints.txt \
		"$$(grep '^torch==' constraints.txt)" pip hatchling
	$(PYTHON) -m pip download --quiet --dest $(WHEELHOUSE) --constraint constraints.txt --find-links $(WHEELHOUSE) ".[ismrmrd]"
	rm -f $(WHEELHOUSE)/scanproof-*
	$(PYTHON) -m pip wheel --quiet --no-deps --wheel-dir $(WHEELHOUSE) .
	@echo "$(WHEELHOUSE) holds $$(ls $(WHEELHOUSE) | wc -l) packages, $$(du -sh $(WHEELHOUSE) | cut -f1)"

install-offline:
	@ls $(WHEELHOUSE)/scanproof-*.whl >/dev/null 2>&1 || \
		{ echo "$(WHEELHOUSE) is empty: run make wheelhouse on a machine with internet and copy the folder here"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-index --find-links $(WHEELHOUSE) --constraint constraints.txt "scanproof[ismrmrd]"
	@$(BIN)/scanproof --version

demo: $(STAMP)
	$(BIN)/scanproof run studies/demo.yaml

test: $(STAMP) browser postgresql
	@# in the order of the files: the doctests come last, which are small, so that no core waits long for the other
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not demo"

acceptance: $(STAMP)
	$(BIN)/python -m pytest -m demo tests/acceptance

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive toolkit studies protocols tests .ci
	$(BIN)/python .ci/audit.py

# published vulnerabilities of what constraints.txt pins, and the answers to them in .ci/advisories.toml
audit: $(STAMP)
	$(BIN)/python .ci/audit.py

bench: $(STAMP)
	$(BIN)/python tests/benchmarks/bench_harness.py --json build/bench/harness.json

bench-harness: bench
	$(BIN)/python tests/benchmarks/bench_workers.py --json build/bench/workers.json
	$(BIN)/python tests/benchmarks/bench_scale.py --json build/bench/scale.json

bench-transforms: $(STAMP)
	$(BIN)/python tests/benchmarks/bench_transforms.py --json build/bench/transforms.json

bench-gleam: $(STAMP)
	$(BIN)/python tests/benchmarks/bench_gleam.py --json build/bench/gleam.json

bench-statistics: $(STAMP)
	$(BIN)/python tests/benchmarks/bench_statistics.py --json build/bench/statistics.json

bench-ray: $(STAMP)
	$(BIN)/python tests/benchmarks/bench_ray.py --json build/bench/ray.json

bench-kill: $(STAMP)
	$(BIN)/python tests/benchmarks/kill_study.py --json build/bench/kills.json

bench-untrained: $(STAMP)
	$(BIN)/python tests/benchmarks/bench_untrained.py --json build/bench/untrained.json

fuzz: $(STAMP)
	cd tests && nice -n 10 ../$(BIN)/python -m fuzz.run --count 500 --json ../build/bench/fuzz.json

atlas: $(STAMP)
	mkdir -p studies/artifacts/results
	$(BIN)/scanproof severity-table -o studies/artifacts/results/severity-table.md \
		-o studies/artifacts/results/severity-table.csv
	$(BIN)/scanproof gallery -o studies/artifacts/results/gallery.png

ui: $(STAMP)
	$(BIN)/scanproof ui

# a PostgreSQL and an MLflow server on this machine alone, with all their data in one folder
SERVICES ?= mlruns/services

services: $(STAMP) postgresql
	@$(BIN)/scanproof services start --data $(SERVICES)

services-stop: $(STAMP)
	@$(BIN)/scanproof services stop --data $(SERVICES)

picture: $(STAMP)
	mkdir -p studies/demo/results
	cp mlruns/studies/demo/figures/overview.png studies/demo/results/overview.png

schema: $(STAMP)
	$(BIN)/scanproof schema > studies/study.schema.json

# tests that open the report need a browser; where there is none and none can be installed they are skipped
browser:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || \
		{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		  apt-get update -qq && apt-get install -y -qq chromium chromium-driver >/dev/null; } || \
		echo "chromium is missing: browser tests will be skipped"

# tests of a shared MLflow server need PostgreSQL; Debian keeps its programs where no PATH leads
postgresql:
	@command -v postgres >/dev/null && command -v initdb >/dev/null || \
		{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		  apt-get update -qq && apt-get install -y -qq postgresql >/dev/null && \
		  for name in postgres initdb pg_ctl; do ln -sf /usr/lib/postgresql/*/bin/$$name /usr/local/bin/; done; } || \
		echo "PostgreSQL is missing: tests of a shared MLflow server will be skipped"

clean:
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
