# Two commands set everything up on a machine with git, make and Python >= 3.11:
#   make demo    installs into .venv and runs the main job in small
#   make test    installs into .venv and runs the tests
#
# Another build of PyTorch, e.g. without CUDA (a tenth of the download) from PyTorch's own index:
#   make demo TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu"

PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CLIENT := src/mate/studio/client/index.html
CLIENT_SOURCES := $(shell find client -type f -not -path '*/node_modules/*' 2>/dev/null)
PYTEST ?= $(BIN)/python -m pytest

.PHONY: install demo client studio page-for-tests test test-all wheel lint format clean
.DELETE_ON_ERROR:

install: $(STAMP)

# PyTorch comes first, on its own, so that nothing else decides which build of it is installed.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than Python 3.11; use make PYTHON=python3.11" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[offline,dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/mate demo

# The page of the studio, built anew only when its sources changed. `make demo` does not need it.
client: $(CLIENT)

$(CLIENT): $(CLIENT_SOURCES) | $(STAMP)
	$(BIN)/python client/build.py

studio: $(STAMP) $(CLIENT)
	$(BIN)/mate studio

# Without the npm registry everything is tested but the page, whose tests say so.
page-for-tests: $(STAMP)
	@$(MAKE) --no-print-directory client || echo "the page was not built: its tests will be skipped" >&2

test: page-for-tests
	$(PYTEST)

test-all: page-for-tests
	$(PYTEST) -m ''

wheel: $(STAMP) $(CLIENT)
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) out dist .pytest_cache .ruff_cache .hypothesis client/node_modules src/mate/studio/client
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
