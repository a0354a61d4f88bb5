"""One job script from a job, the same bytes from the same job: read it before it runs, keep it with the run.

What each site needs, and why, is in its profile (apps/sites); how a run is told to save, and comes back, is here:
Slurm sends USR1 to the processes some minutes before the time limit, a run then saves and exits with `SAVED`, and only
then the job asks to come back. Nothing asks for that on TERM, which scancel sends.
"""

import shlex

from mainstem.apps.launch_plan import Job
from mainstem.apps.peaks import PEAKS
from mainstem.apps.run_spec import Member, arguments
from mainstem.apps.typed_files import as_time
from mainstem.core.interruptions import BY_SCRIPT, NEVER, SAVED

MOST_RESTARTS = 100  # of one job: one that never gets further must end
MEMBER = '"${SLURM_ARRAY_TASK_ID:-0}"'
OVER = 124  # exit status of coreutils' timeout
WAIT_S = 120  # to save: the others, once the first process of a step has ended; on this machine, once time is over
JOB_FOLDER, SCRIPT, LOG = ".job", "job.sh", "log.txt"
ARRAY_LOG = "log-%a.txt"  # of a member, as Slurm names it
INSIDE = "/user-software"  # where a container sees the environment


def render(job: Job) -> str:
    """Return the script."""
    parts = [_head(job), _environment(job)]
    parts += [_rendezvous(job)] if job.site.scheduler == "slurm" and job.spec.is_distributed else []
    parts += (
        [_local(job)] if job.site.scheduler == "none" else [_command(job, MEMBER, job.indices), _step(job), _run(job)]
    )
    return "\n".join("\n".join(lines) + "\n" for lines in parts)


def job_folder(out: str) -> str:
    """Return the folder of a job beside the folder that its run writes."""
    return f"{out.rstrip('/')}{JOB_FOLDER}"


def log_name(job: Job) -> str:
    """Return the log of a job as Slurm names it: %a is a member's index."""
    is_array = job.indices > 1 and job.site.scheduler == "slurm"
    return f"{job_folder(job.spec.out)}/{ARRAY_LOG if is_array else LOG}"


def _head(job: Job) -> list[str]:
    site, spec = job.site, job.spec
    size = f"{job.nodes} node{'s' if job.nodes > 1 else ''}" + (f" of {job.gpus} {site.gpu}" if job.gpus else "")
    lines = ["#!/bin/bash", f"# mainstem {spec.command} on {site.title}, {size}; {site.said}."]
    return lines if site.scheduler == "none" else [*lines, *(f"#SBATCH --{text}" for text in _options(job))]


def _options(job: Job) -> list[str]:
    site = job.site
    found = [f"job-name={job.spec.out.rstrip('/').rpartition('/')[2]}"]
    found += [f"account={job.account}"] if job.account else []
    found += [f"partition={job.partition}"] if job.partition else []
    found += [f"nodes={job.nodes}", f"ntasks-per-node={job.processes}"]
    found += [f"cpus-per-task={job.cores}"] if job.cores else []
    found += [f"gres=gpu:{job.gpus}" if site.gpus_requested_by == "gres" else f"gpus-per-node={job.gpus}"][: job.gpus]
    found += [f"mem={job.memory_gb}G"] if job.memory_gb else []
    found += [f"time={as_time(job.time_s)}", f"output={log_name(job)}", "open-mode=append"]
    found += [f"signal=USR1@{site.signal_before_s}", "requeue" if job.comes_back else "no-requeue"]
    return [*found, f"array=0-{job.indices - 1}"] if job.indices > 1 else found


def _environment(job: Job) -> list[str]:
    site = job.site
    lines = [*site.modules, "", "set -uo pipefail"] if site.modules else ["set -uo pipefail"]
    lines.append(f'export MAINSTEM_HOME="${{MAINSTEM_HOME:-{site.home.replace("{account}", job.account or "")}}}"')
    if site.is_offline:
        lines += ["export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1  # compute nodes reach no hub"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in site.variables.items()]
    lines += [f"export OMP_NUM_THREADS={job.cores}"] if job.cores else []
    lines += [f"export {PEAKS}={shlex.quote(job_folder(job.spec.out))}  # where it tells how much memory it took"]
    if site.scheduler == "slurm":
        lines += [f"export {BY_SCRIPT}={1 if job.comes_back else NEVER}"]
        lines += ['export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"  # srun does not take it over by itself']
    return [*lines, *(_container(job) if site.container else _virtual(job))]


