"""Domain adapters, found by name: those in this folder, and entry points of the group `mainstem.adapters` outside."""

import difflib
import sys
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

from mainstem.core.errors import InputError, MainstemError
from mainstem.core.records import read_record
from mainstem.core.schema import printable
from mainstem.core.task import Task

TEMPLATE = "template"  # to copy, not to run
SHIPPED = Path(__file__).parent / "shipped"  # runs that come with the package: ADAPTER/TASK


def own_adapters() -> dict[str, str]:
    """Return name -> module path of the adapters in this folder; nothing is imported."""
    return {
        module.name.replace("_", "-"): f"mainstem.adapters.{module.name}"
        for module in iter_modules(__path__)
        if module.name != TEMPLATE
    }


def find_adapters() -> dict[str, str]:
    """Return adapter name -> module path; nothing is imported, and none from outside takes the name of one in here."""
    return {point.name: point.value for point in entry_points(group="mainstem.adapters")} | own_adapters()


def load_adapter_module(name: str) -> ModuleType:
    """Import the adapter's module: by name, or from a .py file, which runs its code as any script does.

    Raises:
        InputError: if no adapter has this name; the nearest one is suggested.
    """
    if name.endswith(".py"):
        return _load_file(Path(name))
    found = find_adapters()
    if name not in found:
        near = difflib.get_close_matches(name, found, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(found))}"
        raise InputError(f"got adapter {printable(name)!r}, which is not installed; {hint}")
    return import_module(found[name])


def find_task(adapter: str, task: str | None = None, data: str | None = None) -> Task:
    """Return an adapter's task, unless named that whose own the data set is, or its first.

    An adapter's name stands for its first task anywhere.

    Raises:
        InputError: if it has none of this name.
    """
    module = load_adapter_module(adapter)
    first = getattr(module, "TASK", None)
    if not isinstance(first, Task):
        raise InputError(
            f"{adapter} has no TASK; mainstem new-adapter NAME --data TABLE writes an adapter that has one"
        )
    tasks: dict[str, Task] = getattr(module, "TASKS", {first.task: first})
    if task is None:
        return next((one for one in tasks.values() if data is not None and data in one.sets), first)
    if task not in tasks and task in own_adapters() and not adapter.endswith(".py"):
        return find_task(task)
    if task not in tasks:
        raise InputError(f"got task {printable(task)!r}, {adapter} has {', '.join(tasks)}")
    return tasks[task]


def shipped_runs(adapter: str) -> dict[str, Path]:
    """Return by task the runs of an adapter that come with the package."""
    held = (SHIPPED / adapter).iterdir() if adapter in own_adapters() and (SHIPPED / adapter).is_dir() else ()
    return {folder.name: folder for folder in sorted(held)}


def task_of_run(run: Path, adapter: str | None = None, task: str | None = None) -> Task:
    """Return the task of a run: the one its record names, of the adapter that the user names.

    A run folder is data: what its record names is looked up among the project's own adapters alone, never imported
    from elsewhere, so that opening a run of another's runs none of their code.

    Raises:
        InputError: if the record names an adapter from outside and the user none, or there is no such task.
    """
    record = read_record(run)
    if adapter is None and record["adapter"] not in own_adapters():
        raise InputError(
            f"{run} was trained by the adapter {printable(record['adapter'])!r}, which is none of mainstem's own; "
            "name it: --adapter NAME, or --adapter FILE.py, whose code then runs"
        )
    return find_task(adapter or record["adapter"], task or record["task"])


def _load_file(path: Path) -> ModuleType:
    spec = spec_from_file_location(f"mainstem_adapter_{path.stem}", path) if path.is_file() else None
    if spec is None or spec.loader is None:
        raise InputError(f"no adapter file {path}; mainstem new-adapter NAME --data TABLE writes one")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except MainstemError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:
        del sys.modules[spec.name]
        raise InputError(f"{path} does not run ({type(error).__name__}: {printable(error, 200)}); mend it") from error
    return module
