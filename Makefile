# Each target does its own set-up: it makes .venv from requirements/, and keeps it while the lock is unchanged.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON := .venv/bin/python
GIN ?= gin/quickstart.gin
OUTPUT ?= output
DEVICE ?=
COMPILE := .venv/bin/uv pip compile --quiet --no-emit-package siglip-tfx --annotation-style line \
  --custom-compile-command "make lock"
PACKAGES := beam components models pipeline
PEERS := transformers open_clip big_vision img2dataset webdataset

.PHONY: help setup quickstart study emoji-artists compile test test-slow test-trixie bench tpu-memory lint lock draw clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  Variables: GIN=gin/other.gin (quickstart, study, compile, draw), OUTPUT=folder (quickstart, study, compile),"
	@echo "    ARGS='-k name' (test), DEVICE=tpu_v5e or gpu (compile), STACK=tfx-1.16 or tfx-1.21 (all)"

setup:  ## Make .venv from the lock (other targets do this when needed)
	@requirements/make_venv.sh

quickstart: setup  ## Run the whole pipeline of GIN on this machine (minutes)
	$(PYTHON) -m pipeline.local_runner --gin_file=$(GIN) --output_dir=$(OUTPUT)

emoji-artists: setup  ## Fetch the drawings of six artists with npm, for gin/quickstart_artists.gin (two minutes)
	$(PYTHON) -m pipeline.emoji_artists output/emoji-artists/packages
	test -f output/emoji-artists/unseen/manifest.json || $(PYTHON) -m pipeline.build \
	  --gin_file=gin/data/emoji_unseen.gin --output_dir=output/emoji-artists/unseen

study: GIN = gin/study/quick.gin
study: setup  ## Run the study of GIN: a grid of variants with several seeds, and its report (minutes to hours)
	$(PYTHON) -m pipeline.study --gin_file=$(GIN) --output_dir=$(OUTPUT) $(ARGS)

compile: setup  ## Compile the pipeline for Vertex AI and Kubeflow (DEVICE=tpu_v5e or gpu); needs no network
	$(PYTHON) -m pipeline.vertex_runner compile --gin_file=$(GIN) --gin_file=gin/platform/vertex$(DEVICE:%=_%).gin \
	  --output=$(OUTPUT)/vertex.json
	$(PYTHON) -m pipeline.kubeflow_runner compile --gin_file=$(GIN) --gin_file=gin/platform/kubeflow$(DEVICE:%=_%).gin \
	  --output=$(OUTPUT)/kubeflow.yaml

lint: setup  ## Lint, types and import rules (a minute)
	$(PYTHON) -m ruff check $(PACKAGES) tests setup.py siglip_tfx.py
	$(PYTHON) -m ruff format --check $(PACKAGES) tests setup.py siglip_tfx.py
	$(PYTHON) -m mypy
	PYTHONPATH=. .venv/bin/lint-imports

test: lint  ## Run lint, types, import rules and all tests except slow ones, as CI does
	$(PYTHON) -m pytest -m "not slow" --numprocesses 2 --dist loadfile $(ARGS)

test-slow: setup  ## Run the slow tests
	$(PYTHON) -m pytest -m slow $(ARGS)

bench: setup  ## Run the benchmarks: ratios to named baselines, with noise (minutes; ARGS=--peers for other projects)
	$(PYTHON) -m tests.benchmarks $(ARGS)

tpu-memory: setup  ## Compile the Base step for a TPU v4, without one, to see what fits (hours, 20 GB; ARGS=8192-scan for one case)
	$(PYTHON) -m tests.tpu.memory $(ARGS)

test-trixie: setup  ## Run the suite and the quickstart on the newest stack, in a Debian 13 root if this machine is older
	@requirements/trixie.sh

lock:  ## Resolve requirements/*.txt from requirements/*.in again
	@test -x .venv/bin/uv || requirements/make_venv.sh
	$(COMPILE) --python-version 3.10 requirements/tfx-1.16.in --output-file requirements/tfx-1.16.txt
	$(COMPILE) --python-version 3.10 --override requirements/tfx-1.16-tpu-overrides.txt requirements/tfx-1.16-tpu.in \
	  --output-file requirements/tfx-1.16-tpu.txt
	$(COMPILE) --python-version 3.11 --universal requirements/tfx-1.21.in --output-file requirements/tfx-1.21.txt
	$(COMPILE) --python-version 3.11 --universal requirements/tpu-aot.in --output-file requirements/tpu-aot.txt
	for peer in $(PEERS); do $(COMPILE) --python-version 3.11 --universal --fork-strategy fewest \
	  tests/benchmarks/peers/$$peer.in --output-file tests/benchmarks/peers/$$peer.txt || exit; done

draw: setup  ## Draw the DAG of GIN anew: docs/pipeline.svg
	$(PYTHON) -m pipeline.draw --gin_file=$(GIN) --output=docs/pipeline.svg

clean:  ## Remove environments and caches; keep output/, which holds runs, checkpoints and published models
	requirements/trixie.sh --clean
	rm -rf .venv .venv-tpu .venv-peers build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
