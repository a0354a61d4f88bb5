"""Evidence of harvest cleaning: all staged logs by rule, agreement before and after, planted faults, and its doubt.

`python -m tests.benchmarks.harvests [--json OUT] [--only PART]` with MAINSTEM_MIRROR set. Nothing of the rules was set
by these agreements or by SEEDS: the delay is found within one log, neighbours of one machine alone, and what was chosen
on simulated harvests was chosen on other seeds.
"""

import argparse
import gzip
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.data.earth.harvests.cleaning import RULES, Cleaned, clean
from mainstem.data.earth.harvests.columns import Reading
from mainstem.data.earth.harvests.grids import YieldGrid, field_mean, grid_yield
from mainstem.data.earth.harvests.logs import Log, open_log
from mainstem.data.earth.harvests.points import HarvestPoints
from mainstem.data.earth.harvests.reading import read_parts
from mainstem.data.earth.raster import Grid
from tests.benchmarks.depurate import depurate
from tests.data.earth.harvest_logs import HEADER_M, PASS_NOISE, STAGED_PASS_NOISE, Planted, plant

Array = NDArray[np.float64]
Pair = tuple[NDArray[Any], NDArray[Any]]  # cells (y, x) of two years or parts
CELL_M, MOST_T_HA = 10.0, 250.0
SEEDS, COVERAGE_SEEDS, LAGS_S = range(4000, 4020), range(3000, 3040), (3, 5, 8, 12)
PASS_NOISES = (PASS_NOISE, STAGED_PASS_NOISE)
BLOCK_CELLS, DRAWS, FEWEST_CELLS = 5, 1000, 100  # cells along a block that is drawn as one; draws; cells that tell
WHEAT = "winter wheat"
LOGS: dict[str, tuple[str, Reading]] = {
    "henrys 2016 wheat, Shapefile": ("raw/FarmerI_YE_YLD_2016_henrys.zip", Reading(
        units={"yield": "bu/ac", "swath": "in", "flow": "lb/s"}, crop=WHEAT)),
    "henrys 2018 wheat, Shapefile": ("raw/FarmerI_YL18_YLD_2018_henrys.zip", Reading(
        columns={"yield": "yld_vl_d", "flow": "crp_flw_m"}, crop=WHEAT,
        units={"yield": "bu/ac", "swath": "ft", "distance": "ft", "speed": "mph", "flow": "lb/s"})),
    "henrys 2016 wheat, CSV": ("tidy/henrys_2016_winter_wheat.csv.gz", Reading(crop=WHEAT)),
    "henrys 2018 wheat, CSV": ("tidy/henrys_2018_winter_wheat.csv.gz", Reading(crop=WHEAT)),
    "sec1west 2014 wheat, CSV": ("tidy/sec1west_2014_winter_wheat.csv.gz", Reading(crop=WHEAT, units={"time": "d"})),
    "sec1east 2015 barley, CSV": ("tidy/sec1east_2015_barley.csv.gz", Reading(crop="barley", units={"time": "d"})),
    "millview 2017 oats, CSV": ("tidy/millview_2017_oats.csv.gz", Reading(crop="oats")),
}  # fmt: skip


def opened(folder: Path) -> Iterator[tuple[str, HarvestPoints]]:
    """Each staged log by name; task data of several fields a field each; R's table where `rdata` (MIT) is at hand."""
    with tempfile.TemporaryDirectory() as unpacked:
        for name, (path, said) in LOGS.items():
            source = folder / "ofpe_msu" / path
            if source.suffix == ".gz":
                plain = Path(unpacked, source.stem)
                plain.write_bytes(gzip.decompress(source.read_bytes()))
                source = plain
            yield name, read_parts([source], said)[""]
        barley = _barley(folder / "paar" / "barley.rda", Path(unpacked, "barley.csv"))
        if barley is not None:
            yield "paar barley, R", barley
    for field, points in read_parts([folder / "isoxml_forage_harvester"]).items():
        yield f"forage harvester {field}, ISOXML", points


def _barley(path: Path, to: Path) -> HarvestPoints | None:
    try:
        import rdata
    except ImportError:
        return None
    rdata.read_rda(path)["barley"].to_csv(to, index=False)
    return read_parts([to], Reading(units={"yield": "t/ha"}, crs="EPSG:32720", crop="barley"))[""]


