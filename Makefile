# make demo   sets up, then maps the built-in world and asks it questions (out/demo/)
# make test   sets up, then style, types and tests
# make bars   repeats the measurements of docs/benchmarks.md (takes long)
# make setup  .venv and system libraries only;  make clean  removes what was made

SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/semantic-field-setup

# Shared libraries that open3d and numba load, with the Debian / Ubuntu packages that hold them.
LIBRARIES := libEGL.so.1=libegl1 libGL.so.1=libgl1 libgomp.so.1=libgomp1 libidn2.so.0=libidn2-0 \
             libudev.so.1=libudev1 libusb-1.0.so.0=libusb-1.0-0 libX11.so.6=libx11-6

.PHONY: setup demo test bars clean libraries browser

setup: $(STAMP)

demo: setup
	@echo "== demo: node and replay as two processes over DDS; results in out/demo"
	$(BIN)/semantic-field demo --out out/demo

test: setup browser
	@echo "== style"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@echo "== types"
	$(BIN)/mypy
	@echo "== tests"
	$(BIN)/python -m pytest -q

bars: setup browser
	@echo "== bars: every measurement of docs/benchmarks.md; this takes long"
	$(BIN)/semantic-field bars --json out/bars.json

# The stamp is renewed when the dependencies change.
$(STAMP): setup.py
	@$(MAKE) --no-print-directory libraries
	@echo "== python environment in .venv"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { \
	  echo "no virtual environment: install Python >= 3.10 with venv, as root:"; \
	  echo "  apt-get install -y python3-venv"; exit 1; }
	@touch .venv/COLCON_IGNORE
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "Python >= 3.10 is needed: remove .venv and run make PYTHON=python3.x"; exit 1; }
	@echo "== packages: torch and its libraries are large, the first time takes minutes"
	$(BIN)/python -m pip install --disable-pip-version-check -e ".[test]"
	@echo "== this machine; the first start compiles for half a minute"
	$(BIN)/semantic-field doctor
	@touch $@
	@echo "== set up"

# As root installs what is missing; otherwise says the one line that does, and stops.
libraries:
	@command -v ldconfig >/dev/null || export PATH=$$PATH:/sbin:/usr/sbin; \
	command -v ldconfig >/dev/null || exit 0; \
	missing=""; \
	for pair in $(LIBRARIES); do \
	  ldconfig -p | grep -qF "$${pair%%=*}" || missing="$$missing $${pair##*=}"; \
	done; \
	test -n "$$missing" || { echo "== system libraries: all there"; exit 0; }; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "== system libraries:$$missing"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq --no-install-recommends $$missing; \
	else \
	  echo "system libraries are missing; as root:"; \
	  echo "  apt-get install -y$$missing"; exit 1; \
	fi

# For the tests and bars of the web viewer alone; they are skipped where there is no browser.
browser:
	@for name in chromium chromium-browser google-chrome; do \
	  command -v $$name >/dev/null && { echo "== browser: $$name"; exit 0; }; \
	done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "== browser: installing chromium"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq --no-install-recommends chromium && exit 0; \
	fi; \
	echo "== no browser: tests of the web viewer are skipped (apt-get install -y chromium)"

clean:
	rm -rf out build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@if [ -L .venv ]; then rm .venv; else rm -rf .venv; fi
