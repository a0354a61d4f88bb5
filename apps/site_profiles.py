"""Where runs can be launched: profiles of sites as data, each saying whether anything was ever run there."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from mainstem.apps.typed_files import Seconds, Typed, nearest, read_typed
from mainstem.core.errors import InputError
from mainstem.core.schema import printable

SITES = Path(__file__).parent / "sites"
NEVER = "never"
Positive = Annotated[int, Field(ge=1)]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
Pattern = Annotated[str, BeforeValidator(lambda text: re.compile(text).pattern)]


class Account(Typed):
    """Whom a job is billed to: whether Slurm must be told, and what such names look like there."""

    is_required: bool = False
    pattern: Pattern = r"[A-Za-z0-9][A-Za-z0-9_.@-]*"


class Partition(Typed):
    """What a partition takes: of a job its time and nodes, of a user how many jobs, waiting ones too."""

    max_time: Seconds
    min_nodes: Positive = 1
    max_nodes: Positive
    max_jobs: Positive | None = None
    has_whole_nodes: bool = False  # and bills them, whatever was asked for


class Site(Typed):
    """A site, as far as a job script depends on it; nothing that is None or empty is known or needed there.

    Attributes:
        title: its name for people.
        run_there: the date of the last run of ours there, or "never".
        source: where the figures come from.
        memory_gb: of a node's main memory, for jobs.
        gpus_requested_by: which of Slurm's options asks for GPUs.
        shared_partition: where a part of a node is had; else the default one.
        modules: shell lines before anything else.
        container: an image that every process runs in; the environment is then a squashfs image below /user-software.
        torch: the version that its modules or its container bring; "own": the environment brings one itself; None: not
            known beforehand, so that one that is there is kept, and else one is brought.
        environment: the virtual environment that `env build` makes; "": the one that launch itself runs in.
        home: MAINSTEM_HOME there unless set; {account} is the job's.
        address: what the first node is called by the others: its hostname; with an i, which is its InfiniBand address,
            where that resolves; or, where the hostname does not resolve, the address that Slurm has.
        cpu_masks: cores of each GPU's process, where all GPUs of a node are asked for.
        cpu_bind: srun's binding else; "": as the site does by itself.
        visible_gpus: a variable that each process is given anew: it is to see all GPUs of its node, and takes its own.
        max_array: indices of a job array, from 0 on.
        is_offline: compute nodes reach no hub.
        node_caches: variables that name a folder each, on the node's own disk.
        requeue: jobs come back after a lost node, a preemption or their time limit.
        signal_before_s: how long before the time limit a run is told to save.
    """

    title: str
    run_there: str = Field(pattern=r"^(never|\d{4}-\d\d-\d\d)$")
    source: str = ""
    scheduler: Literal["slurm", "none"]
    architecture: Literal["x86_64", "aarch64"] | None = None
    nodes: Positive | None = None
    cores_per_node: Positive | None = None
    memory_gb: Positive | None = None
    gpus_per_node: Positive | None = None
    gpu: str = "GPU"
    gpu_memory_gb: Positive | None = None
    gpus_requested_by: Literal["gres", "gpus-per-node"] = "gres"
    account: Account = Account()
    partitions: dict[Word, Partition] = Field(default_factory=dict)
    default_partition: Word | None = None
    shared_partition: Word | None = None
    debug_partition: Word | None = None
    modules: tuple[str, ...] = ()
    container: str | None = None
    torch: Annotated[str, Field(pattern=r"^(own|\d+(\.\d+)+)$")] | None = None
    environment: str
    home: str = "$HOME/.mainstem"
    address: Literal["hostname", "infiniband-suffix", "resolved-or-node"] = "hostname"
    cpu_masks: tuple[str, ...] = ()
    cpu_bind: str = ""
    visible_gpus: str | None = None
    requeue: bool = True
    max_array: Positive = 1001
    is_offline: bool = False
    node_caches: tuple[str, ...] = ()
    variables: dict[str, str] = Field(default_factory=dict)
    signal_before_s: Positive = 120

    @property
    def said(self) -> str:
        """Whether anything of ours was ever run there, in words."""
        return "never run there" if self.run_there == NEVER else f"run there on {self.run_there}"


def site_names() -> list[str]:
    """Return the names of the profiles that come with the package."""
    return sorted(path.stem for path in SITES.glob("*.yaml"))


def read_site(name: str) -> Site:
    """Return a site's profile by its name, or from a YAML file of one's own, which may write any line into a job.

    Raises:
        InputError: if there is none, or it is not one.
    """
    if name.endswith((".yaml", ".yml")):
        return read_typed(Site, Path(name))
    if name not in site_names():
        raise InputError(f"there is no site {printable(name)}; {nearest(name, site_names())}")
    return read_typed(Site, SITES / f"{name}.yaml")


def site_label(name: str) -> str:
    """Return a site's short name: of a file, its stem."""
    return Path(name).stem
