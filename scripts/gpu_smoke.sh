#!/usr/bin/env bash
# Smoke test of medix-r1 on a machine with NVIDIA GPUs, one or more:
#   scripts/gpu_smoke.sh [--dry-run] [--offline WHEELS_DIR MODEL_DIR] [OUT]   (default: outputs/gpu_smoke)
#
# Installs the GPU extra into .venv-gpu, probes what verl's engine needs (scripts/gpu_probe.py), runs the tests marked
# `gpu`, trains the 2B recipe for three steps on the demo's pictures (all parameters if a GPU has 70 GiB, else LoRA), merges, and evaluates 20 rows of VQA-RAD. Always writes
# OUT/report.md, also after a failure. Removes what an earlier call trained there. Needs Python 3.11 or 3.12, the driver,
# about 40 GB of disk, the package index, and the hub for the 2B model, the embedder and VQA-RAD. --dry-run prints all
# commands and runs only nvidia-smi.
#
# --offline needs no network: WHEELS_DIR is what scripts/gpu_wheels.sh collected; torch comes from there or from PYTHON's own
# packages. It probes, and stops there where vLLM is missing; else it trains MODEL_DIR, a folder of Qwen3-VL-2B-Instruct.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

dry_run=
offline=
model=
while [[ ${1:-} == --* ]]; do
    case $1 in
    --dry-run) dry_run=yes && shift ;;
    --offline)
        (($# >= 3)) || { echo "--offline needs WHEELS_DIR and MODEL_DIR" >&2; exit 2; }
        offline=$2 model=$3 && shift 3
        [[ -d $offline ]] || { echo "$offline is no folder; scripts/gpu_wheels.sh makes one" >&2; exit 2; }
        ;;
    *) echo "$1 is no option; see the head of this script" >&2 && exit 2 ;;
    esac
done
out=${1:-outputs/gpu_smoke}
python=$(scripts/find_python.sh "${PYTHON:-}") || exit 1
bin=.venv-gpu/bin
full_from=70 # GiB of one GPU needed to train all parameters

command -v nvidia-smi >/dev/null || { echo "nvidia-smi is not there: this script is for machines with an NVIDIA GPU" >&2; exit 2; }
gpus=$(nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader,nounits) || exit 2
gib=$(awk -F', ' 'NR == 1 { print int($2 / 1024) }' <<<"$gpus")
rows=() # of the report's table
fence="\`\`\`"

# The 2B recipe with the demo's pictures, judge and rewards, sized so that all share one GPU.
train=(
    experiment=medix_r1_2b_gpu24 data=nano "+demo_dir=$out/demo" "run.dir=$out/run" run.name=gpu_smoke
    judge=vllm "judge.server.model=$out/demo/models/judge" judge.server.served_name=nano-judge
    judge.client.prompt=match_short judge.longest_answer=200 placement=shared placement.judge_memory=0.1
    "judge.server.arguments=[--enforce-eager,--max-model-len,'512',--gpu-memory-utilization,'0.1']"
    trainer.total_training_steps=3 trainer.save_freq=3 trainer.val_before_train=false trainer.test_freq=-1
    algorithm.filter_groups.enable=false
    trainer.v1.sampler.sampler_kwargs.filter.signal=null # groups of equal reward must not stop a run of three steps
)
if ((gib >= full_from)); then
    kind="all parameters"
    train+=(lora=none actor_rollout_ref.actor.fsdp_config.model_dtype=fp32 actor_rollout_ref.actor.optim.lr=1e-6)
else
    kind="LoRA"
fi

if [[ $offline ]]; then
    train+=("actor_rollout_ref.model.path=$model" embedder=minilm) # the recipe's own embedder is on the hub
    export HF_HUB_OFFLINE=1
fi
medix=("$bin/medix-r1")
[[ $offline ]] && medix=(env "PYTHONPATH=$PWD" "$bin/python" -m medix_r1.cli) # not installed, because building asks the index

say() { printf '\n== %s\n' "$*"; }

# run NAME COMMAND...: run it (or only print it) with its output in OUT/NAME.log; a failure is recorded in the report.
run() {
    local name=$1 code
    shift
    printf '%s: ' "$name" && printf '%q ' "$@" && printf '\n'
    [[ $dry_run ]] && return 0
    SECONDS=0
    "$@" >"$out/$name.log" 2>&1 </dev/null
    code=$?
    rows+=("| $name | $([[ $code == 0 ]] && echo passed || echo "**failed** ($code)") | $SECONDS s |")
    tail -n 3 "$out/$name.log"
    return "$code"
}

# shellcheck disable=SC2329 # called by the trap below
write_report() {
    {
        printf '# medix-r1 on %s\n\n' "$(awk -F', ' 'NR == 1 { print $1 }' <<<"$gpus")"
        printf '%s, commit %s, trained: %s.\n\n' "$(date -u +%F)" "$(git rev-parse --short HEAD 2>/dev/null || echo unknown)" "$kind"
        printf '| step | outcome | time |\n|---|---|---|\n'
        printf '%s\n' "${rows[@]}"
        [[ -f $out/probe/probe.md ]] && printf '\n' && sed 's/^# /## /' "$out/probe/probe.md"
        printf '\n## GPUs (name, MiB, driver)\n\n%s\n%s\n%s\n' "$fence" "$gpus" "$fence"
        printf '\n## Versions\n\n%s\n' "$fence"
        "$bin/python" -m pip list 2>/dev/null | grep -E '^(torch|vllm|verl|transformers|ray|flash-attn|tensordict) '
        printf '%s\n\n## Last lines of every step\n' "$fence"
        for log in "$out"/*.log; do
            printf '\n### %s\n\n%s\n' "$(basename "$log" .log)" "$fence"
            tail -n 25 "$log"
            printf '%s\n' "$fence"
        done
    } >"$out/report.md"
    say "report: $out/report.md"
}

say "$gpus"
say "the 2B recipe with $kind"
if [[ ! $dry_run ]]; then
    # Refuse other folders, because the next lines delete files.
    if [[ -e $out && ! -e $out/report.md && $(ls -A "$out") ]]; then
        echo "$out is not empty and has no report of this script: name another folder" >&2
        exit 2
    fi
    mkdir -p "$out"
    # A finished run would be resumed with nothing to do, and pass.
    rm -rf "${out:?}"/{run,model,eval} "$out"/*.log
    trap write_report EXIT
    if [[ $offline ]]; then
        "$python" -m venv --system-site-packages .venv-gpu || exit 1
    else
        "$python" -m venv .venv-gpu && "$bin/pip" install --quiet --disable-pip-version-check uv || exit 1
    fi
fi
# Attention of torch where flash-attn is not there.
choose_attention() {
    "$bin/python" -c 'import flash_attn' 2>/dev/null || train+=(+actor_rollout_ref.model.override_config.attn_implementation=sdpa)
}
gpu_tests=(env "PYTHONPATH=${offline:+$PWD}" MEDIX_GPU_TESTS=required "$bin/python" -m pytest tests/gpu -m gpu -o faulthandler_timeout=600)

failed=0
if [[ $offline ]]; then
    run install "$bin/python" -m pip install --quiet --no-index --no-deps --disable-pip-version-check "$offline"/*.whl || exit 1
    run probe "$bin/python" scripts/gpu_probe.py --out "$out/probe" || failed=1
    if [[ ! $dry_run ]] && ! "$bin/python" -c 'import vllm, ray' 2>/dev/null; then
        rows+=("| gpu_tests, train, merge, eval | skipped: vLLM or Ray is not there | |")
        exit "$failed"
    fi
    choose_attention
    run demo_build "${medix[@]}" demo build --out "$out/demo" || exit 1
    run gpu_tests "${gpu_tests[@]}" || failed=1
    run check "${medix[@]}" check "${train[@]}" --offline || failed=1
    run train "${medix[@]}" train "${train[@]}" && run merge "${medix[@]}" merge "$out/run" --out "$out/model" --force || failed=1
    exit "$failed"
fi
run install "$bin/uv" pip install --python "$bin/python" -e '.[gpu]' -r requirements/test.txt || exit 1
run install_images "$bin/uv" pip install --python "$bin/python" --no-deps -r requirements/demo-images.txt || exit 1
# Compiling takes long and may fail; without it, attention is torch's sdpa.
if [[ ${FLASH_ATTN:-} ]]; then
    run install_flash_attn "$bin/uv" pip install --python "$bin/python" --no-build-isolation-package flash-attn -e '.[flash-attn]' || failed=1
fi
choose_attention

run probe "$bin/python" scripts/gpu_probe.py --out "$out/probe" || failed=1
run doctor "$bin/medix-r1" doctor || failed=1
run demo_build "$bin/medix-r1" demo build --out "$out/demo" || exit 1
run gpu_tests "${gpu_tests[@]}" || failed=1
run check "$bin/medix-r1" check "${train[@]}" || failed=1
if run train "$bin/medix-r1" train "${train[@]}"; then
    run merge "$bin/medix-r1" merge "$out/run" --out "$out/model" --force || failed=1
    run eval "$bin/medix-r1" eval model="$out/model" task=rad_vqa judge=nano "judge.server.model=$out/demo/models/judge" \
        judge.server.environment.VERL_PLATFORM=cuda out_dir="$out/eval" decoding.max_tokens=1024 --limit 20 || failed=1
else
    failed=1
fi
exit "$failed"
