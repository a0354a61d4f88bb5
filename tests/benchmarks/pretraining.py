"""A pretrained trunk against one drawn at random: fine-tuned alike on 5 % and on all labels of three tasks, in pairs.

`python -m tests.benchmarks.pretraining TABLE.jsonl [RUN]`, where RUN is what `mainstem pretrain
tests/benchmarks/pretraining.yaml --out RUN` wrote, and MAINSTEM_MIRROR where the data lie; without RUN only the drawn
trunks are scored, which another process may do meanwhile. Rows are added to the table as they come, and those that it
holds are not made again. What the spec
holds out is what is scored, and nothing else knows it. A pair shares labels, preparation, seed, order of batches and
head; it is scored by what the trunk alone says, without the plain models that a task weighs it against. Those models,
fitted on the same labels, stand beside it: a trunk is worth having where it beats them too.

One trunk was pretrained, and one part held out: intervals are of seeds (labels drawn, order, head), not of other
pretrainings or other places.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.apps.baselines import baselines_of
from mainstem.apps.corpora import HeldOut, Reader, far_from, hold_out
from mainstem.apps.pretrain_spec import read_spec
from mainstem.core.evaluation import student_p_value, student_quantile
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
ARMS, PLAIN = ("drawn", "pretrained"), "plain "
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
    return scores_of(case, task.target.point(told))


def scores_of(case: Scored, point: NDArray[np.float64]) -> dict[str, float]:
    """The metrics of predictions of what is held out."""
    task, truth = case.task, case.task.target.truth(case.held.samples)
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
            if run is None:
                add_plain(case, given, (seed, share), rows, note)
            for arm, base in (("pretrained", pretrained), ("drawn", load_open_model(size, seed=seed))):
                key = (case.task.task, share, seed, arm)
                if base is None or key in {tuple(row[name] for name in KEYS) for row in rows()}:
                    continue
                task = whole[case.held.name] if share == 1 else prepared_once(case.task, given)
                begin = time.process_time()
                found = score(replace(case, task=task), given, base, seed)
                spent = round(time.process_time() - begin, 1)
                note({**dict(zip(KEYS, key, strict=True)), "labels": len(given), "scores": found, "cpu_s": spent})


def add_plain(
    case: Scored,
    given: Sequence[Sample],
    place: tuple[int, float],
    rows: Callable[[], Sequence[Row]],
    note: Callable[[Row], None],
) -> None:
    """Score what the task itself is held against, fitted on the same labels, unless the table has it."""
    (seed, share), task = place, case.task
    own = {"task": task.task, "share": share, "seed": seed}
    if any(own.items() <= row.items() and row["arm"].startswith(PLAIN) for row in rows()):
        return
    for name, point in baselines_of(task, task.target)(given, case.held.samples, seed).items():
        note({**own, "arm": f"{PLAIN}{name}", "labels": len(given), "scores": scores_of(case, point)})


def table(rows: Sequence[Row]) -> str:
    """Means by task and share, and of paired differences with Student's t at 95 % and p-values after Holm.

    The best of the plain models is the best of those on what is held out, which flatters it.
    """
    found = [one for one in (_compared(its) for its in _by_comparison(rows)) if one]
    adjusted = holm([one.p_value for one in found])
    lines = [
        "| task | labels | metric | drawn | pretrained | difference (95 %) | p, Holm | best plain model | seeds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *(one.line(p) for one, p in zip(found, adjusted, strict=True))])


def _by_comparison(rows: Sequence[Row]) -> Iterator[list[Row]]:
    for task, share in dict.fromkeys((row["task"], row["share"]) for row in rows):
        yield [row for row in rows if (row["task"], row["share"]) == (task, share)]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A task at a share of its labels: scores (seeds,) of both sides, and the best plain model's mean."""

    words: str
    drawn: NDArray[np.float64]
    pretrained: NDArray[np.float64]
    plain: str

    @property
    def away(self) -> NDArray[np.float64]:
        """Pretrained less drawn (seeds,)."""
        return self.pretrained - self.drawn

    @property
    def error(self) -> float:
        """Standard error of the mean difference."""
        return float(self.away.std(ddof=1) / np.sqrt(len(self.away)))

    @property
    def p_value(self) -> float:
        """Two-sided, that there is no difference."""
        return student_p_value(float(self.away.mean()), self.error, len(self.away) - 1)

    def line(self, adjusted: float) -> str:
        """A row of the table."""
        width = student_quantile(0.975, len(self.away) - 1) * self.error
        told = f"{self.drawn.mean():.3f} | {self.pretrained.mean():.3f} | {self.away.mean():+.3f} ± {width:.3f}"
        return f"| {self.words} | {told} | {adjusted:.3f} | {self.plain} | {len(self.away)} |"


def _compared(its: Sequence[Row]) -> Compared | None:
    """Pairs of a task at a share; None where there are fewer than two."""
    metric = next(iter(its[0]["scores"]))
    found: dict[str, dict[int, float]] = {}
    for row in its:
        found.setdefault(row["arm"], {})[row["seed"]] = row["scores"][metric]
    drawn, taught = (found.get(arm, {}) for arm in ARMS)
    seeds = sorted(set(drawn) & set(taught))
    if len(seeds) < 2:
        return None
    plain = {arm.removeprefix(PLAIN): np.mean([*own.values()]) for arm, own in found.items() if arm.startswith(PLAIN)}
    best = (min if "rmse" in metric else max)(plain, key=lambda name: plain[name], default="")
    return Compared(
        words=f"{its[0]['task']} | {its[0]['share']:.0%}, {its[0]['labels']} | {metric}",
        drawn=np.array([drawn[seed] for seed in seeds]),
        pretrained=np.array([taught[seed] for seed in seeds]),
        plain=f"{best} {plain[best]:.3f}" if best else "",
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the same order. Source: Holm 1979, Scand. J. Statistics 6, 65."""
    adjusted, least = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(np.argsort(p_values).tolist()):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = least
    return adjusted


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
