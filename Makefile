# Set-up is part of every target: a virtual environment with the pinned packages of requirements.txt.
# An environment that is active is used; otherwise .venv is made.

VENV := $(or $(VIRTUAL_ENV),.venv)
PYTHON := $(VENV)/bin/python
# Named by what the files say, not by when they were written: a fresh copy of the tree installs nothing.
content = $(firstword $(shell cat $(1) | cksum))
READY := $(VENV)/.stook-ready-$(call content,setup.py requirements.txt)
DOCS_READY := $(VENV)/.stook-docs-ready-$(call content,requirements.txt requirements-docs.txt)
# The targets run the tree that they are called in. The environment's `stook` stays that of the tree it was installed
# from as long as that is there: a second copy, tried in the same environment, takes nothing from the first.
export PYTHONPATH := $(CURDIR)
ifneq ($(shell $(PYTHON) -I -c "import stook" 2>/dev/null && echo installed),installed)
.PHONY: $(READY)
endif

# One more than there are processors: some tests wait for servers and clocks. Each computes with one thread.
TEST := OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1) --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-all test-servers test-engines lint docs bench evidence evidence-check demo-bundle clean

demo: $(READY)  ## Map a simulated landscape and compare with its truth (results in demo/)
	$(VENV)/bin/stook demo

test: $(READY)  ## Run the tests but for the slow ones and those of servers; those that need ../shared run where it is there
	$(TEST) -m "not slow and not server and not engines"

test-all: $(READY)  ## Run every test but for those of engines
	$(TEST) -m "not engines"

test-servers: $(READY) build/servers/.ready-$(call content,requirements-servers.txt)  ## Run the tests against servers: S3, a STAC API on PostgreSQL
	$(PYTHON) -m pytest tests/pipelines/servers

test-engines: $(READY)  ## Run the tests of engines: Beam's job service, and Flink where Java and Maven are; ONLY=… for some
	$(if $(ONLY),,$(if $(shell command -v mvn),$(MAKE) build/engines/flink/.ready))
	$(PYTHON) -m pytest tests/pipelines/engines $(if $(ONLY),-k "$(ONLY)")

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

$(READY):
	@echo "Installing the packages of requirements.txt, and stook from $(CURDIR) (editable), into $(VENV)"
	test -x $(PYTHON) || python3 -m venv $(VENV)
	rm -f $(VENV)/.stook-*ready*
	$(PYTHON) -I -m pip install --quiet --requirement requirements.txt
	$(PYTHON) -I -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

build/servers/.ready-%:
	python3 -m venv build/servers
	build/servers/bin/pip install --quiet --requirement requirements-servers.txt
	touch $@

# Flink 1.19, and a job server of Beam for it: of the newest version of which Maven Central serves every part.
build/engines/flink/.ready: tests/pipelines/engines/flink-job-server.xml
	mkdir -p build/engines/flink
	$(PYTHON) -m pip download --quiet --no-deps --no-binary :all: --dest build/engines apache-flink-libraries==1.19.3
	tar --extract --file build/engines/apache-flink-libraries-1.19.3.tar.gz --directory build/engines/flink --strip-components 1
	mvn --quiet --file $< dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/build/engines/flink/job-server -DincludeScope=runtime
	touch $@

$(DOCS_READY): $(READY)
	@echo "Installing the packages of requirements-docs.txt into $(VENV)"
	$(PYTHON) -I -m pip install --quiet --constraint requirements.txt --requirement requirements-docs.txt
	touch $@
