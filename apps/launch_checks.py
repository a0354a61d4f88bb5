"""What is tested before a job is submitted: first what the spec names, then what the login node knows of the site."""

import difflib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path
from typing import Literal

from mainstem.apps.launch_plan import Job
from mainstem.apps.run_spec import RunSpec
from mainstem.apps.typed_files import as_time, seconds_of
from mainstem.core.errors import InputError
from mainstem.core.schema import printable
from mainstem.data.catalogue import LAYOUT, parts_of
from mainstem.data.rights import check_rights, rights_of
from mainstem.data.shards import refuse_damaged

ASKED_S = 30.0  # that a scheduler has to answer
MACHINES = {0x3E: "x86_64", 0xB7: "aarch64"}  # e_machine of an ELF header (System V ABI, figure 4-4)
WRITTEN = 16 << 20  # bytes written to see whether a quota is used up
NO_SUCH_JOB = re.compile(r"Invalid job id|Job \S+ not found")  # squeue and scontrol, of one that ended long ago
UNLIMITED = ("UNLIMITED", "NONE", "INFINITE")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a test found; "unknown" where a site does not tell, which refuses nothing."""

    what: str
    state: Literal["ok", "fail", "unknown"]
    found: str


def check_names(spec: RunSpec, *, is_there: bool) -> list[Finding]:
    """Check what a spec names: its task, its settings, the rights to its data; with `is_there`, that all is here.

    Returns:
        What was tested, all of it in order.

    Raises:
        InputError: if something is unknown, absent, or may not be used.
    """
    named = spec.launchable.named(spec)
    for name in named.waived:
        if name not in named.learned:
            raise InputError(f"i_have_the_rights names {printable(name)}, which the spec does not use; mend it")
    here = [name for name in (*named.learned, *named.beside) if is_there or parts_of(name) or Path(name).exists()]
    check_rights([name for name in here if name in named.learned], named.waived)
    found = [_right(name, is_waived=name in named.waived) for name in dict.fromkeys(here)]
    if is_there:
        refuse_damaged(here)
    for path in named.files:
        if is_there and not Path(path).exists():
            raise InputError(f"no file or folder {printable(path, 200)}; the job would not find it either")
    found += [Finding(what="file", state="ok", found=printable(path, 200)) for path in named.files if is_there]
    spec.launchable.check(spec)
    found += [Finding(what="trunk", state="ok", found=printable(model, 200)) for model in named.models]
    task = " ".join(part for part in (spec.command, spec.adapter, spec.task) if part)
    told = f"{len(spec.flat_settings())} given, {len(spec.sweep)} swept, {printable(spec.indices)} members"
    return [*found, Finding(what="task", state="ok", found=task), Finding(what="settings", state="ok", found=told)]


def _right(name: str, *, is_waived: bool) -> Finding:
    """By which right a set is used; refuses what is neither a set's name nor a path."""
    right = rights_of(name)
    licence = "yours to use, as the spec says" if is_waived and not right.is_stated else printable(right.licence)
    return Finding(what=f"data {printable(name)}", state="ok", found=f"rights: {licence}")


def check_site(job: Job, script: Path | None = None) -> list[Finding]:
    """Test on a login node what a job needs there: the scheduler, its limits, the account, files, room for results."""
    found = [*_files(job), *_staged(job), _room(job)]
    if job.site.scheduler == "none":
        return found
    if shutil.which("sbatch") is None:
        return [*found, Finding(what="Slurm", state="fail", found=f"no sbatch here; log in to {job.site.title}")]
    found += [*_limits(job), _account(job)]
    return [*found, _test_only(script)] if script is not None else found


