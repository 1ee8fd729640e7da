# shellcheck shell=bash
# Functions of the Slurm scripts: track started processes, end them, and requeue a training job when its time is up.
# To be sourced. Needs medix-r1 in MEDIX_BIN (default: .venv/bin of the folder in which sbatch was called). MEDIX_SETUP may
# name a file that is sourced first, for `module load` and the like.

: "${SLURM_JOB_ID:?this is a script for sbatch; --help says more}"
if [[ ${MEDIX_SETUP:-} ]]; then
    set +u # modules are not written for it
    # shellcheck source=/dev/null
    source "$MEDIX_SETUP" || { echo "MEDIX_SETUP=$MEDIX_SETUP cannot be sourced" >&2; exit 1; }
    set -u
fi
MEDIX_BIN=${MEDIX_BIN:-$SLURM_SUBMIT_DIR/.venv/bin}
STOP_GRACE=${STOP_GRACE:-600} # seconds to finish the current step and its checkpoint when time is nearly up
TERM_GRACE=${TERM_GRACE:-60}  # the same after a SIGTERM, as a preemption sends; less than the partition's GraceTime
END_GRACE=${END_GRACE:-60}    # seconds for each other process to end after SIGTERM

started=() # process ids of what this job started, oldest first
trainer=
stopping= # why the run was asked to stop: time, or a SIGTERM

say() { echo "[$(date +%T)] $*"; }

# literal KEY VALUE: a Hydra override whose value is taken as it is: quoted, so that = , { [ ~ blanks and the like mean nothing.
literal() {
    printf "%s='%s'" "$1" "$(printf %s "$2" | sed -E "s/(\\\\*)'/\1\1\\\\'/g; s/(\\\\+)\$/\1\1/; s/[$][{]/\\\\\${/g")"
}

# start COMMAND...: run it in the background; clean_up ends it.
start() {
    "$@" &
    started+=("$!")
}

# on NODE COMMAND...: exec srun with one task on NODE. Each task may use the whole node, which steps share.
# For `start`, `train`, (...) and $(...): `exec` replaces the shell, so the process id in the step's name is srun's.
on() {
    local node=$1 more
    shift
    read -ra more <<<"${MEDIX_SRUN_OPTIONS:-}"
    export SRUN_CPUS_PER_TASK=${SLURM_CPUS_ON_NODE:-1}
    exec srun --overlap --nodes=1 --ntasks=1 --nodelist="$node" --mem=0 --job-name="medix-$BASHPID" \
        ${more[@]+"${more[@]}"} "$@"
}

# terminate PID: send SIGTERM to the task of srun PID. On its own SIGTERM srun would SIGKILL the task, so scancel sends the
# signal to every process of the step. A process without a step gets it directly.
terminate() {
    local step
    step=$(squeue --noheader --steps --jobs="$SLURM_JOB_ID" --format='%i %j' | awk -v name="medix-$1" '$2 == name { print $1 }')
    if [[ $step ]]; then scancel --signal=TERM "$step"; else kill -TERM "$1" 2>/dev/null; fi
}

# End started processes, newest first. When srun is killed, Slurm kills its step.
clean_up() {
    trap '' TERM USR1
    local pid waited
    while ((${#started[@]})); do
        pid=${started[-1]}
        unset 'started[-1]'
        kill -0 "$pid" 2>/dev/null || continue
        terminate "$pid"
        waited=0
        while kill -0 "$pid" 2>/dev/null && ((waited++ < 5 * END_GRACE)); do sleep 0.2; done
        kill -KILL "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    say "clean-up done"
}

newest_checkpoint() {
    find "$RUN_DIR/checkpoints" -name medix_checkpoint.json -printf '%T@ %h\n' 2>/dev/null | sort -n | tail -n 1
}

# Handler of Slurm's signal before the time limit: stop after the current step, with a checkpoint.
stop_and_requeue() {
    [[ $stopping ]] && return
    stopping="time"
    say "time is nearly up: asking the run to stop after this step"
    start end_trainer_in_time "$STOP_GRACE"
}

# Handler of SIGTERM: a preemption, or `scancel --batch --signal=TERM`. The second one ends everything at once.
stop() {
    [[ $trainer && ! $stopping ]] || exit 143
    stopping="term"
    say "SIGTERM: asking the run to stop after this step"
    start end_trainer_in_time "$TERM_GRACE"
}

# The request runs on the trainer's node, because with a container medix-r1 is only there. A step that takes longer than
# the grace is lost; the run resumes from the last checkpoint.
end_trainer_in_time() {
    if (on "$SLURMD_NODENAME" "$MEDIX_BIN/medix-r1" ask "$RUN_DIR" stop); then
        sleep "$1" &
        # shellcheck disable=SC2064 # this sleep, now
        trap "kill $! 2>/dev/null; exit" TERM
        wait $!
        say "the step did not end within $1 s: ending the trainer"
    else
        say "the run could not be asked: ending the trainer"
    fi
    terminate "$trainer"
}

# Whether Slurm has preempted this job.
preempted() { scontrol show job "$SLURM_JOB_ID" 2>/dev/null | grep -q 'PreemptTime=[0-9]'; }

# train COMMAND...: run the trainer to its end and clean up; if time was up or the job preempted, requeue it.
train() {
    local code before
    : "${RUN_DIR:?set RUN_DIR to the folder of the run, on a file system that all nodes share}"
    before=$(newest_checkpoint)
    say "trainer: $*"
    "$@" &
    trainer=$!
    started+=("$trainer")
    while wait "$trainer"; code=$?; kill -0 "$trainer" 2>/dev/null; do :; done # a trapped signal ends `wait` early
    say "the trainer ended with code $code"
    clean_up
    trap - EXIT
    rm -f "$RUN_DIR/requests/stop" # a pending request would stop the next attempt
    [[ $stopping ]] || exit "$code"
    [[ $stopping == time ]] || preempted || exit 143
    if [[ "$before" == "$(newest_checkpoint)" ]]; then
        say "no checkpoint was written in the whole time limit; not requeued, since the next attempt would be like this one"
        exit 1
    fi
    say "requeueing: the same job goes on from $(newest_checkpoint)"
    scontrol requeue "$SLURM_JOB_ID"
}

# run COMMAND...: run a command that is no training to its end, clean up, and take its code.
run() {
    start "$@"
    wait "${started[-1]}"
    exit
}

trap clean_up EXIT
trap stop TERM
trap stop_and_requeue USR1
