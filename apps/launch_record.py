"""launch.json, what was handed over of a job, and what the scheduler knows of it.

It is written before anything is submitted, and again with every number that a submission gives. A launch that is
killed between the two leaves a job without its number: that one is found by its script, which no other job runs.
"""

from collections.abc import Mapping
from getpass import getuser
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mainstem.apps.launch_checks import answer, ran
from mainstem.apps.launch_commands import LAUNCHABLE, Command
from mainstem.apps.launch_script import ARRAY_LOG, LOG, SCRIPT, job_folder
from mainstem.apps.run_spec import OUT
from mainstem.core.errors import InputError
from mainstem.core.records import write_json
from mainstem.core.schema import Count, Name, first_mistake, printable, read_object

LAUNCH_FILE = "launch.json"
Number = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,19}$")]
OVER = ("invalid job id", "already completing or completed")  # what scancel says of a job that has ended


class _Kept(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class LaunchedSpec(_Kept):
    """The spec of a launched run, as far as its job depends on it."""

    command: Command


class LaunchedMember(_Kept):
    """Where a member writes."""

    out: Annotated[str, Field(pattern=OUT)]


class LaunchRecord(_Kept):
    """What every launch.json says; more may stand beside it.

    `job_id` is None until it is known that a job was submitted or begun; `process_started` is given on this machine
    alone; `merge_job_id` is the job that puts shards together.
    """

    site: Name
    spec: LaunchedSpec
    out: Annotated[str, Field(pattern=OUT)]
    log: str
    nodes: Count
    gpus_per_node: Count
    members: Annotated[tuple[LaunchedMember, ...], Field(min_length=1)]
    job_id: Number | None = None
    merge_job_id: Number | None = None
    process_started: Number | None = None
    is_local: bool = False

    @model_validator(mode="after")
    def _logs_beside_its_run(self) -> "LaunchRecord":
        names = [f"{job_folder(self.out)}/{name}" for name in (LOG, ARRAY_LOG)]
        if self.log not in names:
            raise ValueError(f"log is {printable(self.log)}, want {' or '.join(names)}")
        return self

    def written(self, run: Path | None = None) -> list[bool]:
        """Return of each member whether it has written its result.

        Members are named as from where the job was launched; `run`, the folder of its runs, finds them from anywhere.
        """
        named = [Path(member.out) for member in self.members]
        if run is not None:
            named = [run / path.relative_to(self.out) if path.is_relative_to(self.out) else path for path in named]
        return [LAUNCHABLE[self.spec.command].is_written(path) for path in named]


def read_launch(folder: Path) -> LaunchRecord:
    """Read the launch.json of a job's folder.

    Raises:
        InputError: if there is none, or it is damaged.
    """
    found = read_object(folder / LAUNCH_FILE, InputError)
    try:
        return LaunchRecord.model_validate(found)
    except ValidationError as error:
        said = first_mistake(error)
        raise InputError(f"{folder / LAUNCH_FILE} is damaged: {said}; restore it, or look by squeue --me") from error


def note(folder: Path, record: Mapping[str, Any], **more: str | None) -> dict[str, Any]:
    """Write launch.json with what is known by now, and return it."""
    known = {**record, **more}
    write_json(folder / LAUNCH_FILE, known)
    return known


def script_of(folder: Path) -> str:
    """The script of a job's folder, as the scheduler is told it."""
    return str((folder / SCRIPT).resolve())


def active_jobs(folder: Path, record: LaunchRecord) -> dict[str, str]:
    """Return the jobs of a folder that wait or run: their numbers, and what its script was called with.

    Raises:
        InputError: if the scheduler does not say.
    """
    found = _queue(f"--user={getuser()}")
    script = script_of(folder)
    mine = {number: rest for number, command, rest in found if command == script}
    if known := [number for number in (record.job_id, record.merge_job_id) if number and number not in mine]:
        mine |= {number: rest for number, _, rest in _queue(f"--jobs={','.join(known)}")}
    return mine


def _queue(which: str) -> list[tuple[str, str, str]]:
    told = answer("squeue", "--noheader", which, "--format=%F|%o")
    if told is None:
        raise InputError("squeue does not answer, so it is not known which jobs wait or run; try again in a while")
    lines = [line.strip().partition("|") for line in told.splitlines() if line.strip()]
    return [(number, *_called(command)) for number, _, command in lines]


def _called(command: str) -> tuple[str, str]:
    """A script and what it is called with; folders may have blanks."""
    script, given = command.removesuffix(" merge"), "merge" if command.endswith(" merge") else ""
    return script.rstrip(), given


def end_jobs(numbers: list[str]) -> None:
    """Have the scheduler end jobs for good; one that has ended already is none to complain of.

    Raises:
        InputError: if it refuses, or does not answer.
    """
    done = ran(["scancel", *numbers])
    if done is None:
        raise InputError("scancel does not answer; try again in a while")
    if done.returncode and not any(word in done.stderr.lower() for word in OVER):
        raise InputError(f"scancel refuses: {printable(done.stderr, 300)}")
