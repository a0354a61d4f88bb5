"""A pretrained trunk against one drawn at random: fine-tuned alike on 5 % and on all labels of three tasks, in pairs.

`python -m tests.benchmarks.pretraining TABLE.jsonl [RUN]`, where RUN is what `mainstem pretrain
tests/benchmarks/pretraining.yaml --out RUN` wrote, and MAINSTEM_MIRROR where the data lie; without RUN only the drawn
trunks are scored, which another process may do meanwhile. Rows are added to the table as they come, and those that it
holds are not made again. What the spec
holds out is what is scored, and nothing else knows it. A pair shares labels, preparation, seed, order of batches and
head; it is scored by what the trunk alone says, without the plain models that a task weighs it against.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mainstem.apps.corpora import HeldOut, Reader, far_from, hold_out
from mainstem.apps.pretrain_spec import read_spec
from mainstem.core.member import MemberFit
from mainstem.core.openmodels import OpenModel, load_open_model
from mainstem.core.preparation import Preparation
from mainstem.core.schema import read_object
from mainstem.core.stream import Sample
from mainstem.core.targets import Blend
from mainstem.core.task import WHOLE_VIEW, Order, Task

ROUNDS = [(seed, 0.05) for seed in range(5)] + [(seed, 1.0) for seed in range(3)]
SPEC, KEYS = Path(__file__).with_suffix(".yaml"), ("task", "share", "seed", "arm")
TRUNK_ALONE: Blend = {"share": 0.0, "gate": 1.0, "plain": 0.0, "temperature": 1.0}
FEWEST_STEPS = 100
EPOCHS = {"fuel-moisture": 10, "pneumonia": 3, "land-cover": 2}  # short: both sides of a pair have the same
ARMS = ("drawn", "pretrained")
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """A task with the samples that it may learn from, and those that it is scored on."""

    task: Task
    train: Sequence[Sample]
    held: HeldOut


def scored_tasks() -> Iterator[Scored]:
    """What the pretraining's spec holds out of each task."""
    read = Reader(None)
    for name, spec in read_spec(SPEC).evaluations.items():
        if name not in EPOCHS:
            continue
        held = hold_out(name, spec, read)
        task, source = read(spec)
        train = [sample for sample in source.training() if not held.names(sample)]
        task = replace(task, target=task.target.told(source), views={WHOLE_VIEW: unchanged})
        yield Scored(task=task, train=far_from(train, held.samples, task.holding.buffer_m), held=held)


def unchanged(sample: Sample) -> Sample:
    """Show a sample as it is."""
    return sample


def part_of(samples: Sequence[Sample], share: float, seed: int) -> list[Sample]:
    """So many of the samples, drawn by the seed."""
    rows = np.random.default_rng([seed, 53]).choice(len(samples), round(share * len(samples)), replace=False)
    return [samples[row] for row in sorted(rows.tolist())]


def prepared_once(task: Task, samples: Sequence[Sample]) -> Task:
    """The task with its preparation fitted here, so that both sides of a pair share it."""
    found = task.prepare(samples, "any")

    def prepare(given: Sequence[Sample], order: Order) -> Preparation:
        return found

    return replace(task, prepare=prepare)


def score(case: Scored, given: Sequence[Sample], base: OpenModel, seed: int) -> dict[str, float]:
    """Fine-tune trunk and tokenizers whole on the labels given, and score the trunk alone."""
    task = case.task
    training = replace(
        task.config.training, trunk="full", seed=seed, epochs=EPOCHS[task.task], min_steps=FEWEST_STEPS,
        batch_size=128, lr_per_step=1e-3, dropout=0.1,
    )  # fmt: skip
    config = replace(task.config, training=training)
    member = MemberFit(task=task, target=task.target, config=config, order="any")(given, base)
    told = task.target.combine([member.outputs(case.held.samples)], TRUNK_ALONE)
    truth, point = task.target.truth(case.held.samples), task.target.point(told)
    return {
        name: float(found.metric(truth, point))
        for name, found in task.target.measures.items()
        if found.over != "groups"
    }


def compare(run: Path | None, rows: Callable[[], Sequence[Row]], note: Callable[[Row], None]) -> None:
    """Score both sides of every pair, round by round, so that what is stopped has whole rounds."""
    cases, size = list(scored_tasks()), read_spec(SPEC).trunk
    whole = {case.held.name: prepared_once(case.task, case.train) for case in cases}
    pretrained = None if run is None else load_open_model(run)
    if run is not None:
        told = read_object(run / "record.json")["excluded"]
        for case in cases:
            assert case.held.facts()["prints_sha256"] == told[case.held.name]["prints_sha256"], case.held.name
    for seed, share in ROUNDS:
        for case in cases:
            given = case.train if share == 1 else part_of(case.train, share, seed)
            for arm, base in (("pretrained", pretrained), ("drawn", load_open_model(size, seed=seed))):
                key = (case.task.task, share, seed, arm)
                if base is None or key in {tuple(row[name] for name in KEYS) for row in rows()}:
                    continue
                task = whole[case.held.name] if share == 1 else prepared_once(case.task, given)
                begin = time.process_time()
                found = score(replace(case, task=task), given, base, seed)
                spent = round(time.process_time() - begin, 1)
                note({**dict(zip(KEYS, key, strict=True)), "labels": len(given), "scores": found, "cpu_s": spent})


def table(rows: Sequence[Row]) -> str:
    """Means of both sides by task and share, and the mean of paired differences with its standard error."""
    lines = ["| task | labels | metric | drawn | pretrained | difference | seeds |", "|---|---|---|---|---|---|---|"]
    for task, share in dict.fromkeys((row["task"], row["share"]) for row in rows):
        its = [row for row in rows if (row["task"], row["share"]) == (task, share)]
        metric = next(iter(its[0]["scores"]))
        found = {arm: {row["seed"]: row["scores"][metric] for row in its if row["arm"] == arm} for arm in ARMS}
        seeds = sorted(set(found["drawn"]) & set(found["pretrained"]))
        if not seeds:
            continue
        drawn, taught = (np.array([found[arm][seed] for seed in seeds], np.float64) for arm in ARMS)
        away = taught - drawn
        error = f" ± {away.std(ddof=1) / np.sqrt(len(away)):.3f}" if len(away) > 1 else ""
        told = f"{drawn.mean():.3f} | {taught.mean():.3f} | {away.mean():+.3f}{error}"
        lines.append(f"| {task} | {share:.0%}, {its[0]['labels']} | {metric} | {told} | {len(seeds)} |")
    return "\n".join(lines)


def main(out: Path, run: Path | None) -> None:
    """Add rows to `out` as they come, and print the table of all of them."""

    def rows() -> list[Row]:
        return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()] if out.exists() else []

    def note(row: Row) -> None:
        with out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    compare(run, rows, note)
    print(table(rows()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