def _files(job: Job) -> Iterator[Finding]:
    """The container and the environment, where the site has them."""
    site = job.site
    if site.container:
        image = Path(os.environ.get("MAINSTEM_SIF") or site.container)
        yield _there("container", image, "ask the site for its new name, and set MAINSTEM_SIF to it")
    if not site.environment:
        return
    place = Path(os.environ.get("MAINSTEM_ENV") or _expanded(site.environment, job))
    if site.container or not shutil.which("mainstem"):
        yield _there("environment", place, f"make it by mainstem env build {job.site_name}")
    python = place / "bin" / "python"
    if site.architecture and python.exists():
        machine = machine_of(python.resolve())
        fits = machine in (None, site.architecture)
        told = f"{place} is for {machine}, nodes are {site.architecture}"
        yield Finding(what="architecture", state="ok" if fits else "fail", found=told)


def _staged(job: Job) -> Iterator[Finding]:
    """Whether sets and models by name are where the job will look for them, where it could not fetch them itself."""
    from mainstem.core.openmodels.fetching import is_fetched, is_whole, staged_folder

    if not job.site.is_offline or os.environ.get("MAINSTEM_MIRROR"):
        return
    home = _expanded("$MAINSTEM_HOME", job)
    named = job.spec.launchable.named(job.spec)
    sets = {part.name: part for name in (*named.learned, *named.beside) for part in parts_of(name)}
    for name, data_set in sets.items():
        folder = Path(home) / LAYOUT / data_set.folder
        lacking = [file.name for file in data_set.files if not (folder / file.name).is_file()]
        told = f"{folder} lacks {len(lacking)} files; MAINSTEM_HOME={home} mainstem data pull {name} brings them"
        yield Finding(what=f"data {name}", state="fail" if lacking else "ok", found=told if lacking else str(folder))
    for model in named.models:
        if is_fetched(model):
            staged = staged_folder(model, Path(home) / "models")
            told = f"no {staged}; MAINSTEM_HOME={home} mainstem models pull {model} brings it"
            there = is_whole(staged)
            yield Finding(what=f"model {model}", state="ok" if there else "fail", found=str(staged) if there else told)


def _there(what: str, path: Path, advice: str) -> Finding:
    return Finding(what=what, state="ok", found=str(path)) if path.exists() else Finding(
        what=what, state="fail", found=f"no {path}; {advice}"
    )  # fmt: skip


def _expanded(text: str, job: Job) -> str:
    """Resolve MAINSTEM_HOME as the script does."""
    home = os.environ.get("MAINSTEM_HOME") or job.site.home.replace("{account}", job.account or "")
    return os.path.expandvars(text.replace("$MAINSTEM_HOME", home))


def machine_of(program: Path) -> str | None:
    """Return which machine a program is for; None where it is no ELF file, or for another one."""
    with suppress(OSError):
        with program.open("rb") as file:
            head = file.read(20)
        if head[:4] == b"\x7fELF":
            return MACHINES.get(int.from_bytes(head[18:20], "little" if head[5] == 1 else "big"))
    return None


def _room(job: Job) -> Finding:
    """Write where the run will write: a quota that is used up tells so in no other way that all file systems share."""
    folder = Path(job.spec.out).resolve().parent
    while not folder.exists():
        folder = folder.parent
    probe = folder / f".mainstem-probe-{os.getpid()}"
    try:
        with probe.open("xb") as file:
            file.write(bytes(WRITTEN))
            file.flush()
            os.fsync(file.fileno())
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding(what="room", state="fail", found=f"{folder} cannot be written ({error.strerror or error})")
    finally:
        probe.unlink(missing_ok=True)
    return Finding(what="room", state="ok", found=f"{folder}, {free / 1e9:.0f} GB free")


