"""Logs as farm offices send them: each read rightly, or refused in one line that names the cell or what to pass."""

import os
import re
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest

from mainstem.core.errors import InputError
from mainstem.data.earth.harvests.columns import Reading
from mainstem.data.earth.harvests.reading import read_harvest

ROWS = [(10.1 + 2e-5 * step, 54.5, 7.5 + 0.1 * (step % 5), 13.5, 9.0) for step in range(12)]
BUSHEL_T_HA = 60 * 0.45359237 / 0.40468564224 / 1000  # of wheat


def csv(
    header: str = "lon,lat,yield_t_ha,moisture_pct,swath_m", cells: dict[int, str] | None = None, **form: str
) -> str:
    """A log; `cells` puts a text into the yield's column, `form` says separator and decimal mark."""
    separator, mark, times = form.get("separator", ","), form.get("mark", "."), float(form.get("times", "1"))
    lines = [header.replace(",", separator)]
    for step, (lon, lat, grain, *others) in enumerate(ROWS):
        told = (cells or {}).get(step, f"{grain * times:.6g}")
        lines.append(separator.join([*(f"{lon:.6f}|{lat}".split("|")), told, *map(str, others)]).replace(".", mark))
    return "\n".join(lines) + "\n"


def read(folder: Path, text: str | bytes, name: str = "log.csv", **said: object):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_harvest([path], Reading(**said))


EXPECTED = [row[2] for row in ROWS]
RIGHTLY = {
    "decimal commas and semicolons": (csv(separator=";", mark=","), {}),
    "tabs": (csv(separator="\t"), {}),
    "Latin-1 in German": (csv("Länge [°],Breitengrad,Ertrag [dt/ha],Feuchte [%],Arbeitsbreite [m]", times="10")
                          .encode("latin-1"), {}),
    "kg/ha in the name": (csv("lon,lat,yield_kg_ha,moisture_pct,swath_m", times="1000"), {}),
    "bushels of a named crop": (csv("lon,lat,Yld Vol(Dry)(bu/ac),Moisture(%),Swth Wdth(m)",
                                    times=str(1 / BUSHEL_T_HA)), {"crop": "winter wheat"}),
    "unit told by the user": (csv("lon,lat,yield,moisture,swath", times="10"),
                              {"units": {"yield": "dt/ha", "swath": "m"}}),
    "UTF-16 with blanks in names": (csv(" lon , lat , yield (t/ha) , moisture , swath_m ").encode("utf-16"), {}),
    "byte order mark and CRLF": ("\ufeff" + csv().replace("\n", "\r\n"), {}),
}  # fmt: skip
REFUSED = {
    "text in a cell": (csv(cells={3: "n. gemessen"}), {}, r"row 5, column 'yield_t_ha': got 'n\. gemessen'"),
    "thousands": (csv(separator=";", mark=",", cells={2: "1.234"}).replace("1,234", "1.234"), {}, r"row 4.*'1\.234'"),
    "no unit": (csv("lon,lat,yield,moisture_pct,swath_m"), {}, r"pass --unit UNIT for 'yield', one of t/ha, kg/ha"),
    "bushels without a crop": (csv("lon,lat,yield_bu_ac,moisture_pct,swath_m"), {}, "bu/ac needs the crop"),
    "bushels of grass": (csv("lon,lat,yield_bu_ac,moisture_pct,swath_m"), {"crop": "grass"}, "a bushel of 'grass'"),
    "an unknown unit": (csv("lon,lat,yield (sacks/ha),moisture_pct,swath_m"), {}, "comes in 'sacks/ha', which"),
    "a ton of three": (csv("lon,lat,yield (t/ac),moisture_pct,swath_m"), {}, "short, long or metric"),
    "no yield": (csv("lon,lat,weight,moisture_pct,swath_m"), {}, "no column for yield"),
    "no longitude": (csv("a,lat,yield_t_ha,moisture_pct,swath_m"), {}, "no column for longitude"),
    "two yields": (csv("lon,lat,yield_t_ha,yield_2_t_ha,swath_m"), {}, "could each be the yield; pass --column yield="),
    "kilograms said to be tonnes": (csv(times="1000"), {"crop": "wheat"}, "the unit is another, pass --unit UNIT"),
    "swath of feet said to be metres": (csv("lon,lat,yield_t_ha,moisture_pct,swath_m").replace(",9.0", ",30"), {},
                                        "'swath_m' in m is 30 m at its median"),
    "places swapped": (csv("lat,lon,yield_t_ha,moisture_pct,swath_m").replace("10.1", "110.1"), {},
                       r"row 2, column 'lat': got 110\.1"),
    "x and y without CRS": (csv("x,y,yield_t_ha,moisture_pct,swath_m"), {}, "does not name; pass --crs EPSG:n"),
    "a workbook": (b"PK\x03\x04 and more", {"name": "log.xlsx"}, "save the sheet as CSV"),
    "a workbook named CSV": (b"PK\x03\x04 and more", {}, "is no table but an Excel workbook"),
    "a row too short": (csv().replace(",13.5,9.0", "", 1), {}, "row 2 holds 3 values, the header 5"),
    "days written in two ways": (csv("lon,lat,yield_t_ha,moisture_pct,time").replace(",9.0", ",03/04/2020"), {},
                                 "row 2, column 'time': got time '03/04/2020'"),
    "a hostile column": (csv("lon,lat,yield_t_ha,moisture_pct,swath\u202em"), {}, "letters that cannot be seen"),
    "an impossible option": (csv(), {"units": {"yield": "furlongs"}}, "got the unit 'furlongs' of yield"),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHTLY)
