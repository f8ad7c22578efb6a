# make demo   a language model learns by reinforcement, here, with nothing to download but packages
# make test   every check: ruff, mypy, pytest
# make docs   the documentation, in site/
# Each makes .venv when it is missing, and installs again only when pyproject.toml or constraints.txt has changed.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint docs format clean

demo: $(VENV)/.installed
	$(BIN)/python benchmarks/demo.py

# Several tests at a time, and one thread for each: two threads that meet another two are slower than one.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses 4

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p textgym

# A warning, such as that of a broken link, is an error.
docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What tools left behind. The environment (.venv) and your results (runs) stay.
clean:
	rm -rf build dist site *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find envs agents wrappers src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/pip
	$(INSTALL) -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) -e ".[dev]"
	touch $@

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)
