# make app     installs what the app needs into .venv and opens it
# make dev     installs what trainers and tests need too
# make test    runs the tests, in what `make dev` makes
# make check   lints and looks at the format; make style mends both
#
# PYTHON=python3.12      the interpreter to make .venv with: 3.10 or newer, python3 by default
# TORCH_OPTIONS=...      options of pip for installing torch, such as an index of CPU-only builds
# TESTS="tests/test_losses.py -k blur"   what to run instead of all tests

PYTHON ?= python3
TORCH_OPTIONS ?=
TESTS ?= tests
# All tests go to two processes, a file to one of them, the longest first (tests/conftest.py); a few tests are sooner done by one.
SHARED = $(if $(filter tests,$(TESTS)),-n 2 --dist loadfile --no-loadscope-reorder)

VENV := .venv
IN := $(VENV)/bin/python
PIP := $(IN) -m pip --disable-pip-version-check
BUSY := $(VENV)/.installing
SUDO_FREE_APT = [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null

# .installing lies in .venv as long as an install is under way. Found with its make gone, that install was killed or
# failed halfway: what it left cannot be trusted and is made anew.
ifneq ($(wildcard $(BUSY)),)
ifneq ($(shell kill -0 "$$(cat $(BUSY))" 2>/dev/null && echo alive),)
$(error another make is installing into $(VENV): wait for it)
endif
$(info $(VENV) is half-made: making it anew)
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

# torch comes first, by itself: nothing that depends on it may then choose another build.
$(VENV)/.app: requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.exit(sys.version_info < (3, 10) and "$(PYTHON) is Python " + v + ": lwgan needs Python 3.10 or newer. Choose one: make $(MAKECMDGOALS) PYTHON=python3.12")'
	@mkdir -p $(VENV) && echo $$PPID >$(BUSY)
	@$(IN) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV) || \
		{ $(SUDO_FREE_APT) && apt-get update -qq && apt-get install -qqy python3-venv && $(PYTHON) -m venv $(VENV); }
	$(PIP) install $(TORCH_OPTIONS) "$$(grep '^torch[<>=]' requirements.txt)"
	$(PIP) install -r requirements.txt
	@rm $(BUSY) && touch $@

$(VENV)/.dev: requirements-dev.txt requirements-faces.txt $(VENV)/.app
	@echo $$PPID >$(BUSY)
	$(PIP) install -r requirements-dev.txt
	@rm $(BUSY) && touch $@

# The page is tested in Chromium. Without it those tests are skipped with that reason, or fail where CI is set.
browser:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || ! { $(SUDO_FREE_APT); } || \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qqy --no-install-recommends chromium chromium-driver; } || \
		echo "Chromium could not be installed: the tests that need it will say so"
