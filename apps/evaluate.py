"""`mainstem evaluate crop-yield`: train by the data set's protocol, score, fit the baselines in the same call."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.crop_yield import CropYieldConfig, fit, out_of_fold, yields_t_ha
from mainstem.apps.baselines import fit_baselines
from mainstem.core.calibration import IntervalCalibration
from mainstem.core.errors import InputError
from mainstem.core.evaluation import median_over_groups, nrmse_percent, paired_difference, pooled, r2, rmse
from mainstem.core.stream import Sample
from mainstem.data.catalogue import find_data_set, pull
from mainstem.data.regions import US_LAST_TRAINING_YEAR, RegionSet, load_cybench, load_us_maize

Array = NDArray[np.float64]
METRICS = {"nrmse_percent": nrmse_percent, "rmse_t_ha": rmse, "r2": r2}
PROTOCOLS = ("holdout", "leave-one-year-out")


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """One seed's predictions of the test samples, t/ha."""

    truth: Array
    mean: Array
    scale: Array
    years: tuple[str, ...]
    baselines: dict[str, Array]
    calibration: IntervalCalibration | None


def load_regions(data: str, crop: str | None, country: str | None, mirror: Path | None) -> RegionSet:
    """Read a set of the catalogue by name, or a folder in CY-Bench's layout by path."""
    if Path(data).is_dir():
        if not crop or not country:
            raise InputError(f"got the folder {data} without a crop or country; add --crop and --country")
        return load_cybench(Path(data), crop, country, name=data)
    data_set = find_data_set(data)
    folder = pull(data, mirror)
    if data == "us-maize":
        return load_us_maize(folder, data_set.attribution)
    if not data.endswith("-maize"):
        raise InputError(f"{data} holds no yields; evaluate us-maize, nl-maize, es-maize or a folder")
    return load_cybench(folder.parents[1], "maize", folder.name, data, data_set.attribution)


def splits(samples: Sequence[Sample], protocol: str) -> list[tuple[list[Sample], list[Sample]]]:
    """Train and test samples by protocol.

    Raises:
        InputError: if the protocol is unknown or leaves a part empty.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"got protocol {protocol!r}, want one of {', '.join(PROTOCOLS)}")
    years = sorted({int(str(sample.source.group)) for sample in samples})
    if protocol == "holdout":
        late = {year for year in years if year > US_LAST_TRAINING_YEAR}
        tests = [late]
    else:
        tests = [{year} for year in years]
    parts = []
    for held in tests:
        train = [sample for sample in samples if int(str(sample.source.group)) not in held]
        test = [sample for sample in samples if int(str(sample.source.group)) in held]
        if not train or not test:
            raise InputError(f"{protocol} leaves no sample to train or to test on; the data cover {years}")
        parts.append((train, test))
    return parts


def score_holdout(samples: Sequence[Sample], config: CropYieldConfig) -> Scored:
    """Fit on the training years, calibrate out of fold on them, and predict the later years."""
    ((train, test),) = splits(samples, "holdout")
    mean, scale = out_of_fold(train, config)
    calibration = IntervalCalibration(
        scores=(yields_t_ha(train) - mean) / scale,
        groups=tuple(str(sample.source.group) for sample in train),
        population=f"region-years of {train[0].source.data}",
    )
    means, scales = fit(train, config).predict(test)
    baselines = fit_baselines(train, test, config.training.seed)
    return _scored(test, means, scales, baselines, calibration)


def score_left_out_years(samples: Sequence[Sample], config: CropYieldConfig) -> Scored:
    """Predict each year by a model, and by baselines, fitted on all others; calibrate on those very scores."""
    parts = []
    for train, test in splits(samples, "leave-one-year-out"):
        means, scales = fit(train, config).predict(test)
        parts.append(_scored(test, means, scales, fit_baselines(train, test, config.training.seed), None))
    joined = {name: np.concatenate([part.baselines[name] for part in parts]) for name in parts[0].baselines}
    truth, mean, scale = (np.concatenate([getattr(part, key) for part in parts]) for key in ("truth", "mean", "scale"))
    years = tuple(year for part in parts for year in part.years)
    calibration = IntervalCalibration(scores=(truth - mean) / scale, groups=years, population=samples[0].source.data)
    return Scored(truth=truth, mean=mean, scale=scale, years=years, baselines=joined, calibration=calibration)


def _scored(
    test: Sequence[Sample],
    means: Array,
    scales: Array,
    baselines: dict[str, Array],
    calibration: IntervalCalibration | None,
) -> Scored:
    years = tuple(str(sample.source.group) for sample in test)
    return Scored(
        truth=yields_t_ha(test), mean=means, scale=scales, years=years, baselines=baselines, calibration=calibration
    )


def evaluate(
    data: str,
    *,
    protocol: str | None = None,
    crop: str | None = None,
    country: str | None = None,
    seeds: int = 1,
    level: float = 0.9,
    mirror: Path | None = None,
    config: CropYieldConfig | None = None,
) -> dict[str, Any]:
    """Return the evaluation as the command line's JSON; metrics are means over the seeds."""
    start = time.perf_counter()
    config = config or CropYieldConfig()
    regions = load_regions(data, crop, country, mirror)
    protocol = protocol or ("holdout" if regions.name == "us-maize" else "leave-one-year-out")
    score = score_holdout if protocol == "holdout" else score_left_out_years
    splits(regions.unflagged(), protocol)
    runs = [
        score(regions.unflagged(), replace(config, training=replace(config.training, seed=seed)))
        for seed in range(seeds)
    ]
    aggregate = pooled if protocol == "holdout" else median_over_groups
    baselines = {name: _metrics(runs, name, aggregate) for name in runs[0].baselines}
    return {
        "adapter": "crop-yield",
        "task": "regional",
        "data": data,
        "protocol": protocol,
        "split": "test",
        "n": len(runs[0].truth),
        "left_out_flagged": len(regions.samples) - len(regions.unflagged()),
        "seeds": seeds,
        "metrics": _metrics(runs, None, aggregate),
        "baselines": baselines,
        "difference": {name: _difference(runs[0], name, aggregate) for name in baselines},
        "coverage": _coverage(runs[0], level, protocol),
        "by_group": _by_year(runs[0]),
        "attribution": regions.attribution,
        "seconds": time.perf_counter() - start,
    }


