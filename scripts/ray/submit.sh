#!/usr/bin/env bash
# Train on a running Ray cluster; the command waits and shows the run's output. The same command resumes.
#   RUN_DIR=/shared/runs/c scripts/ray/submit.sh http://HEAD:8265 experiment=medix_r1_8b_grpo judge=remote …
# The trainer runs on the cluster's head. Every node needs medix-r1 in MEDIX_BIN. See docs/clusters.md
set -euo pipefail
case ${1:-} in -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" && exit ;; esac
: "${RUN_DIR:?set RUN_DIR to the folder of the run, on a file system that all nodes share}"
dashboard=${1:?usage: RUN_DIR=FOLDER $0 http://HEAD:8265 OVERRIDES...}
shift
here=$(cd "$(dirname "$0")" && pwd)
bin=${MEDIX_BIN:-$(cd "$here/../.." && pwd)/.venv/bin}

# The runtime environment contains none of your variables, because everybody with access to the cluster sees it. Ray merges
# it with medix-r1's own (configs/verl.yaml, ray_kwargs.ray_init.runtime_env) and refuses a variable that is in both.
exec "$bin/ray" job submit --address "$dashboard" --submission-id "medix-$(basename "$RUN_DIR")-$(date +%s)" \
    --runtime-env "$here/runtime_env.yaml" -- "$bin/medix-r1" train "run.dir='${RUN_DIR//\'/\\\'}'" "$@"
