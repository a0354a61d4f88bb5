"""Maps of pixels with weather, soil and fields: what is written, what survives each export, and what may be claimed."""

import json
import os
import shutil
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pystac
import pytest
import rasterio
from pystac.validation import RegisteredValidator
from rio_cogeo.cogeo import cog_validate
from shapely.geometry import Polygon

from mainstem.adapters.crop_yield.leads import derive_all
from mainstem.adapters.crop_yield.pixel import TASK
from mainstem.apps.calibrate import calibrate
from mainstem.apps.field_exports import field_bytes, field_table
from mainstem.apps.field_maps import maps_folder
from mainstem.apps.finetune import finetune
from mainstem.apps.map_context import Context, ContextSpec
from mainstem.apps.map_files import merge_map
from mainstem.apps.map_models import MapModel, MapSpec
from mainstem.apps.map_pixels import map_scenes
from mainstem.core.bounds import Bounds
from mainstem.core.errors import CalibrationError, InputError
from mainstem.core.finetuning import FitSpec
from mainstem.core.fitted import load_fitted, save_again
from mainstem.core.means import mean_view
from mainstem.core.predict import predict
from mainstem.core.prediction import Claim
from mainstem.core.task import DataRequest, FitConfig
from mainstem.core.training import TrainingConfig
from mainstem.dashboards.field_map.board import load_field_board
from mainstem.dashboards.field_map.edits import add_field, import_fields
from mainstem.dashboards.field_map.layers import list_layers
from mainstem.data.earth.cog import write_cog
from mainstem.data.earth.farm_sets import open_farms, simulated_farms
from mainstem.data.earth.farms import simulate_farm, write_farm
from mainstem.data.earth.fields import open_fields, overlay
from mainstem.data.earth.raster import describe, read_window
from mainstem.data.earth.scenes import open_scenes
from tests.dashboards.made import GRID, LAYERS, SIDE, TAGS, squares