def test_a_log_of_an_office_is_read_rightly(tmp_path, name):
    text, said = RIGHTLY[name]
    found = read(tmp_path, text, **said)
    assert found.yield_t_ha == pytest.approx(EXPECTED, rel=1e-4)
    assert np.nanmedian(found.swath_m) == pytest.approx(9.0)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_in_one_line_that_names_it(tmp_path, name):
    text, said, message = REFUSED[name]
    with pytest.raises(InputError, match=message) as refused:
        read(tmp_path, text, **said)
    assert "\n" not in str(refused.value)


def test_all_that_is_open_is_asked_at_once_with_options_to_copy(tmp_path):
    rows = [f"{10.1 + 2e-5 * step:.6f},54.5,3000,50,3000,50,9,{step},5" for step in range(12)]
    header = "lon,lat,yld_mss_w,yld_vl_w,yld_mss_d,yld_vl_d,swth_w_,time,spd"
    with pytest.raises(InputError) as refused:
        read(tmp_path, "\n".join([header, *rows]))
    told = str(refused.value)
    assert told.startswith(
        "log.csv leaves 5 things open; pass --column yield=yld_mss_d --unit UNIT --unit swath=UNIT --unit speed=UNIT "
        "--unit time=UNIT with what is right: 'yld_mss_w', 'yld_vl_w', 'yld_mss_d', 'yld_vl_d' could each be the yield"
    )
    assert "for 'spd', one of m/s, km/h" in told
    answered = {"yield": "lb/ac", "swath": "m", "speed": "mph", "time": "s"}
    assert len(read(tmp_path, "\n".join([header, *rows]), columns={"yield": "yld_mss_d"}, units=answered)) == 12
    bushels = "\n".join(["x,y,yield_bu_ac,width", *(f"{10 * step},5,50,9" for step in range(12))])
    with pytest.raises(InputError, match="3 things open; pass --crs EPSG:n --crop CROP --unit swath=UNIT with"):
        read(tmp_path, bushels)


def test_a_packed_log_is_refused_by_its_name(tmp_path):
    (tmp_path / "log.csv.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(InputError, match=r"got 'log\.csv\.gz', want a log as .*; unpack it first"):
        read_harvest([tmp_path / "log.csv.gz"])


def test_units_that_contradict_one_another_are_refused(tmp_path):
    lines = ["lon,lat,yield_t_ha,swath_m,distance_m,duration_s,flow"]
    lines += [f"{10.1 + 2e-5 * step:.6f},54.5,8.0,9.0,2.0,1.0,{8.0 * 18 / 10:.3f}" for step in range(200)]
    assert len(read(tmp_path, "\n".join(lines), units={"flow": "kg/s"})) == 200
    with pytest.raises(InputError, match=r"its yield in t/ha is 2\.2 times its flow over speed and swath"):
        read(tmp_path, "\n".join(lines), units={"flow": "lb/s"})


def flowing(times: float, unit: str, moved_m: float = 2.0) -> str:
    """A log whose flow tells 4 t/ha, and whose yield, in a unit, tells so many times the number of t/ha."""
    lines = [f"lon,lat,Ertrag ({unit}),swath_m,distance_m,duration_s,flow_kg_s"]
    lines += [
        f"{10.1 + 2e-5 * step:.6f},54.5,{4.0 * times:.6f},9.0,{moved_m},1.0,{4.0 * 9 * moved_m / 10:.5f}"
        for step in range(200)
    ]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("unit", "times", "crop", "message"),
    [
        ("dt/ha", 1 / BUSHEL_T_HA, "wheat", r"in dt/ha is 1\.49 times its .*in bu/ac it is 1\.00 .* pass --unit bu/ac"),
        ("dt/ha", 1 / BUSHEL_T_HA, None, r"in bu/ac of wheat it is 1\.00 times.*pass --unit bu/ac,"),
        ("bu/ac", 10, "wheat", r"in bu/ac is 0\.673 times.*in dt/ha it is 1\.00 times"),
        ("short ton/ac", 1, "wheat", r"2\.24 times.*in t/ha it is 1\.00 times"),
    ],
)  # fmt: skip
def test_a_yield_whose_flow_fits_another_unit_is_refused_by_that_unit(tmp_path, unit, times, crop, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, flowing(times, unit), crop=crop)


