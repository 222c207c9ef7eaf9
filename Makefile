# `make help` lists the targets. Paths are relative, so that a clone may lie in a folder with a space in its name.
PYTHON ?= python3
BIN := .venv/bin
# the theme would advertise its successor
export NO_MKDOCS_2_WARNING := 1
# the metadata of learn2learn and of the Optuna sweeper ask for more than we use: pip would print that in red
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-warn-conflicts --constraint constraints.txt
DEMO := outputs/demo
CKPT := $(DEMO)/maml/checkpoints/last.ckpt

CHECKS := $(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports
# a file of tests stays on one process, which builds its fixtures once
PYTEST := $(BIN)/python -m pytest --numprocesses=auto --dist=loadfile

.DEFAULT_GOAL := help
.PHONY: help install install-test demo test test-fast test-gpu gpu fuzz docs format clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

install: .venv/installed ## create .venv with the pinned dependencies

install-test: .venv/installed-test ## the same with the test tools

demo: .venv/installed ## meta-train, adapt to unseen cameras, convert a picture: 4 minutes on 2 cores
	rm -rf $(DEMO)
	$(BIN)/python -m ldr2hdr.train experiment=demo hydra.run.dir=$(DEMO)/maml
	$(BIN)/python -m ldr2hdr.train experiment=demo_supervised hydra.run.dir=$(DEMO)/supervised
	$(BIN)/python -m ldr2hdr.evaluate experiment=demo_evaluate ckpt=$(CKPT) \
		supervised_ckpt=$(DEMO)/supervised/checkpoints/last.ckpt hydra.run.dir=$(DEMO)/evaluation tables=false
	$(BIN)/ldr2hdr convert $(DEMO)/evaluation/photo.png -o $(DEMO)/photo.exr --ckpt $(CKPT)
	$(BIN)/ldr2hdr convert $(DEMO)/evaluation/photo.png -o $(DEMO)/photo.hdr --ckpt $(CKPT)
	$(BIN)/ldr2hdr results $(DEMO)/evaluation/results.json
	@printf '%-32s%s\n' \
		'checkpoint' $(CKPT) \
		'results' $(DEMO)/evaluation/results.json \
		'scores of each picture' $(DEMO)/evaluation/scores.csv \
		'converted picture' $(DEMO)/photo.exr \
		'the same for older programs' $(DEMO)/photo.hdr \
		'LOOK AT THIS' $(DEMO)/evaluation/panel.png

test: .venv/installed-test ## everything that must pass: ruff, mypy, import contract, documentation, pytest with doctests
	$(CHECKS)
	$(BIN)/mkdocs --quiet build
	$(PYTEST)

test-fast: .venv/installed-test ## the same without documentation, browsers, launchers, trainings and fuzzing
	$(CHECKS)
	$(PYTEST) -m 'not gpu and not slow'

test-gpu: .venv/installed-test ## the tests that need a CUDA device
	$(BIN)/python -m pytest -m gpu

gpu: .venv/installed-test ## on a CUDA device: those tests, time, memory, precision, a score, DDP; at most 8 minutes (PIECES="steps bf16")
	$(BIN)/python experiments/gpu/measure.py $(if $(PIECES),--pieces $(PIECES))

fuzz: .venv/installed-test ## feed 20,000 damaged files to the readers
	LDR2HDR_FUZZ=20000 $(BIN)/python -m pytest tests/security/test_fuzz.py

docs: .venv/installed-test ## build the documentation as a site, outputs/site
	$(BIN)/mkdocs build

format: .venv/installed-test ## format the code and mend what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove the environment, the cache and all outputs
	rm -rf .venv .cache outputs multirun

# A stamp is as new as what it was made from, so a second call installs nothing. learn2learn's last release ships C
# files that Python 3.11 cannot compile; `build_ext` makes its build regenerate them. It is the only dependency
# installed without its own: they include gym and torchvision, which its algorithms do not use.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ldr2hdr needs Python 3.11 or later")'
	$(PYTHON) -m venv .venv
	$(PIP) 'pip>=23.1'
	$(PIP) --editable .
	$(PIP) --no-deps --config-settings="--build-option=build_ext" learn2learn==0.2.0
	touch $@

# The Optuna sweeper works with today's Optuna, which its metadata excludes.
.venv/installed-test: .venv/installed
	$(PIP) --editable '.[test]'
	$(PIP) --no-deps hydra-optuna-sweeper==1.3.0
	touch $@
