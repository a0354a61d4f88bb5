"""Corpora of a pretraining: sets that tasks read, prepared as these are for fine-tuning, without what is held out."""

import difflib
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mainstem.adapters import find_task
from mainstem.apps.pretrain_spec import CorpusSpec, HeldOutSpec, PretrainSpec, SetSpec
from mainstem.apps.sources import read_source
from mainstem.core.distributed import World
from mainstem.core.errors import InputError
from mainstem.core.folds import drawn, is_number, one_writing
from mainstem.core.layout import Layout
from mainstem.core.loader import Batch, Idle, cut_batches, order, shared
from mainstem.core.progress import Progress, silent
from mainstem.core.samples import LazyStreams, SampleSet, Told, read_now
from mainstem.core.schema import printable
from mainstem.core.split import Split
from mainstem.core.stream import Sample
from mainstem.core.task import DataRequest, Task
from mainstem.core.taught import content_of, contents_in
from mainstem.core.tokenizers.specs import StreamSpec
from mainstem.core.tokenizers.streams import StreamsTokenizer, read_specs
from mainstem.data.rights import check_rights

ALONE = World()


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """Samples that an evaluation is scored on."""

    name: str
    spec: HeldOutSpec
    task: Task
    samples: Sequence[Sample]
    simulated: bool = False

    @cached_property
    def items(self) -> frozenset[tuple[str, str]]:
        """Data and item of each."""
        return frozenset((sample.source.data, sample.source.item) for sample in self.samples)

    @cached_property
    def groups(self) -> frozenset[tuple[str, str]]:
        """Data and group of those that name one."""
        named = ((sample.source.data, sample.source.group) for sample in self.samples)
        return frozenset((data, group) for data, group in named if group is not None)

    @cached_property
    def prints(self) -> frozenset[int]:
        """The content of each, whatever its group is called."""
        return frozenset(content_of(sample) for sample in self.samples)

    @cached_property
    def streams(self) -> frozenset[int]:
        """The content of each one's streams that change from sample to sample."""
        return frozenset(content for sample in self.samples for content in contents_in(sample).values())

    @cached_property
    def numbers(self) -> frozenset[str]:
        """Groups that are numbers, as years are: what one brings to a place it brings to others."""
        named = {one_writing(group) for _, group in self.groups if is_number(group)}
        return frozenset() if self.simulated else frozenset(named)

    def names(self, sample: Sample) -> bool:
        """True where a sample, or its group, of the same data is held out by name."""
        its = sample.source
        return (its.data, its.item) in self.items or (its.data, its.group) in self.groups

    def facts(self) -> dict[str, Any]:
        """Return what a record says of it; of persons no names."""
        names = sorted({group for _, group in self.groups})
        groups = {"num_groups": len(names)} if self.task.grouping.are_persons else {"groups": names}
        content = hash_of(self.prints)
        return {**self.spec.model_dump(), **groups, "num_samples": len(self.samples), "prints_sha256": content}


@dataclass(frozen=True, kw_only=True, eq=False)
class Corpus:
    """Prepared samples of one set, what they held as read, the streams that they show, and how many are held out."""

    name: str
    spec: CorpusSpec
    samples: Sequence[Sample]
    prints: frozenset[int]
    streams: Mapping[str, StreamSpec]
    source: SampleSet
    num_excluded: int

    def facts(self) -> dict[str, Any]:
        """Return what a record says of it."""
        return {
            **self.spec.model_dump(),
            "num_samples": len(self.samples),
            "num_excluded": self.num_excluded,
            "prints_sha256": hash_of(self.prints),
            "streams": sorted(self.streams),
            "licence": self.source.licence,
            "attribution": self.source.attribution,
            "simulated": self.source.simulated,
        }


def hash_of(prints: Iterable[int]) -> str:
    """Return a hash of contents, in any order."""
    return hashlib.sha256(repr(sorted(prints)).encode()).hexdigest()


def open_corpora(
    spec: PretrainSpec, mirror: Path | None = None, progress: Progress = silent
) -> tuple[list[Corpus], list[HeldOut]]:
    """Read what a spec names: corpora without anything that evaluations hold out, and what these hold out.

    Raises:
        InputError: if a corpus has no licence on record, an evaluation holds out nothing, a corpus contains a sample
            of one under another name, or two corpora give one name to streams of different kinds.
    """
    check_rights([one.data for one in spec.corpora.values()], spec.i_have_the_rights)
    read = Reader(mirror)
    held, corpora = [], list[Corpus]()
    for name, one in spec.evaluations.items():
        progress(f"reading {name}", 0.0)
        held.append(hold_out(name, one, read))
    in_order = sorted(spec.corpora.items())  # so that a spec says the same in any order, as a record does
    for name, corpus in in_order:
        progress(f"reading {name}", 0.0)
        held += _own_test(name, corpus, held, read)
    for name, corpus in in_order:
        progress(f"reading {name}", len(corpora) / len(spec.corpora))
        corpora.append(open_corpus(name, corpus, held, read, spec.seed))
    return corpora, held


