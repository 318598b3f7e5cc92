# Everything a developer runs. `make help` lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Most tests wait for pods; each worker has a cluster of its own (0.7 GiB).
WORKERS ?= 2
export PYTHONPATH := tests

.DEFAULT_GOAL := help
.PHONY: help setup lint test test-unit test-triton test-images engine-fields cluster cluster-stop demo crds docs golden image image-simulator manifests clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Conch needs Python 3.11 or later; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable . --group dev
	@touch $@

setup: $(INSTALLED)  ## Make the virtual environment
	@$(BIN)/python -m cluster prerequisites

lint: $(INSTALLED)  ## Format, lint, types and layers, all as checks
	$(BIN)/ruff format --check operator tests images
	$(BIN)/ruff check operator tests images
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup  ## Every test; sets up all it needs
	$(BIN)/python -m cluster build
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile

test-triton: $(INSTALLED)  ## Only the tests on the real Triton
	$(BIN)/pytest tests/triton

test-images: $(INSTALLED)  ## Build both images with buildah and run what is in them (root, Debian)
	$(BIN)/pytest -m images tests/images

engine-fields: $(INSTALLED)  ## Rewrite the tables of engine arguments from PyPI
	$(BIN)/python -m conch.engines.vllm_fields.refresh 0.19.0 0.22.1 0.24.0 0.27.1

test-unit: $(INSTALLED)  ## Only the tests that need neither a cluster nor an engine
	$(BIN)/pytest -m 'not cluster and not triton'

cluster: setup  ## Start the local cluster and leave it running
	@$(BIN)/python -m cluster up

cluster-stop: $(INSTALLED)  ## Stop the local cluster
	@$(BIN)/python -m cluster down

demo: setup  ## Watch Conch serve, roll out, refuse, scale and delete (KEEP=1 leaves the cluster up)
	@$(BIN)/python -m demo

crds: $(INSTALLED)  ## Write the CRD for crds/ and for the chart
	$(BIN)/python -m conch.api.crd --write .

docs: $(INSTALLED)  ## Write the pages that come from code
	$(BIN)/python -m conch.api.conditions_page > docs/conditions.md

golden: $(INSTALLED)  ## Rewrite the golden cases from examples/
	$(BIN)/python -m golden

BUILDER ?= docker
IMAGE ?= conch-operator:0.1.0
SIMULATOR_IMAGE ?= conch-engine-simulator:0.1.0

image:  ## Build the operator's image (BUILDER=docker|podman|buildah, IMAGE=...)
	$(BUILDER) build -f images/operator/Dockerfile -t $(IMAGE) .

image-simulator:  ## Build the engine simulator's image
	$(BUILDER) build -f images/engine-simulator/Dockerfile -t $(SIMULATOR_IMAGE) .

manifests: setup  ## Write build/conch.yaml, for kubectl apply
	@mkdir -p build
	$$($(BIN)/python -c 'from cluster.helm import helm; print(helm())') template conch charts/conch --namespace conch-system $(HELM_ARGS) > build/conch.yaml

clean:  ## Remove what was built here (the control plane's binaries stay in the user's cache)
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
