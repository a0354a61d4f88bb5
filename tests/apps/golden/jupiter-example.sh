#!/bin/bash
# mainstem finetune on JUPITER Booster (JSC), 16 nodes of 4 GH200; never run there.
#SBATCH --job-name=maize
#SBATCH --account=hai
#SBATCH --partition=booster
#SBATCH --nodes=16
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=72
#SBATCH --gres=gpu:4
#SBATCH --time=00:30:00
#SBATCH --output=runs/maize.job/log.txt
#SBATCH --open-mode=append
#SBATCH --signal=USR1@120
#SBATCH --requeue

module --force purge
module load Stages/2026 GCCcore/14.3.0 Python

set -uo pipefail
export MAINSTEM_HOME="${MAINSTEM_HOME:-/e/fscratch/hai/$USER/mainstem}"
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1  # compute nodes reach no hub
export NCCL_SOCKET_IFNAME=ib0
export GLOO_SOCKET_IFNAME=ib0
export NCCL_IB_TIMEOUT=50
export NCCL_IB_RETRY_CNT=10
export UCX_RC_TIMEOUT=4s
export OMP_NUM_THREADS=72
export MAINSTEM_PEAKS=runs/maize.job  # where it tells how much memory it took
export MAINSTEM_REQUEUED_BY_SCRIPT=1
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"  # srun does not take it over by itself
environment="${MAINSTEM_ENV:-$MAINSTEM_HOME/env/jupiter}"
if [ -d "$environment" ]; then
  export PATH="$environment/bin:$PATH"
fi
if ! command -v mainstem > /dev/null; then
  echo "mainstem: it is not installed; mainstem env build jupiter makes an environment" >&2
  exit 2
fi

hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
MASTER_ADDR=${hosts%%$'\n'*}
if getent hosts "${MASTER_ADDR}i" > /dev/null; then
  MASTER_ADDR="${MASTER_ADDR}i"
fi
export MASTER_ADDR MASTER_PORT=$((10000 + SLURM_JOB_ID % 10000))

own=(--out runs/maize)
command=(mainstem finetune crop-yield --data simulated-maize --set trunk_size=xs --set training.epochs=1 --set training.min_steps=24 --set num_folds=2 "${own[@]}")

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
  job="$SLURM_JOB_ID"
  case "$(scontrol show job "$job")" in
    *JobState=RUNNING*) scontrol requeue "$job" ;;  # not one that is being cancelled
  esac
fi
exit "$status"
