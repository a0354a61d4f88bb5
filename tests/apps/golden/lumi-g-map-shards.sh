#!/bin/bash
# mainstem map on LUMI-G (CSC), 1 node of 1 MI250X GCD; never run there.
#SBATCH --job-name=a
#SBATCH --account=project_465000001
#SBATCH --partition=small-g
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=7
#SBATCH --gpus-per-node=1
#SBATCH --mem=60G
#SBATCH --time=02:00:00
#SBATCH --output=maps/a.job/log-%a.txt
#SBATCH --open-mode=append
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --array=0-7

module purge
module use /appl/local/laifs/modules
module load lumi-aif-singularity-bindings

set -uo pipefail
export MAINSTEM_HOME="${MAINSTEM_HOME:-/scratch/project_465000001/$USER/mainstem}"
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1  # compute nodes reach no hub
export NCCL_SOCKET_IFNAME=hsn0,hsn1,hsn2,hsn3
export GLOO_SOCKET_IFNAME=hsn0
export NCCL_NET_GDR_LEVEL=3
export FI_CXI_DISABLE_HOST_REGISTER=1
export FI_CXI_DISABLE_CQ_HUGETLB=1
export CXI_FORK_SAFE=1
export CXI_FORK_SAFE_HP=1
export OMP_NUM_THREADS=7
export MAINSTEM_PEAKS=maps/a.job  # where it tells how much memory it took
export MAINSTEM_REQUEUED_BY_SCRIPT=1
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"  # srun does not take it over by itself
image="${MAINSTEM_SIF:-/appl/local/laifs/containers/lumi-multitorch-latest.sif}"
environment="${MAINSTEM_ENV:-$MAINSTEM_HOME/env/lumi-g.sqsh}"
for file in "$image" "$environment"; do
  if [ ! -e "$file" ]; then
    echo "mainstem: no file $file; mainstem env build lumi-g makes the environment" >&2
    exit 2
  fi
done
export SINGULARITYENV_PREPEND_PATH=/user-software/bin
echo "container $(readlink -f "$image")"

command=(mainstem map crop-yield a.tif --out maps/a --shard "${SLURM_ARRAY_TASK_ID:-0}"/8)
if [ "${1:-}" = merge ]; then  # submitted beside the array, to run when it is done
  command=(mainstem map-merge maps/a)
fi

step=$(cat << 'STEP'
trap "" USR1  # it comes to starters too; a run that saves on it takes it back
caches=$(mktemp -d "${TMPDIR:-/tmp}/mainstem-$SLURM_JOB_ID-XXXXXX")  # on the node: locks hang else
export MIOPEN_USER_DB_PATH="$caches/miopen_user_db_path"
export MIOPEN_CUSTOM_CACHE_DIR="$caches/miopen_custom_cache_dir"
export TRITON_CACHE_DIR="$caches/triton_cache_dir"
export TORCHINDUCTOR_CACHE_DIR="$caches/torchinductor_cache_dir"
exec singularity exec -B "$environment:/user-software:image-src=/" "$image" "$@"
STEP
)

export environment image
stopped=""
trap 'stopped=yes' TERM  # scancel: it ends here, whatever the run says
status=0
srun --cpu-bind=cores --wait=120 --kill-on-bad-exit=0 bash -c "$step" step "${command[@]}" || status=$?
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
