# Every verb of kd_monai. `make` prints them. Variables stand behind the verb: make student MODALITY=flair FOLD=1
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
VENV ?= .venv
# torch's wheel index. Empty: pip's own, where Linux gets the CUDA build, several GB. The CPU build is 0.8 GB:
# TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
TORCH_INDEX_URL ?=
TEST_JOBS ?= 2
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed

# A thread that waits for the others spins for 0.1 ms and then sleeps. docs/benchmarks.md says what other values cost.
export OMP_WAIT_POLICY ?= PASSIVE
export GOMP_SPINCOUNT ?= 5000
# Large buffers lie in huge pages. Freed ones below 32 MiB stay with the process.
export THP_MEM_ALLOC_ENABLE ?= 1
export GLIBC_TUNABLES ?= glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=8589934592
export MLFLOW_DISABLE_TELEMETRY ?= true
export NO_MKDOCS_2_WARNING ?= 1
# imports write the bytecode that an installation does not
unexport PYTHONDONTWRITEBYTECODE

# What stands behind the verb goes to Python as it was typed. The table of variables is src/kd_monai/config/variables.py.
blank := $(subst ,, )
quoted = '$(subst ','\'',$(1))'
names = $(foreach word,$(subst \$(blank),-,$(MAKEOVERRIDES)),$(patsubst %:,%,$(firstword $(subst =,$(blank),$(word)))))
typed = $(foreach name,$(names),$(call quoted,$(name)=$(value $(name))))

VERBS := demo teacher baseline student study evaluate compare report choose pack unpack predict mlflow phantom verify-bundles
.PHONY: help install bench test test-long lint docs figures $(VERBS)
help: ## print verbs and variables
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@PYTHONPATH=src $(PYTHON) -m kd_monai help
install: $(INSTALLED) ## make the environment in .venv
$(VERBS): $(INSTALLED)
	@$(PY) -m kd_monai $@ $(typed)
bench: $(INSTALLED)
	@$(PY) benchmarks/run.py $(typed)
test: $(INSTALLED) ## the tests of minutes; real cases where KD_MONAI_BRATS names a folder
	OMP_NUM_THREADS=1 $(PY) -m pytest -m "not slow" -n $(TEST_JOBS) --dist loadfile --no-loadscope-reorder
test-long: $(INSTALLED) ## the tests of whole trainings, bundles and studies
	OMP_NUM_THREADS=1 $(PY) -m pytest -m slow -n $(TEST_JOBS) --dist loadfile --no-loadscope-reorder
lint: $(INSTALLED) ## ruff, mypy and the import rule
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m pytest -q tests/test_imports.py
figures: $(INSTALLED) ## draw every picture of the documents
	$(PY) docs/figures/make_figures.py
docs: $(INSTALLED) ## build the pages in site/
	$(PY) docs/reference/write_variables.py
	$(PY) -m mkdocs build --strict

$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; $(PYTHON) is older. Name another: make PYTHON=python3.12" >&2; exit 1; }
	$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(PY) -m pip install -q --upgrade pip
	$(PY) -m pip install -q --no-compile -c constraints.txt $(if $(TORCH_INDEX_URL),--no-deps --index-url $(TORCH_INDEX_URL)) torch
	$(PY) -m pip install -q --no-compile -c constraints.txt -e '.[test,fast,docs]'
	@touch $@