def _limits(job: Job) -> Iterator[Finding]:
    """What the partition gives as of now."""
    told = asked("scontrol", "--oneliner", "show", "partition", *([job.partition] if job.partition else []))
    shown = [_entries(line) for line in told.splitlines() if line.strip()]
    if job.partition is None:
        shown = [each for each in shown if each.get("Default") == "YES"]
    if not shown:
        near = "" if job.partition is None else _near(job.partition)
        told = f"there is no partition {job.partition}{near}" if job.partition else "there is no default; name one"
        yield Finding(what="partition", state="fail", found=told)
        return
    limits = shown[0]
    name, state = limits.get("PartitionName", ""), limits.get("State", "")
    yield Finding(what="partition", state="ok" if state == "UP" else "fail", found=f"{name} is {state or 'unknown'}")
    yield _within("time", job.time_s, limits.get("MaxTime"), name)
    yield _within("nodes", job.nodes, limits.get("MaxNodes"), name)
    yield _within("nodes in all", job.nodes, limits.get("TotalNodes"), name)
    allowed, denied = limits.get("AllowAccounts", "ALL"), limits.get("DenyAccounts", "")
    if job.account and (allowed not in ("ALL", "") and job.account not in allowed.split(",")):
        yield Finding(what="account", state="fail", found=f"{name} takes {allowed} alone")
    if job.account and job.account in denied.split(","):
        yield Finding(what="account", state="fail", found=f"{name} does not take {job.account}")


def _near(name: str) -> str:
    shown = [_entries(line) for line in asked("scontrol", "--oneliner", "show", "partition").splitlines()]
    names = [each["PartitionName"] for each in shown if "PartitionName" in each]
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(names)}" if names else ""


def _within(what: str, wanted: int, limit: str | None, name: str) -> Finding:
    """Compare with a limit as Slurm tells it: a number, or a time."""
    if limit is None or limit.upper() in UNLIMITED:
        return Finding(what=what, state="ok", found=f"{name} sets no limit")
    most = _as_seconds(limit) if what == "time" else int(limit) if limit.isdecimal() else None
    if most is None:
        return Finding(what=what, state="unknown", found=f"{name} says {printable(limit)}")
    shown = as_time(wanted) if what == "time" else str(wanted)
    return Finding(what=what, state="ok" if wanted <= most else "fail", found=f"{shown} of {limit} in {name}")


def _as_seconds(text: str) -> int | None:
    try:
        return seconds_of(text)
    except InputError:
        return None


def _account(job: Job) -> Finding:
    """Whether the account is one of this user's, where the site keeps a list."""
    if job.account is None:
        return Finding(what="account", state="unknown", found="none was named, and none is needed")
    told = asked("sacctmgr", "--noheader", "--parsable2", "show", "assoc", f"user={getuser()}", "format=account")
    names = sorted({line.strip() for line in told.splitlines() if line.strip()})
    if not names:
        return Finding(what="account", state="unknown", found=f"{job.account}; the site keeps no list of accounts")
    state: Literal["ok", "fail"] = "ok" if job.account.lower() in [name.lower() for name in names] else "fail"
    return Finding(what="account", state=state, found=f"{job.account}; yours are {', '.join(names)}")


def _test_only(script: Path) -> Finding:
    """Ask Slurm itself, which submits nothing."""
    done = ran(["sbatch", "--test-only", str(script)])
    told = " ".join(done.stderr.replace("sbatch: ", "").split()) if done else "it does not answer"
    return Finding(what="sbatch", state="ok" if done and done.returncode == 0 else "fail", found=printable(told, 300))


def asked(*command: str) -> str:
    """Return what a program of the scheduler prints; "" where it is absent, fails or does not answer."""
    return answer(*command) or ""


def answer(*command: str) -> str | None:
    """Return what a program of the scheduler prints, "" where it knows no such job; None where it does not say."""
    done = ran(command)
    if done is None:
        return None
    if done.returncode == 0:
        return done.stdout
    return "" if NO_SUCH_JOB.search(done.stdout + done.stderr) else None


def ran(command: Sequence[str]) -> "subprocess.CompletedProcess[str] | None":
    """Run a program of the scheduler; None where it is absent or does not end in time."""
    with suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=ASKED_S)  # noqa: S603
    return None


def _entries(line: str) -> Mapping[str, str]:
    """NAME=VALUE pairs of a line that scontrol prints."""
    return dict(re.findall(r"(\w+)=(\S*)", line))
