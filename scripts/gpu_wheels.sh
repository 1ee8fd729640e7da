#!/bin/sh
# Collect what scripts/gpu_probe.py needs, for a machine without network: scripts/gpu_wheels.sh [--least] DIR [PYTHON [CUDA]]
#
#   scripts/gpu_wheels.sh --least /tmp/wheels 3.12  # stage 1; the machine has gpu-probe-common.txt, too
#   scripts/gpu_wheels.sh /tmp/wheels 3.12          # all stages; the machine has torch 2.11 and torchvision, to train vLLM and Ray
#   scripts/gpu_wheels.sh /tmp/wheels 3.12 cu128    # with torch and torchvision for that CUDA, some GB
#
# Then copy DIR there, and run scripts/gpu_smoke.sh --offline DIR MODEL_DIR. PYTHON is 3.11 or 3.12, by default this one's.
set -eu
cd "$(dirname "$0")/.."
lists="requirements/gpu-probe.txt requirements/gpu-probe-common.txt requirements/gpu-probe-minilm.txt"
lists="$lists requirements/gpu-probe-run.txt requirements/demo-images.txt"
[ "${1:-}" = --least ] && lists=requirements/gpu-probe.txt && shift
dir=${1:?usage: scripts/gpu_wheels.sh [--least] DIR [PYTHON [CUDA]]}
python=$(scripts/find_python.sh "${PYTHON_FOR_PIP:-}")
version=${2:-$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')}
case $version in
3.11 | 3.12) ;;
*)
    echo "$version: medix-r1 runs with Python 3.11 or 3.12" >&2
    exit 1
    ;;
esac

# Wheels for any glibc from 2.28 on. codetiming and others are pure Python, whose wheels fit any platform.
fetch() {
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --dest "$dir" --only-binary=:all: \
        --python-version "$version" --implementation cp \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_17_x86_64 \
        --platform manylinux2014_x86_64 --platform manylinux_2_5_x86_64 --platform manylinux1_x86_64 "$@"
}
mkdir -p "$dir"
# shellcheck disable=SC2086 # words of a list
cat $lists | grep -v '^antlr4-python3-runtime' >"$dir/wanted.txt"
fetch -r "$dir/wanted.txt"
rm "$dir/wanted.txt"
# It has no wheel on the index, so it is built here; it is pure Python.
"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$dir" "$(grep '^antlr4-python3-runtime' requirements/gpu-probe.txt)"
if [ -n "${3:-}" ]; then
    # With everything that torch needs of CUDA.
    "$python" -m pip download --quiet --disable-pip-version-check --dest "$dir" --only-binary=:all: \
        --python-version "$version" --implementation cp --platform manylinux_2_28_x86_64 \
        --index-url "https://download.pytorch.org/whl/$3" torch==2.11.0 torchvision==0.26.0
fi
echo "$(find "$dir" -name '*.whl' | wc -l) wheels, $(du -sm "$dir" | cut -f1) MiB, in $dir"
