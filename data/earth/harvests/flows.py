"""Whether a log's yield agrees with its own flow: a unit that was told wrongly contradicts it.

Yield is flow over the area of a second (Lyle et al. 2014, eq. 1).
"""

import math

import numpy as np

from mainstem.core.errors import InputError
from mainstem.data.earth.crops import POUNDS_PER_BUSHEL
from mainstem.data.earth.harvests.points import HarvestPoints
from mainstem.data.earth.harvests.units import UNITS, factor

POSSIBLE = (0.6, 1.7)  # yield over flow: dry over wet, and a calibration that was changed
SAID = 1.1  # times, from which on the ratio is said: kg/ha and lb/ac differ by 1.12
CLEAR, FITTING = 1.25, 1.05  # a unit misses by more than the one, and another by less than the other: it is the other
FEWEST = 100  # records that tell both


def flow_ratio(points: HarvestPoints) -> float:
    """Median of yield over what flow, speed and swath make of it; 1 where too few records tell."""
    speed = np.where(np.isfinite(points.speed_m_s), points.speed_m_s, points.distance_m / points.interval_s)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = points.yield_t_ha / (points.flow_kg_s / (speed * points.swath_m) * 10)
    known = ratio[np.isfinite(ratio) & (ratio > 0)]
    return float(np.median(known)) if len(known) > FEWEST else 1.0


def check_flow(points: HarvestPoints, unit: str, where: str) -> tuple[str, ...]:
    """Say by how much a yield, told in `unit`, and its flow differ, and in which unit it would fit.

    Raises:
        InputError: if they contradict one another, or another unit of the yield fits clearly better.
    """
    usual = flow_ratio(points)
    away = _away(usual)
    if away <= SAID:
        return ()
    fitting = [(name, ratio) for name, ratio in _in_other_units(usual, unit, points.crop) if _away(ratio) <= FITTING]
    told = f"its yield in {unit} is {usual:.3g} times its flow over speed and swath, want about 1"
    fits = ", ".join(f"in {name} it is {ratio:.2f} times" for name, ratio in fitting)
    if fitting and away > CLEAR:
        raise InputError(
            f"{where}: {told}; {fits}: pass --unit {fitting[0][0].split()[0]}, or leave flow out with --column flow=-"
        )
    if not POSSIBLE[0] <= usual <= POSSIBLE[1]:
        raise InputError(
            f"{where}: {told}; one of their units is another, pass --unit QUANTITY=UNIT, or leave flow out with "
            "--column flow=-"
        )
    return (f"{told}: {fits or 'no other unit fits: dry over wet, or a calibration that was changed'}",)


def _away(ratio: float) -> float:
    """By what factor a ratio is off 1, from 1."""
    return math.exp(abs(math.log(ratio)))


def _in_other_units(usual: float, unit: str, crop: str | None) -> list[tuple[str, float]]:
    """The ratio had the yield been told in each other unit, nearest to 1 first; without a crop in any crop's bushel."""
    told = factor(unit, "yield", crop)
    sizes = {name: size for name, size in UNITS["yield"].items() if size}
    for name in [crop] if crop else POUNDS_PER_BUSHEL:
        try:
            sizes["bu/ac" if crop else f"bu/ac of {name}"] = factor("bu/ac", "yield", name)
        except InputError:  # nobody knows this crop's bushel
            continue
    ratios = [(name, usual * size / told) for name, size in sizes.items() if not math.isclose(size, told, rel_tol=1e-6)]
    return sorted(ratios, key=lambda found: _away(found[1]))
