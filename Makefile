# make run    the dashboard        make test   the tests
# make test-fast   those of the engine that take no seconds: after every save
# make share  the dashboard for others, behind a password: docs/sharing.md
# make demo   the dashboard as slides to show: Esc leaves them
# make test-hostile  attacks, in a suite of their own
# make test-pythons  the tests under Python 3.12 and 3.13
# make lint   style and types      make bench  ours beside other converters
# make coverage [MODELS=a,b]       docs/coverage.md: what converts
# make docs   the documentation as a site, in build/docs
# The oldest there is; `make run PYTHON=...` takes another.
PYTHON ?= $(or $(notdir $(firstword $(shell command -v python3.11 python3.12 python3.13))),python3.11)
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8501

# Tests that are collected again are compiled once, also where the environment asks for no bytecode.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup setup-dev setup-litert-torch run demo share test test-fast test-hostile test-pythons lint format
.PHONY: bench bench-peers bench-conversion coverage screenshots docs sbom lock clean

setup: $(VENV)/.installed
setup-dev: $(VENV)/.installed-dev

$(VENV)/.installed: requirements.txt requirements-no-deps.txt
	@echo "Installing PyTorch, TensorFlow and what else is needed: 4.5 GB into $(VENV), once, for some minutes."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements-no-deps.txt
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt requirements-dask.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

run: setup
	$(BIN)/python -m pages.shell.server --server.port $(PORT)

demo: setup
	QLAB_DEMO=1 $(BIN)/python -m pages.shell.server --server.port $(PORT)

ADDRESS ?= 0.0.0.0
SHARE_OPTIONS ?=
share: setup
	$(BIN)/python -m pages.access.share --address $(ADDRESS) --port $(PORT) $(SHARE_OPTIONS)

# Two processes of one thread each: with two each, torch and TensorFlow get in each other's way.
test: setup-dev lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --ignore tests/hostile

# No real conversion, no page, no browser: a minute on two cores.
test-fast: setup-dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal -m "not slow and not browser and not hostile" \
	  --ignore tests/pages --ignore tests/end_to_end --ignore tests/hostile

# The tests but those of a browser under other Pythons, each in an environment of its own.
OTHER_PYTHONS ?= python3.12 python3.13
test-pythons:
	set -e; for python in $(OTHER_PYTHONS); do \
	  place=.venv-$$(basename $$python); \
	  $(MAKE) setup-dev PYTHON=$$python VENV=$$place; \
	  OMP_NUM_THREADS=1 $$place/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not browser and not hostile"; \
	done

# Files, processes and sessions that mean harm; one table at the end.
HOSTILE_SCALE ?= 1
test-hostile: setup-dev
	$(BIN)/pytest -m hostile --hostile-scale $(HOSTILE_SCALE) --timeout 1500 tests/hostile

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# make bench MODELS=mobilenet_v2 runs one model in minutes; python -m benchmarks.bench --help has the rest.
MODELS ?=
BENCH_OPTIONS ?=
PEERS := .venv-bench-litert-torch/.installed .venv-bench-onnx2tf/.installed

bench: setup bench-peers
	$(BIN)/python -m benchmarks.bench --models "$(MODELS)" $(BENCH_OPTIONS)

bench-peers: $(PEERS)

# onnx2tf asks for Python 3.12 and works with 3.11.
.venv-bench-onnx2tf/.installed: PIP_OPTIONS := --ignore-requires-python
.venv-bench-%/.installed: benchmarks/requirements-%.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check $(PIP_OPTIONS) -r $<
	touch $@

bench-conversion: setup
	$(BIN)/python -m benchmarks.plain_script

coverage: setup
	$(BIN)/python -m benchmarks.coverage --models "$(MODELS)"

SCREENSHOTS ?= build/screenshots
screenshots: setup-dev
	PYTHONPATH=. $(BIN)/python docs/take_screenshots.py $(SCREENSHOTS)

# With warnings as errors. To read it with search: python -m http.server -d build/docs
docs: setup-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# The packages of convert --route litert-torch, in an environment of their own: their pins collide.
setup-litert-torch: .venv-bench-litert-torch/.installed

# What `make run` is made of: with hashes, and as a bill for tools that look for known holes.
lock: setup
	$(BIN)/python tools/lock.py requirements.txt requirements-no-deps.txt requirements.lock

sbom: setup-dev
	mkdir -p build
	$(BIN)/cyclonedx-py requirements requirements.lock --output-reproducible \
		--output-format JSON --output-file build/sbom.cdx.json

clean:
	rm -rf $(VENV) .venv-bench-*
