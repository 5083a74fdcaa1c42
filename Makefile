# make app     installs what the page needs into .venv and serves the page
# make dev     installs what trainers and tests need, too, and the command lwgan
# make test    runs the tests
# make check   checks style and format; make style repairs them
#
# PYTHON=python3.12      the interpreter for .venv: 3.10 or newer, by default python3
# TORCH_OPTIONS=...      pip's options for installing torch, such as the index of CPU-only builds
# TESTS="tests/lwgan/test_losses.py -k blur"   runs these tests instead of all

PYTHON ?= python3
TORCH_OPTIONS ?=
TESTS ?= tests
# Three processes share all tests, file by file, the longest first (tests/conftest.py): where one waits, two work. One
# process is faster for a few tests.
SHARED = $(if $(filter tests,$(TESTS)),-n 3 --no-loadscope-reorder)

VENV := .venv
IN := $(VENV)/bin/python
PIP := $(IN) -m pip --disable-pip-version-check
BUSY := $(VENV)/.installing
SUDO_FREE_APT = [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null

# .venv/.installing holds the id of the make that is installing. If that process is gone, the install was interrupted
# and .venv is incomplete: delete it and start again.
ifneq ($(wildcard $(BUSY)),)
ifneq ($(shell kill -0 "$$(cat $(BUSY))" 2>/dev/null && echo alive),)
$(error another make is installing into $(VENV): wait until it ends)
endif
$(info $(VENV) is incomplete: starting again)
$(shell rm -rf $(VENV))
endif

.PHONY: app dev test check style browser

app: $(VENV)/.app
	$(IN) app.py

dev: $(VENV)/.dev

test: $(VENV)/.dev browser
	$(IN) -m pytest $(SHARED) $(TESTS)

check: $(VENV)/.dev
	$(IN) -m ruff check .
	$(IN) -m ruff format --check .

style: $(VENV)/.dev
	$(IN) -m ruff check --fix .
	$(IN) -m ruff format .

# torch is installed first, alone, so that no package which depends on it chooses another build.
$(VENV)/.app: requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.exit(sys.version_info < (3, 10) and "$(PYTHON) is Python " + v + ": lwgan needs Python 3.10 or newer. Choose one: make $(MAKECMDGOALS) PYTHON=python3.12")'
	@mkdir -p $(VENV) && echo $$PPID >$(BUSY)
	@$(IN) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV) || \
		{ $(SUDO_FREE_APT) && apt-get update -qq && apt-get install -qqy python3-venv && $(PYTHON) -m venv $(VENV); }
	$(PIP) install $(TORCH_OPTIONS) "$$(grep '^torch[<>=]' requirements.txt)"
	$(PIP) install -r requirements.txt
	@rm $(BUSY) && touch $@

$(VENV)/.dev: requirements-dev.txt requirements-train.txt $(VENV)/.app
	@echo $$PPID >$(BUSY)
	$(PIP) install -r requirements-dev.txt
	$(PIP) install --no-deps -e .
	@rm $(BUSY) && touch $@

# The tests of the page need Chromium. Without it they are skipped, or fail where CI is set.
browser:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || ! { $(SUDO_FREE_APT); } || \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qqy --no-install-recommends chromium chromium-driver; } || \
		echo "Chromium could not be installed: the tests that need it will say so"
