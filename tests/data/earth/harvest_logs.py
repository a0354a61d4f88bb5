"""Simulated harvests whose truth is known, with faults planted one kind at a time. No measurement."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstem.data.earth.farms import smooth_field
from mainstem.data.earth.harvests.points import HarvestPoints

HEADER_M, SPEED_M_S, LENGTH_M, NUM_PASSES, TURN_S = 9.0, 1.8, 300.0, 26, 16
NOISE, PASS_NOISE = 0.06, 0.02  # of a record's and a pass's mass
STAGED_PASS_NOISE = 0.13  # passes of the staged logs that share a cell differ so: tests.benchmarks.harvests, `logs`
EAST, NORTH = 500_000.0, 5_500_000.0  # EPSG:32632
KINDS = ("lag", "swath", "spikes", "stop")


@dataclass(frozen=True, kw_only=True, eq=False)
class Planted:
    """A log with faults: what it would be without, what grew, whether a record cut anything, which ones are faulty."""

    points: HarvestPoints
    right_t_ha: NDArray[np.float64]
    truth_t_ha: NDArray[np.float64]
    is_cutting: NDArray[np.bool_]
    is_faulty: NDArray[np.bool_]

    def settled(self, values: NDArray[np.float64], kept: NDArray[np.bool_], within: float = 0.1) -> float:
        """Share of the faulty records that were taken out, or whose yield is right within a tenth."""
        is_right = np.abs(values / self.right_t_ha - 1) <= within
        return float((~kept | is_right)[self.is_faulty].mean())

    def lost(self, kept: NDArray[np.bool_]) -> float:
        """Share of the records that could be kept that were taken out: all that cut, but those of other faults."""
        good = self.is_cutting & ~self.is_faulty
        good = good if good.any() else self.is_cutting  # of a lag all are faulty, and all can be mended
        return float((~kept)[good].mean())


@dataclass
class _Drive:
    """What a combine did, a second each: place, way, width cut and width told, whether the header is down."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    moved: NDArray[np.float64]
    cut_m: NDArray[np.float64]
    told_m: NDArray[np.float64]
    is_down: NDArray[np.bool_]
    number: NDArray[np.int64]


