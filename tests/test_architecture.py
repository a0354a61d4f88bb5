"""Imports run one way: core <- data <- adapters <- apps <- dashboards, and no adapter imports another."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = ("core", "data", "adapters", "apps", "dashboards")
FILES = [path for folder in ORDER for path in sorted((ROOT / folder).rglob("*.py"))]


def imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "mainstem":
            names |= {f"mainstem.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "write imports in full, from mainstem"
            names.add(node.module or "")
    return {name.removeprefix("mainstem.") for name in names if name.startswith("mainstem.")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path):
    folder = path.relative_to(ROOT).parts[0]
    allowed = ORDER[: ORDER.index(folder) + 1]
    reached = {name.split(".")[0] for name in imported(ast.parse(path.read_text()))} & set(ORDER)
    assert reached <= set(allowed), f"{folder} may import {allowed}, not {reached - set(allowed)}"


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.is_relative_to(ROOT / "adapters")], ids=lambda p: p.stem
)
def test_no_adapter_imports_another(path):
    own = f"adapters.{path.relative_to(ROOT / 'adapters').parts[0].removesuffix('.py')}"
    others = {n for n in imported(ast.parse(path.read_text())) if n.startswith("adapters.") and not n.startswith(own)}
    assert not others


def test_the_rule_finds_a_breach():
    assert imported(ast.parse("from mainstem.apps import cli")) == {"apps"}


def run_imports(node: ast.AST) -> Iterator[ast.ImportFrom]:
    """Imports that run, early or late: not those that are for types alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.ImportFrom):
            yield child
        yield from run_imports(child)


def modules(files: list[Path]) -> dict[str, Path]:
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}
    return {f"mainstem.{name}": path for name, path in names.items()}


def imports_of(path: Path, known: dict[str, Path]) -> set[str]:
    named = [
        {f"{node.module}.{alias.name}", str(node.module)} & set(known)
        for node in run_imports(ast.parse(path.read_text()))
        for alias in node.names
    ]
    return {max(found, key=len) for found in named if found}


def test_no_file_imports_in_a_circle():
    known = modules(FILES)
    graph = {name: imports_of(path, known) - {name} for name, path in known.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" <- ".join(error.args[1])) from None
    assert sum(map(len, graph.values())) > 3 * len(graph)  # it looked


def test_late_imports_count_and_those_for_types_do_not():
    text = "if TYPE_CHECKING:\n    from a import b\ndef late():\n    from c import d"
    assert [node.module for node in run_imports(ast.parse(text))] == ["c"]
