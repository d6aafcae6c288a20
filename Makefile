# `make demo`, `make test` and `make check` need Python 3.11 or newer and make, and nothing else.
# Tests that need bubblewrap or Chromium are left out, with a line that says so, where it is missing.
# Arguments go through ARGS: make demo ARGS=--exit, make test ARGS="-k store".

PYTHON ?= python3
BIN := .venv/bin

.PHONY: bench-pull help venv demo demo-loop loop-verdicts test check docs pictures mutants reliability quality bench code-causes record matrix routes findings format clean

help:
	@echo "make demo    pull, analyse and annotate on an embedded Phoenix (ARGS=--exit: do not wait at the end)"
	@echo "make demo-loop   two releases of the demo's agent compared: what is new, worse, fixed (no key, no server)"
	@echo "make test    run every test (CI=true: an error if some are left out)"
	@echo "make check   lint, types, import contracts, public surface"
	@echo "make docs    the documentation as a site, into build/site; a warning is an error"
	@echo "make pictures   the pictures of the documentation, taken anew from a Phoenix in Chromium"
	@echo "make mutants mutation testing of what guards money, writes, proof and privacy (under an hour)"
	@echo "make reliability  the tables of docs/reliability.md: kills, faults, attacks, secrets, intervals"
	@echo "make bench-pull  reading and writing Langfuse and Phoenix beside their own clients (a quarter of an hour)"
	@echo "make quality  what systems find of what is known, as docs/quality.md says (ARGS=\"DATA NAME=PATH ...\")"
	@echo "make bench   how fast this checkout is beside its first version and others (ARGS=\"--beside COMMIT --only run\")"
	@echo "make loop-verdicts   how often a comparison of releases is right, over 20 seeds (ten minutes)"
	@echo "make code-causes  planted causes found in an agent's source code (MODEL=NAME MODEL_URL=... ARGS=\"--price 3,15\")"
	@echo "make record  what a framework emits, into tests/frameworks/recordings (FRAMEWORK=smolagents)"
	@echo "make matrix  the table of docs/frameworks.md: what is found in the recordings (RECORDINGS=FOLDER: in others)"
	@echo "make routes  the same where they came through Phoenix and Langfuse (RECORDINGS=, LANGFUSE=: of others)"
	@echo "make findings  whether the libraries of this field still behave as findings/*.sh say (an hour)"
	@echo "make format  format the code"
	@echo "make clean   remove what was built"

venv: .venv/.installed

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $@

demo: venv
	$(BIN)/halo-integrations demo $(ARGS)

demo-loop: venv
	$(BIN)/halo-integrations demo --loop $(ARGS) || test $$? = 1

# Three workers on two cores: in a quarter of its time a worker waits, for a server, a disk or a command.
# The tests start hundreds of interpreters, so what one of them compiles is kept for the next.
test: export PYTHONDONTWRITEBYTECODE =
test: venv
	$(BIN)/python -m pytest -n 3 --dist loadgroup $(ARGS)

check: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --quiet tests/test_surface.py

# mkdocs-material prints a note about the future of MkDocs unless it is told not to.
docs: venv
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

# Needs Chromium; look at each picture.
pictures: venv
	PYTHONPATH=tests/support $(BIN)/python -m docsite.pictures

mutants: venv
	$(BIN)/python -m pip install --quiet --group mutants
	$(BIN)/python -m benchmarks.mutation.run $(ARGS)

reliability: venv
	$(BIN)/python benchmarks/reliability.py $(ARGS)

bench-pull: venv
	$(BIN)/python benchmarks/langfuse_bench.py $(ARGS)
	$(BIN)/python benchmarks/phoenix_bench.py $(ARGS)

quality: venv
	$(BIN)/python -m benchmarks.quality.table $(ARGS)

# What else the machine does at the same time is in the figures, hardly in their ratios.
bench: venv
	$(BIN)/python -m benchmarks.speed.table $(ARGS)

loop-verdicts: venv
	$(BIN)/python -m benchmarks.loop_verdicts $(ARGS)

MODEL ?= openai/gpt-5-mini
code-causes: venv
	$(BIN)/python -m benchmarks.quality.code_causes --model $(MODEL) $(if $(MODEL_URL),--model-url $(MODEL_URL)) $(ARGS)

record: venv
	$(BIN)/python tests/frameworks/record $(FRAMEWORK)

matrix: venv
	$(BIN)/python tests/frameworks/matrix.py $(RECORDINGS)

routes: venv
	$(BIN)/python tests/frameworks/routes.py $(RECORDINGS) $(LANGFUSE)

# Each script installs what it needs into a folder of its own; 2 says that it could not.
findings:
	@changed=0; log=$$(mktemp); for script in findings/*.sh; do \
	    sh $$script > $$log 2>&1; case $$? in \
	        0) echo "ok                 $$script" ;; \
	        2) echo "could not install  $$script" ;; \
	        *) echo "changed            $$script"; sed 's/^/    /' $$log; changed=1 ;; \
	    esac; \
	done; rm -f $$log; exit $$changed

format: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist artifacts
