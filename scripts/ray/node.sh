#!/usr/bin/env bash
# Run one Ray node in the foreground: scripts/ray/node.sh head|worker HOST:PORT; SIGTERM ends it and removes its files.
# RAY_NODE_ARGUMENTS has further arguments of `ray start`, such as "--num-gpus=6".
set -uo pipefail
case ${1:-} in -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" && exit ;; esac
kind=${1:-} address=${2:-}
bin=${MEDIX_BIN:-$(cd "$(dirname "$0")/../.." && pwd)/.venv/bin}
export RAY_TMPDIR=${RAY_TMPDIR:-/tmp} # short: Ray puts sockets below it
read -ra more <<<"${RAY_NODE_ARGUMENTS:-}"

finish() {
    trap '' TERM INT
    kill -TERM "$ray" 2>/dev/null
    wait "$ray" 2>/dev/null
    rm -rf "$files"
}

host=${address%:*}
host=${host#[}
host=${host%]} # of IPv6 without its brackets
case $kind in
head) where=(--head --node-ip-address="$host" --port="${address##*:}" --include-dashboard=false) ;;
worker) where=(--address="$address") ;;
*) echo "usage: $0 head|worker HOST:PORT" >&2 && exit 2 ;;
esac

ray=
files=$(mktemp -d "$RAY_TMPDIR/medix-ray-XXXXXX")
trap 'finish; exit 143' TERM INT

# A worker retries, so the order in which nodes start does not matter.
for ((attempt = 1; attempt <= 60; attempt++)); do
    "$bin/ray" start "${where[@]}" --temp-dir="$files" --disable-usage-stats --block ${more[@]+"${more[@]}"} &
    ray=$!
    SECONDS=0
    wait "$ray"
    code=$?
    ((code == 0 || SECONDS > 60)) && break # after a minute it is not a failed start
    [[ $kind == head ]] && break
    sleep 5
done
finish
exit "$code"