def _container(job: Job) -> list[str]:
    return [
        f'image="${{MAINSTEM_SIF:-{job.site.container}}}"',
        f'environment="${{MAINSTEM_ENV:-{job.site.environment}}}"',
        'for file in "$image" "$environment"; do',
        '  if [ ! -e "$file" ]; then',
        f'    echo "mainstem: no file $file; mainstem env build {job.site_name} makes the environment" >&2',
        "    exit 2",
        "  fi",
        "done",
        f"export SINGULARITYENV_PREPEND_PATH={INSIDE}/bin",
        'echo "container $(readlink -f "$image")"',
    ]


def _virtual(job: Job) -> list[str]:
    lines = []
    if job.site.environment:
        lines = [
            f'environment="${{MAINSTEM_ENV:-{job.site.environment}}}"',
            'if [ -d "$environment" ]; then',
            '  export PATH="$environment/bin:$PATH"',
            "fi",
        ]
    return [
        *lines,
        "if ! command -v mainstem > /dev/null; then",
        f'  echo "mainstem: it is not installed; mainstem env build {job.site_name} makes an environment" >&2',
        "  exit 2",
        "fi",
    ]


def _rendezvous(job: Job) -> list[str]:
    lines = ['hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST")', "MASTER_ADDR=${hosts%%$'\\n'*}"]
    if job.site.address == "infiniband-suffix":
        lines += ['if getent hosts "${MASTER_ADDR}i" > /dev/null; then', '  MASTER_ADDR="${MASTER_ADDR}i"', "fi"]
    if job.site.address == "resolved-or-node":
        lines += [
            'if ! getent hosts "$MASTER_ADDR" > /dev/null; then',
            '  MASTER_ADDR=$(scontrol show node "$MASTER_ADDR" | sed -n "s/.*NodeAddr=\\([^ ]*\\).*/\\1/p")',
            "fi",
        ]
    return [*lines, "export MASTER_ADDR MASTER_PORT=$((10000 + SLURM_JOB_ID % 10000))"]


def _command(job: Job, index: str, shards: int) -> list[str]:
    """What runs: arguments that all members share, and those of the one whose index a variable holds."""
    shared = f"command=(mainstem {shlex.join(arguments(job.spec))}"
    if not job.spec.launchable.is_sharded:
        return [*_own(job, index), f'{shared} "${{own[@]}}")']
    out = shlex.quote(job.spec.out)
    if shards == 1:
        return [f"{shared} --out {out})"]
    return [
        f"{shared} --out {out} --shard {index}/{shards})",
        'if [ "${1:-}" = merge ]; then  # submitted beside the array, to run when it is done',
        f"  command=(mainstem map-merge {out})",
        "fi",
    ]


def _own(job: Job, index: str) -> list[str]:
    """Set `own` to a member's own arguments, and `out` where the script itself writes there."""

    def assigned(run: Member) -> str:
        if job.spec.launchable.is_printed:
            return f"out={shlex.quote(run.out)} own=({shlex.join(run.arguments)})"
        return f"own=({shlex.join([*run.arguments, '--out', run.out])})"

    if len(job.members) == 1:
        return [assigned(job.members[0])]
    cases = (f"  {number}) {assigned(run)} ;;" for number, run in enumerate(job.members))
    return [f"case {index} in", *cases, "esac"]


def _printed(job: Job) -> str:
    """Where the script writes what a command prints, in the shell's words."""
    return f"$out/{job.spec.launchable.writes[0]}"


def _step(job: Job) -> list[str]:
    """What each process of the step does before it becomes ours: no variable of a process is known before srun."""
    site = job.site
    lines = ["step=$(cat << 'STEP'", 'trap "" USR1  # it comes to starters too; a run that saves on it takes it back']
    if job.spec.is_distributed:
        lines.append('export RANK="$SLURM_PROCID" LOCAL_RANK="$SLURM_LOCALID" WORLD_SIZE="$SLURM_NTASKS"')
        lines.append(f"export LOCAL_WORLD_SIZE={job.processes}")
    if site.visible_gpus and job.gpus:
        lines.append(f"export {site.visible_gpus}={','.join(map(str, range(job.gpus)))}")
    if site.node_caches:
        lines.append(
            'caches=$(mktemp -d "${TMPDIR:-/tmp}/mainstem-$SLURM_JOB_ID-XXXXXX")  # on the node: locks hang else'
        )
        lines += [f'export {name}="$caches/{name.lower()}"' for name in site.node_caches]
    inside = f'singularity exec -B "$environment:{INSIDE}:image-src=/" "$image" ' if site.container else ""
    return [*lines, f'exec {inside}"$@"', "STEP", ")"]


