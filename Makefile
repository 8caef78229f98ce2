# The ways into robolearn. Everything is installed into $(VENV); nothing else on the machine is touched, except that
# missing OpenGL libraries are installed where that is allowed without asking (scripts/ensure_gl.sh), and a browser
# for the tests where they run as root (scripts/ensure_chromium.sh).

VENV ?= .venv
PYTHON ?= python3
# Without a GPU, an exact version of torch comes before everything else: it takes the CPU build of that version
# wherever one is on offer, while the range that robolearn itself requires would take the newest build, with
# gigabytes of CUDA libraries. A torch that is in $(VENV) already is kept, whatever its version, and a machine with
# a GPU gets the newest. The CPU build from PyTorch's own index:
#   make setup TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu"
TORCH ?= $(if $(shell nvidia-smi -L 2>/dev/null),torch,torch==2.13.0)

# rclpy comes with the extra `ros`, from the package registry, on Linux on x86_64; elsewhere it adds nothing. Its
# wheels start the first Python of a process tree a second time, to set LD_LIBRARY_PATH, and the others inherit that.

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
DEMO := runs/demo-$(shell date +%Y%m%d-%H%M%S)

.PHONY: help setup demo test lint evidence

help:
	@echo "make setup     install everything into $(VENV)"
	@echo "make demo      train grasping from nothing (4 min), evaluate, deploy at the simulated arm, learn from the log, judge"
	@echo "make test      ruff, mypy and the tests, those of the ROS 2 nodes included where rclpy can be installed"
	@echo "make evidence  the long measurements behind docs/results.md (hours; continues where it stopped)"

setup: $(VENV)/.have-gl

$(VENV)/.have-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "robolearn needs Python 3.10 or newer; make setup PYTHON=/path/to/it" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
	  { echo "this Python cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.have-torch: $(VENV)/.have-venv
	$(BIN)/python -c 'import torch' 2>/dev/null || $(PIP) install -q $(TORCH)
	@touch $@

$(VENV)/.have-packages: pyproject.toml $(VENV)/.have-torch
	$(PIP) install -q -e '.[dev,onnx,ros]'
	@touch $@

$(VENV)/.have-gl: scripts/ensure_gl.sh $(VENV)/.have-packages
	scripts/ensure_gl.sh $(BIN)/python
	@touch $@

demo: setup
	scripts/demo.sh $(BIN) $(DEMO)

test: setup lint
	@scripts/ensure_chromium.sh
	$(BIN)/python -m pytest -q

lint: setup
	$(BIN)/ruff check .
	$(BIN)/mypy

evidence: setup
	$(BIN)/python -m robolearn.training.evidence
