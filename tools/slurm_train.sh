#!/bin/bash
# `ava-detect train` as a job of SLURM, on one node or many, over as many time limits as it takes.
#
#     sbatch tools/slurm_train.sh ava/slowfast_r50_8x8 data.root=ava output=runs/first
#     sbatch --nodes 4 --gpus-per-node 8 --cpus-per-task 64 --time 8:00:00 tools/slurm_train.sh ...
#
# The words after the script are those after `ava-detect train`; sbatch's own options come before it
# and win over the lines below. Activate the environment first: sbatch hands it on. data.root and
# output must be on a disk that all nodes share. Three minutes before its time limit the run is
# saved, and the job queues up again and goes on. A run that fails is not queued again; one that a
# worker of fails is begun again from its last checkpoint, MAX_RESTARTS times (2).

#SBATCH --job-name=ava-detect
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@180

# How the signal travels, and why (SLURM 26.11, torch 2.14: read in their sources):
#
# - USR1 rather than TERM, and to this shell alone (B:): `scancel JOB` sends TERM to all of a job,
#   and one that somebody cancels must not queue up again, which `scontrol requeue` would let it.
# - srun answers TERM by killing its tasks (SIGKILL), so scancel takes TERM to them. With the usual
#   cgroups it reaches the tasks, which are the torchruns, and not the children of these; where
#   cgroup.conf has SignalChildrenProcesses=yes, workers get TERM twice and end at once, unsaved.
# - torchrun passes TERM on to the process group of each worker, waits for
#   TORCH_ELASTIC_SHUTDOWN_TIMEOUT seconds, kills those that are left and ends with 1: no restart,
#   and the 143 of `ava-detect train` is not seen here. A torch that does not know the variable
#   waits 30 seconds.
# - The node of the main process may need longest, to save. So srun must not end the others' tasks
#   when the first has ended, whatever the cluster's defaults are: --kill-on-bad-exit=0, --wait=0.

set -euo pipefail

export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=${TORCH_ELASTIC_SHUTDOWN_TIMEOUT:-120}
# A store of its own for each restart: in a shared one new workers meet the addresses of dead ones.
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
host=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed -n 1p)
port=$((20000 + SLURM_JOB_ID % 10000)) # below those that Linux gives away; jobs may share a node

out_of_time=
end_run() {
    out_of_time=yes
    trap '' USR1 # once: a second TERM would end workers that are saving
    scancel --signal=TERM "$SLURM_JOB_ID" || true
}
trap end_run USR1

srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 \
    --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" --kill-on-bad-exit=0 --wait=0 \
    torchrun --nnodes="$SLURM_JOB_NUM_NODES" --nproc-per-node="${SLURM_GPUS_ON_NODE:-1}" \
    --rdzv-backend=c10d --rdzv-endpoint="$host:$port" --rdzv-id="$SLURM_JOB_ID" \
    --max-restarts="${MAX_RESTARTS:-2}" \
    -m ava_detect train "$@" &

status=0
wait $! || status=$?
if [ -n "$out_of_time" ]; then # the trap has ended the first wait
    status=0
    wait $! || status=$?
    if [ "$status" -ne 0 ]; then # otherwise it was the last step, and all is done
        scontrol requeue "$SLURM_JOB_ID"
    fi
fi
exit "$status"