def raw_cells(points: HarvestPoints, grid: Grid, chosen: NDArray[np.bool_] | None = None) -> Array:
    """Mean of the records in each cell (y, x) as they were logged, where they lie."""
    x, y = points.metric(grid.crs)
    column = np.floor((x - grid.transform[2]) / grid.transform[0]).astype(int)
    row = np.floor((y - grid.transform[5]) / grid.transform[4]).astype(int)
    inside = (column >= 0) & (column < grid.width) & (row >= 0) & (row < grid.height)
    inside &= np.isfinite(points.yield_t_ha) & (True if chosen is None else chosen)
    cell, size = row[inside] * grid.width + column[inside], grid.width * grid.height
    with np.errstate(invalid="ignore"):
        mean = np.bincount(cell, points.yield_t_ha[inside], size) / np.bincount(cell, minlength=size)
    return np.asarray(mean.reshape(grid.height, grid.width))


def agreement(first: Array, second: Array) -> dict[str, float]:
    """Pearson correlation and its root mean squared difference, means taken out, of the cells that both have."""
    both = np.isfinite(first) & np.isfinite(second)
    r, rmsd = _agreement(first[both].astype(np.float64), second[both].astype(np.float64))
    return {"r": r, "rmsd_t_ha": rmsd, "cells": int(both.sum())}


def _agreement(one: Array, other: Array) -> tuple[float, float]:
    difference = (one - one.mean()) - (other - other.mean())
    return float(np.corrcoef(one, other)[0, 1]), float(np.sqrt((difference**2).mean()))


def agreements(cells: Mapping[str, Pair]) -> dict[str, Any]:
    """Agreement of each way of making cells (y, x): on its own, on those of all ways, and before and after cleaning.

    The last is for each way beside cleaning, on cells that these two have.
    """
    common = _shared(list(cells.values()))
    told: dict[str, Any] = {name: agreement(*pair) for name, pair in cells.items()}
    told |= {f"{name}, cells of all": agreement(*(np.where(common, part, np.nan) for part in pair))
             for name, pair in cells.items()}  # fmt: skip
    told |= {f"{name} and cleaned": change(pair, cells["cleaned"]) for name, pair in cells.items() if name != "cleaned"}
    return told


def _shared(pairs: Sequence[Pair]) -> NDArray[np.bool_]:
    return np.asarray(np.all([np.isfinite(part) for pair in pairs for part in pair], axis=0))


def change(before: Pair, after: Pair) -> dict[str, Any]:
    """Agreement before and after on cells (y, x) that both have, and the 95 % interval of after less before.

    By drawing blocks of BLOCK_CELLS cells a side; only the number of cells where there are fewer than FEWEST_CELLS.
    """
    row, column = np.nonzero(_shared([before, after]))
    if len(row) < FEWEST_CELLS:
        return {"cells": len(row)}
    values = [part[row, column].astype(np.float64) for part in (*before, *after)]
    _, block = np.unique(row // BLOCK_CELLS * 100_000 + column // BLOCK_CELLS, return_inverse=True)
    members = [np.flatnonzero(block == one) for one in range(block.max() + 1)]
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWS):
        chosen = np.concatenate([members[one] for one in rng.integers(len(members), size=len(members))])
        one, other, again, anew = (part[chosen] for part in values)
        drawn.append(np.subtract(_agreement(again, anew), _agreement(one, other)))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0).round(3).tolist()
    return {"before": _agreement(values[0], values[1]), "after": _agreement(values[2], values[3]), "cells": len(row),
            "blocks": len(members), "r after less before": [low[0], high[0]],
            "rmsd after less before": [low[1], high[1]]}  # fmt: skip


def headers(points: HarvestPoints) -> NDArray[np.int64]:
    """Number of the header that cut each record, by its width: 35 or 39 feet."""
    return (points.swath_m > 11.3).astype(np.int64)


def untouched(cleaned: Cleaned) -> Cleaned:
    """The same harvest with every value that was logged, at its place."""
    known = np.isfinite(cleaned.x + cleaned.points.yield_t_ha)
    return replace(cleaned, yield_t_ha=cleaned.points.yield_t_ha, removed={"no value": ~known})


