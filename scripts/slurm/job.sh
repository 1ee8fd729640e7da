# shellcheck shell=bash
# What both Slurm scripts share: keep track of what is started, end it, and go on in a new allocation when time is up.
# Sourced, not run. Needs RUN_DIR, and medix-r1 in MEDIX_BIN (default: .venv/bin of the folder sbatch was called in).

: "${RUN_DIR:?set RUN_DIR to the folder of the run, on a file system that all nodes share}"
: "${SLURM_JOB_ID:?this is a script for sbatch}"
MEDIX_BIN=${MEDIX_BIN:-$SLURM_SUBMIT_DIR/.venv/bin}
STOP_GRACE=${STOP_GRACE:-600} # seconds for the step that runs when time is nearly up, checkpoint included
END_GRACE=${END_GRACE:-60}    # seconds for everything else to end by itself

started=() # process ids of what this job started, oldest first
trainer=
time_is_up=

say() { echo "[$(date +%T)] $*"; }

# start COMMAND...: run it in the background and remember to end it.
start() {
    "$@" &
    started+=("$!")
}

# on NODE COMMAND...: become srun with one task there. Every task sees all of its node; steps share it.
# For `start`, `train` and $(...): it takes the place of a shell, so that a signal reaches srun and not a shell before it.
on() {
    local node=$1
    shift
    export SRUN_CPUS_PER_TASK=${SLURM_CPUS_ON_NODE:-1}
    exec srun --overlap --nodes=1 --ntasks=1 --nodelist="$node" --mem=0 "$@"
}

# End what was started, newest first; srun passes SIGTERM on to its task.
clean_up() {
    trap '' TERM USR1
    local pid waited=0
    while ((${#started[@]})); do
        pid=${started[-1]}
        unset 'started[-1]'
        kill -TERM "$pid" 2>/dev/null || continue
        while kill -0 "$pid" 2>/dev/null && ((waited++ < 5 * END_GRACE)); do sleep 0.2; done
        kill -KILL "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    say "clean-up done"
}

newest_checkpoint() {
    find "$RUN_DIR/checkpoints" -name medix_checkpoint.json -printf '%T@ %h\n' 2>/dev/null | sort -n | tail -n 1
}

# Slurm's signal some minutes before the time limit: stop after this step, with a checkpoint of it.
stop_and_requeue() {
    [[ $time_is_up ]] && return
    time_is_up=yes
    say "time is nearly up: asking the run to stop after this step"
    "$MEDIX_BIN/medix-r1" ask "$RUN_DIR" stop || kill -TERM "$trainer" 2>/dev/null
    start end_late_trainer
}

# A step that is longer than its grace is given up; the run goes on from the last checkpoint.
end_late_trainer() {
    sleep "$STOP_GRACE" &
    # shellcheck disable=SC2064 # this sleep, now
    trap "kill $! 2>/dev/null; exit" TERM
    wait $!
    say "the step did not end within $STOP_GRACE s: ending the trainer"
    kill -TERM "$trainer" 2>/dev/null
}

# train COMMAND...: run the trainer to its end; then, if time was up, clean up and requeue the job.
train() {
    local code before
    before=$(newest_checkpoint)
    say "trainer: $*"
    "$@" &
    trainer=$!
    started+=("$trainer")
    while wait "$trainer"; code=$?; kill -0 "$trainer" 2>/dev/null; do :; done # a trapped signal ends `wait` early
    say "the trainer ended with code $code"
    clean_up
    trap - EXIT
    rm -f "$RUN_DIR/requests/stop" # asked for and not carried out, it would end the next attempt
    [[ $time_is_up ]] || exit "$code"
    if [[ "$before" == "$(newest_checkpoint)" ]]; then
        say "no checkpoint was written in the whole time limit; not requeued, since the next attempt would be like this one"
        exit 1
    fi
    say "requeueing: the same job goes on from $(newest_checkpoint)"
    scontrol requeue "$SLURM_JOB_ID"
}

trap clean_up EXIT
trap 'exit 143' TERM # scancel
trap stop_and_requeue USR1
