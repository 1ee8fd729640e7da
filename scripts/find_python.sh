#!/bin/sh
# Print a Python 3.11 or 3.12: scripts/find_python.sh [a Python of your own]
# Why neither an earlier nor a later one: docs/decisions/0011-python-versions.md
set -eu
own=${1:-${PYTHON:-}}
if [ -n "$own" ]; then set -- "$own"; else set -- python3.11 python3.12 python3; fi

for python in "$@"; do
    version=$("$python" --version 2>/dev/null) || continue # missing, or a shim without a target
    case $version in
    "Python 3.11."* | "Python 3.12."*)
        echo "$python"
        exit 0
        ;;
    esac
done

if [ -n "$own" ]; then
    echo "PYTHON=$own is ${version:-no Python that starts}; medix-r1 needs 3.11 or 3.12 (verl 0.9.1 takes no later one)" >&2
else
    echo "no Python 3.11 or 3.12 is here (verl 0.9.1 takes no later one). Debian 12: apt install python3.11-venv;" \
        "Ubuntu 24.04: apt install python3.12-venv; elsewhere: uv python install 3.12, and PYTHON=\$(uv python find 3.12)" >&2
fi
exit 1