def compare(cleaned: Cleaned, other: Cleaned) -> dict[str, Any]:
    """Two years of a field: cells of 10 m as logged, by the published filter, and cleaned."""
    found = grid_yield(cleaned, CELL_M)
    again = grid_yield(other, CELL_M, found.grid)
    first, second = (grid_yield(untouched(one), CELL_M, found.grid).mean for one in (cleaned, other))
    kept = [depurate(one.x, one.y, one.points.yield_t_ha) for one in (cleaned, other)]
    cells: dict[str, Pair] = {
        "as logged": (raw_cells(cleaned.points, found.grid), raw_cells(other.points, found.grid)),
        "as logged, spread over the header": (first, second),
        "Vega et al. 2019": (raw_cells(cleaned.points, found.grid, kept[0]),
                             raw_cells(other.points, found.grid, kept[1])),
        "cleaned": (found.mean, again.mean),
    }  # fmt: skip
    return agreements(cells)


def compare_parts(cleaned: Cleaned, part: NDArray[np.int64]) -> dict[str, Any]:
    """Two parts of one harvest (headers, or passes by turns): cells that both cut, as logged, filtered and cleaned."""
    grid = grid_yield(cleaned, CELL_M).grid
    kept = depurate(cleaned.x, cleaned.y, cleaned.points.yield_t_ha)
    halves = [halved(cleaned, part == one, grid) for one in (0, 1)]
    points = cleaned.points
    before = untouched(cleaned)
    first, second = part == 0, part == 1
    cells: dict[str, Pair] = {
        "as logged": (raw_cells(points, grid, first), raw_cells(points, grid, second)),
        "as logged, spread over the header": (halved(before, first, grid).mean, halved(before, second, grid).mean),
        "Vega et al. 2019": (raw_cells(points, grid, kept & first), raw_cells(points, grid, kept & second)),
        "cleaned": (halves[0].mean, halves[1].mean),
    }  # fmt: skip
    told = agreements(cells)
    half = 1.645 * np.hypot(halves[0].error, halves[1].error)
    difference = halves[0].mean - halves[1].mean
    inside = np.abs(difference - np.nanmedian(difference)) <= half
    both = np.isfinite(difference)
    return {**told, "inside 90 %": float(inside[both].mean()), "cells": int(both.sum())}


def halved(cleaned: Cleaned, chosen: NDArray[np.bool_], grid: Grid) -> YieldGrid:
    """The grid of a part of a harvest's kept records."""
    removed = {**cleaned.removed, "other part": cleaned.kept & ~chosen}
    return grid_yield(replace(cleaned, removed=removed), CELL_M, grid)


def planted(pass_noise: float) -> dict[str, Any]:
    """Shares of faults settled and of good records lost, ours and the published filter's, over SEEDS.

    "Untouched settled" is what is right within a tenth as it was logged: a lag or a smear leaves many records so.
    """
    told: dict[str, Any] = {}
    for kind, lag in [*(("lag", lag) for lag in LAGS_S), ("swath", 0), ("spikes", 0), ("stop", 0)]:
        rows = []
        for seed in SEEDS:
            case = plant(kind, seed, lag, pass_noise=pass_noise)
            found, log = clean(case.points), open_log(case.points)
            kept = depurate(log.x, log.y, np.minimum(case.points.yield_t_ha, MOST_T_HA), 0.0)
            rows.append([case.settled(found.yield_t_ha, found.kept), case.lost(found.kept),
                         case.settled(case.points.yield_t_ha, kept), case.lost(kept),
                         case.settled(case.points.yield_t_ha, np.ones(len(kept), bool))])  # fmt: skip
        names = ("settled", "lost", "Vega settled", "Vega lost", "untouched settled")
        mean, least, most = np.mean(rows, 0), np.min(rows, 0), np.max(rows, 0)
        told[f"{kind} {lag} s" if lag else kind] = {
            **dict(zip(names, mean.round(4).tolist(), strict=True)), "worst settled": float(least[0].round(4)),
            "worst lost": float(most[1].round(4)),
        }  # fmt: skip
    return told