def _own_test(name: str, corpus: CorpusSpec, held: Sequence[HeldOut], read: "Reader") -> list[HeldOut]:
    """The test part that a corpus's data bring, where no evaluation names it: it is held out all the same."""
    is_named = any(one.spec.test and one.spec.key == corpus.key for one in held)
    if is_named or not len(read(corpus)[1].split().test):
        return []
    own = {field: getattr(corpus, field) for field in SetSpec.model_fields}
    return [hold_out(f"{name}: its own test part", HeldOutSpec(**own), read)]


def asked_of(spec: SetSpec, mirror: Path | None = None) -> tuple[Task, DataRequest]:
    """Return the task that reads a set, and what it is asked for."""
    return find_task(spec.adapter, spec.task), DataRequest(data=spec.data, options=spec.options, mirror=mirror)


class Reader:
    """Reads each set once, though a corpus and an evaluation name it."""

    def __init__(self, mirror: Path | None) -> None:
        self.mirror = mirror
        self.known: dict[tuple[str, ...], tuple[Task, SampleSet]] = {}

    def __call__(self, spec: SetSpec) -> tuple[Task, SampleSet]:
        """Return the task and its set."""
        if spec.key not in self.known:
            task, request = asked_of(spec, self.mirror)
            self.known[spec.key] = task, read_source(task, request)
        return self.known[spec.key]


