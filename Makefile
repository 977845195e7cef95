# `make` lists what there is.
.DEFAULT_GOAL := help
.PHONY: help install run-server run-peers demo test test-browser test-nginx test-alerts model chaos check benchmark clean

PYTHON ?= python3
N ?= 3
SECONDS ?= 120
SEED ?=
EXAMPLES ?= 10000
ARGS ?=
MODELS := tests/broker/test_model.py tests/broker/test_restart.py tests/broker/test_log.py tests/broker/test_low_water.py \
	tests/broker/test_schedule.py tests/broker/test_sorted_keys.py tests/broker/test_publish_log.py tests/storage/test_model.py
VENV := .venv
BIN := $(VENV)/bin

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/installed ## Create the virtual environment; every target does when requirements changed

$(VENV)/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "peerbus needs Python 3.11 or later; name one with PYTHON=...")'
	@echo "Installing into $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@touch $@

run-server: install ## Run the indexing server (ARGS="--port 6000")
	@$(BIN)/python indexing_server.py $(ARGS)

run-peers: install ## Run N peers from port 5001 on (N=3, ARGS="--index-url ...")
	@$(BIN)/python peer_node.py --count $(N) $(ARGS)

demo: install ## Watch real peers publish to each other through a real server
	@$(BIN)/python test_p2p.py

test: install ## Run all tests that need nothing but Python
	@$(BIN)/python -m pytest --numprocesses auto --dist worksteal

test-browser: install ## Test the pages in Chromium (apt-get install -y chromium chromium-driver)
	@$(BIN)/python -m pytest tests/system/browser

test-nginx: install ## Test docs/nginx.conf, nginx in front of a server (apt-get install -y nginx)
	@$(BIN)/python -m pytest tests/system/nginx

test-alerts: install ## Test docs/alerts.yml with promtool (apt-get install -y prometheus)
	@$(BIN)/python -m pytest tests/system/prometheus

model: install ## Compare with naive models over long random histories (EXAMPLES=10000, SEED=...)
	@seed=$(or $(SEED),$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')); echo "SEED=$$seed"; \
	PEERBUS_TEST_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest --numprocesses auto --hypothesis-seed=$$seed \
	-o faulthandler_timeout=0 $(MODELS)

chaos: install ## Kill the server at random under load, and look for what it lost (SECONDS=120, SEED=...)
	@$(BIN)/python -m tests.system.reliability.chaos --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

check: install ## Lint, check the format and the types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy peerbus benchmarks tests *.py

benchmark: install ## Measure and plot latency and throughput of each call (ARGS="--quick")
	@$(BIN)/python api_benchmark.py $(ARGS)
	@$(BIN)/python response_time_test.py $(ARGS)

clean: ## Remove the virtual environment, caches, logs and benchmark results
	@rm -rf $(VENV) .hypothesis .mypy_cache .pytest_cache .ruff_cache logs/*.log* results
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
