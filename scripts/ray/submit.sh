#!/usr/bin/env bash
# Train on a Ray cluster that runs already; the command waits and shows the run's lines. The same again resumes.
#   RUN_DIR=/shared/runs/c scripts/ray/submit.sh http://HEAD:8265 experiment=medix_r1_8b_grpo judge=remote …
# The command itself runs on the cluster's head, which needs medix-r1 in MEDIX_BIN, as every node does. docs/clusters.md
set -euo pipefail
: "${RUN_DIR:?set RUN_DIR to the folder of the run, on a file system that all nodes share}"
dashboard=${1:?usage: RUN_DIR=FOLDER $0 http://HEAD:8265 OVERRIDES...}
shift
here=$(cd "$(dirname "$0")" && pwd)
bin=${MEDIX_BIN:-$(cd "$here/../.." && pwd)/.venv/bin}

# No --runtime-env from here with variables of yours: whoever sees the cluster sees it. Ray merges this one with what
# medix-r1 sets itself (configs/verl.yaml, ray_kwargs.ray_init.runtime_env), and refuses a variable that both name.
exec "$bin/ray" job submit --address "$dashboard" --submission-id "medix-$(basename "$RUN_DIR")-$(date +%s)" \
    --runtime-env "$here/runtime_env.yaml" -- "$bin/medix-r1" train run.dir="$RUN_DIR" "$@"