def hold_out(name: str, spec: HeldOutSpec, read: "Reader") -> HeldOut:
    """Return what an evaluation is scored on: the test part that the data bring, named groups, and folds of the rest.

    Raises:
        InputError: if that is nothing, a group or fold is unknown, or groups are persons, whom a spec does not name.
    """
    task, source = read(spec)
    samples = source.samples
    groups = {str(sample.source.group) for sample in samples if sample.source.group is not None}
    if spec.groups and task.grouping.are_persons:
        raise InputError(
            f"evaluations.{name}: groups of {task.task} are persons, whom no spec names; use folds or test"
        )
    for group in spec.groups:
        if group not in groups:
            near = difflib.get_close_matches(group, groups, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {printable(', '.join(sorted(groups)), 300)}"
            raise InputError(f"evaluations.{name}: {spec.data} has no group {printable(group)!r}; {hint}")
    tested = source.split().test.tolist() if spec.test else []
    chosen = [samples[row] for row in tested]
    chosen += [sample for sample in samples if str(sample.source.group) in spec.groups]
    if spec.folds:
        rest = source.training()
        splits = Split.by_group(rest, spec.num_folds)
        if max(spec.folds) >= len(splits):
            raise InputError(f"evaluations.{name}: got fold {max(spec.folds)}, want 0 to {len(splits) - 1}")
        chosen += [rest[row] for fold in spec.folds for row in splits[fold].calibrate.tolist()]
    if not chosen:
        raise InputError(f"evaluations.{name}: {spec.data} brings no test part; hold out groups or folds by name")
    return HeldOut(name=name, spec=spec, task=task, samples=chosen, simulated=source.simulated)


def open_corpus(name: str, spec: CorpusSpec, held: Sequence[HeldOut], read: "Reader", seed: int) -> Corpus:
    """Read and prepare the training part of a set, without what is held out and what lies too near to it.

    The task prepares samples as it does for a fit, from these samples alone; what their inputs hold of the targets of
    groups held out is forgotten. A group that is a number, as a year, is held out of all that is real.

    Raises:
        InputError: if nothing is left, or a sample has the content of one that is held out.
    """
    task, source = read(spec)
    given = source.training()
    own = [one for one in held if any(data == source.name for data, _ in one.items)]
    numbers = _shared_numbers(task, source, held)
    is_held = np.array(
        [one_writing(str(each.source.group)) in numbers or any(one.names(each) for one in own) for each in given], bool
    )
    kept = [given[row] for row in np.flatnonzero(~is_held).tolist()]
    kept = far_from(kept, [sample for one in own for sample in one.samples], task.holding.buffer_m)
    left_out = {str(given[row].source.group) for row in np.flatnonzero(is_held).tolist()}
    kept = list(task.forget(kept, frozenset(left_out | {group for one in own for _, group in one.groups})))
    if not kept:
        raise InputError(f"corpora.{name}: evaluations hold out all of {spec.data}; leave the corpus out")
    prints = _checked_prints(name, source.name, kept, held)
    num_excluded = len(given) - len(kept)
    kept = list(drawn(Layout.of(kept)(kept), task.holding.largest_group, seed))
    prepared = [_renamed(sample, spec.rename) for sample in task.prepare(kept, "any")(kept)[0]]
    _check_names(name, prepared, spec.rename)
    streams = read_specs(prepared, task.config.stream_settings)
    return Corpus(
        name=name, spec=spec, samples=prepared, prints=prints, streams=streams, source=source, num_excluded=num_excluded
    )


def _shared_numbers(task: Task, source: SampleSet, held: Sequence[HeldOut]) -> frozenset[str]:
    """Groups held out that mean the same in a set: numbers of groups of the same name, as years, where all is real."""
    alike = [one.numbers for one in held if one.task.grouping.name == task.grouping.name and not source.simulated]
    return frozenset().union(*alike)


def far_from(kept: list[Sample], held: Sequence[Sample], buffer_m: float) -> list[Sample]:
    """Those samples that lie no nearer than a buffer to any that is held out."""
    if not buffer_m or not held or not kept:
        return kept
    rows, nothing = np.arange(len(kept) + len(held)), np.empty(0, np.intp)
    split = Split(train=rows[: len(kept)], calibrate=rows[len(kept) :], test=nothing, judged_on="")
    return [kept[row] for row in split.beyond(buffer_m, [*kept, *held]).train.tolist()]


def _checked_prints(name: str, source: str, samples: Sequence[Sample], held: Sequence[HeldOut]) -> frozenset[int]:
    """Return the contents of samples, none of which, nor, in other data, a stream of which is one that is held out."""
    prints, others = set[int](), [one for one in held if all(data != source for data, _ in one.items)]
    for sample in map(read_now, samples):
        prints.add(content := content_of(sample))
        if taken := [one for one in held if content in one.prints]:
            item = "a sample" if taken[0].task.grouping.are_persons else printable(sample.source.item)
            raise InputError(
                f"corpora.{name} holds {item}, on which evaluations.{taken[0].name} is scored under another name; "
                "leave it out"
            )
        for of, content in contents_in(sample).items() if others else ():
            if taken := [one for one in others if content in one.streams]:
                raise InputError(
                    f"corpora.{name} holds, as {of}, a stream on which evaluations.{taken[0].name} is scored under "
                    "another name; leave it out"
                )
    return frozenset(prints)


@dataclass(frozen=True)
class _Renamed:
    """Streams under other names; it goes to workers too."""

    names: tuple[tuple[str, str], ...]

    def __call__(self, streams: Mapping[str, Told]) -> Mapping[str, Told]:
        names = dict(self.names)
        return {names.get(name, name): stream for name, stream in streams.items()}


def _renamed(sample: Sample, names: Mapping[str, str]) -> Sample:
    change, streams = _Renamed(tuple(names.items())), sample.streams
    if not names:
        return sample
    return replace(sample, streams=streams.arranged(change) if isinstance(streams, LazyStreams) else change(streams))


def _check_names(name: str, samples: Sequence[Sample], names: Mapping[str, str]) -> None:
    held = set(samples[0].streams)
    unknown = sorted(set(names.values()) - held)
    if unknown:
        raise InputError(
            f"corpora.{name}.rename: no stream becomes {unknown[0]!r}; there are {', '.join(sorted(held))}"
        )


def read_streams(corpora: Sequence[Corpus]) -> dict[str, StreamSpec]:
    """Return how each stream is read, by name: one that several corpora show with the statistics of all of them.

    Raises:
        InputError: if they show it as different kinds, or its channels in different units.
    """
    found: dict[str, StreamSpec] = {}
    for name in sorted({name for corpus in corpora for name in corpus.streams}):
        its = [corpus for corpus in corpora if name in corpus.streams]
        first = its[0].streams[name]
        found[name] = first if len(its) == 1 else _joint(name, its, first)
    return found


def _joint(name: str, corpora: Sequence[Corpus], first: StreamSpec) -> StreamSpec:
    try:
        joint = read_specs([sample for corpus in corpora for sample in corpus.samples])[name]
    except InputError as error:
        names = ", ".join(corpus.name for corpus in corpora)
        raise InputError(f"corpora {names}: {error}; or give one another name, as rename: {{{name}: other}}") from error
    return replace(first, channels=joint.channels, statistics=joint.statistics)


@dataclass(frozen=True, kw_only=True, eq=False)
class Mixture:
    """Batches of corpora drawn by their weights: each of one corpus, in an order that seed and place alone say."""

    corpora: Sequence[Corpus]
    tokenizer: StreamsTokenizer
    spec: PretrainSpec
    world: World = ALONE

    def __call__(self, first: int) -> Iterator[Batch | Idle]:
        """Yield this process's shares of the batches of a step and of all after it (core.loop)."""
        training, seed = self.spec.training, self.spec.seed
        weights = np.array([corpus.spec.weight for corpus in self.corpora])
        num = training.steps * training.batches_per_step
        chosen = np.random.default_rng([seed, 47]).choice(len(weights), num, p=weights / weights.sum())
        done, left = np.split(chosen, [first * training.batches_per_step])
        found = [
            self._batches(index, int((done == index).sum()), int((left == index).sum()))
            for index in range(len(self.corpora))
        ]
        return (next(found[index]) for index in left.tolist())

    def _batches(self, index: int, first: int, num: int) -> Iterator[Batch | Idle]:
        corpus, training = self.corpora[index], self.spec.training
        size = min(corpus.spec.batch_size or training.batch_size, len(corpus.samples))
        rows = islice(order(self.spec.seed + index, len(corpus.samples), size, first), num)
        own = self.tokenizer.of(set(corpus.streams))

        def read(shares: Iterable[Tensor]) -> Iterator[Batch]:
            return cut_batches(own, corpus.samples, shares, training.num_workers)

        return shared(read, rows, (self.world.rank, self.world.size))
