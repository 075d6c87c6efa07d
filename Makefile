# Set-up is part of every target: a virtual environment with the pinned packages of requirements.txt.
# An environment that is active is used; otherwise .venv is made.

VENV := $(or $(VIRTUAL_ENV),.venv)
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.stook-ready
DOCS_READY := $(VENV)/.stook-docs-ready

.PHONY: demo test lint docs bench evidence evidence-check demo-bundle clean

demo: $(READY)  ## Map a simulated landscape and compare with its truth (results in demo/)
	$(VENV)/bin/stook demo

test: $(READY)  ## Run the tests; those that need ../shared run where it is there
	$(PYTHON) -m pytest -n auto --dist loadfile

lint: $(READY)  ## Style and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

docs: $(DOCS_READY)  ## The documentation as a website, in build/site; broken links are refused
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -W ignore::DeprecationWarning -m mkdocs build

bench: $(READY)  ## Speed and memory
	$(PYTHON) -m tests.evidence --only bench --print
	$(PYTHON) -m tests.evidence --only throughput --print

evidence: $(READY)  ## Measure every figure we claim and write docs/evidence.md; ONLY=flanders for some
	$(PYTHON) -m tests.evidence $(if $(ONLY),--only $(ONLY))

evidence-check: $(READY)  ## Say which figures were measured on older code, and mark them in docs/evidence.md
	$(PYTHON) -m tests.evidence --check

demo-bundle: $(READY)  ## Train the demonstration's bundles anew, or one: BUNDLE=cropland, buildings or piles
	$(PYTHON) -m stook.pipelines.demo.pretrain $(BUNDLE)

clean:  ## Remove what the targets made, the environment excepted
	rm -rf demo out build .pytest_cache .mypy_cache .ruff_cache

$(READY): setup.py requirements.txt
	test -x $(PYTHON) || python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --requirement requirements.txt
	$(PYTHON) -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(DOCS_READY): requirements-docs.txt $(READY)
	$(PYTHON) -m pip install --quiet --constraint requirements.txt --requirement requirements-docs.txt
	touch $@
