"""Options that several commands share: where to compute, and settings of the fit; kept in the context."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from mainstem.apps.task_options import TaskCommand
from mainstem.core.errors import InputError

if TYPE_CHECKING:
    from mainstem.core.devices import Compute
    from mainstem.core.finetuning import FitSpec
    from mainstem.core.task import Task

GIVEN = "mainstem.shared"  # where a context keeps what was given


def _keep(ctx: typer.Context, parameter: typer.CallbackParam, value: Any) -> Any:  # noqa: ANN401 - whatever it takes
    ctx.meta.setdefault(GIVEN, {})[parameter.name] = value
    return value


def _compute_options(
    device: Annotated[
        str, typer.Option(callback=_keep, help="auto (a GPU where there is one), cpu, cuda or cuda:1.")
    ] = "auto",
    precision: Annotated[
        str | None, typer.Option(callback=_keep, help="Of matrix products: 32 or bf16; else 32, or what the task says.")
    ] = None,
) -> None:
    """What `ComputeCommand` and others show."""


def _fit_options(
    spec: Annotated[
        str | None, typer.Option(callback=_keep, help="A YAML file of settings, as training: {epochs: 5}.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", callback=_keep, help="NAME=VALUE, as training.epochs=5; goes before --spec and other options."
        ),
    ] = None,
) -> None:
    """What `FitCommand` shows."""


def _add(command: TyperCommand, *told: Callable[..., None]) -> None:
    """Give a command the options of functions; their values go to the context, not to the command's function."""
    for one in told:
        app = typer.Typer(add_completion=False)
        app.command()(one)
        for option in typer.main.get_command(app).params:
            option.expose_value = False
            command.params.append(option)


class ComputeCommand(TyperCommand):
    """A command that is told where to compute."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed on to typer
        super().__init__(*args, **kwargs)
        _add(self, _compute_options)


class PredictCommand(TaskCommand):
    """A task's command that is told where to compute."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed on to typer
        super().__init__(*args, **kwargs)
        _add(self, _compute_options)


class FitCommand(TaskCommand):
    """A task's command that is told where to compute, and how to fit."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed on to typer
        super().__init__(*args, **kwargs)
        _add(self, _compute_options, _fit_options)


def given_compute(ctx: typer.Context) -> "Compute":
    """Return where to compute, on a device that is there.

    Raises:
        InputError: if it is not, or the precision is none.
    """
    from mainstem.core.devices import Compute, Precision, resolve_device

    precisions: dict[str, Precision] = {
        "32": "float32", "float32": "float32", "bf16": "bfloat16", "bfloat16": "bfloat16",
    }  # fmt: skip
    given = ctx.meta[GIVEN]
    precision = given["precision"] or "32"
    if precision not in precisions:
        raise InputError(f"got --precision {precision!r:.40}, want 32 or bf16")
    return Compute(device=str(resolve_device(given["device"])), precision=precisions[precision])


def settings_given(ctx: typer.Context) -> dict[str, object]:
    """Return what was given of --spec and --set, by option."""
    return {"--spec": ctx.meta[GIVEN]["spec"], "--set": ctx.meta[GIVEN]["settings"]}


def compute_given(ctx: typer.Context) -> dict[str, object]:
    """Return what was given of --device and --precision, by option; nothing where it is what is taken without them."""
    given = ctx.meta[GIVEN]
    named = {"--device": given["device"], "--precision": given["precision"]}
    return {name: value for name, value in named.items() if value not in (None, "auto", "cpu", "32")}


def given_fit(ctx: typer.Context, task: "Task", trunk: str | None, frozen: bool, seed: int | None) -> "FitSpec":
    """Return how to fit: as the task says, changed by the options, a file of settings and --set, in this order.

    Raises:
        InputError: if a setting or a device is unknown.
    """
    from dataclasses import replace
    from pathlib import Path

    from mainstem.core.devices import resolve_device
    from mainstem.core.finetuning import spec_of
    from mainstem.core.settings import DEVICE, TRUNK, read_settings, with_settings

    given, compute = ctx.meta[GIVEN], given_compute(ctx)
    values = read_settings(Path(given["spec"]) if given["spec"] else None, given["settings"] or ())
    own = TRUNK in values and values[TRUNK] is None
    spec = spec_of(replace(task, open_model=None) if own else task, values.pop(TRUNK, trunk), frozen)
    spec = spec if seed is None else spec.seeded(seed)
    options: dict[str, Any] = {DEVICE: compute.device}
    if given["precision"]:
        options["training.precision"] = compute.precision
    if DEVICE in values:
        values[DEVICE] = str(resolve_device(values[DEVICE]))
    return with_settings(spec, {**options, **values})
