"""Domain adapters, found by name: those in this folder, and entry points of the group `mainstem.adapters` outside."""

import difflib
import sys
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

from mainstem.core.classification import Task
from mainstem.core.errors import InputError

TEMPLATE = "template"  # to copy, not to run


def find_adapters() -> dict[str, str]:
    """Return adapter name -> module path; nothing is imported."""
    inside = {
        module.name.replace("_", "-"): f"mainstem.adapters.{module.name}"
        for module in iter_modules(__path__)
        if module.name != TEMPLATE
    }
    return inside | {point.name: point.value for point in entry_points(group="mainstem.adapters")}


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
        raise InputError(f"got adapter {name!r}, which is not installed; {hint}")
    return import_module(found[name])


def find_task(adapter: str, task: str | None = None) -> Task:
    """Return an adapter's task, its first unless named.

    Raises:
        InputError: if it has none of this name.
    """
    module = load_adapter_module(adapter)
    tasks: dict[str, Task] = getattr(module, "TASKS", {module.TASK.task: module.TASK})
    if task is None:
        first: Task = module.TASK
        return first
    if task not in tasks:
        raise InputError(f"got task {task!r}, {adapter} has {', '.join(tasks)}")
    return tasks[task]


def _load_file(path: Path) -> ModuleType:
    spec = spec_from_file_location(f"mainstem_adapter_{path.stem}", path) if path.is_file() else None
    if spec is None or spec.loader is None:
        raise InputError(f"no adapter file {path}; mainstem new-adapter NAME --data TABLE writes one")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
