"""From a spec and a site to a job that the site can run; whatever it cannot is refused here, naming the limit."""

import re
from dataclasses import dataclass, replace

from mainstem.apps.run_spec import Member, RunSpec, members
from mainstem.apps.site_profiles import Partition, Site
from mainstem.apps.typed_files import as_time, nearest, seconds_of
from mainstem.core.errors import InputError
from mainstem.core.schema import printable

SHORTEST_S = 300  # Slurm may tell a run a minute early that its time ends (slurm.conf, --signal), and saving takes some
SMOKE_S = 600
SMOKE = ".smoke"  # of the folder that a smoke writes


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What is asked for at launch, in the place of what the spec says."""

    nodes: int = 1
    account: str | None = None
    partition: str | None = None
    time: str | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job that the site can run.

    Attributes:
        site_name, site: where.
        spec: what.
        members: the runs of its array; one where there is no array.
        nodes: of each member.
        gpus, processes: a node.
        cores: a process; None where the site decides.
        memory_gb: a node; None where the site decides.
        is_smoke: it ends with its time for good: what it has saved by then is all that was wanted.
    """

    site_name: str
    site: Site
    spec: RunSpec
    members: tuple[Member, ...]
    nodes: int
    account: str | None
    partition: str | None
    time_s: int
    gpus: int
    processes: int
    cores: int | None
    memory_gb: int | None
    is_smoke: bool = False

    @property
    def comes_back(self) -> bool:
        """True where Slurm queues it again once it has saved because its time ends, or its node is lost."""
        return self.site.requeue and not self.is_smoke

    @property
    def indices(self) -> int:
        """How many indices its array has; 1 where it has none."""
        return 1 if self.is_smoke else self.spec.indices

    @property
    def billed_gpus(self) -> int:
        """GPUs of a member that are paid for: where nodes are given whole, all of theirs."""
        partition = self.site.partitions.get(self.partition or "")
        whole = partition is not None and partition.has_whole_nodes and self.site.gpus_per_node
        return self.nodes * (int(whole) if whole else self.gpus)


def plan_job(site_name: str, site: Site, spec: RunSpec, ask: Ask) -> Job:
    """Return the job that was asked for.

    Raises:
        InputError: if the site, its partition or the command cannot run it.
    """
    gpus = _gpus(site, spec)
    partition = _partition(site, ask.partition or spec.partition, gpus)
    time_s = spec.time if ask.time is None else seconds_of(ask.time)
    _check_site(site, spec, ask)
    _check_account(site_name, site, ask.account)
    if ask.nodes > 1 and not spec.is_distributed:
        raise InputError(f"got {ask.nodes} nodes: {spec.command} takes 1 a member; {_instead(spec)}")
    _check_time(site, time_s)
    if spec.indices > site.max_array:  # before they are made
        count = printable(spec.indices)
        raise InputError(f"got {count} members, {site.title} takes {site.max_array} at once; launch them in parts")
    job = Job(
        site_name=site_name, site=site, spec=spec, members=members(spec), nodes=ask.nodes, account=ask.account,
        partition=partition, time_s=time_s, gpus=gpus, processes=max(gpus, 1) if spec.is_distributed else 1,
        cores=_cores(site, spec, gpus), memory_gb=_memory(site, spec, gpus),
    )  # fmt: skip
    if partition is not None and site.partitions:
        _check_partition(site, partition, job)
    return job


def as_smoke(job: Job) -> Job:
    """Return ten minutes of a job's first member and no more, on the partition for that, writing beside its folder."""
    site, partition = job.site, job.site.debug_partition or job.partition
    limits = site.partitions.get(partition or "")
    nodes = min(job.nodes, limits.max_nodes) if limits else job.nodes
    out = f"{job.spec.out}{SMOKE}"
    first = replace(job.members[0], out=out)
    spec = job.spec.model_copy(update={"out": out, "shards": 1})
    time_s = min(SMOKE_S, job.time_s)
    return replace(job, spec=spec, members=(first,), nodes=nodes, partition=partition, time_s=time_s, is_smoke=True)


def _instead(spec: RunSpec) -> str:
    sharded = spec.launchable.is_sharded
    return "give shards in the spec, which share the work out" if sharded else "ask for --nodes 1"


