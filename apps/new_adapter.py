"""`mainstem new-adapter`: an adapter and its test for a table of one's own, two files added and none edited."""

import dataclasses
import json
import keyword
import os
import re
from pathlib import Path

from mainstem.adapters import find_adapters
from mainstem.core.errors import InputError, MainstemError
from mainstem.core.files import write_atomically
from mainstem.core.plain import is_text
from mainstem.core.targets import Target
from mainstem.data.table import read_samples, target_of

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
TEMPLATE = Path(__file__).resolve().parent.parent / "adapters" / "template.py"
TEST = '''"""The contract that every adapter keeps, checked on the table that this one was made for."""

from dataclasses import replace
from pathlib import Path

from mainstem.adapters import load_adapter_module
from mainstem.core.task import DataRequest
from mainstem.core.testing import check_task

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / {table}
NUM_SAMPLES = 64  # spread over the table, so that several groups take part


def test_it_keeps_the_contract(tmp_path):
    task = load_adapter_module(str(ROOT / "adapters" / {module})).TASK
    source = task.read(DataRequest(data=str(TABLE)))
    samples = source.training()
    check_task(task, replace(source, samples=samples[:: max(len(samples) // NUM_SAMPLES, 1)]), tmp_path)
'''


def write_adapter(name: str, table: Path, to: Path) -> tuple[Path, Path]:
    """Write adapters/NAME.py and tests/adapters/test_NAME.py below `to`.

    Raises:
        InputError: if the name is odd or taken, or the table cannot be read.
    """
    module = name.replace("-", "_")
    if not NAME.fullmatch(name) or keyword.iskeyword(module):
        raise InputError(f"got the name {name!r}, want small letters, digits and hyphens, e.g. soil-moisture")
    if module == TEMPLATE.stem or name in find_adapters():
        raise InputError(f"the name {name!r} is taken by an adapter that is installed; choose another name")
    adapter = to / "adapters" / f"{module}.py"
    test = to / "tests" / "adapters" / f"test_{module}.py"
    for path in (adapter, adapter.with_suffix(""), test):  # a package of that name would be found as the adapter
        if os.path.lexists(path):
            raise InputError(f"{path} exists already; choose another name")
    target = target_of(table)
    samples = read_samples(table, target).samples
    first, _, rest = TEMPLATE.read_text().partition("\n")
    assert first.startswith('"""')
    plain = re.sub(r"[^\w .-]", "_", table.name)[:60]  # a file's name becomes code here: no quote, no backslash
    title = f'"""{name}: {target.kind} learned from {plain}, {len(samples)} samples."""'
    source = f"{title}\n{written(rest, name, target)}"
    where = os.path.relpath(table.resolve(), to.resolve())
    write_atomically(adapter, source.encode())
    try:
        write_atomically(test, TEST.format(table=_written(where), module=_written(adapter.name)).encode())
    except MainstemError:
        adapter.unlink()  # two files or none
        raise
    return adapter, test


def written(template: str, name: str, target: Target) -> str:
    """The template's code, for an adapter of this name and target."""
    code = template.replace('NAME = "template"', f'NAME = "{name}"')
    code = re.sub(r"^TARGET = .*$", lambda _: f"TARGET = {code_of(target)}", code, flags=re.MULTILINE)
    code = code.replace("targets import Quantity", f"targets import {type(target).__name__}")
    return code.replace("from_the_mean", target.preparation)


def code_of(target: Target) -> str:
    """The call that makes a target; names from a table become code here, as JSON's strings, which are Python's."""
    told = {
        field.name: value
        for field in dataclasses.fields(target)
        if (value := getattr(target, field.name)) != field.default
    }
    if any(isinstance(value, tuple) for value in told.values()):
        return f"{type(target).__name__}(\n" + "".join(f"    {key}={_written(told[key])},\n" for key in told) + ")"
    return f"{type(target).__name__}({', '.join(f'{key}={_written(told[key])}' for key in told)})"


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return "(\n" + "".join(f"        {_written(part)},\n" for part in value) + "    )"
    return json.dumps(value, ensure_ascii=False) if is_text(str(value)) else repr(value)