def _run(job: Job) -> list[str]:
    """Run the step, clear its caches away, and come back where it saved because its time ends."""
    lines = ["export environment image"] if job.site.container else []
    lines += ['stopped=""', "trap 'stopped=yes' TERM  # scancel: it ends here, whatever the run says", "status=0"]
    binding = f"v,mask_cpu={','.join(job.site.cpu_masks)}" if _is_masked(job) else job.site.cpu_bind
    bound = f"--cpu-bind={binding} " if binding else ""
    step = f'srun {bound}--wait={WAIT_S} --kill-on-bad-exit=0 bash -c "$step" step "${{command[@]}}"'
    if job.spec.launchable.is_printed:
        to = _printed(job)
        lines += ['mkdir -p "$out"', f'{step} > "{to}.part" || status=$?']
        lines.append(f'if [ "$status" -eq 0 ]; then mv "{to}.part" "{to}"; fi')
    else:
        lines.append(f"{step} || status=$?")
    if job.site.node_caches:
        lines.append(
            'srun --ntasks-per-node=1 --ntasks="$SLURM_NNODES" bash -c '
            "'rm -rf -- \"${TMPDIR:-/tmp}/mainstem-$SLURM_JOB_ID-\"*' || true"
        )
        lines.insert(-1, "# shellcheck disable=SC2016  # each node's own TMPDIR")
    return [*lines, *_comeback(job), 'exit "$status"']


def _is_masked(job: Job) -> bool:
    return len(job.site.cpu_masks) == job.processes > 1


def _comeback(job: Job) -> list[str]:
    if job.is_smoke:
        return [f'if [ "$status" -eq {SAVED} ]; then', "  status=0  # ten minutes of it were wanted", "fi"]
    if not job.comes_back:
        return []
    own = "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}" if job.indices > 1 else "$SLURM_JOB_ID"
    return [
        'restarts="${SLURM_RESTART_COUNT:-0}"',
        f'if [ "$status" -eq {SAVED} ] && [ -z "$stopped" ] && [ "$restarts" -lt {MOST_RESTARTS} ]; then',
        f'  job="{own}"' + ("  # by the array's number all of it would come back" if job.indices > 1 else ""),
        '  case "$(scontrol show job "$job")" in',
        '    *JobState=RUNNING*) scontrol requeue "$job" ;;  # not one that is being cancelled',
        "  esac",
        "fi",
    ]


def _local(job: Job) -> list[str]:
    """All members one after another on this machine, each for the job's time: TERM then, on which a run saves."""
    start = f"timeout --foreground --kill-after={WAIT_S} {job.time_s} "  # in our group of processes: cancelling ends it
    start += f"torchrun --standalone --nproc-per-node={job.processes} --no-python " if job.processes > 1 else ""
    count = len(job.members)
    body = _command(job, '"$index"', shards=1)
    run = f'{start}"${{command[@]}}"'
    to = _printed(job)
    if job.spec.launchable.is_printed:
        body += ['mkdir -p "$out"']
        run += f' > "{to}.part"'
    body += ["ended=0", f"{run} || ended=$?"]
    if job.spec.launchable.is_printed:
        body += [f'if [ "$ended" -eq 0 ]; then mv "{to}.part" "{to}"; fi']
    over = f'echo "mainstem: its time, {as_time(job.time_s)}, is over" >&2'
    body += [f'if [ "$ended" -eq {OVER} ]; then {over}; fi', 'if [ "$ended" -ne 0 ]; then status=$ended; fi']
    if count > 1:
        body = [f"for index in {' '.join(map(str, range(count)))}; do", *(f"  {line}" for line in body), "done"]
    return ["trap 'exit 143' TERM", "status=0", *body, 'exit "$status"']
