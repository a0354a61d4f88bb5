"""Domain adapters, found by name: those in this folder, and entry points of the group `mainstem.adapters` outside."""

import difflib
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules
from types import ModuleType

from mainstem.core.errors import InputError


def find_adapters() -> dict[str, str]:
    """Return adapter name -> module path; nothing is imported."""
    inside = {module.name.replace("_", "-"): f"mainstem.adapters.{module.name}" for module in iter_modules(__path__)}
    return inside | {point.name: point.value for point in entry_points(group="mainstem.adapters")}


def load_adapter_module(name: str) -> ModuleType:
    """Import the adapter's module.

    Raises:
        InputError: if no adapter has this name; the nearest one is suggested.
    """
    found = find_adapters()
    if name not in found:
        near = difflib.get_close_matches(name, found, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(found))}"
        raise InputError(f"got adapter {name!r}, which is not installed; {hint}")
    return import_module(found[name])
