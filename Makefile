# make demo   installs, then takes WebShop from demonstrations to a report
# make test   installs, then runs the core tests
# make test-all, dist, gpu, fuzz, mutants, check, docs, site, bench: see below

PY     ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
TORCH  := torch==2.13.0
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q

# A machine without a GPU should not download CUDA. PyTorch's index of CPU builds is used when it
# answers within three seconds (pip alone would retry for a minute and a half) and no GPU is here.
CPU_URL   := https://download.pytorch.org/whl/cpu
CPU_INDEX = $(shell command -v nvidia-smi >/dev/null 2>&1 || $(PY) -c \
  'from urllib.request import urlopen; urlopen("$(CPU_URL)/torch/", timeout=3); \
   print("--extra-index-url $(CPU_URL)")' 2>/dev/null)

.PHONY: demo test test-all dist gpu fuzz mutants check lint types docs pictures site bench reproduce install clean
.DEFAULT_GOAL := demo

install: $(VENV)/.ok
$(VENV)/.ok: pyproject.toml requirements.lock
	@echo "installing into $(VENV) (once)"
	@$(PY) -m venv $(VENV)
	@$(BIN)/pip install -q $(CPU_INDEX) $(TORCH)
	@$(BIN)/pip install -q $(TORCH) -r requirements.lock
	@$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q tratree_cli store/tratree_store  # as pip does with packages
	@touch $@

demo: install
	@$(BIN)/tratree report --env webshop --no-stdin
	@echo "tratree is in $(VENV); to type it: source $(BIN)/activate"

test: install
	$(PYTEST) -n 2 -m "not slow and not gpu"

# Files in which quick tests need an optional package; without it the core skips them.
OPTIONAL := tests/reporting/test_report_page.py tests/store/test_remote.py tests/interop

# Slow and optional parts. What an optional part needs is installed here, and what cannot be is
# skipped by its test with the reason.
test-all: install $(VENV)/.all $(VENV)/.alfworld $(VENV)/.trainers $(VENV)/.clients $(VENV)/.site
	$(PYTEST) -n 2 -m "slow and not gpu"
	$(PYTEST) -n 2 -m "not slow and not gpu" $(OPTIONAL)
$(VENV)/.all: requirements-all.lock
	@$(BIN)/pip install -q $(TORCH) -r requirements-all.lock
	@touch $@
# Compiled from source: where there is no compiler, the tests that compare with it are skipped.
$(VENV)/.alfworld: requirements-alfworld.lock
	@$(BIN)/pip install -q -r requirements-alfworld.lock || echo "skipped: the original ALFWorld engine"
	@touch $@

# Packages of trainers that run in our process, without what they ask for (verl: numpy 1).
$(VENV)/.trainers: requirements-trainers.lock
	@$(BIN)/pip install -q --no-deps -r requirements-trainers.lock || echo "skipped: tests with the trainers' packages"
	@touch $@
# Other programs' clients of `tratree env serve`. They disagree with each other and with us, so they
# are installed as they are into an environment of their own that sees ours; its tests skip without.
$(VENV)/.clients: requirements-clients.lock
	@$(PY) -m venv $(VENV)/clients
	@$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % \
	  sysconfig.get_path("purelib"))' > $$(echo $(VENV)/clients/lib/python*/site-packages)/ours.pth
	@$(VENV)/clients/bin/pip install -q --no-deps -r requirements-clients.lock \
	  || echo "skipped: tests with the clients of other programs"
	@touch $@

# What an index takes: source distribution and wheel, built from this folder and checked.
dist: install $(VENV)/.all
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist
	$(BIN)/python -m twine check --strict dist/*

# On a machine with a CUDA device: all that only a GPU can show, in nine minutes, results in gpu.json.
# GPU=--toy runs every part on the CPU at a size that measures nothing.
GPU ?=
gpu: install
	PYTHON=$(BIN)/python benchmarks/gpu/run.sh $(GPU)

check: lint types
	$(BIN)/python docs/build.py --check
lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
types: install
	$(BIN)/mypy

docs: install
	$(BIN)/python docs/build.py

# The README's table and tree, drawn anew by both small recipes; minutes.
pictures: install
	$(BIN)/python docs/pictures.py

# The pages of docs/ with an API reference, in site/: no page of it asks another server.
site: $(VENV)/.site
	NO_MKDOCS_2_WARNING=1 $(VENV)/site/bin/mkdocs build --strict -q -d site
$(VENV)/.site: requirements-site.lock
	@$(PY) -m venv $(VENV)/site
	@$(VENV)/site/bin/pip install -q -r requirements-site.lock || echo "skipped: the site"
	@touch $@

# Measurements, by hand: ratios in one run, because machines are noisy.
BENCHES := startup store.bench trees.compare trees.growth trees.command webshop.bench envs.in_process envs.serve rollouts.bench training.bench training.tree_packing
bench: install
	@for b in $(BENCHES); do echo "== benchmarks.$$b"; OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.$$b; done

# Files and command lines changed at random from valid ones: CASES=100000 takes minutes.
CASES    ?= 100000
COMMANDS ?= 2000
fuzz: install
	TRATREE_FUZZ=$(CASES) TRATREE_FUZZ_COMMANDS=$(COMMANDS) $(PYTEST) -n 2 -m slow tests/fuzz

# One token changed at a time, the tests of its package run: SAMPLE changes a package take minutes;
# MUTANTS="store --whole" takes hours. tests/mutants.toml says which tests belong to which package.
SAMPLE  ?= 20
MUTANTS ?=
mutants: install
	$(BIN)/python -m benchmarks.mutants --sample $(SAMPLE) $(MUTANTS)

# Runs every stage of a recipe again and compares the bytes: RECIPE=micro takes minutes, quick longer.
RECIPE ?= quick
reproduce: install
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.store.reproduce --recipe $(RECIPE)

clean:
	rm -rf $(VENV) .tratree .mypy_cache .ruff_cache .pytest_cache .hypothesis dist site
