"""Imports run one way: core <- data <- adapters <- apps <- dashboards; core names no domain, nobody asks for a kind."""

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from mainstem.core import targets
from mainstem.core.targets import KINDS as KINDS_OF_TARGETS

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


@pytest.mark.long
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


DOMAIN = {
    "crop", "crops", "country", "countries", "field", "fields", "yield", "yields", "weather", "study", "studies",
    "patient", "patients", "scan", "scans", "farm", "farms", "harvest", "harvests", "soil",
}  # fmt: skip
OF_PYTHON = {"field", "fields", "Field"}  # what dataclasses and pydantic call their entries
CORE = [path for path in FILES if path.is_relative_to(ROOT / "core")]
OWN_CORE = [path for path in CORE if "openmodels" not in path.parts]  # encoders name their own bands and data
OF_ANY_TASK = {
    "baselines", "coverage", "evaluate", "evaluation_text", "figures", "finetune", "protocols", "scoring",
}  # fmt: skip
GENERIC = [*OWN_CORE, *(path for path in FILES if path.parts[-2] == "apps" and path.stem in OF_ANY_TASK)]


def test_every_file_of_any_task_is_there():
    assert {path.stem for path in GENERIC if path.parts[-2] == "apps"} == OF_ANY_TASK


def named_in(tree: ast.AST) -> Iterator[str]:
    """Every identifier and string literal, docstrings too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value.removeprefix("Yield ")  # as docstrings of generators begin
        for attribute in ("id", "attr", "arg", "name"):
            found = getattr(node, attribute, None)
            if isinstance(found, str) and found.strip("_") not in OF_PYTHON:
                yield found


def domain_words(text: str) -> set[str]:
    split = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", text)
    return {word.lower() for word in split} & DOMAIN


@pytest.mark.parametrize("path", GENERIC, ids=lambda path: str(path.relative_to(ROOT)))
def test_core_and_evaluation_name_no_domain(path):
    found = [text for text in named_in(ast.parse(path.read_text())) if domain_words(text)]
    assert not found


@pytest.mark.parametrize(
    "breach",
    ["num_fields = 3", "class CropYield: pass", "def f(weather): pass", "'of each patient'", "f(scan=2)", "x.FIELDS"],
)
def test_a_domain_s_words_are_found_however_they_are_written(breach):
    assert any(map(domain_words, named_in(ast.parse(breach))))


def test_the_language_s_own_fields_and_yields_pass():
    text = "from dataclasses import field\ndef f():\n    x: int = field(default=1)\n    yield x"
    assert not any(map(domain_words, named_in(ast.parse(text))))


KINDS = {kind.__name__ for kind in KINDS_OF_TARGETS}
WORDS = {kind.kind for kind in KINDS_OF_TARGETS}
REGIONS = {name for name in targets.__all__ if hasattr(getattr(targets, name), "columns")}
CHOOSES = {"adapters"}  # an adapter says what it predicts
ABOVE = [path for path in FILES if not path.is_relative_to(ROOT / "core" / "targets")]


def switches(tree: ast.AST) -> Iterator[str]:
    """What asks of which kind a target is: isinstance of one or of its region, its kind compared, any yes or no."""
    for node in ast.walk(tree):
        is_asked = isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "issubclass")
        if is_asked and {name.id for name in ast.walk(node) if isinstance(name, ast.Name)} & (KINDS | REGIONS):
            yield ast.unparse(node)
        if isinstance(node, ast.Attribute) and node.attr.startswith(("is_", "has_")) and of_target(node):
            yield ast.unparse(node)
        held = compared(node)
        is_kind = any(isinstance(part, ast.Constant) and part.value in WORDS for part in held)
        is_target = any(isinstance(part, ast.Attribute) and part.attr == "kind" and of_target(part) for part in held)
        if is_kind or is_target:
            yield ast.unparse(node)


def compared(node: ast.AST) -> list[ast.AST]:
    """What a comparison or a case compares; of what asks if a mapping has a key, nothing."""
    if isinstance(node, ast.match_case):
        return list(ast.walk(node.pattern))
    if not isinstance(node, ast.Compare):
        return []
    is_key = isinstance(node.ops[0], ast.In | ast.NotIn) and isinstance(node.comparators[0], ast.Name | ast.Attribute)
    return [] if is_key else list(ast.walk(node))


def of_target(attribute: ast.Attribute) -> bool:
    owner = attribute.value
    return (owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")).endswith("target")


@pytest.mark.parametrize("path", ABOVE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_above_targets_asks_of_which_kind_one_is(path):
    tree = ast.parse(path.read_text())
    assert not list(switches(tree))
    if path.relative_to(ROOT).parts[0] not in CHOOSES:
        names = {getattr(node, attribute, None) for node in ast.walk(tree) for attribute in ("id", "attr", "name")}
        assert not names & KINDS


@pytest.mark.parametrize(
    "breach",
    [
        "isinstance(fitted.target, Classes)",
        "task.target.kind == 'x'",
        "kind in ('quantity', 'mask')",
        "1 != target.kind",
        "isinstance(found.region, Interval)",
        "fitted.target.is_number",
        "target.has_mean and told",
    ],
)
def test_a_switch_on_kinds_is_found(breach):
    assert list(switches(ast.parse(breach)))


def test_what_streams_and_arrays_are_is_no_switch_on_targets():
    asked = "stream.kind == 'image' or array.dtype.kind in 'fiu' or isinstance(x, Target) or is_number(group)"
    assert not list(switches(ast.parse(f"{asked} or 'classes' in facts or target.lower_is_better")))
