# Each target sets up what it needs, from a fresh clone, in .venv.
PYTHON ?= python3
BIN := .venv/bin
# A process of one thread on each core.
PYTEST := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto

.PHONY: compare test apart slow mistakes guards mutants lint wheel docs lowest newest clean

compare: .venv/installed
	$(BIN)/handnet compare --html

# A file of tests stays in one process.
test: .venv/installed
	$(PYTEST) --dist loadfile

# What starts other processes: somebody's pytest, a browser, Jupyter, a cluster.
apart: .venv/installed
	$(PYTEST) -m "apart and not slow" tests

slow: .venv/installed
	$(BIN)/python -m pytest -q -s -m slow tests

mistakes: .venv/installed
	$(BIN)/handnet mistakes --jobs 2

# Each tolerance and threshold made twice and half as large: tests/test_guards.py must notice.
guards: .venv/installed
	$(BIN)/python mutation/short_list.py

# Small changes all over the judging: the tests must notice, but for what mutation/survivors.toml gives a reason for.
mutants: .venv/installed
	$(BIN)/pip install --quiet -c constraints.txt -e ".[mutants]"
	$(BIN)/python mutation/mutants.py

lint: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# The built wheel, in an empty environment with numpy, pandas, torch and pytest alone, away from the sources: a command,
# and a test that leaves its comparison as CSV by way of the plugin.
wheel:
	rm -rf dist .venv-wheel
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/pip wheel --quiet --no-deps --wheel-dir dist .
	.venv-wheel/bin/pip install --quiet -c constraints.txt pytest dist/handnet-*.whl
	cd dist && ../.venv-wheel/bin/python -c "import handnet, comparisons.cases as c; print(c.load_digits()[0].shape)"
	cd dist && ../.venv-wheel/bin/python -m comparisons compare note --out reports
	cp examples/styles/rows.py examples/test_outside.py dist
	cd dist && ../.venv-wheel/bin/python -m pytest -q -p no:cacheprovider --comparisons-csv evidence test_outside.py
	test -s dist/evidence/comparison.csv
	rm -rf .venv-wheel

# The documents as a site, in site/. It reads the sources and imports none of them, so it needs the extra and no torch.
docs: .venv-docs/installed
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict

.venv-docs/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet -c constraints.txt $$($(PYTHON) -c "import tomllib; \
	  print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['docs'])")
	touch $@

# The tests with the lowest versions that pyproject.toml claims, and with the newest that there are.
lowest newest:
	rm -rf .venv-$@
	$(PYTHON) -m venv .venv-$@
	grep -oE '[a-z-]+>=[0-9.]+' pyproject.toml | sed 's/>=/==/' | sort -u > .venv-$@/lowest.txt
	touch .venv-$@/newest.txt
	.venv-$@/bin/pip install --quiet -c .venv-$@/$@.txt -e ".[html,sweep]" mpmath pytest
	.venv-$@/bin/python -m pytest -q -m "not slow"

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf .venv .venv-* build dist reports site *.egg-info
