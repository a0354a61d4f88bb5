"""Forecasts of a map's fields as they were known month by month: beside the map, from inputs cut at each date."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainstem.apps.field_exports import FieldMean, areas_ha
from mainstem.apps.fields.by_date_table import NUMBERS, TEXTS
from mainstem.apps.map_models import MapModel, MapSpec
from mainstem.core.bounds import never_narrower
from mainstem.core.errors import InputError
from mainstem.core.fitted import Fitted
from mainstem.core.means import MEAN_ERRORS
from mainstem.core.progress import Progress, silent
from mainstem.core.task import Task
from mainstem.data.earth.fields import Overlay, overlays
from mainstem.data.earth.raster import missing_as_nan, read_window
from mainstem.data.spreadsheets import csv_bytes

if TYPE_CHECKING:
    from mainstem.data.earth.scenes import Scenes

Array = NDArray[np.float64]


def check_by_date(task: Task, spec: MapSpec) -> None:
    """Check that fields can be told by date.

    Raises:
        InputError: saying what is in the way.
    """
    if task.mapped.dated is None:
        raise InputError(f"--by-date would change nothing: {task.task} knows no date but the last; leave it out")
    if spec.context.fields is None:
        raise InputError("--by-date is of fields; add --fields FILE, or leave it out")
    if spec.shard[1] > 1:
        raise InputError("--by-date is made with the whole map; leave --shard out")


def fields_by_date(last: MapModel, progress: Progress = silent) -> pd.DataFrame:
    """Return what was told of each field at each date: a row each, earliest first, in the columns of TEXTS and NUMBERS.

    `last` maps what is known at the last of them. Mean, lower and upper are those of `mean_fields`, from scenes and
    weather cut at the date; no interval is narrower than one that followed, `_issued` are the ends as they were then.
    `typical_error` is what means of fields never trained on erred by at that lead (root mean squared), `average_error`
    what the average of all would have, both of `errors_of`; NaN in a map of vigour.
    """
    context = last.context
    assert context.fields is not None, "checked"
    views = list(last.task.views)
    earlier = views[views.index(last.view) + 1 :]
    models = [*(last.at(view) for view in earlier[::-1]), last]
    factors = [model.mean_factor() for model in models]
    table = context.fields.table[["field", "geometry"]]
    parts = []
    for number, (name, polygon, area) in enumerate(
        zip(table["field"], table.geometry, areas_ha(context.fields.table), strict=True)
    ):
        progress("fields by date", number / len(table))
        parts.append(_of_field(models, factors, polygon).assign(field=str(name), area_ha=area))
    return pd.concat(parts, ignore_index=True)[[*TEXTS[:3], *NUMBERS, *TEXTS[3:]]]


def _of_field(models: Sequence[MapModel], factors: Sequence[float], polygon: Any) -> pd.DataFrame:  # noqa: ANN401
    """The rows of one field; models are of its dates, earliest first."""
    sums = [FieldMean() for _ in models]
    for laid in overlays(models[0].scenes.grid, polygon):
        tile = _tile(models[0].scenes, laid)
        for found, model in zip(sums, models, strict=True):
            found.add(laid, model(tile[None], [(laid.rows.start, laid.columns.start)])[0])
    share, value, half = (np.array(part) for part in zip(*(found.told() for found in sums), strict=True))
    issued = [own * factor for own, factor in zip(half, factors, strict=True)]
    ends = zip(models, value, issued, never_narrower(issued), strict=True)
    rows = [_row(model, float(mean), float(own), float(wide)) for model, mean, own, wide in ends]
    return pd.DataFrame(rows).assign(seen_share=share)


def _tile(scenes: "Scenes", laid: Overlay) -> NDArray[np.float32]:
    """The scenes' window (date, band, y, x), NaN outside of the field."""
    dates = [missing_as_nan(source, read_window(source, laid.rows, laid.columns)) for source in scenes.sources]
    tile = np.stack(dates).astype(np.float32)
    tile[..., laid.share <= 0] = np.nan
    return tile


def _row(model: MapModel, mean: float, issued: float, wide: float) -> dict[str, Any]:
    bounds, claim, manifest = model.bounds(), model.claim(), model.fitted.manifest
    value, lower, upper = (float(part) for part in bounds.interval(np.array(mean), np.array(wide)))
    _, lower_issued, upper_issued = (float(part) for part in bounds.interval(np.array(mean), np.array(issued)))
    is_told = np.isfinite(mean)
    error, average = (np.nan, np.nan) if model.is_relative else errors_of(model.fitted, model.view)
    return {
        "known_until": model.known_until(), "view": model.view,
        "mean": value, "lower": lower, "upper": upper, "lower_issued": lower_issued, "upper_issued": upper_issued,
        "units": model.units, "level": model.spec.level,
        "claim": claim.state if is_told else "none",
        "reason": (claim.reason or "") if is_told else "cannot say: visit",
        "errors_of": "fields" if manifest.speaks_of(is_simulated=False) else "simulated fields",
        "typical_error": error, "average_error": average,
        "adapter": f"{manifest.adapter} {manifest.task} {manifest.version}",
        "adapter_sha256": model.fitted.adapter_sha256,
        "training": "simulated" if manifest.simulated else "real",
    }  # fmt: skip


def errors_of(fitted: Fitted, view: str) -> tuple[float, float]:
    """What means of fields never trained on erred by at a view, and the average of all; NaN where nobody knows."""
    found: Mapping[str, Any] = fitted.manifest.training.get(MEAN_ERRORS, {})
    return float(found.get("rmse", {}).get(view, np.nan)), float(found.get("average", np.nan))


def by_date_bytes(table: pd.DataFrame) -> bytes:
    """The table as by_date.csv holds it."""
    return csv_bytes(table)
