"""A task: everything that the commands need of what an adapter offers, whatever kind of thing it predicts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mainstem.core.adapter import Augment
from mainstem.core.errors import InputError
from mainstem.core.openmodels.base import OpenModel
from mainstem.core.prediction import Prediction
from mainstem.core.preparation import (
    ONE_VIEW,
    Forget,
    Preparation,
    RestorePreparation,
    View,
    as_they_are,
    knows_no_target,
    restore_plain,
    unchanged,
)
from mainstem.core.progress import Progress
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Sample
from mainstem.core.targets import Target
from mainstem.core.tokenizers.specs import Settings
from mainstem.core.training import TrainingConfig
from mainstem.core.watch import Watch

Array = NDArray[np.float64]
Baselines = Callable[[Sequence[Sample], Sequence[Sample], int], dict[str, Array]]  # train, test, seed -> points
Order = Literal["later", "any"]  # are the groups to predict later than all training groups, or anywhere among them?
Drop = Callable[[Sequence[Sample], int], list[Sample]]  # samples whose views lack streams as a seed draws them
Write = Callable[[Sequence[Prediction], Sequence[Sample], Path], None]  # predictions, of samples, into a folder
WHOLE_VIEW = "whole"
YES = "yes"  # what a request holds of a flag that was given


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Trunk size, training, and to how many folds whole groups are dealt; each fold gives one member.

    With `num_folds` 1 there is one member, judged on one group in HELD_OUT. Where the data have a calibrate part of
    their own, so many members learn from all the rest, and are judged together on that part (`core.split`).
    """

    trunk_size: Literal["xs", "ti", "s", "b"] = "xs"
    training: TrainingConfig = field(default_factory=TrainingConfig)
    num_folds: Annotated[int, Field(ge=1, le=1000)] = 6
    steps_per_token: Annotated[int, Field(ge=0, le=1 << 16)] = 0  # of new series; 0: as their length asks for
    patch_size: Annotated[int, Field(ge=0, le=1 << 10)] = 0  # pixels a side of patches; 0: as the kind of stream has it
    # samples with streams missing by chance, of each held-out one, that regions are set on
    num_gap_draws: Annotated[int, Field(ge=0, le=1000)] = 2

    @property
    def stream_settings(self) -> Settings:
        """What streams' parts are told beside what their kinds say."""
        found = Settings()
        if self.steps_per_token:
            found["steps_per_token"] = self.steps_per_token
        if self.patch_size:
            found["patch_size"] = self.patch_size
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Recipe:
    """How a task is fitted: training, the order in which groups will be asked for, an open model to adapt, if any.

    `watch` is over all trainings of the fit, one after the other; None saves and shares out none.
    """

    config: FitConfig
    order: Order = "later"
    base: OpenModel | None = None
    watch: Watch | None = None


@dataclass(frozen=True, kw_only=True)
class Option:
    """Something that a task lets its user choose: a name as on the command line, what it is, its unit or example."""

    name: str
    help: str
    kind: Literal["value", "flag", "several"] = "value"  # a flag takes none; one that comes several times is a list

    def told(self, values: Sequence[str]) -> str:
        """Return what a request holds of an option that came with these values.

        Raises:
            InputError: if it comes more often than it may, or one of several values is not one line.
        """
        if self.kind == "several":
            if any("\n" in value for value in values):
                raise InputError(
                    f"got --{self.name} with a line break in it; give each value by a --{self.name} of its own"
                )
            return "\n".join(values)
        if len(values) > 1:
            raise InputError(f"got --{self.name} twice; give it once")
        return YES if self.kind == "flag" else values[0]


@dataclass(frozen=True, kw_only=True)
class DataRequest:
    """What a user asks an adapter to read: a data set's name or a path, and values of the task's own options."""

    data: str
    options: Mapping[str, str] = field(default_factory=dict, hash=False)
    mirror: Path | None = None
    i_have_the_rights: bool = False  # the user says so of data without a licence, and records keep it

    def option(self, name: str) -> str | None:
        """Return the value of an option; None where it was not given."""
        return self.options.get(name)

    def values(self, name: str) -> tuple[str, ...]:
        """Return the values of an option that may come several times, in the order given."""
        return tuple(self.options[name].split("\n")) if name in self.options else ()


@dataclass(frozen=True, kw_only=True)
class Holding:
    """How samples are held out of training, beyond that groups stay whole.

    Attributes:
        buffer_m: samples nearer than this to one that is held out are left out of training; `x_m` and `y_m` are facts.
        largest_group: samples of one group beyond which training draws that many of them at random; None: no limit.
        protocol: how an evaluation without an official split proceeds; "" leaves it to the data.
        only_same_data: groups of other data sets than training's are never claimed.
        unseen_folds: members of each of the fits that leave one group out whole, which an evaluation on the data's own
            split is followed by where that split tests groups that training knows; 0: it is not.
    """

    buffer_m: float = 0.0
    largest_group: int | None = None
    protocol: str = ""
    only_same_data: bool = False
    unseen_folds: int = 0


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """How samples belong together: what their groups are, and facts by which they belong together besides.

    Attributes:
        name: what a group is in a word, so that claims can say what was held out.
        are_persons: their names are hashed even where they are numbers, which then have no order.
        place_of: the fact by which a sample recurs in other groups, as a region does in other years.
        season_of: the fact that names a sample's season, where groups are none, but share its conditions.
        mean_of: the fact by which samples belong together, as pixels to a place, so that their means are wanted too.
    """

    name: str = "group"
    are_persons: bool = False
    place_of: str = ""
    season_of: str = ""
    mean_of: str = ""