def plant(kind: str, seed: int = 0, lag_s: int = 8, *, noise: float = NOISE, pass_noise: float = PASS_NOISE) -> Planted:
    """A harvest with one kind of fault: "lag", "swath", "spikes", "stop", or "none"."""
    rng = np.random.default_rng([seed, 16])
    drive = _drive(rng, kind)
    truth = _truth(rng, drive)
    errs = np.exp(rng.normal(0, noise, len(truth)) + rng.normal(0, pass_noise, NUM_PASSES + 9)[drive.number])
    mass = np.where(drive.is_down, truth * errs * drive.moved * drive.cut_m, 0.0)
    right = np.where(drive.is_down, truth * errs, np.nan)
    faulty = np.zeros(len(truth), bool)
    weighed = np.r_[np.zeros(lag_s), mass[:-lag_s]] if kind == "lag" else mass
    if kind == "stop":  # grain runs on through the machine for some seconds
        weighed = np.convolve(mass, np.ones(5) / 5)[: len(mass)] + 0.3
    told = np.where(drive.is_down, drive.told_m, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        grain = np.where(drive.is_down, weighed / np.maximum(drive.moved, 0.01) / np.maximum(told, 0.01), 0.0)
    if kind == "lag":
        faulty = drive.is_down.copy()
    elif kind == "swath":
        faulty = drive.is_down & (np.abs(drive.told_m - drive.cut_m) > 0.5)
    elif kind == "spikes":
        faulty = drive.is_down & (rng.random(len(truth)) < 0.05)
        factor = np.where(
            rng.random(len(truth)) < 0.5, rng.uniform(1.8, 4, len(truth)), rng.uniform(0, 0.5, len(truth))
        )
        grain = np.where(faulty, grain * factor, grain)
    elif kind == "stop":
        steady = np.abs(drive.moved / SPEED_M_S - 1) < 0.25
        near = np.convolve((~steady & drive.is_down).astype(float), np.ones(11), "same") > 0
        faulty = drive.is_down & near & (np.abs(grain / right - 1) > 0.1)
    points = _points(rng, drive, grain, told, weighed)
    return Planted(
        points=points,
        right_t_ha=right,
        truth_t_ha=truth,
        is_cutting=drive.is_down & (drive.moved > 0.5),
        is_faulty=faulty,
    )


def _drive(rng: np.random.Generator, kind: str) -> _Drive:
    """Passes up and down, with turns between them in which the header is up."""
    steps: list[tuple[float, float, float, float, float, bool, int]] = []
    east = 0.0
    half = set(rng.choice(np.arange(3, NUM_PASSES - 3), 3, replace=False).tolist()) if kind == "swath" else set()
    rest = [one for one in range(2, NUM_PASSES - 2) if not {one - 1, one, one + 1} & half]
    wrong = dict(zip(rng.choice(rest, 6, replace=False).tolist(), [6.0, 6.0, 6.0, 12.0, 12.0, 12.0], strict=True))
    stops = set(rng.choice(NUM_PASSES, 6, replace=False).tolist()) if kind == "stop" else set()
    for number in range(NUM_PASSES):
        cut = HEADER_M / 2 if number in half else HEADER_M
        told = wrong.get(number, HEADER_M) if kind == "swath" else HEADER_M
        east += cut if number else 0.0
        upward = number % 2 == 0
        speeds = _speeds(rng, number in stops)
        way = np.cumsum(speeds)
        for at, moved in zip(way.tolist(), speeds.tolist(), strict=True):
            north = at if upward else LENGTH_M - at
            steps.append((east, north, moved, cut, told, True, number))
        for turn in range(TURN_S):
            north = way[-1] if upward else LENGTH_M - way[-1]
            beyond = (4 + 3 * np.sin(np.pi * turn / TURN_S)) * (1 if upward else -1)
            steps.append((east + HEADER_M * turn / TURN_S, north + beyond, 1.0, 0.0, 0.0, False, number))
    x, y, moved, cut_m, told_m, is_down, numbers = (np.array(part) for part in zip(*steps, strict=True))
    return _Drive(x, y, moved, cut_m, told_m, is_down.astype(bool), numbers.astype(np.int64))


def _speeds(rng: np.random.Generator, has_stop: bool) -> NDArray[np.float64]:
    """Metres of each second of a pass."""
    count = int(LENGTH_M / SPEED_M_S)
    slow = np.convolve(rng.normal(0, 0.15, count + 20), np.ones(20) / 20, "valid")[:count]
    speeds = SPEED_M_S * (1 + slow) * np.exp(rng.normal(0, 0.02, count))
    if has_stop:
        at, seconds = int(rng.integers(30, count - 40)), int(rng.integers(20, 60))
        braking, starting = np.array([0.6, 0.25]), np.array([0.2, 0.5, 0.8])
        stop = SPEED_M_S * np.r_[braking, np.zeros(seconds), starting]
        speeds = np.r_[speeds[:at], stop, speeds[at:]]
    return speeds[np.cumsum(speeds) <= LENGTH_M]


def _truth(rng: np.random.Generator, drive: _Drive) -> NDArray[np.float64]:
    """Yield, t/ha, where the records lie: a smooth field with a standard deviation of 1.2 about 8."""
    field = 8 + 1.2 * smooth_field(rng, 96, 9)  # pixels of 4 m
    row, column = (np.clip((part / 4).astype(int), 0, 95) for part in (drive.y, drive.x))
    found: NDArray[np.float64] = np.maximum(field[row, column], 1.0)
    return found


def _points(
    rng: np.random.Generator, drive: _Drive, grain: NDArray[np.float64], told: NDArray[np.float64],
    weighed: NDArray[np.float64],
) -> HarvestPoints:  # fmt: skip
    from pyproj import Transformer

    to = Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True)
    num = len(grain)
    longitude, latitude = to.transform(
        EAST + drive.x + rng.normal(0, 0.1, num), NORTH + drive.y + rng.normal(0, 0.1, num)
    )
    untold = np.full(num, np.nan)
    return HarvestPoints(
        longitude=np.asarray(longitude), latitude=np.asarray(latitude), yield_t_ha=grain, time_s=np.arange(num) * 1.0,
        interval_s=np.ones(num), moisture_pct=13 + rng.normal(0, 0.2, num), swath_m=told, distance_m=drive.moved,
        speed_m_s=untold, heading_deg=untold, flow_kg_s=weighed / 10, machine=np.zeros(num, np.int64),
        row=np.arange(num) + 2, machines=("simulated",), sources=("simulated",),
    )  # fmt: skip


def without(points: HarvestPoints, *columns: str) -> HarvestPoints:
    """The same log where it tells less."""
    return replace(points, **{name: np.full(len(points), np.nan) for name in columns})


def write_log(path: Path, points: HarvestPoints) -> Path:
    """Write a log as CSV, and return its path."""
    columns = (points.longitude, points.latitude, points.yield_t_ha, points.swath_m, points.distance_m, points.time_s)
    rows = [f"{lon:.7f},{lat:.7f},{grain:.4f},{swath:g},{moved:.3f},{time:g}" for lon, lat, grain, swath, moved, time
            in zip(*columns, strict=True)]  # fmt: skip
    path.write_text("\n".join(["lon,lat,yield_t_ha,swath_m,distance_m,time_s", *rows]))
    return path