def _check_site(site: Site, spec: RunSpec, ask: Ask) -> None:
    if site.nodes is not None and ask.nodes > site.nodes:
        raise InputError(f"got {ask.nodes} nodes, {site.title} has {site.nodes}; ask for fewer")
    if spec.architecture and site.architecture and spec.architecture != site.architecture:
        raise InputError(
            f"the run is bound to {spec.architecture}, the nodes of {site.title} are {site.architecture}; build what "
            "it uses for them, then mend architecture in the spec"
        )
    for name, asked, has, unit in (
        ("gpus_per_node", spec.gpus_per_node, site.gpus_per_node, f"{site.gpu} a node"),
        ("cores_per_node", spec.cores_per_node, site.cores_per_node, "cores a node for jobs"),
        ("memory_gb", spec.memory_gb, site.memory_gb, "GB of main memory a node for jobs"),
        ("gpu_memory_gb", spec.gpu_memory_gb, site.gpu_memory_gb, f"GB a {site.gpu}"),
    ):
        if asked is not None and has is not None and asked > has:
            raise InputError(f"got {name} {asked}, {site.title} has {has} {unit}; ask for less")
    if site.gpus_per_node is not None and spec.gpus_per_node == 0:
        raise InputError(f"got gpus_per_node 0, and every node of {site.title} is a GPU node; ask for at least 1")


def _check_account(site_name: str, site: Site, account: str | None) -> None:
    if account is None:
        if site.account.is_required:
            raise InputError(f"{site.title} bills every job to an account; add --account ACCOUNT")
    elif not re.fullmatch(site.account.pattern, account):
        raise InputError(
            f"got --account {printable(account)}, accounts of {site_name} look like {site.account.pattern}"
        )


def _gpus(site: Site, spec: RunSpec) -> int:
    if spec.gpus_per_node is not None:
        return spec.gpus_per_node
    if site.gpus_per_node is None:
        return 0
    return site.gpus_per_node if spec.is_distributed else 1


def _partition(site: Site, named: str | None, gpus: int) -> str | None:
    if site.scheduler == "none":
        if named is not None:
            raise InputError(f"got the partition {named}, {site.title} has none; leave it out")
        return None
    if named is not None and site.partitions and named not in site.partitions:
        raise InputError(f"{site.title} has no partition {named}; {nearest(named, site.partitions)}")
    is_part = site.gpus_per_node is not None and gpus < site.gpus_per_node
    return named or (site.shared_partition if is_part else None) or site.default_partition


def _check_time(site: Site, time_s: int) -> None:
    if site.scheduler == "slurm" and time_s < SHORTEST_S:
        raise InputError(
            f"got the time {as_time(time_s)}, want {as_time(SHORTEST_S)} at least: a run is told to save up to "
            f"{site.signal_before_s + 60} s before its time ends"
        )
    if time_s < 1:
        raise InputError("got no time; say how long a member takes, as time: 02:00:00")


def _check_partition(site: Site, name: str, job: Job) -> None:
    limits = site.partitions[name]
    if job.time_s > limits.max_time:
        raise InputError(
            f"got the time {as_time(job.time_s)}, {name} gives {as_time(limits.max_time)} at most; ask for less: a run "
            "that is not done then saves, comes back and goes on"
        )
    if job.nodes > limits.max_nodes:
        raise InputError(f"got {job.nodes} nodes, {name} gives {limits.max_nodes} at most{_fitting(site, job)}")
    if job.nodes < limits.min_nodes:
        raise InputError(f"got {job.nodes} nodes, {name} gives {limits.min_nodes} at least{_fitting(site, job)}")
    jobs = job.indices + (job.indices > 1 and job.spec.launchable.is_sharded)  # and the one that puts shards together
    if limits.max_jobs is not None and jobs > limits.max_jobs:
        raise InputError(f"got {jobs} jobs, {name} admits {limits.max_jobs} of a user; launch fewer at once")


def _fitting(site: Site, job: Job) -> str:
    """Name the partitions that take the job."""

    def takes(limits: Partition) -> bool:
        return limits.min_nodes <= job.nodes <= limits.max_nodes and job.time_s <= limits.max_time

    names = [name for name, limits in site.partitions.items() if takes(limits)]
    return f"; take {' or '.join(names)}" if names else "; ask for fewer"


def _cores(site: Site, spec: RunSpec, gpus: int) -> int | None:
    """Cores of a process: those asked for, or the share that goes with its GPU."""
    processes = max(gpus, 1) if spec.is_distributed else 1
    if spec.cores_per_node is not None:
        return max(spec.cores_per_node // processes, 1)
    if site.cores_per_node is None:
        return None
    share = site.cores_per_node * gpus // site.gpus_per_node if site.gpus_per_node else site.cores_per_node
    return max(share // processes, 1)


def _memory(site: Site, spec: RunSpec, gpus: int) -> int | None:
    """Main memory a node: what was asked for, or the share that goes with its GPUs where the site asks for that."""
    if spec.memory_gb is not None or site.memory_gb is None or not site.gpus_per_node:
        return spec.memory_gb
    return site.memory_gb * gpus // site.gpus_per_node if site.shared_partition else None
