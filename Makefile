# Every target sets up what it needs; 'make help' lists them.
PYTHON ?= python3
DEBIAN_PYTHON ?= /usr/bin/python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 24

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "linkrouter needs Python 3.11 or newer; set PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || $(MAKE) --no-print-directory venv-package
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

# Debian and Ubuntu keep venv in a package of its own.
venv-package:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null; \
	else \
	  echo "python3-venv is missing; run: sudo apt-get install python3-venv" >&2; exit 1; \
	fi

install: $(STAMP) ## make the virtual environment and install everything into it

demo: $(STAMP) ## run everything here: rewrite a mail, click a link, watch the count; Ctrl-C stops
	@$(VENV)/bin/linkrouter demo

format: $(STAMP) ## write the code in the one format
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

lint: $(STAMP) ## check format, lint and types
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -m ruff format --check deploy/linkrouter-deploy
	$(PY) -m ruff check deploy/linkrouter-deploy
	MYPYPATH=deploy $(PY) -m mypy --scripts-are-modules deploy/linkrouter-deploy
	MYPYPATH=deploy/packaging $(PY) -m mypy deploy/packaging/deb.py deploy/packaging/bundle.py deploy/packaging/manual.py

test-fast: $(STAMP) ## run what takes four minutes: all but HAProxy, browsers, injected faults and other long tests
	$(PY) -m pytest -m "not slow" -n 2 $(PYTEST_OPTIONS)

# First what computes, on both cores; then what mostly waits for processes, three files at a time; then what has the
# machine to itself.
test: $(STAMP) ## run every test; says what it skipped and why
	@$(MAKE) --no-print-directory test-fast; fast=$$?; \
	  $(PY) -m pytest -m "slow and not alone" -n 3 --dist loadfile $(PYTEST_OPTIONS); slow=$$?; \
	  $(PY) -m pytest -m alone $(PYTEST_OPTIONS) && exit $$((fast + slow))

coverage: $(STAMP) ## run every test, and show the lines that none of them reached
	$(PY) -m pytest --cov --cov-report=term $(PYTEST_OPTIONS)

test-faults: $(STAMP) ## run the long fault injections too, and print their table
	$(PY) -m pytest --faults -o faulthandler_timeout=1800 tests/faults tests/clicks tests/sync tests/router tests/exit \
	  tests/haproxy/test_alerts.py \
	  $(PYTEST_OPTIONS)

test-wheel: $(STAMP) ## build it, and run the fast tests on the wheel: lowest dependencies, and each Python from 3.11 up
	$(PYTHON) tests/wheel.py $(WHEEL_OPTIONS)

test-haproxy-losses: $(STAMP) ## measure what is lost while a pair is switched, reloaded and killed
	PYTHONPATH=tests $(PY) -m haproxy.losses

deb: ## make the Debian package, for the Debian this runs on, with all it needs at pinned versions
	@$(DEBIAN_PYTHON) deploy/packaging/deb.py

bundle: ## make a tar that install.sh installs from without a network
	@$(DEBIAN_PYTHON) deploy/packaging/bundle.py

test-deb: $(STAMP) ## install, upgrade under load and purge the package on a fresh Debian with systemd
	$(PY) -m pytest --faults -s -o faulthandler_timeout=1800 tests/deploy/test_debian.py $(PYTEST_OPTIONS)

test-tls: $(STAMP) ## grade HAProxy's TLS with sslyze
	$(PYTHON) -m venv build/sslyze && build/sslyze/bin/pip install --quiet --disable-pip-version-check sslyze
	$(PY) -m pytest tests/haproxy/test_tls.py

bench: $(STAMP) ## measure encoder, codec, sync and ingest, click stores, take-backs, start-up and memory, as ratios
	$(PY) tests/bench/bench_codec.py
	$(PY) tests/bench/bench_encoder.py
	$(PY) tests/bench/bench_ingest.py
	$(PY) tests/bench/bench_stores.py
	$(PY) tests/bench/bench_take_backs.py
	$(PY) tests/bench/bench_size.py

bench-stats: $(STAMP) ## measure labelling, statistics and pages of clicks over a million clicks
	$(PY) tests/bench/bench_stats.py

bench-scale: $(STAMP) ## measure central's engines with ROWS clicks stored (five million), and click stores beside each other
	$(PY) tests/bench/bench_scale.py --clicks $(or $(ROWS),5000000)
	$(PY) tests/bench/bench_stores.py

bench-pages: $(STAMP) ## measure the pages' server time and bytes, with ROWS clicks stored (a million)
	$(PY) tests/bench/bench_pages.py --clicks $(or $(ROWS),1000000)

bench-router: $(STAMP) ## measure redirects beside nginx, HAProxy, Go and bare aiohttp, and two workers beside one
	$(PY) tests/bench/bench_router.py
	$(PY) tests/bench/bench_workers.py

bench-pair: $(STAMP) ## measure what HAProxy with TLS adds to a redirect
	PYTHONPATH=tests $(PY) tests/bench/bench_pair.py

bench-domains: $(STAMP) ## measure HAProxy's start, reload and memory with up to 10,000 certificates
	PYTHONPATH=tests $(PY) tests/bench/bench_domains.py --folder build/certificates

bench-drain: $(STAMP) ## measure what recipients feel while a million clicks drain
	$(PY) tests/bench/bench_drain.py

bench-soak: $(STAMP) ## measure memory over ten million redirects
	$(PY) tests/bench/bench_soak.py

bench-webhooks: $(STAMP) ## measure webhooks: events a second, what ingest pays, what a million that wait cost
	$(PY) tests/bench/bench_webhooks.py

bench-relay: $(STAMP) ## measure what the relay adds to a mail, and how many it takes on one core
	$(PY) tests/bench/bench_relay.py

bench-check: $(STAMP) ## measure the check beside lychee, LinkChecker and linkinator
	$(PY) tests/bench/bench_check.py

pictures: $(STAMP) ## take README's pictures of the pages
	mkdir -p docs/pictures
	$(PY) tests/pictures.py docs/pictures

clients: $(STAMP) ## install the clients of other systems that the tests run against central
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[clients]'
	npm install --silent --no-save --no-package-lock --prefix build/clients postmark@5 axe-core@4 nodemailer@7 standardwebhooks@1

clean: ## remove everything that was made
	rm -rf $(VENV) .demo build dist .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -exec rm -rf {} +

.PHONY: help venv-package install demo format lint test-fast test coverage test-faults test-wheel test-haproxy-losses \
  deb bundle test-deb test-tls bench bench-stats bench-scale bench-pages bench-router bench-pair bench-domains bench-drain bench-soak \
  bench-webhooks bench-check bench-relay pictures clients clean
