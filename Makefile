# The two commands to know: `make demo` and `make test`. `make help` lists the rest.
BIN := .venv/bin
READY := .venv/.ready
SERVE ?= 1
PORT ?= 8501
N ?= 100
WORKERS ?= $(shell nproc)

.DEFAULT_GOAL := help
.PHONY: help demo test truth torture track-record bench lint format images engine dashboard schemas lock clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(READY) engine  ## Run the main job on real databases and show it (SERVE=0: do not serve)
	@# 1 is the verdict "invalid": what the demonstration is about.
	@$(BIN)/aftershock run redis-split-brain || [ $$? -eq 1 ]
	@$(BIN)/aftershock run redis-split-brain-guarded || [ $$? -eq 1 ]
	@echo
	@$(BIN)/aftershock compare redis-split-brain redis-split-brain-guarded
	@if [ "$(SERVE)" != 0 ]; then $(BIN)/aftershock dashboard --port $(PORT); fi

test: $(READY) engine chromium compiler  ## Run every test: units, real databases, browser
	@$(BIN)/aftershock images build
	@$(BIN)/pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder

truth: $(READY)  ## A million small histories: every verdict against an oracle, every certificate
	@$(BIN)/python -m tests.truth

torture: $(READY) engine  ## Kill the controller N=100 times with two faults active; nothing may stay
	@$(BIN)/aftershock images build
	@AFTERSHOCK_TORTURE=$(N) $(BIN)/pytest tests/real/test_torture.py

track-record: $(READY) engine  ## Run what breaks and what holds, on three seeds, where code has changed
	@$(BIN)/aftershock images build
	@$(BIN)/aftershock track-record

bench: $(READY) engine  ## Measure; prints tables, some against other tools in the same run
	@$(BIN)/aftershock images build
	@$(BIN)/python -m tests.bench

lint: $(READY)  ## ruff and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(READY)  ## Let ruff format everything
	@$(BIN)/ruff check --fix -q .; $(BIN)/ruff format -q .

images: $(READY) engine  ## Build every container image
	@$(BIN)/aftershock images build

dashboard: $(READY)  ## Serve the dashboard; needs no engine
	@$(BIN)/aftershock dashboard --port $(PORT)

schemas: $(READY)  ## Write schemas/*.json anew
	@$(BIN)/aftershock schema --to schemas

lock: $(READY)  ## Pin the dependencies anew (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-annotate --no-header --extra dev pyproject.toml \
	  -o .ci/requirements.lock

clean:  ## Remove containers of ours, runs, caches and the virtual environment
	@if [ -x $(BIN)/aftershock ]; then $(BIN)/aftershock down --all || true; fi
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist runs

engine: $(READY)
	@$(BIN)/python -m chaos.runtime.engine

.PHONY: chromium compiler
chromium compiler:
	@sh .ci/setup $@

$(READY): .ci/requirements.lock pyproject.toml .ci/setup
	@sh .ci/setup venv
	@touch $@
