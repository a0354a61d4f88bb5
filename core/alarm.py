"""The shift alarm: says when the inputs of a group, or of one sample, are unlike those of calibration."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.core.departures import Departures
from mainstem.core.distances import as_saved, departures_of, distances_of, drawn, drawn_rows, mean_of, within_reason
from mainstem.core.errors import ArtifactError, CalibrationError
from mainstem.core.state import Arrays, State, array_of, label_arrays, labels_of, text_array, texts_of

Array = NDArray[np.float64]
Normals = tuple[Departures | None, Departures]  # of each known place, and of all cases
MOST_CASES = 1000  # of a calibration group that are kept


@dataclass(frozen=True, kw_only=True, eq=False)
class ShiftAlarm:
    """Features of calibration cases (cases, features), NaN where unknown, with the group and the place of each.

    A new group is strange by the distance of its mean features from the mean of all other groups, each feature in
    standard deviations between those groups. It is compared with as many cases of each calibration group: those of the
    same places where calibration knows them, else as many drawn from it, so that few cases, which scatter widely, are
    judged by the scatter of few. Cases are drawn by what they are, not by where they stand in a table: their order
    changes nothing. The group is ranked among the calibration groups, each of them measured with itself
    left out and the new one put in, so that all are treated alike (full conformal prediction: Vovk, Gammerman & Shafer
    2005, Algorithmic Learning in a Random World, section 2.2). Features are taken as uncorrelated: groups are far fewer
    than features, and correlations learned from few hide real shifts. What a sample lacks is left out of the
    comparison: that it is lacking is for the calibration, which keeps patterns of gaps apart.

    Cases of places that too few groups know are compared with calibration's cases of such places, where enough groups
    have any: their features are told from few years, and scatter more widely.

    A single sample is strange by its departure from its own place's normal, or, at a place that calibration does not
    know, from that of all cases (`Departures`); it is ranked among the cases of calibration, each measured by the other
    groups, and each group counting once: a strange year neither makes its own cases look normal nor outweighs others.

    `own` are features by which single samples alone are judged, as past values: they drift, so that each later group
    would be strange by them. The largest departure counts, which many ordinary features do not dilute.
    """

    features: Array
    groups: tuple[str, ...]
    places: tuple[str, ...]  # "" where a case names none
    own: Array  # (cases, own features), of width 0 where there are none
    place_of: str = ""  # the fact of a sample that names its place

    FEWEST = 5  # groups
    SHARE = 0.2  # of ordinary groups that may be called strange
    SAMPLE_SHARE = 0.01  # of ordinary samples

    @classmethod
    def fit(
        cls,
        features: Array,
        groups: Sequence[str],
        places: Sequence[str] | None = None,
        place_of: str = "",
        own: Array | None = None,
    ) -> "ShiftAlarm":
        """Fit on calibration features (cases, features); of a group MOST_CASES at most are kept, drawn at random.

        The order of the cases changes nothing.

        `own` features (cases, own features) are those by which single samples alone are judged.

        Raises:
            CalibrationError: if there are fewer than FEWEST groups.
        """
        labels = np.asarray(groups)
        distinct = np.unique(labels)
        if len(distinct) < cls.FEWEST:
            raise CalibrationError(
                f"got {len(distinct)} groups, want at least {cls.FEWEST} to know how groups differ; add groups"
            )
        known = as_saved(within_reason(features))
        known_own = as_saved(np.empty((len(labels), 0)) if own is None else within_reason(own))
        named = [""] * len(labels) if places is None else list(places)
        rng = np.random.default_rng(0)
        rows_of = [np.flatnonzero(labels == group) for group in distinct]
        facts = np.hstack([known, known_own])
        kept = np.sort(np.concatenate([rows[drawn_rows(facts[rows], MOST_CASES, rng)] for rows in rows_of]))
        return cls(
            features=known[kept],
            groups=tuple(labels[kept].tolist()),
            places=tuple(named[row] for row in kept),
            own=known_own[kept],
            place_of=place_of,
        )

    @classmethod
    def suffices(cls, features: Array, groups: Sequence[str]) -> bool:
        """True where there are groups enough, and anything to compare: cases of the past alone have no inputs."""
        return len(set(groups)) >= cls.FEWEST and bool(np.isfinite(features).any())

    def with_cases(
        self, features: Array, groups: Sequence[str], places: Sequence[str], own: Array | None = None
    ) -> "ShiftAlarm":
        """Return the alarm with other groups' cases besides; a group of both is the new one.

        An alarm that has no own features gets none.
        """
        unknown = np.full((len(features), self.own.shape[1]), np.nan)
        old = np.array([group not in set(groups) for group in self.groups], bool)
        return ShiftAlarm.fit(
            np.vstack([self.features[old], features]),
            [*np.asarray(self.groups)[old].tolist(), *groups],
            [*np.asarray(self.places)[old].tolist(), *places],
            self.place_of,
            np.vstack([self.own[old], unknown if own is None else own[:, : unknown.shape[1]]]),
        )

    @property
    def num_groups(self) -> int:
        """How many groups of calibration there are."""
        return len(self._rows)

    @property
    def is_of_cases(self) -> bool:
        """True where each case of calibration is a group of its own, as of data that name none."""
        return self.num_groups == len(self.groups)

    @cached_property
    def _rows(self) -> Mapping[str, NDArray[np.intp]]:
        labels = np.asarray(self.groups)
        return {str(group): np.flatnonzero(labels == group) for group in np.unique(labels)}

    @cached_property
    def _at(self) -> Mapping[tuple[str, str], Array]:
        """Mean features of each group's cases at each place that is named."""
        rows: dict[tuple[str, str], list[int]] = {}
        for row, key in enumerate(zip(self.groups, self.places, strict=True)):
            if key[1]:
                rows.setdefault(key, []).append(row)
        return {key: mean_of(self.features[own]) for key, own in rows.items()}

    @cached_property
    def _known_places(self) -> frozenset[str]:
        counts = Counter(place for _, place in self._at)
        return frozenset(place for place, count in counts.items() if count >= self.FEWEST)

    def knows(self, place: str) -> bool:
        """True where FEWEST groups of calibration or more have cases of the place."""
        return place in self._known_places

    def p_value(self, features: Array, places: Sequence[str] | None = None) -> float | None:
        """Conformal p-value of a new group's features (cases, features): small where it is unlike the others.

        Cases of places that calibration knows, and others, are to be asked for apart: together they are compared as if
        no place were known. None where nothing of the group can be compared.
        """
        everyone, compared = self._beside(features, places)
        if not compared.any():
            return None
        distances = distances_of(everyone[:, compared])
        return float(np.mean(distances >= distances[-1] * (1 - 1e-9)))

    def heard(self, features: Array, places: Sequence[str] | None = None) -> Array:
        """How far each feature (features,) of a new group's cases lies from other groups, in their standard deviations.

        What `p_value` ranks is the root mean square of these; NaN where a feature is not compared.
        """
        everyone, compared = self._beside(features, places)
        found = np.full(len(compared), np.nan)
        if compared.any():
            found[compared] = departures_of(everyone[:, compared])[-1]
        return found

    def _beside(self, features: Array, places: Sequence[str] | None) -> tuple[Array, NDArray[np.bool_]]:
        """Mean features of calibration's groups and, last, of a new one; which can be compared (features,)."""
        if places is not None and len(features) and all(self.knows(place) for place in places):
            distinct = sorted(set(places))
            named = np.asarray(places)
            own = mean_of(np.array([mean_of(features[named == place]) for place in distinct]))
            others = self._means_at(distinct)
        else:
            own, others = self._means_of_as_many(features, self._like(places))
        compared = np.isfinite(own) & (np.isfinite(others).sum(0) >= self.FEWEST)
        return np.vstack([others, own]), compared

    def fires(self, features: Array, places: Sequence[str] | None = None) -> bool:
        """True where the group is among the strangest SHARE of all groups, itself counted."""
        p_value = self.p_value(features, places)
        return p_value is not None and p_value <= max(self.SHARE, 1 / (self.num_groups + 1))

    def fired(self, features: Array, places: Sequence[str]) -> NDArray[np.bool_]:
        """True (cases,) where a group's cases are strange: those of known places and the others, each part apart."""
        known = np.array([self.knows(place) for place in places], bool)
        found = np.zeros(len(features), bool)
        for part in (known, ~known):
            if part.any():
                named = [place for place, is_of in zip(places, part.tolist(), strict=True) if is_of]
                found[part] = self.fires(features[part], named)
        return found

    def strange_samples(self, features: Array, places: Sequence[str], own: Array | None = None) -> NDArray[np.bool_]:
        """True (cases,) where a case by itself is among the strangest SAMPLE_SHARE, or stranger than all there are.

        With own features half of the share is for their largest departure, half for the mean of the others'.
        """
        numbers = self._numbers(places)
        if not self.own.shape[1] or own is None:
            return self._beyond(self._of_features, features, numbers, self.SAMPLE_SHARE)
        if own.shape[1] != self.own.shape[1]:
            raise ArtifactError(
                f"the shift alarm knows {self.own.shape[1]} own features of a sample, the adapter {own.shape[1]}; "
                "train or calibrate it again"
            )
        half = self.SAMPLE_SHARE / 2
        found = self._beyond(self._of_features, features, numbers, half)
        return found | self._beyond(self._of_own, own, numbers, half, by_largest=True)

    def departures(self, features: Array, places: Sequence[str]) -> Array:
        """How far each feature of single samples (samples, features) lies from what is normal at their places, signed.

        In spreads of calibration's cases, as `strange_samples` squares them; NaN where nothing is known.
        """
        numbers, found = self._numbers(places), np.full(features.shape, np.nan)
        for part, reference in zip((numbers >= 0, numbers < 0), self._of_features, strict=True):
            if part.any() and reference is not None:
                found[part] = reference.in_spreads(features[part], np.maximum(numbers[part], 0))
        return found

    @staticmethod
    def _beyond(
        references: Normals, features: Array, numbers: NDArray[np.intp], share: float, *, by_largest: bool = False
    ) -> NDArray[np.bool_]:
        """True (cases,) where a case is among the strangest `share` of its reference."""
        found = np.zeros(len(features), bool)
        for part, reference in zip((numbers >= 0, numbers < 0), references, strict=True):
            if part.any() and reference is not None:
                p_values = reference.p_values(features[part], np.maximum(numbers[part], 0), by_largest=by_largest)
                found[part] = p_values <= max(share, 1 / (reference.num_cases + 1)) * (1 + 1e-9)
        return found

    def _numbers(self, places: Sequence[str]) -> NDArray[np.intp]:
        """Number (cases,) of each place that calibration knows, -1 of others."""
        number_of = {place: number for number, place in enumerate(sorted(self._known_places))}
        return np.array([number_of.get(place, -1) for place in places], np.intp)

    @cached_property
    def _of_features(self) -> Normals:
        return self._normals(self.features)

    @cached_property
    def _of_own(self) -> Normals:
        return self._normals(self.own)

    def _normals(self, features: Array) -> Normals:
        """What is normal at each place that calibration knows, None where it knows none, and of all cases."""
        numbers = self._numbers(self.places)
        rows = np.flatnonzero(numbers >= 0)
        groups = [self.groups[row] for row in rows.tolist()]
        by_place = Departures.fit(features[rows], groups, numbers[rows]) if len(rows) else None
        return by_place, Departures.fit(features, self.groups, np.zeros(len(features), np.intp))

    def _means_at(self, places: Sequence[str]) -> Array:
        """Mean features of every calibration group at the places that are asked for; NaN rows where it knows none."""
        nothing = np.full(self.features.shape[1], np.nan)
        means = []
        for group in self._rows:
            here = [self._at[group, place] for place in places if (group, place) in self._at]
            means.append(mean_of(np.array(here)) if here else nothing)
        found: Array = np.array(means)
        known: Array = found[np.isfinite(found).any(1)]
        return known

    @cached_property
    def _rarely_seen(self) -> Mapping[str, NDArray[np.intp]]:
        """Rows of each group's cases of named places that too few groups know; of groups that have such."""
        is_rare = np.array([bool(place) and not self.knows(place) for place in self.places], bool)
        rare = {group: rows[is_rare[rows]] for group, rows in self._rows.items()}
        return {group: rows for group, rows in rare.items() if len(rows)}

    def _like(self, places: Sequence[str] | None) -> Mapping[str, NDArray[np.intp]]:
        """Rows of each group's cases to compare with: of places seen as rarely, where enough groups have any."""
        is_rare = places is not None and all(place and not self.knows(place) for place in places)
        return self._rarely_seen if is_rare and len(self._rarely_seen) >= self.FEWEST else self._rows

    def _means_of_as_many(self, features: Array, rows_of: Mapping[str, NDArray[np.intp]]) -> tuple[Array, Array]:
        """Mean features of the new group, and of as many cases of each calibration group that has so many.

        A group larger than three in four of them is judged by as many of its cases, drawn at random.
        """
        counts = np.array([len(rows) for rows in rows_of.values()])
        num = min(len(features), int(np.quantile(counts, 0.25)))
        rng = np.random.default_rng(0)
        own = mean_of(drawn(features, num, rng))
        others = [mean_of(drawn(self.features[rows], num, rng)) for rows in rows_of.values() if len(rows) >= num]
        return own, np.array(others)

    def state(self) -> State:
        """Return what is saved: plain JSON types, and arrays by name."""
        return {"place_of": self.place_of}, {
            "features": self.features.astype(np.float32),
            "place_names": text_array(self.places),
            **label_arrays(self.groups),
            **({"own": self.own.astype(np.float32)} if self.own.shape[1] else {}),
        }

    @classmethod
    def restore(cls, plain: Mapping[str, Any], arrays: Arrays) -> "ShiftAlarm":
        """Read what `state` gave.

        Raises:
            ArtifactError: if it is not whole.
        """
        features = array_of(arrays, "features", num_dims=2, kind=np.float32, has_gaps=True).astype(np.float64)
        groups, places = labels_of(arrays), texts_of(arrays, "place_names")
        own = np.empty((len(features), 0))
        if "own" in arrays:
            own = array_of(arrays, "own", num_dims=2, kind=np.float32, has_gaps=True).astype(np.float64)
        if not len(features) == len(own) == len(groups) == len(places) or len(set(groups)) < cls.FEWEST:
            raise ArtifactError(
                f"the shift alarm knows {len(features)} cases of {len(set(groups))} groups and {len(places)} places, "
                f"want as many of each and {cls.FEWEST} groups; fit again"
            )
        return cls(features=features, groups=groups, places=places, own=own, place_of=str(plain.get("place_of", "")))