def _grouped(run: Scored, values: Array) -> list[Array]:
    labels = np.asarray(run.years)
    return [values[labels == year] for year in np.unique(labels)]


def _metrics(runs: Sequence[Scored], baseline: str | None, aggregate: Any) -> dict[str, float]:  # noqa: ANN401
    """Mean over seeds of each metric, of the model or of one baseline."""
    return {
        name: float(
            np.mean(
                [
                    aggregate(metric)(
                        _grouped(run, run.truth), _grouped(run, run.baselines[baseline] if baseline else run.mean)
                    )
                    for run in runs
                ]
            )
        )
        for name, metric in METRICS.items()
    }


def _difference(run: Scored, baseline: str, aggregate: Any) -> dict[str, float]:  # noqa: ANN401
    found = paired_difference(aggregate(nrmse_percent), run.truth, run.mean, run.baselines[baseline], run.years)
    return asdict(found)


def _coverage(run: Scored, level: float, protocol: str) -> dict[str, Any]:
    """Coverage of the test years by intervals calibrated on other years alone."""
    assert run.calibration is not None
    if protocol == "leave-one-year-out":
        by_year = run.calibration.coverage_by_group(level)
        return {"level": level, "by_group": by_year, "pooled": float(np.mean(list(by_year.values())))}
    half = run.calibration.interval(0.0, 1.0, level).high
    inside = np.abs(run.truth - run.mean) <= half * run.scale
    years = np.asarray(run.years)
    return {
        "level": level,
        "pooled": float(inside.mean()),
        "by_group": {str(year): float(inside[years == year].mean()) for year in np.unique(years)},
        "training_years": run.calibration.coverage_by_group(level),
        "mean_width": float(2 * half * run.scale.mean()),
    }


def _by_year(run: Scored) -> dict[str, dict[str, float]]:
    years = np.asarray(run.years)
    return {
        str(year): {name: metric(run.truth[years == year], run.mean[years == year]) for name, metric in METRICS.items()}
        for year in np.unique(years)
    }
