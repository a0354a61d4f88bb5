"""Options that a task declares, as --crop: taken from a command's arguments, and shown in its help."""

import difflib
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import typer
from typer.core import TyperCommand

from mainstem.core.errors import InputError

if TYPE_CHECKING:
    from mainstem.core.task import Option, Task

FOUND = "mainstem.options"  # where a context keeps what was given


class TaskCommand(TyperCommand):
    """A command whose first argument names an adapter, or with `of_run` a run, and whose options its task extends.

    Adapters are imported only where an option is none of the command's own, or help is asked for beside a name.
    """

    of_run = False

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Take the task's own options out of the arguments, then parse the rest."""
        asks_help, unknown = bool({"--help", "-h"} & set(args)), self._unknown(args)
        task = self._task_named(args) if asks_help or unknown else None
        options = () if task is None else task.options
        if asks_help and options:
            self.epilog = "\n\n".join(map(help_line, options))
        odd = [name for name in unknown if name[2:] not in [option.name for option in options]]
        if task is not None and odd and not asks_help:
            raise InputError(self._said_of(odd, task))
        if task is None and unknown and not asks_help and (named := self._positional(args)) is not None:
            self._task(named, self._choices(args))  # says what is wrong with it
        rest, found = take(options, args)
        ctx.meta[FOUND] = found
        return super().parse_args(ctx, rest)

    def _said_of(self, odd: Sequence[str], task: "Task") -> str:
        """Say of options that nobody knows which one was meant, or what the task has."""
        known = [name for parameter in self.params for name in parameter.opts if name.startswith("--")]
        own = [f"--{option.name}" for option in task.options]
        near = difflib.get_close_matches(odd[0], [*known, *own], n=1, cutoff=0.8)
        if near:
            return f"got {odd[0]}, did you mean {near[0]}?"
        told = f"it has {', '.join(own)}" if own else "it has no option of its own"
        verb, them = ("choose", "them") if len(odd) > 1 else ("chooses", "it")
        return (
            f"{' and '.join(odd)} {verb} nothing of what {task.name}'s task {task.task} reads; {told}; leave {them} out"
        )

    def _unknown(self, args: Sequence[str]) -> list[str]:
        """Options among the arguments that are none of the command's own."""
        known = {name for parameter in self.params for name in (*parameter.opts, *parameter.secondary_opts)}
        given = [arg.partition("=")[0] for arg in args[: args.index("--") if "--" in args else None]]
        return [name for name in given if name.startswith("--") and name not in known]

    def _task_named(self, args: Sequence[str]) -> "Task | None":
        """The task that the arguments name; None where they name none that there is: the command itself says so."""
        for has_flags in (False, True):
            named = self._positional(args, has_flags)
            with suppress(InputError):
                if named is not None:
                    return self._task(named, self._choices(args))
        return None

    def _choices(self, args: Sequence[str]) -> dict[str, str | None]:
        return {name: value_of(name, args) for name in ("--task", "--adapter", "--run", "--data")}

    def _task(self, named: str, values: dict[str, str | None]) -> "Task":
        from pathlib import Path

        from mainstem.adapters import find_task, task_of_run

        if self.of_run:
            return task_of_run(Path(named), values["--adapter"])
        if values["--run"] is not None:
            return task_of_run(Path(values["--run"]), named, values["--task"])
        return find_task(named, values["--task"], values["--data"])

    def _positional(self, args: Sequence[str], has_flags: bool = False) -> str | None:
        """The first argument that is no option and no option's value; a task's own take none where it `has_flags`."""
        flags = {name for one in self.params if getattr(one, "is_flag", False) for name in one.opts}
        takes = {name for one in self.params for name in one.opts if name.startswith("-")} - flags
        skips, unknown = False, self._unknown(args)
        for arg in args:
            if skips:
                skips = False
            elif arg.startswith("-"):
                skips = arg in takes or (arg in unknown and not has_flags)
            else:
                return arg
        return None


class RunCommand(TaskCommand):
    """A command whose first argument is a run."""

    of_run = True


def help_line(option: "Option") -> str:
    """An option as help shows it."""
    value, again = "" if option.kind == "flag" else " TEXT", " Repeat it for more." if option.kind == "several" else ""
    return f"--{option.name}{value}  {option.help}{again}"


def take(options: Sequence["Option"], args: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Split arguments into those that are none of the options', and what a request holds of the options.

    Raises:
        InputError: if an option comes more often than it may, without a value, or a flag with one.
    """
    known = {f"--{option.name}": option for option in options}
    rest: list[str] = []
    found: dict[str, list[str]] = {}
    pending = list(args)
    while pending:
        arg = pending.pop(0)
        if arg == "--":
            rest += [arg, *pending]
            break
        name, given, value = arg.partition("=")
        if name not in known:
            rest.append(arg)
        elif known[name].kind == "flag":
            if given:
                raise InputError(f"got {name} with a value, and it takes none; give {name} alone")
            found.setdefault(name, []).append("")
        elif not given and (not pending or pending[0].startswith("--")):
            raise InputError(f"got {name} without a value; give one")
        else:
            found.setdefault(name, []).append(value if given else pending.pop(0))
    return rest, {name[2:]: known[name].told(values) for name, values in found.items()}


def given_options(ctx: typer.Context) -> dict[str, str]:
    """What was given of the task's own options."""
    found: dict[str, str] = ctx.meta.get(FOUND, {})
    return found


def value_of(name: str, args: Sequence[str]) -> str | None:
    """What the arguments give an option; None where they do not."""
    for place, arg in enumerate(args):
        if arg == name and place + 1 < len(args):
            return args[place + 1]
        if arg.startswith(f"{name}="):
            return arg.partition("=")[2]
    return None