QUICK = FitConfig(training=TrainingConfig(epochs=1, batch_size=128, lr_per_step=2e-3), num_folds=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "pixel"
    source = simulated_farms(range(5), ())
    source = replace(source, samples=tuple(derive_all(source.samples)))
    finetune(TASK, source, FitSpec(config=QUICK), folder)
    return folder


@pytest.fixture(scope="module")
def farm(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("farms") / "farm"
    write_farm(simulate_farm(9001, side=64), folder)
    return folder


def context(farm: Path, **more: object) -> MapSpec:
    files = ContextSpec(weather=(farm / "weather.csv",), soil=farm / "soil.tif", fields=farm / "fields.gpkg")
    return replace(MapSpec(below=(8.0,), context=files), **more)


@pytest.fixture(scope="module")
def mapped(run, farm, tmp_path_factory) -> Path:
    """A map of the farm."""
    out = tmp_path_factory.mktemp("maps") / "out"
    done = map_scenes(TASK, run, sorted(farm.glob("farm-*.tif")), out, context(farm))
    assert done["units"] == "t/ha"
    return out


def as_real(farm: Path, out: Path) -> Path:
    """The same farm whose scenes no longer say that they are simulated."""
    shutil.copytree(farm, out)
    for path in out.glob("farm-*.tif"):
        with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
            dataset.update_tags(SIMULATED="no")
    return out


@pytest.mark.long
def test_the_map_says_what_it_is_and_every_file_is_what_it_claims_to_be(mapped, farm):
    for name in ("map.tif", "valid.tif"):
        assert cog_validate(mapped / name, strict=True)[0]
    with rasterio.open(mapped / "map.tif") as dataset:
        values, tags = dataset.read(), dataset.tags()
        assert dataset.descriptions == ("mean", "lower", "upper", "probability below 8")
        assert dataset.units == ("t/ha", "t/ha", "t/ha", "1")
    assert (tags["UNITS"], tags["TRAINING"], tags["INPUTS"]) == ("t/ha", "simulated", "simulated")
    known = np.isfinite(values[0])
    assert ((values[1] <= values[0]) & (values[0] <= values[2]))[known].all()
    assert ((values[3] >= 0) & (values[3] <= 1))[known].all()
    with rasterio.open(mapped / "valid.tif") as dataset:
        assert np.array_equal(dataset.read(1) == 1, known)
    with rasterio.open(farm / "yield.tif") as dataset:
        truth = dataset.read(1)
    inside = np.isfinite(truth) & known
    assert np.corrcoef(truth[inside], values[0][inside])[0, 1] > 0.5
    item = pystac.Item.from_file(str(mapped / "item.json"))
    validator = RegisteredValidator.get_validator()
    validator.validate_core(item.to_dict(), pystac.STACObjectType.ITEM, item.to_dict()["stac_version"])
    assert set(item.assets) == {"map", "valid"}


@pytest.mark.long
def test_fields_carry_model_dates_and_licence_and_what_the_user_said_of_them(mapped, farm):
    given = gpd.read_file(farm / "fields.gpkg")
    tags = context_tags(mapped)
    read = {
        "fields.csv": pd.read_csv(mapped / "fields.csv"),
        **{name: gpd.read_file(mapped / name) for name in ("fields.gpkg", "fields.geojson", "fields.shp.zip")},
    }
    for name, table in read.items():
        short = name.endswith("zip")
        assert set(table["dates"]) == {tags["DATES"][:250] if short else tags["DATES"]}, name
        assert set(table["adapter"]) == {tags["ADAPTER"]}, name
        assert set(table["adapter_sh" if short else "adapter_sha256"]) == {tags["ADAPTER_SHA256"]}, name
        assert set(table["licence"]) == {tags["LICENCE"]}, name
        by_field = table.assign(field=table["field"].astype(str)).set_index("field")
        told = by_field.loc[given["field"].astype(str), "crop"]
        assert told.tolist() == given["crop"].tolist(), name
        assert "sowing" in table, name


def test_a_users_column_never_takes_the_place_of_ours(mapped, farm, tmp_path):
    given = gpd.read_file(farm / "fields.gpkg").assign(mean=99.0, claim="stated by me", owner="=cmd", variety_name="x")
    given.to_file(tmp_path / "fields.gpkg", driver="GPKG")
    table = field_table(mapped / "map.tif", tmp_path / "fields.gpkg", context_tags(mapped), 1.0, Bounds())
    assert not (table["mean"] == 99).any()
    assert set(table["claim"]) <= {"stated", "withdrawn", "none"}
    assert "'=cmd" in field_bytes(table, "csv").decode()
    assert field_bytes(table, "shp.zip")
    older = table.drop(columns=["dates", "adapter", "adapter_sha256", "licence"])  # as maps of before hold them
    assert field_bytes(older, "shp.zip")


@pytest.mark.long
def test_nothing_on_a_map_lies_outside_what_is_possible(run, farm, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    artifact = load_fitted(tmp_path / "run", TASK.target, TASK.restore)
    assert artifact.target.bounds.told() == (0.0, None)
    narrow = replace(TASK.target, lowest=7.0, highest=9.0)
    save_again(tmp_path / "run", replace(artifact, ensemble=replace(artifact.ensemble, target=narrow)))
    out = tmp_path / "out"
    task = replace(TASK, target=narrow)
    map_scenes(task, tmp_path / "run", sorted(farm.glob("farm-*.tif")), out, context(farm, below=(7.0, 8.0, 9.5)))
    with rasterio.open(out / "map.tif") as dataset:
        values = dataset.read()
    known = np.isfinite(values[0])
    assert (values[:3, known].min(), values[:3, known].max()) == (7.0, 9.0)
    assert (values[3, known] == 0).all()
    assert ((values[4, known] > 0) & (values[4, known] < 1)).all()
    assert (values[5, known] == 1).all()
    table = pd.read_csv(out / "fields.csv")
    seen = table.dropna(subset=["mean"])
    assert len(seen)
    assert ((seen["lower"] >= 7) & (seen["lower"] <= seen["mean"]) & (seen["upper"] <= 9)).all()
    drawn = field_table(out / "map.tif", farm / "fields.gpkg", context_tags(out), 1.0, Bounds(lowest=8.0))
    assert drawn["lower"].min() >= 8


def context_tags(out: Path) -> dict[str, str]:
    return json.loads((out / "notes.json").read_text())["tags"]


def test_bounds_cut_no_width_off_the_means_of_fields(tmp_path):
    """A quarter of the pixels are cut to nought, others keep one side: a field's half width stays the pixels' own."""
    mean, half = np.random.default_rng(0).uniform(-1, 3, (SIDE, SIDE)), 2.0
    ends = Bounds(lowest=0.0).interval(mean, np.full_like(mean, half))
    write_cog(iter([(0, 0, np.stack(ends).astype(np.float32))]), tmp_path / "map.tif", GRID, LAYERS, TAGS)
    squares(["a", "b", "c"]).to_file(tmp_path / "fields.gpkg", driver="GPKG")
    table = field_table(tmp_path / "map.tif", tmp_path / "fields.gpkg", TAGS, 0.5, Bounds(lowest=0.0))
    np.testing.assert_allclose(table["upper"] - table["mean"], 0.5 * half, rtol=1e-5)
    assert (table["lower"] >= 0).all()


def test_field_means_are_by_area_and_survive_every_export(mapped, farm, tmp_path):
    fields = open_fields(farm / "fields.gpkg")
    source = describe(mapped / "map.tif")
    with rasterio.open(mapped / "map.tif") as dataset:
        mean = dataset.read(1)
    wanted = []
    for polygon in fields.table.geometry:
        laid = overlay(source.grid, polygon)
        part = mean[laid.rows, laid.columns]
        wanted.append(float((np.nan_to_num(part) * laid.share).sum() / laid.share[np.isfinite(part)].sum()))
    with zipfile.ZipFile(mapped / "fields.shp.zip") as archive:
        archive.extractall(tmp_path)
    read = {
        "gpkg": gpd.read_file(mapped / "fields.gpkg"),
        "geojson": gpd.read_file(mapped / "fields.geojson"),
        "shp": gpd.read_file(tmp_path / "fields.shp"),
        "csv": pd.read_csv(mapped / "fields.csv"),
    }
    area = fields.table.geometry.area.to_numpy() / 1e4
    overall = float(np.average(wanted, weights=area))
    for kind, table in read.items():
        assert table["mean"].to_numpy() == pytest.approx(wanted, rel=1e-5), kind
        assert float(np.average(table["mean"], weights=table["area_ha"])) == pytest.approx(overall, rel=1e-3), kind
        assert table["area_ha"].to_numpy() == pytest.approx(area, rel=1e-3), kind
        assert (table["training"] == "simulated").all(), kind
        if kind != "csv":
            drawn = table.to_crs(fields.table.crs).geometry.area.to_numpy() / 1e4
            assert float(np.average(table["mean"], weights=drawn)) == pytest.approx(overall, rel=1e-3), kind
    program = shutil.which("ogrinfo")
    if program is None:
        missing = "ogrinfo is not installed (apt-get install gdal-bin)"
        pytest.fail(missing) if os.environ.get("MAINSTEM_REQUIRE_ALL") else pytest.skip(missing)
    for path in (mapped / "fields.gpkg", mapped / "fields.geojson", tmp_path / "fields.shp"):
        told = subprocess.run([program, "-so", "-al", path], capture_output=True, text=True, check=True)
        assert f"Feature Count: {len(fields)}" in told.stdout
        assert not told.stderr.strip(), told.stderr


@pytest.mark.long
def test_a_field_that_is_hardly_seen_says_so_and_comes_first(run, farm, tmp_path, home):
    folder = maps_folder() / "clouded"
    shutil.copytree(farm, folder / "input")
    with rasterio.open(farm / "yield.tif") as dataset:
        height = dataset.height
    scenes = sorted((folder / "input").glob("farm-*.tif"))
    for path in scenes:  # the northern half is never seen
        with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
            values = dataset.read()
            values[:, : height // 2] = 0
            dataset.write(values)
    map_scenes(TASK, run, scenes, folder, context(folder / "input"))
    board = load_field_board("clouded")
    unseen = board.table["mean"].isna().to_numpy()
    assert 0 < unseen.sum() < len(unseen)
    assert unseen[: unseen.sum()].all()
    assert set(board.table.loc[unseen, "reason"]) == {"cannot say: visit"}
    assert board.table["mean"].dropna().is_monotonic_increasing
    harvest = gpd.read_file(farm / "fields.gpkg").astype({"field": str}).set_index("field")["yield_t_ha"]
    told = board.table[~unseen].set_index("field")
    excess = told["mean"] - harvest[told.index]
    inside = ((told["lower"] <= harvest[told.index]) & (harvest[told.index] <= told["upper"])).sum()
    assert board.hindsight() == (inside, len(told), pytest.approx(excess.mean()))
    elsewhere = replace(board, per_t_ha=np.nan)  # as of a map of vigour
    assert elsewhere.hindsight() == (0, 0, 0.0)
    series = board.season(board.table["field"].iloc[-1])
    assert len(series) == len(board.dates)
    assert series["ndvi"].max() > 0.7
    assert (board.everyone()["ndvi"].max() - series["ndvi"].max()) < 0.2
    layers = {layer.title: layer for layer in list_layers(board, board.dates[0])}
    yields, ndvi = (layers[title].raster.pixels for title in ("yield by pixel", "NDVI"))
    assert (~board.inside).any()
    assert yields[board.inside].any()
    assert ndvi[board.inside].any()
    by_pixel = [layer.raster.pixels for layer in layers.values() if layer.raster is not None]
    assert len(by_pixel) == 5
    assert not any(pixels[~board.inside].any() for pixels in by_pixel)  # tracks and margins are no crop
    everywhere = {layer.title: layer for layer in list_layers(board, board.dates[0], is_outside=True)}
    assert everywhere["NDVI"].raster.pixels[~board.inside].any()
    added = add_field(board, [(x, y) for x, y in board.table.geometry.iloc[-1].buffer(-30).exterior.coords[:-1]])
    again = load_field_board("clouded")
    assert added in set(again.table["field"])
    assert len(again.table) == len(board.table) + 1
    left, bottom, _, _ = board.bounds
    bow = [(left, bottom), (left + 90, bottom + 90), (left + 90, bottom), (left, bottom + 90)]
    with pytest.raises(InputError, match="crosses itself"):
        add_field(again, bow)
    few = board.table[["field", "geometry"]].iloc[-2:]
    before = (folder / "input" / "fields.gpkg").read_bytes()
    with pytest.raises(InputError, match="is not what its name says"):
        import_fields(again, "fields.gpkg", b"{}")
    assert (folder / "input" / "fields.gpkg").read_bytes() == before  # a wrong file takes nothing away
    assert import_fields(again, "mine.geojson", field_bytes(few, "geojson"), replace=True) == (2, (), "")
    assert len(load_field_board("clouded").table) == 2


def model_of(run: Path, farm: Path) -> MapModel:
    scenes = open_scenes(sorted(farm.glob("farm-*.tif")))
    spec = context(farm)
    return MapModel(TASK, load_fitted(run, TASK.target, TASK.restore), Context.open(spec.context, scenes), spec)


def tile_of(model: MapModel) -> np.ndarray:
    """The model's values of 24 x 24 pixels."""
    read = np.stack([read_window(source, slice(8, 32), slice(8, 32)) for source in model.scenes.sources])
    tile = np.where(read == 0, np.nan, read).astype(np.float32)
    return model(tile[None], [(8, 8)])[0]


@pytest.mark.long
def test_a_model_of_simulations_gives_real_scenes_vigour_until_twenty_fields_calibrate_it(run, farm, tmp_path):
    real = as_real(farm, tmp_path / "real")
    own = tmp_path / "run"
    shutil.copytree(run, own)
    before = model_of(own, real)
    assert before.units == "percent of this map's mean"
    assert before.names() == ["mean", "lower", "upper"]  # no chance of undercutting t/ha
    assert before.claim().state == "none"
    assert "calibrate on 20 harvested fields" in before.claim().reason
    assert 50 < np.nanmean(tile_of(before)[0]) < 150
    with pytest.raises(CalibrationError, match=r"got \d harvested fields, want at least 20"):
        calibrate(TASK, own, DataRequest(data=str(real)))
    farms = tmp_path / "farms"
    for number in (9101, 9102):
        folder = tmp_path / f"plain-{number}"
        write_farm(simulate_farm(number), folder)
        as_real(folder, farms / f"farm{number}")
    entry = calibrate(TASK, own, DataRequest(data=str(farms)))
    assert entry["cases"] > 300
    after = model_of(own, real)
    assert after.units == "t/ha"
    with rasterio.open(farm / "yield.tif") as dataset:
        truth = dataset.read(1)[8:32, 8:32]
    found = tile_of(after)
    assert abs(np.nanmean(found[0]) - np.nanmean(truth)) < 3.0
    assert (found[1] <= found[2])[np.isfinite(found[0])].all()  # equal where both are as low as yields can be
    assert (found[1] < found[2])[found[0] > 0.1].all()


def test_a_map_claims_nothing_where_nothing_is_claimed_of_field_means(run, farm, tmp_path):
    own = tmp_path / "run"
    shutil.copytree(run, own)
    known = load_fitted(own, TASK.target, TASK.restore)
    view = mean_view(TASK.first_view)
    means = replace(known.calibration[view], unfounded="nobody knows")
    save_again(own, replace(known, calibration={**known.calibration, view: means}))
    assert model_of(own, farm).claim() == Claim(state="none", reason="nobody knows")


def test_fields_without_a_yield_map_are_samples_of_their_mean(farm, tmp_path):
    folder = tmp_path / "farm"
    shutil.copytree(farm, folder)
    (folder / "yield.tif").unlink()
    source = TASK.read(DataRequest(data=str(folder)))
    truth = gpd.read_file(farm / "fields.gpkg")
    assert [sample.target for sample in source.samples] == pytest.approx(truth["yield_t_ha"].tolist())
    assert {sample.source.group for sample in source.samples} == {f"field {name}, 2021" for name in truth["field"]}
    assert source.simulated


@pytest.mark.long
def test_layers_of_a_farm_are_told_by_name_whatever_their_suffix_and_case(farm, tmp_path):
    folder = tmp_path / "farm"
    shutil.copytree(farm, folder)
    (folder / "soil.tif").rename(folder / "Soil.TIFF")
    (folder / "yield.tif").rename(folder / "YIELD.tiff")
    (folder / "fields.gpkg").rename(folder / "Fields.GPKG")
    first, second = open_farms(str(farm)).samples, open_farms(str(folder)).samples
    assert [sample.target for sample in first] == [sample.target for sample in second]
    assert "soil" in second[0].streams
    shutil.copy(folder / "Soil.TIFF", folder / "soil.tif")
    with pytest.raises(InputError, match=r"farm holds Soil\.TIFF and soil\.tif, want one soil raster"):
        open_farms(str(folder))


@pytest.mark.long
@pytest.mark.parametrize(("column", "told"), [("Crop", 204), ("YIELD_T_HA", True), ("sowing", "2021-05")])
def test_a_farm_s_columns_are_read_in_any_case_or_refused(farm, tmp_path, column, told):
    folder = tmp_path / "farm"
    shutil.copytree(farm, folder)
    fields = gpd.read_file(farm / "fields.gpkg")
    (folder / "fields.gpkg").unlink()
    fields.drop(columns=column.lower()).assign(**{column: told}).to_crs(4326).to_file(folder / "fields.geojson")
    with pytest.raises(InputError, match=str(told)):
        open_farms(str(folder))


@pytest.mark.long
def test_a_harvester_s_map_gives_pixels(farm):
    source = TASK.read(DataRequest(data=str(farm)))
    assert len(source.labelled()) == 16 * len(gpd.read_file(farm / "fields.gpkg"))
    raw = open_farms(str(farm)).samples[0]
    assert {"weather", "soil", "management", "pixel", "place"} == set(raw.streams)


@pytest.mark.long
def test_fields_of_another_crop_are_not_mapped_and_an_unsaid_crop_is_not_claimed(run, farm, tmp_path):
    scenes = open_scenes(sorted(farm.glob("farm-*.tif")))
    fields = gpd.read_file(farm / "fields.gpkg")
    fields.loc[fields.index[0], "crop"] = "wheat"
    fields.to_file(tmp_path / "two.gpkg")
    artifact, spec = load_fitted(run, TASK.target, TASK.restore), context(farm)

    def model(**files: Path | None) -> MapModel:
        return MapModel(TASK, artifact, Context.open(replace(spec.context, **files), scenes), spec)

    laid = overlay(scenes.grid, fields.geometry.iloc[0])
    rows, columns = (
        np.nonzero(laid.share >= 0.99)[dim] + part.start for dim, part in enumerate((laid.rows, laid.columns))
    )
    read = np.stack([read_window(source, slice(0, 64), slice(0, 64)) for source in scenes.sources])
    tile = np.where(read == 0, np.nan, read).astype(np.float32)[None]
    assert np.isfinite(model()(tile, [(0, 0)])[0, 0, rows, columns]).any()
    two = model(fields=tmp_path / "two.gpkg")
    values = two(tile, [(0, 0)])[0]
    assert np.isnan(values[:, rows, columns]).all()
    assert np.isfinite(values[0]).any()
    fields["crop"] = "wheat"
    fields.to_file(tmp_path / "wheat.gpkg")
    with pytest.raises(InputError, match="crop is wheat, the adapter was trained on maize alone"):
        model(fields=tmp_path / "wheat.gpkg")
    assert "no case of calibration lacked soil" in model(soil=None).claim().reason  # a loam is assumed, and not claimed
    unsaid = model(fields=None)
    assert unsaid.claim().state == "none"
    assert "--crop" in unsaid.claim().reason
    said = MapModel(
        TASK, artifact, Context.open(replace(spec.context, fields=None), scenes), replace(spec, facts={"crop": "maize"})
    )
    assert "--crop" not in said.claim().reason
    fields.drop(columns="crop").assign(CROP="Wheat").to_file(tmp_path / "capitals.gpkg")
    spec = replace(spec, facts={"crop": "maize"})
    with pytest.raises(InputError, match="crop is wheat"):  # said in a column of another case, whatever --crop says
        model(fields=tmp_path / "capitals.gpkg")
    with pytest.raises(InputError, match="crop is barley"):
        MapModel(
            TASK,
            artifact,
            Context.open(replace(spec.context, fields=None), scenes),
            replace(spec, facts={"crop": "barley"}),
        )


@pytest.mark.long
def test_what_a_map_lacks_is_named(run, farm, tmp_path):
    scenes = sorted(farm.glob("farm-*.tif"))
    with pytest.raises(InputError, match="needs the place's daily weather; add --weather"):
        map_scenes(TASK, run, scenes, tmp_path / "a", MapSpec())
    far = gpd.read_file(farm / "fields.gpkg")
    far.geometry = far.geometry.translate(50_000, 0)
    far.to_file(tmp_path / "far.gpkg")
    spec = context(farm)
    with pytest.raises(InputError, match="fields lie outside the raster"):
        map_scenes(
            TASK,
            run,
            scenes,
            tmp_path / "b",
            replace(spec, context=replace(spec.context, fields=tmp_path / "far.gpkg")),
        )
    with pytest.raises(InputError, match="comes in 't/ha', want cm/m"):
        map_scenes(
            TASK, run, scenes, tmp_path / "c", replace(spec, context=replace(spec.context, soil=farm / "yield.tif"))
        )
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "b").exists()


@pytest.mark.long
def test_one_bad_field_is_told_and_the_others_are_mapped_unless_strictness_is_asked_for(
    run, farm, mapped, tmp_path, home
):
    fields = gpd.read_file(farm / "fields.gpkg")
    bad = fields.iloc[[0]].assign(field=["bow"])
    x, y = fields.geometry.iloc[0].bounds[:2]
    bad.geometry = [Polygon([(x, y), (x + 90, y + 90), (x + 90, y), (x, y + 90)])]
    pd.concat([bad, fields]).to_file(tmp_path / "one-bad.gpkg", driver="GPKG")
    spec, scenes = context(farm), sorted(farm.glob("farm-*.tif"))
    files = replace(spec.context, fields=tmp_path / "one-bad.gpkg")
    out = maps_folder() / "one bad"
    done = map_scenes(TASK, run, scenes, out, replace(spec, context=files))
    assert [line.split(" crosses")[0] for line in done["left_out"]] == ["field 'bow' (row 1)"]
    assert load_field_board("one bad").left_out == tuple(done["left_out"])
    one, other = (pd.read_csv(folder / "fields.csv").set_index("field") for folder in (out, mapped))
    pd.testing.assert_frame_equal(one, other)
    with pytest.raises(InputError, match=r"field 'bow' of one-bad\.gpkg crosses itself"):
        map_scenes(TASK, run, scenes, tmp_path / "strict", replace(spec, context=replace(files, is_strict=True)))
    assert not (tmp_path / "strict").exists()


def test_weather_with_gaps_a_second_year_and_mixed_scenes_are_refused(run, farm, tmp_path):
    scenes = sorted(farm.glob("farm-*.tif"))
    pd.read_csv(farm / "weather.csv").iloc[90:].to_csv(tmp_path / "weather.csv", index=False)
    short = MapSpec(context=ContextSpec(weather=(tmp_path / "weather.csv",)))
    with pytest.raises(InputError, match="the weather lacks 90 days of 2021, first 2021-01-01"):
        map_scenes(TASK, run, scenes, tmp_path / "a", short)
    later = tmp_path / "later_2022-06-01.tif"
    shutil.copy(scenes[0], later)
    with pytest.raises(InputError, match="the scenes are of 2021 to 2022; give those of one season"):
        map_scenes(TASK, run, [*scenes, later], tmp_path / "b", context(farm))
    with rasterio.open(later, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
        dataset.update_tags(SIMULATED="no")
    with pytest.raises(InputError, match="is not tagged as simulated, others are"):
        map_scenes(TASK, run, [*scenes, later], tmp_path / "c", context(farm))


@pytest.mark.long
def test_a_model_of_simulations_predicts_no_yield_of_real_fields_before_it_is_calibrated(run, farm, tmp_path):
    artifact = load_fitted(run, TASK.target, TASK.restore)
    real = TASK.read(DataRequest(data=str(as_real(farm, tmp_path / "real"))))
    told = predict(artifact, real.samples[:3], TASK.view_of)
    assert all(prediction.abstained and prediction.value is None for prediction in told)
    assert "first calibrate on 20 real cases" in told[0].reasons[0]
    simulated = TASK.read(DataRequest(data=str(farm)))
    assert not any(prediction.abstained for prediction in predict(artifact, simulated.samples[:3], TASK.view_of))


def test_a_farm_without_its_crop_is_refused(farm, tmp_path):
    folder = tmp_path / "farm"
    shutil.copytree(farm, folder)
    gpd.read_file(farm / "fields.gpkg").drop(columns="crop").to_file(folder / "fields.gpkg")
    with pytest.raises(InputError, match="have no column crop; add it, it is not guessed"):
        TASK.read(DataRequest(data=str(folder)))


@pytest.mark.long
def test_shards_merge_to_the_same_map_with_its_fields(run, farm, mapped, tmp_path):
    scenes = sorted(farm.glob("farm-*.tif"))
    for index in (1, 0):
        map_scenes(TASK, run, scenes, tmp_path / "out", context(farm, shard=(index, 2)))
    merge_map(tmp_path / "out")
    with rasterio.open(tmp_path / "out" / "map.tif") as one, rasterio.open(mapped / "map.tif") as other:
        assert np.array_equal(one.read(), other.read(), equal_nan=True)
    assert (tmp_path / "out" / "fields.csv").read_bytes() == (mapped / "fields.csv").read_bytes()
    assert json.loads((tmp_path / "out" / "notes.json").read_text())["mean_factor"] > 0


@pytest.fixture(scope="module")
def shards(run, tmp_path_factory) -> Path:
    """A folder `map` whose shards are made but not merged, and the Shapefile that it was made of."""
    folder = tmp_path_factory.mktemp("shards")
    farm = folder / "farm"
    write_farm(simulate_farm(9002, side=24), farm)
    gpd.read_file(farm / "fields.gpkg").to_file(farm / "fields[1].shp")
    context = ContextSpec(weather=(farm / "weather.csv",), soil=farm / "soil.tif", fields=farm / "fields[1].shp")
    for index in range(2):
        spec = MapSpec(context=context, shard=(index, 2))
        map_scenes(TASK, run, sorted(farm.glob("farm-*.tif"))[6:9], folder / "map", spec)
    return folder


@pytest.fixture
def unmerged(shards, tmp_path) -> Path:
    """A map of one's own to merge."""
    return Path(shutil.copytree(shards / "map", tmp_path / "map"))


MADE = ["fields.csv", "fields.geojson", "fields.gpkg", "fields.shp.zip", "item.json", "map.tif", "notes.json"]
MADE += ["valid.tif"]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def noted(folder: Path) -> tuple[Path, dict]:
    path = folder / ".map.tif.parts" / "notes.json"
    return path, json.loads(path.read_text())


FORGED = {
    "another claim": lambda notes: notes["tags"].update(UNITS="t/ha", CLAIM="stated", CLAIM_REASON="mine"),
    "another level": lambda notes: notes["tags"].update(LEVEL="0.99"),
    "no unit": lambda notes: notes["tags"].pop("UNITS"),
    "another tag": lambda notes: notes["tags"].update(MORE="1"),
    "other names": lambda notes: notes.update(names=["upper", "lower", "mean"]),
    "other dates": lambda notes: notes.update(dates=["2001-01-01T00:00:00"]),
    "narrower": lambda notes: notes.update(mean_factor=1e-9),
    "without fields": lambda notes: notes.update(fields=None),
    "without fields and hash": lambda notes: notes.update(fields=None, fields_sha256=None),
    "fields not hashed": lambda notes: notes.update(fields_sha256=None),
    "fields of NUL": lambda notes: notes.update(fields="a\0b"),
    "fields gone": lambda notes: notes.update(fields="/nowhere/fields.gpkg"),
    "classes a number": lambda notes: notes.update(layers={"classes": 5}),
    "thresholds a text": lambda notes: notes.update(layers={"classes": ["a"], "thresholds": "x"}),
    "thresholds ragged": lambda notes: notes.update(layers={"classes": ["a", "b"], "thresholds": [[1], [1, 2]]}),
    "thresholds missing": lambda notes: notes.update(layers={"classes": ["a", "b", "c"]}),
    "thresholds NaN": lambda notes: notes.update(layers={"classes": ["a"], "thresholds": [float("nan")]}),
    "classes that are no text": lambda notes: notes.update(layers={"classes": [1], "thresholds": [0.1]}),
    "classes of a yield": lambda notes: notes.update(layers={"classes": list("abc"), "thresholds": [0.1] * 3}),
    "layers a list": lambda notes: notes.update(layers=[]),
    "layers of more": lambda notes: notes.update(layers={"valid": True, "more": 1}),
    "half a letter in a tag": lambda notes: notes["tags"].update(CLAIM_REASON="\ud800"),
    "half a letter for a tag": lambda notes: notes["tags"].update({"\ud800": "1"}),
    "half a letter in a name": lambda notes: notes.update(names=["mean", "lower", "\udfff"]),
    "half a letter in a class": lambda notes: notes.update(layers={"classes": ["\ud800"], "thresholds": [0.5]}),
    "NUL in a tag": lambda notes: notes["tags"].update(UNITS="t\0ha"),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_notes_of_shards_that_changed_are_never_believed(unmerged, forge):
    path, notes = noted(unmerged)
    forge(notes)
    path.write_text(json.dumps(notes))
    with pytest.raises(InputError, match=r"notes\.json|fields"):
        merge_map(unmerged)
    assert files(unmerged) == [".map.tif.parts"]


@pytest.mark.parametrize("suffix", [".shp", ".dbf", ".prj", ".shx", ".cpg"])
def test_fields_that_changed_between_shards_and_merge_are_refused(shards, unmerged, suffix):
    path = shards / "farm" / f"fields[1]{suffix}"
    before = path.read_bytes()
    try:
        path.write_bytes(before + b" ")
        with pytest.raises(InputError, match="changed since the map was begun"):
            merge_map(unmerged)
        path.unlink()
        with pytest.raises(InputError, match=r"fields\[1\]"):
            merge_map(unmerged)
    finally:
        path.write_bytes(before)
    assert files(unmerged) == [".map.tif.parts"]


@pytest.mark.parametrize("name", ["fields.csv", "notes.json", "item.json", "valid.tif", "classes.tif"])
def test_a_merge_writes_over_no_file_of_the_user(unmerged, name):
    (unmerged / name).write_text("mine")
    with pytest.raises(InputError, match=f"holds {name}, but no map"):
        merge_map(unmerged)
    assert (unmerged / name).read_text() == "mine"


def test_a_merge_that_is_stopped_while_files_are_moved_goes_on_and_a_map_replaces_its_own_files_alone(
    shards, unmerged, monkeypatch
):
    replace_file, parts = Path.replace, unmerged / ".map.tif.parts"

    def full(path: Path, target: Path) -> Path:
        if Path(target) == unmerged / "map.tif":
            raise OSError(28, "No space left on device")
        return replace_file(path, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(InputError, match="cannot write"):
        merge_map(unmerged)
    monkeypatch.undo()
    merge_map(unmerged)
    assert files(unmerged) == MADE
    (unmerged / "classes.tif").write_text("mine")
    shutil.copytree(shards / "map" / ".map.tif.parts", parts)
    with pytest.raises(InputError, match=r"holds classes\.tif"):
        merge_map(unmerged)
    (unmerged / "classes.tif").unlink()
    merge_map(unmerged)
    assert files(unmerged) == MADE
