"""Calibration on cases never trained on, whole groups where the data name any: quantiles that hold for a new group."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from mainstem.core.errors import ArtifactError
from mainstem.core.gaps import WHOLE, lacks_no_more
from mainstem.core.held_out import ANY, HeldOut
from mainstem.core.order import is_beyond, is_ordered
from mainstem.core.prediction import Claim
from mainstem.core.quantiles import cases_needed
from mainstem.core.schema import Flag, Name
from mainstem.core.state import Arrays, State

Array = NDArray[np.float64]
STRETCHED_AT = 0.9  # level at which distributions of patterns are compared


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration(HeldOut):
    """What is stated of new cases by the scores of cases held out.

    Attributes:
        population: for whom the coverage is stated, e.g. "sites of survey-a, years 2000-2011".
        streams: what a sample of this view is expected to have.
        scale_of: mean scale of the cases of each pattern; {} where scales are not kept.
        forward: groups that were predicted from earlier groups alone, as later ones will be.
        reach: the last group that may be claimed where groups are numbers: as far ahead as was judged.
        least: by pattern, how many times the width of whole samples its width is at least; known from another
            calibration of the same model.
        widen: at least 1; keeps a view's intervals from being narrower than those of views that show more.
        held: what the groups are, in words, e.g. "simulated sites".
        season_of: the fact of a sample that names its season, where groups are none, as places are; else "".
        seasons: those of the cases.
        unfounded: why no coverage is claimed, whatever the groups; else "".
        only_of: name of the data whose groups alone may be claimed; "" where others may be too.
        has_groups: False where the data name none: then cases are exchangeable, and nothing is claimed of a new group.
    """

    population: str
    streams: tuple[str, ...] = ()
    scale_of: Mapping[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = field(default_factory=dict)
    forward: tuple[str, ...] = ()
    reach: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    least: Mapping[str, Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]] = field(default_factory=dict)
    widen: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.0
    held: Name = "groups"
    season_of: Annotated[str, Field(max_length=100)] = ""
    seasons: tuple[Name, ...] = ()
    unfounded: Annotated[str, Field(max_length=1000)] = ""
    only_of: Annotated[str, Field(max_length=1000)] = ""
    has_groups: Flag = True

    def quantiles(self, level: float, patterns: Sequence[str], strata: Sequence[str] = ()) -> Array:
        """Quantiles of the score of cases that lack what patterns name: (cases,), or (cases, strata) of those named."""
        if not strata:
            return self.half_widths(level, patterns)
        return np.tile(self.stratum_quantiles(strata, level), (len(patterns), 1))

    def half_width(self, level: float, pattern: str = WHOLE) -> float:
        """Half the interval's width, in scales, of samples that lack what the pattern names.

        Never less, in the target's unit and on average, than that of samples which lack less. A pattern that too few
        groups show has the width of the widest pattern within it; where that is so of all, their largest errors count.
        Where calibration's cases all lack more, it is the least of theirs; where they lack other things, the widest.
        """
        scale = self._scale(pattern)
        within = [known for known in self.parts if lacks_no_more(known, pattern)]
        if not within:
            more = [known for known in self.parts if lacks_no_more(pattern, known)]
            widths = [self.half_width(level, known) * self._scale(known) / scale for known in more or self.parts]
            return min(widths) if more else max(widths)
        enough = [known for known in within if self.num_groups(known) >= cases_needed(level)]
        counted = {*enough, *({WHOLE} & set(within))} if enough else within
        widths = [self.quantile(level, known) * self._scale(known) / scale for known in counted]
        found = max(widths)
        if self.least and WHOLE in self.parts:
            whole = self.quantile(level, WHOLE) * self._scale(WHOLE) / scale
            found = max([found, *(whole * times for part, times in self.least.items() if lacks_no_more(part, pattern))])
        return self.widen * found

    def ratios(self, level: float) -> dict[str, float]:
        """How many times as wide as whole samples' the intervals of each pattern are, in the target's unit."""
        whole = self.half_width(level) * self._scale(WHOLE)
        return {
            name: self.half_width(level, name) * self._scale(name) / whole
            for name in {*self.parts, *self.least} - {WHOLE}
            if whole > 0
        }

    def half_widths(self, level: float, patterns: Sequence[str]) -> Array:
        """`half_width` of many samples (samples,) at once."""
        found = {pattern: self.half_width(level, pattern) for pattern in set(patterns)}
        return np.array([found[pattern] for pattern in patterns])

    def knowing_gaps_of(self, before: "Calibration", level: float) -> "Calibration":
        """Return the calibration with what another of the model knows of gaps that no case of this one has.

        How many times as wide as of whole samples their intervals are, and how many times as large their scales.
        """
        shared = sorted(set(self.scale_of) & set(before.scale_of))  # whole samples' first, where both have any
        times = self.scale_of[shared[0]] / before.scale_of[shared[0]] if shared else 1.0
        scales = {name: scale * times for name, scale in before.scale_of.items()}
        return replace(self, least=before.ratios(level), scale_of={**scales, **self.scale_of})

    def _scale(self, pattern: str) -> float:
        """Mean scale of a pattern's cases; of one never seen the least of those within it, or else of all."""
        if pattern in self.scale_of:
            return self.scale_of[pattern]
        within = [scale for known, scale in self.scale_of.items() if lacks_no_more(known, pattern)]
        return min(within or self.scale_of.values(), default=1.0)

    def no_narrower_than(self, half: float, level: float, scale: float) -> "Calibration":
        """Return the calibration, widened so far that at a scale the half width at the level is no less than `half`."""
        bare = replace(self, widen=1.0)
        return replace(bare, widen=max(half / (bare.half_width(level) * scale), 1.0))

    def probabilities_below(
        self, threshold: float, mean: Array, scale: Array, patterns: Sequence[str] | None = None
    ) -> Array:
        """Share of calibrated outcomes under the threshold (cases,), each group counting once.

        The conformal predictive distribution at 1/2 (Vovk et al. 2017, Nonparametric predictive distributions based on
        conformal prediction, equation 6), with the groups' distributions pooled as in `group_quantile`, and stretched
        as far as the intervals of what a case lacks are wider than those of whole ones.
        """
        scores, groups = self.of(WHOLE) if WHOLE in self.parts else self.of(ANY)
        _, index, counts = np.unique(groups, return_inverse=True, return_counts=True)
        order = np.argsort(scores)
        mass = np.concatenate([[0.0], np.cumsum((1 / counts[index])[order])])
        level = min(STRETCHED_AT, len(counts) / (len(counts) + 1))
        whole = self.quantile(level, WHOLE if WHOLE in self.parts else ANY)
        stretch = self.half_widths(level, [WHOLE] * len(mean) if patterns is None else patterns) / max(whole, 1e-12)
        below = mass[np.searchsorted(scores[order], (threshold - mean) / (scale * stretch))]
        shares: Array = (below + 0.5) / (len(counts) + 1)
        return shares

    def claim(self, level: float, pattern: str = WHOLE, later: str = "") -> Claim:
        """State the coverage, or say why there is none.

        Args:
            level: nominal coverage.
            pattern: what the samples lack.
            later: name of the group where it is later than all groups of calibration, else "".
        """
        if self.unfounded:
            return Claim(state="none", reason=self.unfounded)
        count = self.num_groups(pattern)
        if not count:
            lacked = (
                f"no case of calibration lacked {pattern}" if pattern else "every case of calibration lacked something"
            )
            return Claim(state="none", reason=lacked)
        if count < cases_needed(level):
            without = f" that lack {pattern}" if pattern else ""
            return Claim(
                state="none",
                reason=f"on average, not guaranteed: {count} groups{without}, "
                f"want {cases_needed(level)} for {level:.0%} of a new one",
            )
        if later and 2 * len(self.forward) < len(set(self.groups)):
            return Claim(
                state="none",
                reason=f"{later} is later than all groups of calibration, and {len(self.forward)} of these "
                f"{len(set(self.groups))} were predicted from earlier ones, want half; calibrate --append later labels",
            )
        if later and float(later) > self.reach:
            return Claim(
                state="none",
                reason=f"{later} is further ahead than was judged: claims reach to {self.reach:g}; calibrate --append "
                "later labels",
            )
        return Claim(state="stated", population=self._population(level, pattern))

    @cached_property
    def _populations(self) -> dict[tuple[float, str], str]:
        return {}

    def _population(self, level: float, pattern: str) -> str:
        if (level, pattern) not in self._populations:
            self._populations[level, pattern] = self._described(level, pattern)
        return self._populations[level, pattern]

    def _described(self, level: float, pattern: str) -> str:
        if not self.has_groups:
            return (
                f"{self.population}; {self.num_groups(pattern)} cases held out; at least {level:.0%} on average over "
                "cases drawn like these: the data name no groups, so that nothing is claimed of a new one"
            )
        names = np.unique(self.of(pattern)[1]).tolist()
        told = f"{self.population}; {len(names)} {self.held} held out whole"
        if is_ordered(names):
            told += f", {min(names, key=float)} to {max(names, key=float)}"
        if self.forward:
            told += f", {len(self.forward)} of them predicted from earlier ones alone, claims to {self.reach:g}"
        told += f"; at least {level:.0%} on average over new {self.held}"
        coverage = list(self.coverage_by_group(level, pattern).values())
        if coverage:
            told += f"; over these {np.mean(coverage):.0%}, from {min(coverage):.0%} to {max(coverage):.0%}"
        return told

    def with_keys(self, written: Callable[[str], str]) -> "Calibration":
        """Return the calibration with its groups named as `written`."""
        names = {name: written(name) for name in set(self.groups)}
        groups = tuple(names[name] for name in self.groups)
        return replace(self, groups=groups, forward=tuple(sorted(names[name] for name in self.forward)))

    def is_later(self, group: str) -> bool:
        """True where groups are numbers, as years are, and this one is beyond all of calibration."""
        return is_beyond(group, set(self.groups))

    def unjudged(self, group: str, season: str, level: float) -> str:
        """Say why nothing is known of a group and season that calibration never met the like of, or return "".

        Groups that are numbers have an order: one that is none, or earlier than all, was never judged. Groups that
        are no seasons share each season's conditions: other seasons need as many of these as groups are needed.
        """
        names = sorted(set(self.groups))
        if is_ordered(names) and not is_ordered([group]):
            return f"{group} is no number like {names[0]}, so that nobody knows whether it is later"
        if is_ordered(names) and float(group) < min(float(name) for name in names):
            return f"{group} is earlier than all groups of calibration, and later ones alone were judged"
        if self.season_of and len(self.seasons) < cases_needed(level) and season not in self.seasons:
            judged = ", ".join(self.seasons) or "no known season"
            return (
                f"{self.season_of} {season or 'unknown'}: judged in {judged} alone, want {cases_needed(level)} seasons "
                "for another; calibrate --append labels of it"
            )
        return ""

    def with_groups(self, later: "Calibration", num_last: int = 0) -> "Calibration":
        """Return these scores with those of `later` besides, of the same model; of all groups the last `num_last`.

        A group of both is the later one's. With `num_last` 0 all stay.
        """
        new = set(later.groups)
        names = sorted({*self.groups, *new}, key=lambda name: (float(name) if is_ordered([name]) else 0.0, name))
        kept = set(names[-num_last:] if num_last else names)
        mine = np.array([group in kept - new for group in self.groups], bool)
        theirs = np.array([group in kept for group in later.groups], bool)

        def joined(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
            return (*np.asarray(first)[mine].tolist(), *np.asarray(second)[theirs].tolist())

        return replace(
            self,
            scores=np.concatenate([self.scores[mine], later.scores[theirs]]),
            groups=joined(self.groups, later.groups),
            patterns=joined(self.pattern_of_cases().tolist(), later.pattern_of_cases().tolist()),
            scale_of=self._scales_with(later, mine, theirs),
            forward=tuple(sorted((set(self.forward) | set(later.forward)) & kept)),
            reach=max(self.reach, later.reach),
            least=self.ratios(STRETCHED_AT),
            widen=self.widen if mine.any() else later.widen,
            unfounded=self.unfounded if mine.any() else later.unfounded,
            season_of=later.season_of,
            seasons=tuple(sorted({*(self.seasons if mine.any() else ()), *later.seasons})),
            strata=None if None in (self.strata, later.strata) else joined(self.strata or (), later.strata or ()),
            only_of=self.only_of if self.only_of == later.only_of else "",
            has_groups=self.has_groups and later.has_groups,
            population="; ".join(dict.fromkeys([*([self.population] if mine.any() else []), later.population])),
        )

    def _scales_with(
        self, later: "Calibration", mine: NDArray[np.bool_], theirs: NDArray[np.bool_]
    ) -> dict[str, float]:
        """Mean scale of each pattern over the cases kept of both; of one without such cases, as it was known."""
        counts = [
            Counter(calibration.pattern_of_cases()[kept].tolist())
            for calibration, kept in ((self, mine), (later, theirs))
        ]
        found = {**later.scale_of, **self.scale_of}
        for name in set(self.scale_of) & set(later.scale_of):
            weights = [count[name] for count in counts]
            if any(weights):
                found[name] = float(np.average([self.scale_of[name], later.scale_of[name]], weights=weights))
        return found

    def state(self) -> State:
        """Return what is saved: plain JSON types, and arrays by name."""
        own = {name: getattr(self, name) for name in OWN}
        return {name: list(told) if isinstance(told, tuple) else told for name, told in own.items()}, self.arrays()

    @classmethod
    def restore(cls, plain: Mapping[str, Any], arrays: Arrays) -> "Calibration":
        """Read what `state` gave.

        Raises:
            ArtifactError: if it is not whole, or would state intervals of no width.
        """
        held = HeldOut.of_arrays(arrays)
        try:
            told = TOLD.model_validate(dict(plain)).model_dump()
        except ValidationError as error:
            raise ArtifactError("the calibration says no sizes that can be read; calibrate it again") from error
        return cls(scores=held.scores, groups=held.groups, patterns=held.patterns, strata=held.strata, **told)


# of its own fields, what the manifest says of a calibration besides its scores
OWN = {field.name: (field.type, field) for field in fields(Calibration) if field not in fields(HeldOut)}
TOLD: type[BaseModel] = create_model("Told", __config__=ConfigDict(extra="forbid"), **OWN)  # type: ignore[call-overload]
