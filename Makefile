# Everything runs in its own virtual environment, made from the hash-locked list on first use, with the Python
# of this machine that costs least; PYTHON=/path/to/python takes another.
PYTHON ?= $(shell python3 tools/fastest_python.py)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test sweep conformance check fmt docs bench-peers lock clean

demo: $(STAMP)
	$(BIN)/macroslow demo

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not sweep"

sweep: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m sweep

# The official MCP suites against `macroslow serve --conformance`; `make test` and `make sweep` have them too.
conformance: $(STAMP)
	tests/clients/install mcp
	MACROSLOW_NO_SKIPS=1 $(BIN)/python -m pytest tests/conformance

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright --level warning
	$(BIN)/lint-imports

fmt: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)
	$(BIN)/python -m pytest tests/docs

bench-peers: $(STAMP)
	$(BIN)/python benchmarks/peers.py install

# Needs uv on the PATH; the lists name neither hosts nor URLs.
LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links -q --upgrade
lock:
	$(LOCK) --extra sdk --extra postgres --extra redis --extra timestamps --group dev -o requirements/dev.txt
	$(LOCK) -o requirements/runtime.txt -c requirements/dev.txt

$(STAMP): requirements/dev.txt pyproject.toml
	@set -e; python="$(PYTHON)"; \
	test -n "$$python" || { echo "macroslow needs Python 3.11 or newer, and found none; set PYTHON=/path/to/python3.11"; exit 1; }; \
	command -v "$$python" >/dev/null || { echo "PYTHON=$$python: there is no such program (write the path in full, without ~)"; exit 1; }; \
	"$$python" -c 'import sys; sys.exit("macroslow needs Python 3.11 or newer; set PYTHON=/path/to/python3.11") if sys.version_info < (3, 11) else 0'; \
	echo "Installing into $(VENV) with $$python ($$("$$python" --version); PYTHON=... takes another): about 85 packages, a minute or more ..."; \
	"$$python" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(STAMP)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