@dataclass(frozen=True, kw_only=True)
class TrackAsk:
    """What a command asks of recordings.

    Attributes:
        request: which, with the values of the task's options; those of one that comes several times, a line each.
        run: the run folder that is asked; None where an evaluation is to train by itself.
        level: nominal coverage of regions, 0-1.
        dropout_seed: draws which streams fall silent and when; None: none does.
        seed: of trainings.
    """

    request: DataRequest
    run: Path | None = None
    level: float = 0.9
    dropout_seed: int | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Tracked:
    """How recordings are evaluated and predicted: their cases are tracks, an estimate at every instant, not samples.

    Both are told the task that they are asked for, so that several tasks may share them.

    Attributes:
        evaluate: returns what an evaluation's JSON says beside adapter, task, data and seconds.
        predict: writes what is told of a recording to a file, and returns sentences for the user.
    """

    evaluate: Callable[["Task", TrackAsk, Progress], dict[str, Any]]
    predict: Callable[["Task", TrackAsk, Path], tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Dated:
    """How a mapped task's views are what was known at dates of the year.

    Attributes:
        derive: as `Mapped.derive`, of raw samples as they were known at a view.
        days: how many days of the year, from its first, are known at a view.
    """

    derive: Callable[[Sequence[Sample], str], Sequence[Sample]]
    days: Callable[[str], int]


@dataclass(frozen=True, kw_only=True)
class Mapped:
    """How scenes are mapped.

    Attributes:
        window: pixels a side that a sample of a scene sees, 1 for a series of one pixel; 0 where none can be mapped.
        overlap: pixels that neighbouring tiles of a map share.
        needs: what a map must be given besides scenes, by name.
        derive: what the task's `read` makes of raw samples, for those of a map, which do not come through it.
        dated: how views are what was known at dates of the year; None where they are not.
    """

    window: int = 0
    overlap: int = 0
    needs: tuple[str, ...] = ()
    derive: Callable[[Sequence[Sample]], Sequence[Sample]] = unchanged
    dated: Dated | None = None


@dataclass(frozen=True, kw_only=True)
class Task:
    """One adapter task.

    Attributes:
        target: what is predicted.
        prepare: fits the preparation on training samples, told in which order they will be asked for.
        options: what a user may choose of the data, shown in --help.
        check: refuses a request that can be told to be wrong before any data are read.
        view_of: the name of the view that a sample's own inputs stand for.
        scope_of: the facts, by name, that a sample must have to be predicted, read from training samples.
        open_model: the open encoder that the task adapts unless another is named; None trains the project's own.
        mapped: how scenes are mapped.
        baselines: fits and predicts (train, test, seed) points; None for plain ones of any samples.
        rivals: plain models of the trunk's own inputs, fitted and asked like baselines, beside which they are scored.
        forget: takes the targets of groups out of other samples' streams, as a year's value out of later years' past.
        optional: streams that a sample may lack; None for any but the last.
        drop: where views differ only in how many streams a sample lacks: says by a seed which these are. Regions are
            then set by view, whichever streams lack, and baselines are asked at each view too; None where views differ
            otherwise, and each stream is missing by chance.
        augment: changes batches and their aims in training, as by turning a picture; None leaves them as they are.
        write: how predictions of samples are written to a folder, and under which names; None where they are a table.
        subgroups: facts by whose values an evaluation tells figures apart, with counts.
        tracked: how recordings are evaluated and predicted, where these are what users have; None: samples are.
        compared: other requests for the same test samples by a name, as of data of which less is missing: what is
            learned from those is a baseline of this name.
        sets: names of data sets that are the task's: of an adapter of several tasks they stand for this one.
    """

    name: str
    task: str
    version: str
    target: Target
    config: FitConfig
    read: Callable[[DataRequest], SampleSet]
    prepare: Callable[[Sequence[Sample], Order], Preparation] = as_they_are
    restore: RestorePreparation = restore_plain
    options: tuple[Option, ...] = ()
    check: Callable[[DataRequest], None] = lambda request: None
    holding: Holding = field(default_factory=Holding)
    grouping: Grouping = field(default_factory=Grouping)
    views: Mapping[str, View] = field(default_factory=lambda: ONE_VIEW)
    view_of: Callable[[Sample], str] = lambda sample: WHOLE_VIEW
    scope_of: Callable[[Sequence[Sample]], dict[str, list[str]]] = lambda samples: {}
    known_failures: tuple[str, ...] = ()
    open_model: str | None = None
    mapped: Mapped = field(default_factory=Mapped)
    baselines: Baselines | None = None
    forget: Forget = knows_no_target
    optional: tuple[str, ...] | None = None
    rivals: Baselines | None = None
    drop: Drop | None = None
    augment: Augment | None = None
    write: Write | None = None
    subgroups: tuple[str, ...] = ()
    tracked: Tracked | None = None
    compared: Callable[[DataRequest], Mapping[str, DataRequest]] = lambda request: {}
    sets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check what would else fail after a fit.

        Raises:
            InputError: if means are asked of what has none.
        """
        if self.grouping.mean_of:
            self.target.refuse_means("leave mean_of out")

    @property
    def first_view(self) -> str:
        """The view that shows most."""
        return next(iter(self.views))

    def facts(self) -> dict[str, Any]:
        """Return what a manifest says of the task."""
        return {
            "adapter": self.name, "task": self.task, "version": self.version, "known_failures": self.known_failures,
        }  # fmt: skip
