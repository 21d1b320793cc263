# `make app` opens the page, `make test` checks everything. Each sets up all it needs in .venv.
BIN := .venv/bin
STAMP := .venv/installed
SUITS := import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))
OWN_BROWSER := import os, playwright.sync_api as p; \
  w = p.sync_playwright().start(); found = os.path.exists(w.chromium.executable_path); \
  w.stop(); raise SystemExit(not found)

.PHONY: app test lint format browser audit clean

app: $(STAMP)
	$(BIN)/python app.py

test: lint browser
	$(BIN)/python -m pytest

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Known vulnerabilities of the pinned versions, by pip-audit in an environment of its own that goes
# again; --strict, for without its database it would find all in order.
audit: $(STAMP)
	@home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT && \
	$(BIN)/python -m venv "$$home" && "$$home/bin/pip" install -q pip-audit && \
	"$$home/bin/pip-audit" --strict --disable-pip --no-deps -r constraints.txt

clean:
	rm -rf .venv

# Python is run, not only looked up: a shim on the PATH may stand for no Python at all.
$(STAMP): requirements.txt constraints.txt pyproject.toml
	@if ! $(BIN)/python -c '$(SUITS)' 2>/dev/null; then \
	  for python in $(PYTHON) python3.11 python3.12 python3 python; do \
	    if $$python -c '$(SUITS)' 2>/dev/null; then found=$$python; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "No Python 3.11 or 3.12 here: install one, or name it: make PYTHON=/path/to/python"; \
	    exit 1; \
	  fi; \
	  if ! $$found -c 'import ensurepip, venv' 2>/dev/null; then \
	    echo "$$found cannot make environments: install its venv package, on Debian python3-venv"; \
	    exit 1; \
	  fi; \
	  $$found -m venv --clear .venv || exit 1; \
	fi
	$(BIN)/python -m pip install -c constraints.txt setuptools
	$(BIN)/python -m pip install -c constraints.txt --no-build-isolation -e '.[train,dev]'
	@touch $@

# Chromium from the PATH, else from Debian's packages, else Playwright's own.
browser: $(STAMP)
	@has() { for b in chromium chromium-browser google-chrome; do \
	    $$b --version >/dev/null 2>&1 && return 0; done; return 1; }; \
	own() { $(BIN)/python -c '$(OWN_BROWSER)' 2>/dev/null; }; \
	root() { if [ "$$(id -u)" = 0 ]; then "$$@"; else sudo -n "$$@"; fi; }; \
	has || own || { \
	  command -v apt-get >/dev/null && \
	  root apt-get update -q && root apt-get install -qy chromium && has; } || \
	{ $(BIN)/playwright install chromium && own; } || { \
	  echo "The tests need a browser: install chromium, or Google Chrome, and try again."; exit 1; }
