#!/bin/bash
# mainstem finetune on JUWELS Booster (JSC), 2 nodes of 4 A100; never run there.
#SBATCH --job-name=a
#SBATCH --account=hai
#SBATCH --partition=booster
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=12
#SBATCH --gres=gpu:4
#SBATCH --time=02:00:00
#SBATCH --output=runs/a.job/log-%a.txt
#SBATCH --open-mode=append
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --array=0-3

module --force purge
module load Stages/2026 GCCcore/14.3.0 Python

set -uo pipefail
export MAINSTEM_HOME="${MAINSTEM_HOME:-/p/scratch/hai/$USER/mainstem}"
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1  # compute nodes reach no hub
export NCCL_SOCKET_IFNAME=ib0
export GLOO_SOCKET_IFNAME=ib0
export NCCL_IB_TIMEOUT=50
export NCCL_IB_RETRY_CNT=10
export UCX_RC_TIMEOUT=4s
export OMP_NUM_THREADS=12
export MAINSTEM_PEAKS=runs/a.job  # where it tells how much memory it took
export MAINSTEM_REQUEUED_BY_SCRIPT=1
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"  # srun does not take it over by itself
environment="${MAINSTEM_ENV:-$MAINSTEM_HOME/env/juwels-booster}"
if [ -d "$environment" ]; then
  export PATH="$environment/bin:$PATH"
fi
if ! command -v mainstem > /dev/null; then
  echo "mainstem: it is not installed; mainstem env build juwels-booster makes an environment" >&2
  exit 2
fi

hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
MASTER_ADDR=${hosts%%$'\n'*}
if getent hosts "${MASTER_ADDR}i" > /dev/null; then
  MASTER_ADDR="${MASTER_ADDR}i"
fi
export MASTER_ADDR MASTER_PORT=$((10000 + SLURM_JOB_ID % 10000))

case "${SLURM_ARRAY_TASK_ID:-0}" in
  0) own=(--set training.lr_per_step=0.001 --seed 0 --out runs/a/sweep-0/seed-0) ;;
  1) own=(--set training.lr_per_step=0.001 --seed 1 --out runs/a/sweep-0/seed-1) ;;
  2) own=(--set training.lr_per_step=0.0003 --seed 0 --out runs/a/sweep-1/seed-0) ;;
  3) own=(--set training.lr_per_step=0.0003 --seed 1 --out runs/a/sweep-1/seed-1) ;;
esac
command=(mainstem finetune crop-yield --data simulated-maize "${own[@]}")

step=$(cat << 'STEP'
trap "" USR1  # it comes to starters too; a run that saves on it takes it back
export RANK="$SLURM_PROCID" LOCAL_RANK="$SLURM_LOCALID" WORLD_SIZE="$SLURM_NTASKS"
export LOCAL_WORLD_SIZE=4
export CUDA_VISIBLE_DEVICES=0,1,2,3
caches=$(mktemp -d "${TMPDIR:-/tmp}/mainstem-$SLURM_JOB_ID-XXXXXX")  # on the node: locks hang else
export TRITON_CACHE_DIR="$caches/triton_cache_dir"
export TORCHINDUCTOR_CACHE_DIR="$caches/torchinductor_cache_dir"
exec "$@"
STEP
)

stopped=""
trap 'stopped=yes' TERM  # scancel: it ends here, whatever the run says
status=0
srun --wait=120 --kill-on-bad-exit=0 bash -c "$step" step "${command[@]}" || status=$?
# shellcheck disable=SC2016  # each node's own TMPDIR
srun --ntasks-per-node=1 --ntasks="$SLURM_NNODES" bash -c 'rm -rf -- "${TMPDIR:-/tmp}/mainstem-$SLURM_JOB_ID-"*' || true
restarts="${SLURM_RESTART_COUNT:-0}"
if [ "$status" -eq 75 ] && [ -z "$stopped" ] && [ "$restarts" -lt 100 ]; then
  job="${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"  # by the array's number all of it would come back
  case "$(scontrol show job "$job")" in
    *JobState=RUNNING*) scontrol requeue "$job" ;;  # not one that is being cancelled
  esac
fi
exit "$status"