def coverage(pass_noise: float) -> dict[str, Any]:
    """Shares of sound simulated harvests' cells and field means inside their 90 % intervals, over COVERAGE_SEEDS."""
    rows = []
    for seed in COVERAGE_SEEDS:
        case = plant("none", seed, pass_noise=pass_noise)
        cleaned = clean(case.points)
        found = grid_yield(cleaned, CELL_M)
        truth = true_cells(case, cleaned, found.grid)
        lower, upper = found.interval()
        both = np.isfinite(found.mean) & np.isfinite(truth)
        whole, mean, usual = float(np.nanmean(truth)), field_mean(found), float(np.nanmean(found.mean))
        rows.append([((lower <= truth) & (truth <= upper))[both].mean(), mean.lower <= whole <= mean.upper,
                     found.errors.of_pass / usual, found.errors.record / usual])  # fmt: skip
    cells, fields, of_pass, record = np.array(rows, np.float64).T
    return {"cells inside, mean": cells.mean().round(3), "least of one harvest": cells.min().round(3),
            "most": cells.max().round(3), "fields inside": int(fields.sum()), "harvests": len(rows),
            "pass error found": of_pass.mean().round(3), "record error found": record.mean().round(3)}  # fmt: skip


def true_cells(case: Planted, cleaned: Cleaned, grid: Grid) -> Array:
    """What grew in each cell (y, x), t/ha, by all that was cut, at its whole width."""
    swath = np.where(case.is_cutting, HEADER_M, 0.0)
    area = np.where(case.is_cutting, HEADER_M * case.points.distance_m, np.nan)
    told = replace(cleaned, points=replace(cleaned.points, swath_m=swath), yield_t_ha=case.truth_t_ha, area_m2=area,
                   removed={"header up": ~case.is_cutting})  # fmt: skip
    return grid_yield(told, CELL_M, grid).mean.astype(np.float64)


def table(folder: Path) -> tuple[dict[str, Any], dict[str, Cleaned]]:
    """Records read, removed by rule and kept of each staged log, and how far its passes and records err."""
    rows: dict[str, Any] = {}
    held: dict[str, Cleaned] = {}
    for name, points in opened(folder):
        cleaned = clean(points)
        found = grid_yield(cleaned, CELL_M)
        usual = float(np.nanmean(found.mean))
        rows[name] = {**cleaned.counts(), **{key: round(value, 2) for key, value in cleaned.found.items()},
                      "unit": _unit(cleaned), "pass error over the mean": round(found.errors.of_pass / usual, 3),
                      "record error over the mean": round(found.errors.record / usual, 3)}  # fmt: skip
        if "Shapefile" in name or "CSV" in name:
            held[name] = cleaned
        print(f"{name}: {rows[name]}", flush=True)
    return rows, held


def _unit(cleaned: Cleaned) -> str:
    log: Log = open_log(cleaned.points.where(np.isfinite(cleaned.x)))
    return log.unit


def staged(folder: Path) -> dict[str, Any]:
    """All that the staged logs tell: counts, and agreement of years, headers and alternate passes."""
    rows, held = table(folder)
    early, late = (held[f"henrys {year} wheat, Shapefile"] for year in (2016, 2018))
    return {
        "logs": rows, "rules": dict(RULES), "henrys 2016 and 2018": compare(early, late),
        "headers of henrys 2018": compare_parts(late, headers(late.points)),
        "passes by turns": {
            name: compare_parts(cleaned, cleaned.number % 2) for name, cleaned in held.items() if "henrys" not in name
            or "Shapefile" in name
        },
    }  # fmt: skip


def main() -> None:
    """Print the evidence, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", choices=("staged", "planted", "coverage"))
    asked = parser.parse_args()
    told: dict[str, Any] = {}
    if asked.only in (None, "coverage"):
        told |= {f"coverage, pass noise {noise}": coverage(noise) for noise in PASS_NOISES}
    if asked.only in (None, "planted"):
        told |= {f"planted, pass noise {noise}": planted(noise) for noise in PASS_NOISES}
    if asked.only in (None, "staged"):
        told |= staged(Path(os.environ["MAINSTEM_MIRROR"]) / "earth")
    for name in told:
        if name not in ("logs", "rules"):
            print(name, json.dumps(told[name], indent=1))
    if asked.json is not None:
        asked.json.write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
