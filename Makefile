# `make help` lists the targets. Everything but `lock` runs from a fresh clone with Python 3.11 and nothing else.

BIN := .venv/bin
TORCH ?= $(or $(shell cat .venv/.torch 2>/dev/null),cuda)
LOCK := $(if $(filter cpu,$(TORCH)),requirements-cpu.lock,requirements.lock)
NO_CUDA := torch|triton|nvidia-[a-z0-9-]*|cuda-[a-z0-9-]*
COMPILE := $(BIN)/uv pip compile --quiet $(UPGRADE) --generate-hashes --no-header --python-version 3.11

ifneq ($(wildcard ../shared/data/.),)
export VIGIL_RECORDS ?= $(abspath ../shared/data)
endif

.PHONY: help setup demo test check bench scores campaign campaign-full soak peers clean lock
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-13s %s\n", $$1, $$2}' Makefile

setup: .venv/.warm ## make .venv from the lock file, unless it is up to date; TORCH=cpu: without CUDA

.venv/.ready-$(TORCH): $(LOCK) requirements-uv.lock pyproject.toml .ci/setup
	@.ci/setup $(TORCH) $(LOCK)

# Compiled kernels are cached beside their sources, and numba does not see a change in another module that was built in:
# so whenever one of them changes, all are compiled anew.
.venv/.warm: .venv/.ready-$(TORCH) $(wildcard ecg/*.py ecg/*/*.py)
	@rm -f ecg/__pycache__/*.nb[ci] ecg/*/__pycache__/*.nb[ci]
	@$(BIN)/vigil check >/dev/null
	@touch $@

demo: setup ## the whole path in this terminal: devices, Kafka, a worker, Redis, a ward board
	@$(BIN)/vigil demo

test: setup ## all tests but the campaign; on real records where VIGIL_RECORDS or ../shared/data holds them
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal

check: setup ## lint, formatting, types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/basedpyright

bench: setup ## measure speed and print it as JSON
	@$(BIN)/vigil bench pipeline --json
	@$(BIN)/vigil bench state --json
	@$(BIN)/vigil bench denoise --json
	@$(BIN)/vigil bench beats --json
	@$(BIN)/vigil bench infer --json

scores: setup ## where Vigil stands on the sets in VIGIL_RECORDS, as the table of docs/evaluation.md; about half an hour
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m stream.scores

campaign: setup ## the long tests, under 25 minutes: faults simulated and real, tampering, cuts, blind times; ends with JSON
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m tests.campaign $(CAMPAIGN)

campaign-full: setup ## the same for hours, with progress; CAMPAIGN=--resume goes on where it ended
	-@$(BIN)/uv pip install -q --python $(BIN)/python --only-binary :all: atheris
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m tests.campaign --full $(CAMPAIGN)

soak: setup ## half an hour at 20 times speed: memory, open files and lag stay flat; MINUTES=3 for a try
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m tests.campaign.soak --minutes $(or $(MINUTES),30)

peers: setup ## NeuroKit2 in an environment of its own, for `vigil evaluate ec57 --peer neurokit2`
	@$(BIN)/uv venv -q --python 3.11 .venv-peers
	@$(BIN)/uv pip install -q --python .venv-peers/bin/python neurokit2

clean: ## remove what tools and tests leave behind; .venv and the cache in the home folder stay
	@rm -rf .venv/.warm build dist .ruff_cache .pytest_cache .hypothesis .benchmarks
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

lock: setup ## write the lock files and the list of Kafka's jars anew; UPGRADE=--upgrade: newest versions
	@echo 'uv>=0.13' | $(COMPILE) - -o requirements-uv.lock
	@$(COMPILE) --extra dev pyproject.toml -o requirements.lock
	@{ echo "# requirements.lock without CUDA. torch itself is left out too: its CPU-only build lies on an index of its own,"; \
	   echo "# from which \`make setup TORCH=cpu\` takes the version that requirements.lock pins; its hashes are not listed."; \
	   awk '/^[a-z0-9]/{skip = /^($(NO_CUDA))==/} !skip' requirements.lock; } > requirements-cpu.lock
	@$(BIN)/python -m stream.jars > jars.sha256.new && mv jars.sha256.new stream/jars.sha256
