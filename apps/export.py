"""Predictions as tables: CSV, JSON lines and GeoPackage, each with attribution, claim and model in every row."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import is_object_dtype

from mainstem.core.errors import InputError
from mainstem.core.files import write_atomically
from mainstem.core.outputs import check_output, check_output_folder
from mainstem.core.prediction import Prediction
from mainstem.core.stream import Sample
from mainstem.core.task import Task
from mainstem.data.spreadsheets import csv_bytes

SUFFIXES = (".csv", ".jsonl", ".gpkg")


def prediction_row(prediction: Prediction) -> dict[str, Any]:
    """Flatten one prediction."""
    source, region = prediction.source, prediction.region
    told = {
        "item": source.item,
        **{name: whole(fact) for name, fact in source.facts.items()},
        "value": None if region is not None and not region.tells(prediction.value) else prediction.value,
        "low": None,
        "high": None,
        **({} if region is None else region.columns()),
        "level": prediction.level,
        "units": prediction.units,
    }
    origin = {
        "claim": prediction.claim.state,
        "claim_for": prediction.claim.population,
        "abstained": prediction.abstained,
        "reasons": "; ".join(prediction.reasons),
        "data": source.data,
        "simulated": source.simulated,
        "licence": source.licence,
        "attribution": source.attribution,
        "adapter": prediction.model.name,
        "adapter_sha256": prediction.model.adapter_sha256,
    }
    is_taken = not prediction.probabilities.keys().isdisjoint(told | origin)  # as by classes low, middle and high
    mark = "probability " if is_taken else ""
    return {**told, **{f"{mark}{name}": share for name, share in prediction.probabilities.items()}, **origin}


def whole(value: Any) -> Any:  # noqa: ANN401 - text is handed on
    """A number that is whole as an integer, as years are; all else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def whole_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose columns of text hold no float that is whole."""
    found = table.copy()
    for name in table:
        if is_object_dtype(table[name]):
            found[name] = table[name].map(whole)
    return found


def prediction_table(predictions: Sequence[Prediction]) -> pd.DataFrame:
    """Return one row a prediction."""
    return pd.DataFrame([prediction_row(prediction) for prediction in predictions])


def write_predictions(predictions: Sequence[Prediction], out: Path) -> None:
    """Write predictions as .csv or .jsonl, whole or not at all.

    Raises:
        InputError: if the name ends otherwise.
    """
    if out.suffix == ".csv":
        write_atomically(out, csv_bytes(prediction_table(predictions)))
    elif out.suffix == ".jsonl":
        lines = "".join(json.dumps(prediction.to_dict()) + "\n" for prediction in predictions)
        write_atomically(out, lines.encode())
    else:
        raise InputError(f"got {out.name}, want a name ending in .csv or .jsonl; GeoPackages come from the dashboard")


def check_room(task: Task, out: Path, inputs: Sequence[str | Path]) -> None:
    """Check where a task's predictions are to be written: a table's file, or a folder in which no input lies.

    Raises:
        InputError: saying what is in the way.
    """
    if task.write is None:
        check_output(out, inputs, (".csv", ".jsonl"))
        return
    check_output_folder(out, (), inputs)
    for given in inputs:
        if os.path.exists(given) and Path(given).resolve().is_relative_to(out.resolve()):
            raise InputError(f"{out} holds what is read ({given}); name another folder to write")


def write_told(
    task: Task,
    predictions: Sequence[Prediction],
    samples: Sequence[Sample],
    out: Path,
    unread: Sequence[Prediction] = (),
) -> None:
    """Write predictions of samples as their task does, or as a table, and there what could not be read."""
    if task.write is None:
        write_predictions([*predictions, *unread], out)
    else:
        task.write(predictions, samples, out)


def geopackage_bytes(table: pd.DataFrame, outlines: Any, layer: str) -> bytes:  # noqa: ANN401 - a GeoDataFrame
    """Return a GeoPackage of the rows that have an outline; `outlines` is indexed by region, in EPSG:4326."""
    import tempfile

    import geopandas as gpd

    held = table[table["region"].isin(outlines.index)]
    frame = gpd.GeoDataFrame(held, geometry=outlines.loc[held["region"], "geometry"].to_numpy(), crs=outlines.crs)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.gpkg"
        frame.to_file(path, layer=layer, driver="GPKG")
        return path.read_bytes()
