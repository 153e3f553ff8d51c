# Every target sets up what it needs: a machine with python3 (and its venv module), make and git is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps

.PHONY: tune test check bench docs clean
.DELETE_ON_ERROR:

tune: $(STAMPS)/run  ## walk the whole recipe on scikit-learn's digits and write runs/digits/report.html
	$(BIN)/ravine tune --data digits --budget 60s --out runs/digits --overwrite

test: $(STAMPS)/dev  ## every test, on two cores
	$(BIN)/pytest -n 2 --dist loadfile

check: $(STAMPS)/dev  ## format, lint, types, the order of the house, the examples in docstrings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest tests/test_house.py
	$(BIN)/pytest --doctest-modules src/ravine -p no:cacheprovider

bench: $(STAMPS)/dev  ## every benchmark, side by side with its peer
	for script in benchmarks/[a-z]*.py; do $(BIN)/python $$script || exit 1; done

docs: $(STAMPS)/dev  ## the site, into site/: pages that come from the code and measurements, every figure drawn, built strictly
	$(BIN)/python docs/rules_table.py
	$(BIN)/python docs/faults_pages.py
	$(BIN)/python docs/reported_problems_page.py
	$(BIN)/ravine gallery --out build/gallery
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:  ## forget everything that can be made again
	rm -rf $(VENV) runs site build .pytest_cache .mypy_cache .ruff_cache

# torch comes first and by its exact version: asked for by another package alone, the newest build with all
# its CUDA libraries would be taken.
$(STAMPS)/run: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	mkdir -p $(STAMPS) && touch $@

$(STAMPS)/dev: $(STAMPS)/run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@
