"""How often a fall of NDVI is told by noise alone, and what clouds at a season's ends do to vigour: all simulated.

`python -m tests.benchmarks.field_noise [--num 1500]`, a minute or two on one core.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstem.dashboards.field_map.changes import Changes, changes_of
from mainstem.data.earth.greenness import common_season, half_width, relative_greenness

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Farm:
    """Fields whose NDVI rises and falls over a season, on dates drawn at random five days apart or more.

    Attributes:
        noise: standard deviation of one date of a field.
        log_spread: standard deviation of the logarithm of fields' noise.
        together: correlation of a field's noise from date to date.
        missed: share of fields' dates that lie in a cloud that was not told, .1 to .3 lower.
        timing_days: standard deviation of the day on which fields are greenest.
        end: day of the year after which no date lies.
    """

    fields: int = 20
    dates: int = 12
    noise: float = 0.02
    log_spread: float = 0.0
    together: float = 0.0
    missed: float = 0.0
    timing_days: float = 0.0
    end: int = 250


FARMS = {
    "alike": Farm(),
    "alike, none ripens": Farm(end=205),
    "alike, none ripens, 8 dates": Farm(end=205, dates=8),
    "alike, none ripens, 20 dates": Farm(end=205, dates=20),
    "3 fields, 5 dates": Farm(fields=3, dates=5),
    "5 fields, 6 dates": Farm(fields=5, dates=6),
    "5 fields, 12 dates": Farm(fields=5),
    "100 fields, 25 dates": Farm(fields=100, dates=25),
    "noise of log deviation .3": Farm(noise=0.01, log_spread=0.3),
    "noise of log deviation .6": Farm(noise=0.01, log_spread=0.6),
    "noise of log deviation .6, 25 dates": Farm(noise=0.01, log_spread=0.6, dates=25),
    "noise of log deviation .6, 5 fields": Farm(noise=0.01, log_spread=0.6, fields=5),
    "noise of log deviation 1": Farm(noise=0.01, log_spread=1.0),
    "noise correlated .7": Farm(together=0.7),
    "greenest 10 days apart, 20 dates": Farm(timing_days=10, dates=20, end=245),
    "a missed cloud in 2 %": Farm(missed=0.02),
    "a missed cloud in 2 %, none on the last date": Farm(missed=-0.02),
}


def simulate(farm: Farm, seed: int) -> tuple[Array, Array]:
    """Return series (field, date), NaN in clouds that are told, and days."""
    rng = np.random.default_rng([seed, 5])
    days = np.sort(rng.choice(np.arange(90, farm.end, 5), farm.dates, replace=False)).astype(float)
    shape = farm.fields, farm.dates
    greenest = 200 + farm.timing_days * rng.normal(size=(farm.fields, 1))
    series = 0.2 + 0.6 * np.exp(-0.5 * ((days - greenest) / 45) ** 2)
    off = rng.normal(size=shape)
    for date in range(1, farm.dates if farm.together else 0):
        off[:, date] = farm.together * off[:, date - 1] + np.sqrt(1 - farm.together**2) * off[:, date]
    series += farm.noise * np.exp(farm.log_spread * rng.normal(size=(farm.fields, 1))) * off
    series += rng.normal(0, 0.03, farm.dates)  # haze on all
    clouds = (rng.random(shape) < abs(farm.missed)) * rng.uniform(0.1, 0.3, shape)
    if farm.missed < 0:
        clouds[:, -1] = 0
    return np.where(rng.random(shape) < 0.15, np.nan, series - clouds), days


def compare(series: Array, days: Array) -> Changes:
    """What the page would tell of series."""
    return changes_of(series, days, [str(n) for n in range(len(series))], [str(day) for day in days])


def false_falls(num: int) -> None:
    """Print the share of simulated maps without a fall that tell one of a field, and one of the farm."""
    for name, farm in FARMS.items():
        told = [compare(*simulate(farm, seed)) for seed in range(num)]
        of_fields = np.mean([one.table["fell"].any() for one in told])
        fields = np.mean([one.table["fell"].sum() for one in told])
        least = np.concatenate([one.table["least"].to_numpy() for one in told])
        least = np.median(least[np.isfinite(least)]) if np.isfinite(least).any() else np.nan
        of_farm = np.mean([one.farm is not None for one in told])
        print(f"{name}: falls in {of_fields:.3f} of maps, fields a map {fields:.2f}, beyond {least:.3f}; "
              f"the farm fell in {of_farm:.3f}")  # fmt: skip


def found_falls(num: int) -> None:
    """Print how many falls of some fields, or of most, are told."""
    for fall, share, farm in ((0.1, 0.05, Farm()), (0.15, 0.05, Farm()), (0.15, 0.3, Farm()), (0.2, 0.6, Farm()),
                              (0.3, 0.6, Farm()), (0.2, 1.0, Farm()), (0.3, 1.0, Farm()), (0.3, 1.0, Farm(dates=25)),
                              (0.1, 0.05, Farm(noise=0.01, log_spread=0.6)),
                              (0.15, 0.05, Farm(missed=-0.02))):  # fmt: skip
        hit, of_farm = [], []
        for seed in range(num):
            series, days = simulate(farm, seed)
            fallen = max(round(share * farm.fields), 1)
            series[:fallen, -1] -= fall
            told = compare(series, days)
            table = told.table.set_index("field").reindex([str(n) for n in range(fallen)])
            hit.append(table["fell"].eq(True)[np.isfinite(series[:fallen, -1])].mean())
            of_farm.append(told.farm is not None)
        print(f"a fall of {fall} in {share:.0%} of fields ({farm}): {np.nanmean(hit):.2f} of them told, "
              f"the farm's in {np.mean(of_farm):.2f}")  # fmt: skip


def hump(days: Array, greenest: Array) -> Array:
    """NDVI (pixel, date) of a crop that stands 120 days about its greenest."""
    return 0.2 + 0.6 / (1 + np.exp(-(days - greenest + 60) / 9)) / (1 + np.exp((days - greenest - 60) / 7))


Peaks = Callable[[np.random.Generator, int], Array]
PEAKS: dict[str, Peaks] = {
    "alike": lambda rng, num: np.full(num, 180.0),
    "greenest 10 days apart": lambda rng, num: 180 + 10 * rng.normal(size=num),
    "two crops 40 days apart": lambda rng, num: 160 + 40.0 * (rng.random(num) < 0.5),
    "the early crop alone hidden": lambda rng, num: np.where(np.arange(num) < num // 2, 160.0, 200.0),
}


def vigour(label: str, days: Array, peaks: Peaks, *, clear: float = 1.0, seen: tuple[float, float] = (0, 365),
           haze: float = 0.0, num: int = 2000) -> None:  # fmt: skip
    """Print bias and coverage of half of the pixels, which show no date but those between `seen`."""
    rng = np.random.default_rng(1)
    greenest, level = peaks(rng, num)[:, None], 1 + 0.15 * rng.normal(size=(num, 1))
    values = level * hump(days, greenest)
    fine = np.linspace(days[0], days[-1], 1000)
    whole = np.trapezoid(level * hump(fine, greenest), fine, axis=1)
    values += 0.02 * rng.normal(size=values.shape) + 0.02 * rng.normal(size=len(days))
    values -= (rng.random(values.shape) < haze) * rng.uniform(0.075, 0.25, values.shape)
    values[rng.random(values.shape) > clear] = np.nan
    values[: num // 2, (days < seen[0]) | (days > seen[1])] = np.nan
    found = relative_greenness(values, days, common_season(values, days))
    off, half = (100 * (found.mean - whole / whole.mean()))[: num // 2], 100 * half_width(found, 0.9)[: num // 2]
    known = np.isfinite(off)
    off, half = off[known], half[known]
    print(f"{label}: told {known.mean():.2f}, bias {off.mean():+.1f} %, rms error {np.sqrt((off**2).mean()):.1f} %, "
          f"half width {np.median(half):.1f} %, inside 90 % {np.mean(np.abs(off) <= half):.3f}")  # fmt: skip


def all_vigour() -> None:
    """Print vigour through gaps, and through ends in cloud, of seasons alike and not."""
    five, ten, month = (np.arange(60.0, 300.0, step) for step in (5, 10, 30))
    for name in ("alike", "greenest 10 days apart"):
        vigour(f"5-daily, 55 % clear, {name}", five, PEAKS[name], clear=0.55)
        vigour(f"10-daily, 55 % clear, {name}", ten, PEAKS[name], clear=0.55)
        vigour(f"10-daily, 30 % clear, {name}", ten, PEAKS[name], clear=0.3)
        vigour(f"monthly composites, {name}", month, PEAKS[name])
    vigour("10-daily, 55 % clear, haze missed in 15 %", ten, PEAKS["alike"], clear=0.55, haze=0.15)
    for hidden, seen in (("first 4 of 24", (100, 365)), ("last 6", (0, 230)), ("both, 63 % left", (100, 245))):
        for name, peaks in PEAKS.items():
            vigour(f"{hidden} hidden, {name}", ten, peaks, seen=seen)


if __name__ == "__main__":
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--num", type=int, default=1500, help="simulated maps a case")
    given = reader.parse_args()
    all_vigour()
    false_falls(given.num)
    found_falls(max(3 * given.num // 10, 1))