@pytest.mark.parametrize(
    ("unit", "times", "words"),
    [
        ("t/ha", 1.0, ""),
        ("t/ha", 0.93, ""),
        ("t/ha", 0.8, r"0\.8 times its flow over speed and swath, want about 1: no other unit fits"),
        ("t/ha", 1.3, r"1\.3 times .*no other unit fits"),
        ("kg/ha", 1121.0 * 0.79, r"0\.886 times.*in lb/ac it is 0\.99 times"),
    ],
)  # fmt: skip
def test_a_yield_off_its_flow_is_said_so_and_taken(tmp_path, unit, times, words):
    found = read(tmp_path, flowing(times, unit), crop="wheat")
    said = [note for note in found.notes if "its flow" in note]
    assert len(said) == bool(words)
    if words:
        assert re.search(words, said[0])


def test_points_of_a_shapefile_are_read_and_its_polygons_refused(tmp_path):
    places = gpd.points_from_xy([row[0] for row in ROWS], [row[1] for row in ROWS])
    columns = {"Ertrag": EXPECTED, "swath_m": 9.0}
    frame = gpd.GeoDataFrame(columns, geometry=places, crs="EPSG:4326").to_crs("EPSG:32632")
    frame.to_file(tmp_path / "log.shp")
    found = read_harvest([tmp_path / "log.shp"], Reading(units={"yield": "t/ha"}))
    assert found.yield_t_ha == pytest.approx(EXPECTED)
    assert found.longitude == pytest.approx([row[0] for row in ROWS], abs=1e-7)
    frame.set_geometry(frame.buffer(5)).to_file(tmp_path / "fields.shp")
    with pytest.raises(InputError, match="holds shapes of type 5, want points"):
        read_harvest([tmp_path / "fields.shp"], Reading(units={"yield": "t/ha"}))


def clocked(times: list[float]) -> str:
    rows = [f"{lon:.6f},54.5,8.0,{time}" for (lon, *_), time in zip(ROWS, times, strict=True)]
    return "\n".join(["lon,lat,yield_t_ha,time_s", *rows])


def test_a_clock_that_runs_backwards_once_parts_the_log_and_one_that_always_does_is_refused(tmp_path):
    found = read(tmp_path, clocked([0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]))
    assert found.machine.tolist() == [0] * 6 + [1] * 6
    assert any("time runs backwards at 1 records, first row 8" in note for note in found.notes)
    with pytest.raises(InputError, match="time runs backwards at 11 records, first row 3"):
        read(tmp_path, clocked([float(-step) for step in range(12)]))


def test_a_clock_that_often_runs_backwards_sorts_the_log(tmp_path):
    found = read(tmp_path, clocked([0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10]))
    assert found.time_s.tolist() == list(range(12))
    assert found.row.tolist() == [2, 4, 3, 5, 7, 6, 8, 10, 9, 11, 13, 12]


def test_a_column_of_numbers_mends_the_order_of_a_log_without_a_clock(tmp_path):
    order = np.random.default_rng(0).permutation(12)
    rows = [f"{ROWS[number][0]:.6f},54.5,{ROWS[number][2]},{number}" for number in order]
    found = read(tmp_path, "\n".join(["lon,lat,yield_t_ha,gid", *rows]))
    assert (np.diff(found.longitude) > 0).all()
    assert any("in the order of a column of numbers" in note for note in found.notes)


def test_sections_of_a_header_are_put_together(tmp_path):
    rows = [f"{10.1 + 1e-5 * section:.6f},{54.5 + 2e-5 * time},8.0,1.5,{time},{section + 1}" for time in range(9)
            for section in range(6)]  # fmt: skip
    found = read(tmp_path, "\n".join(["lon,lat,yield_t_ha,swath_m,time_s,section", *rows]))
    assert len(found) == 9
    assert found.swath_m == pytest.approx(9.0)
    assert found.longitude == pytest.approx(10.1 + 2.5e-5)


@pytest.mark.parametrize("name", ["log.gpkg", "log.shp", "log.zip", "log.csv", "log.parquet"])
@pytest.mark.timeout(60)
def test_a_pipe_is_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError):
        read_harvest([tmp_path / name], Reading(crop="wheat"))
