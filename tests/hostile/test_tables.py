"""Tables as users have them and as nobody should: taken rightly, or refused in one line with file, row and column."""

import ast
import contextlib
import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstem.apps.export import write_predictions
from mainstem.apps.field_exports import field_bytes
from mainstem.apps.region_sets import keep_upload
from mainstem.core.errors import InputError
from mainstem.core.prediction import Claim, ModelRef, Prediction
from mainstem.core.stream import Provenance
from mainstem.core.targets import Interval
from mainstem.core.tokenizers.streams import StreamsTokenizer, read_specs
from mainstem.data.earth.open_regions import open_regions
from mainstem.data.earth.outlines import read_centres
from mainstem.data.earth.regions import load_cybench
from mainstem.data.table import read_samples
from tests.hostile.harness import run_call, run_cli

SAMPLES = "mainstem.data.table:read_samples"
REGIONS = "mainstem.data.earth.regions:load_cybench"
HEAD = "sample,target,group,licence,rain [mm]\n"
ROW = "a,1,x,CC0-1.0,2\n"
GOOD = HEAD + ROW + "b,2,y,CC0-1.0,3\n"


def with_row(row: str) -> bytes:
    return (GOOD + row + "\n").encode()


REFUSED = {  # what is in t.csv, and words of the line that refuses it
    "nothing": (b"", ["t.csv", "empty"]),
    "blank lines": (b"\n\n\n", ["empty"]),
    "a header alone": (HEAD.encode(), ["holds no rows"]),
    "rows of separators": ((HEAD + ",,,,\n,,,,\n").encode(), ["holds no rows"]),
    "a short row below blank lines": (b"\n \n\n" + with_row("c,3,x"), ["row 7", "3 values", "5"]),
    "a short row below blank lines and Excel's": (b"\n\nsep=,\n" + with_row("c,3,x"), ["row 7", "3 values", "5"]),
    "a short row": (with_row("c,3,x"), ["row 4", "3 values", "5"]),
    "a long row": (with_row("c,3,x,CC0,4,5"), ["row 4", "6 values", "5"]),
    "an open quote": (with_row('"c,3,x,CC0,4'), ["row 4", "quotes"]),
    "an open quote in the header": (b'sample,"target,group,licence,rain\na,1,x,CC0,2\n', ["header", "quotes"]),
    "text after a quote": (with_row('"c"d,3,x,CC0,4'), ["row 4"]),
    "NUL": (with_row("c\0,3,x,CC0,4"), ["NUL"]),
    "gzip": (zlib.compress(GOOD.encode(), wbits=31), ["gzip", "unpack"]),
    "a workbook": (b"PK\x03\x04" + bytes(40), ["Excel", "CSV UTF-8"]),
    "an old workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(40), ["Excel", "CSV UTF-8"]),
    "Parquet": (b"PAR1" + bytes(40), ["Parquet", "rename"]),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(40), ["HDF5"]),
    "UTF-16 without a mark": (GOOD.encode("utf-16-le"), ["NUL"]),
    "UTF-16 cut short": (GOOD.encode("utf-16")[:-1], ["utf-16"]),
    "neither UTF-8 nor Windows-1252": (with_row("\x81,3,x,CC0,4").replace("\x81".encode(), b"\x81"), ["CSV UTF-8"]),
    "text among numbers": (with_row("c,3,x,CC0,wet"), ["row 4", "'rain [mm]'", "'wet'"]),
    "a unit in the cell": (with_row("c,3,x,CC0,4 mm"), ["row 4", "'4 mm'"]),
    "a mark of thousands": (with_row('c,3,x,CC0,"1,234"'), ["row 4", "'1,234'", "thousands"]),
    "an underscore in a number": (with_row("c,3,x,CC0,1_000"), ["row 4", "'1_000'"]),
    "Arabic digits": (with_row("c,3,x,CC0,\u0661\u0662"), ["row 4", "'rain [mm]'"]),
    "infinity": (with_row("c,3,x,CC0,inf"), ["row 4", "'inf'"]),
    "1e308": (with_row("c,3,x,CC0,1e308"), ["row 4", "1e+308"]),
    "1e999": (with_row("c,3,x,CC0,1e999"), ["row 4", "inf"]),
    "a target of 1e308": (with_row("c,1e308,x,CC0,4"), ["row 4", "'target'", "1e308"]),
    "a target in words": (with_row("c,good,x,CC0,4"), ["row 4", "'target'", "is no number"]),
    "a formula for a number": (with_row("c,3,x,CC0,=1+1"), ["row 4", "'=1+1'"]),
    "no name of a sample": (with_row(",3,x,CC0,4"), ["row 4", "'sample'", "no name"]),
    "a line break in a name": (with_row('"c\nd",3,x,CC0,4'), ["row 4", "'sample'"]),
    "an escape in a name": (with_row("c\x1b[2J,3,x,CC0,4"), ["row 4", "'sample'"]),
    "a name that runs backwards": (with_row("c\u202egnp,3,x,CC0,4"), ["row 4", "'sample'"]),
    "a name damaged before": (with_row("M\ufffdnster,3,x,CC0,4"), ["row 4", "'sample'"]),
    "one sample twice": (with_row("a,1,x,CC0-1.0,9"), ["'a'", "stands 2 times"]),
    "samples that differ by a blank": (with_row(" a ,1,x,CC0-1.0,9"), ["'a'", "stands 2 times"]),
    "two columns of one name": (b"sample,target,group,licence,rain,rain\na,1,x,CC0,2,3\n", ["two columns", "'rain'"]),
    "columns that differ by a blank": (b"sample,target,group,licence,rain,rain \na,1,x,CC0,2,3\n", ["two columns"]),
    "one channel in two units": (
        b"sample,target,group,licence,rain [mm],rain [cm]\na,1,x,CC0,2,3\n", ["two columns", "'rain'"],
    ),
    "a column without a name": (b",sample,target,group,licence,rain\n0,a,1,x,CC0,2\n", ["column without a name"]),
    "an escape in a column's name": (GOOD.replace("rain", "ra\x1b[2Jin").encode(), ["column", "cannot be seen"]),
    "a line break in a licence": (with_row('c,3,x,"CC0\nCC1",4'), ["row 4", "'licence'"]),
    "no such column": (GOOD.replace("licence", "site").encode(), ["lacks the column 'licence'"]),
    "two decimal marks": (b"sample;target;group;licence;rain\na;1,5;x;CC0;2\nb;1.5;y;CC0;3\n", ["row 3", "decimal"]),
    "decimal commas beside thousands": (
        b"sample;target;group;licence;rain\na;1,5;x;CC0;2.345\nb;2,5;y;CC0;3.456\n", ["row 2", "'rain'", "thousands"],
    ),
    "a day or a month": (b"sample,time,target,group,licence,r\na,03/04/2020,1,x,CC0,1\n", ["row 2", "'03/04/2020'"]),
    "a German date": (b"sample,time,target,group,licence,r\na,03.04.2020,1,x,CC0,1\n", ["row 2", "ISO 8601"]),
    "31 February": (b"sample,time,target,group,licence,r\na,2020-02-31,1,x,CC0,1\n", ["row 2", "'2020-02-31'"]),
    "a day or seconds": (b"sample,time,target,group,licence,r\na,20200401,1,x,CC0,1\n", ["row 2", "'20200401'"]),
    "zones here and there": (
        b"sample,time,target,group,licence,r\na,2020-04-01T00:00Z,1,x,CC0,1\na,2020-04-02T00:00,1,x,CC0,1\n", ["zone"],
    ),
    "no time": (b"sample,time,target,group,licence,r\na,,1,x,CC0,1\n", ["row 2", "'time'"]),
    "no time in one row": (
        b"sample,time,target,group,licence,r\na,0,1,x,CC0,1\na,,1,x,CC0,1\n", ["row 3", "no time"],
    ),
    "a column of files called table": (
        b"sample,target,group,licence,table\na,1,x,CC0,one.csv\n", ["'table'", "rename"],
    ),
    "a file beyond the folder": (b"sample,target,group,licence,log\na,1,x,CC0,../../x.csv\n", ["below"]),
    "a file of the machine": (b"sample,target,group,licence,log\na,1,x,CC0,/etc/x.csv\n", ["below"]),
    "a file name of 5,000 letters": (
        b"sample,target,group,licence,log\na,1,x,CC0," + b"n" * 5000 + b".csv\n", ["no file"],
    ),
    "the table as its own series": (b"sample,target,group,licence,log\na,1,x,CC0,t.csv\n", ["'time'"]),
    "a million columns": (b",".join(b"c%d" % index for index in range(1_000_000)) + b"\n1\n", ["t.csv", "want"]),
    "20,000 columns": (b",".join(b"c%d" % index for index in range(20_000)) + b"\n1\n", ["20000 columns"]),
    "one line of 40 MB": (GOOD.encode() + b"c," + b"1" * 40_000_000, ["line"]),
    "a cell of 200,000 letters": (with_row("c" * 200_000 + ",3,x,CC0,4"), ["row 4"]),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_table_is_refused_in_one_line(tmp_path, name):
    content, words = REFUSED[name]
    (tmp_path / "t.csv").write_bytes(content)
    run_call(SAMPLES, tmp_path / "t.csv", limit_s=20).refused(*words)


def reads_as(path: Path) -> list[tuple[str, float | None, str | None, list[float]]]:
    return [
        (sample.source.item, sample.target, sample.source.group, sample.streams["table"].values.ravel().tolist())
        for sample in read_samples(path).samples
    ]


PLAIN = [("a", 1.5, "x", [2.25]), ("b", None, "Köln", [-3.0])]
TEXT = "sample,target,group,licence,rain [mm]\na,1.5,x,CC0-1.0,2.25\nb,,Köln,CC0-1.0,-3\n"
SEMICOLONS = "sample;target;group;licence;rain [mm]\na;1,5;x;CC0-1.0;2,25\nb;;Köln;CC0-1.0;-3\n"
TAKEN = {  # bytes of one table, and words of what is said of them
    "UTF-8": (TEXT.encode(), []),
    "UTF-8 with a mark": (TEXT.encode("utf-8-sig"), []),
    "UTF-16": (TEXT.encode("utf-16"), ["UTF-16"]),
    "UTF-16, big end first": (b"\xfe\xff" + TEXT.encode("utf-16-be"), ["UTF-16"]),
    "Windows-1252": (TEXT.encode("cp1252"), ["Windows-1252", "Köln"]),
    "line ends of Windows": (TEXT.replace("\n", "\r\n").encode(), []),
    "line ends of old Macs": (TEXT.replace("\n", "\r").encode(), []),
    "semicolons and decimal commas": (SEMICOLONS.encode(), ["semicolons", "decimal commas"]),
    "tabs": (TEXT.replace(",", "\t").encode(), ["tabs"]),
    "Excel's sep": (b"sep=;\r\n" + SEMICOLONS.encode(), ["semicolons"]),
    "blanks round all": (TEXT.replace(",", " , ").encode(), ["blanks"]),
    "everything in quotes": (
        "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in TEXT.splitlines()).encode(), [],
    ),
    "separators at the ends": (TEXT.replace("\n", ",\n").encode(), []),
    "empty rows between": (TEXT.replace("b,,", "\n,,,,\nb,,").encode(), []),
    "no line end": (TEXT.rstrip().encode(), []),
    "another order of rows": (
        b"sample,target,group,licence,rain [mm]\nb,,K\xc3\xb6ln,CC0-1.0,-3\na,1.5,x,CC0-1.0,2.25\n", [],
    ),
    "NA where a number is missing": (TEXT.replace("b,,", "b,NA,").encode(), []),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_a_table_is_read_rightly_and_what_was_understood_is_said(tmp_path, caplog, name):
    content, words = TAKEN[name]
    (tmp_path / "t.csv").write_bytes(content)
    assert reads_as(tmp_path / "t.csv") == PLAIN
    for word in words:
        assert word in caplog.text
    assert words or not caplog.text


def test_na_is_a_name_as_any_other(tmp_path):
    (tmp_path / "t.csv").write_text(HEAD + "NA,1,NA,CC0-1.0,2\nnan,1,None,CC0-1.0,2\n01,1,1,CC0-1.0,2\n")
    assert [row[0] for row in reads_as(tmp_path / "t.csv")] == ["01", "NA", "nan"]
    assert [row[2] for row in reads_as(tmp_path / "t.csv")] == ["1", "NA", "None"]


def test_a_link_to_a_table_is_read_and_what_is_no_file_is_not(tmp_path):
    (tmp_path / "t.csv").write_text(GOOD)
    (tmp_path / "link.csv").symlink_to(tmp_path / "t.csv")
    run_call(SAMPLES, tmp_path / "link.csv").taken()
    os.mkfifo(tmp_path / "pipe.csv")
    run_call(SAMPLES, tmp_path / "pipe.csv", limit_s=10).refused("pipe")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    run_call(SAMPLES, tmp_path / "zero.csv", limit_s=10).refused("device")
    (tmp_path / "folder.csv").mkdir()
    run_call(SAMPLES, tmp_path / "folder.csv").refused("folder")
    (tmp_path / "nowhere.csv").symlink_to(tmp_path / "gone.csv")
    run_call(SAMPLES, tmp_path / "nowhere.csv").refused("no file")
    run_call(SAMPLES, str(tmp_path) + "/a\0b.csv").sound()
    (tmp_path / "t.xlsx").write_bytes(b"PK\x03\x04")
    run_call(SAMPLES, tmp_path / "t.xlsx").refused("workbook", "CSV UTF-8")
    with (tmp_path / "big.csv").open("wb") as file:
        file.truncate(4 << 30)
    run_call(SAMPLES, tmp_path / "big.csv").refused("larger than")


COLUMNS = {"sample": ["a", "b"], "target": [1.5, None], "group": ["x", "y"], "licence": ["CC0", "CC0"]}


def parquet(path: Path, **columns: object) -> Path:
    pq.write_table(pa.table({**COLUMNS, **columns}), path)
    return path


def bomb_of_rows(path: Path) -> None:
    """Two billion cells in a few kilobytes: one value, run-length encoded, again and again."""
    column = pa.array(np.zeros(10_000_000, np.int64))
    schema = pa.schema({f"c{index}": pa.int64() for index in range(4)})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for _ in range(2):
            writer.write_table(pa.table([column] * 4, schema=schema))


def bomb_of_text(path: Path) -> None:
    """One text of a megabyte, named by 20,000 rows."""
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(20_000, np.int32)), pa.array(["n" * (1 << 20)]))
    rows = {name: pa.array(["a"] * 20_000) for name in ("sample", "group", "licence")}
    pq.write_table(pa.table({**rows, "target": np.zeros(20_000), "log": text}), path)


def cut(path: Path) -> None:
    parquet(path, rain=[1.0, 2.0])
    path.write_bytes(path.read_bytes()[:-20])


def footer_of_2_gib(path: Path) -> None:
    path.write_bytes(b"PAR1" + bytes(100) + struct.pack("<I", 2**31 - 1) + b"PAR1")


def flipped(path: Path) -> None:
    parquet(path, rain=[1.0, 2.0])
    content = bytearray(path.read_bytes())
    content[len(content) - 60] ^= 0xFF
    path.write_bytes(bytes(content))


PARQUETS = {
    "cells beyond memory": (bomb_of_rows, ["cells"]),
    "text beyond memory": (bomb_of_text, ["MiB of text"]),
    "cut": (cut, ["whole Parquet file"]),
    "a footer of 2 GiB": (footer_of_2_gib, ["whole Parquet file"]),
    "CSV by another name": (lambda path: path.write_text(GOOD), ["no Parquet file"]),
    "lists for numbers": (lambda path: parquet(path, rain=[[1.0], [2.0]]), ["'rain'", "list"]),
    "structs for numbers": (lambda path: parquet(path, rain=[{"mm": 1}, {"mm": 2}]), ["'rain'", "struct"]),
    "bytes for numbers": (lambda path: parquet(path, rain=[b"1", b"2"]), ["'rain'", "binary"]),
    "infinity": (lambda path: parquet(path, rain=[np.inf, 1.0]), ["row 1", "'rain'", "inf"]),
    "no rows": (lambda path: pq.write_table(pa.table({**COLUMNS, "rain": [1.0, 2.0]})[:0], path), ["holds no rows"]),
    "a missing name": (lambda path: parquet(path, sample=["a", None], rain=[1.0, 2.0]), ["row 2", "'sample'"]),
}


@pytest.mark.parametrize("name", PARQUETS)
def test_a_parquet_file_is_weighed_before_it_is_read(tmp_path, name):
    make, words = PARQUETS[name]
    make(tmp_path / "t.parquet")
    run_call(SAMPLES, tmp_path / "t.parquet", limit_s=20).refused(*words)


def test_a_damaged_parquet_file_gives_no_traceback(tmp_path):
    flipped(tmp_path / "t.parquet")
    run_call(SAMPLES, tmp_path / "t.parquet", limit_s=20).sound()


def test_parquet_of_every_plain_kind_reads_as_its_csv(tmp_path):
    frame = pd.DataFrame({**COLUMNS, "rain": [1, 2], "wet": [True, False], "crop": [0.5, np.nan]})
    frame["group"] = frame["group"].astype("category")
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv", index=False)
    first, second = reads_as(tmp_path / "t.parquet"), reads_as(tmp_path / "t.csv")
    assert repr(first) == repr(second)


YIELDS = pd.DataFrame(
    {"adm_id": np.repeat(["NL11", "NL12", "NL13", "NL14"], 5), "harvest_year": list(range(2010, 2015)) * 4,
     "yield": np.round(np.linspace(6, 9, 20), 2)}
)  # fmt: skip
DATES = [20100401, 20100411, 20100421, 20100501, 20100511, 20100521]


def folder(root: Path, **files: pd.DataFrame | str | bytes) -> Path:
    place = root / "wheat" / "NL"
    place.mkdir(parents=True, exist_ok=True)
    for kind, content in {"yield": YIELDS, **files}.items():
        data = content.to_csv(index=False) if isinstance(content, pd.DataFrame) else content
        (place / f"{kind}_wheat_NL.csv").write_bytes(data if isinstance(data, bytes) else data.encode())
    return root


def changed(column: str, row: int | slice, value: object) -> pd.DataFrame:
    frame = YIELDS.astype(object)
    frame.loc[row, column] = value
    return frame


def greenness(factor: float = 1.0, regions: tuple[str, ...] = ("NL11", "NL12"), **other: float) -> pd.DataFrame:
    rows = [(region, date, 150 * other.get(region, factor)) for region in regions for date in DATES]
    return pd.DataFrame(rows, columns=["adm_id", "date", "ndvi"])


SOIL = pd.DataFrame({"adm_id": ["NL11", "NL12"], "awc": 15.0, "bulk_density": 1.3, "drainage_class": 4})
ENDS = pd.DataFrame({"adm_id": ["NL11", "NL12"], "eos": [240.0, 250.0]})
ODD_REGIONS = {
    "year 0": ({"yield": changed("harvest_year", 3, 0)}, ["row 5", "'harvest_year'", "'0'"]),
    "year 2010.5": ({"yield": changed("harvest_year", 3, 2010.5)}, ["row 5", "'2010.5'", "four digits"]),
    "year 2010/11": ({"yield": changed("harvest_year", 3, "2010/11")}, ["row 5", "'2010/11'"]),
    "no year": ({"yield": changed("harvest_year", 3, None)}, ["row 5", "year"]),
    "no region": ({"yield": changed("adm_id", 3, None)}, ["row 5", "'adm_id'"]),
    "regions that differ by case": ({"yield": changed("adm_id", 3, "nl11")}, ["'NL11'", "'nl11'", "case"]),
    "regions that differ by an inner blank": ({"yield": changed("adm_id", 3, "NL 11")}, ["'NL 11'", "blanks"]),
    "a region-year twice, by a blank": ({"yield": changed("adm_id", 5, " NL11 ")}, ["row 7", "NL11 2010", "twice"]),
    "bushels everywhere": ({"yield": YIELDS.assign(**{"yield": YIELDS["yield"] * 15.9})}, ["bu/ac"]),
    "decitonnes everywhere": ({"yield": YIELDS.assign(**{"yield": YIELDS["yield"] * 10})}, ["dt/ha (7.5 t/ha)"]),
    "kilograms everywhere": ({"yield": YIELDS.assign(**{"yield": YIELDS["yield"] * 1000})}, ["kg/ha (7.5 t/ha)"]),
    "one region in bushels": (
        {"yield": changed("yield", slice(5, 9), YIELDS["yield"][5:10] * 15.9)}, ["'NL12'", "bu/ac"],
    ),
    "one year in decitonnes": ({"yield": changed("yield", slice(3, 19, 5), 75.0)}, ["2013", "dt/ha"]),
    "no yield at all": ({"yield": changed("yield", slice(0, 19), "n.a.")}, ["every yield", "row 2"]),
    "NDVI times 10000": ({"ndvi": greenness(50)}, ["ndvi", "10000"]),
    "NDVI of one region in another unit": ({"ndvi": greenness(NL12=1 / 255)}, ["'NL12'", "2010", "one unit"]),
    "NDVI in words": ({"ndvi": greenness().astype(object).replace(150.0, "green")}, ["row 2", "'ndvi'", "'green'"]),
    "NDVI of other regions": ({"ndvi": greenness(regions=("1", "2"))}, ["no region", "'1'"]),
    "a date twice": ({"ndvi": pd.concat([greenness(), greenness()])}, ["row 14", "2010-04-01", "twice"]),
    "a date that is none": ({"ndvi": greenness().assign(date=20101345)}, ["row 2", "YYYYMMDD"]),
    "a day or a month": ({"ndvi": greenness().assign(date="03/04/2010")}, ["row 2", "'03/04/2010'"]),
    "FPAR as a share": (
        {"fpar": greenness(1 / 255).rename(columns={"ndvi": "fpar"})}, ["fpar", "percent", "multiply"],
    ),
    "FPAR above all": ({"fpar": greenness().rename(columns={"ndvi": "fpar"})}, ["row 2", "'fpar'", "100"]),
    "a soil as dense as lead": ({"soil": SOIL.assign(bulk_density=1300)}, ["row 2", "'bulk_density'", "kg/dm3"]),
    "a soil twice": ({"soil": pd.concat([SOIL, SOIL.assign(awc=3)])}, ["NL11", "twice"]),
    "a season that ends on day 900": ({"crop_calendar": ENDS.assign(eos=900)}, ["row 2", "'eos'", "366"]),
    "a calendar that contradicts itself": ({"crop_calendar": pd.concat([ENDS, ENDS.assign(eos=3)])}, ["twice"]),
    "two yields": ({"yield": "adm_id,harvest_year,yield,yield\nNL11,2010,7,8\n"}, ["two columns", "'yield'"]),
    "rows of another crop": (
        {"yield": YIELDS.assign(crop_name=["wheat"] * 18 + ["maize"] * 2)}, ["row 20", "'crop_name'", "'maize'"],
    ),
    "a column Crop of another crop": ({"yield": YIELDS.assign(Crop="corn")}, ["row 2", "'Crop'", "'corn'", "wheat"]),
    "a crop that only ends alike": ({"yield": YIELDS.assign(crop="buckwheat")}, ["row 2", "'buckwheat'"]),
    "a number for a crop": ({"yield": YIELDS.assign(crop=204)}, ["row 2", "'crop'", "'204'"]),
    "rows of another country": (
        {"yield": YIELDS.assign(country_code=["NL"] * 19 + ["DE"])}, ["row 21", "'country_code'", "'DE'", "NL"],
    ),
    "a column COUNTRY of another country": ({"yield": YIELDS.assign(COUNTRY="DE")}, ["row 2", "'COUNTRY'", "'DE'"]),
    "a country by name": ({"yield": YIELDS.assign(country="Germany")}, ["row 2", "'Germany'", "two letters"]),
    "regions of another country": (
        {"yield": YIELDS.replace({f"NL1{n}": f"DEA{n}" for n in range(1, 5)})}, ["row 2", "'adm_id'", "'DEA1'", "DE"],
    ),
    "one region of another country": ({"yield": YIELDS.replace("NL14", "BE21")}, ["row 17", "'BE21'", "BE", "NL"]),
    "NDVI of another crop": ({"ndvi": greenness().assign(crop_name="maize")}, ["ndvi_wheat_NL", "row 2", "'maize'"]),
    "a soil of another country": ({"soil": SOIL.assign(country="FR")}, ["soil_wheat_NL", "row 2", "'FR'"]),
    "a calendar of another crop": ({"crop_calendar": ENDS.assign(crop_name="maize")}, ["crop_calendar", "'maize'"]),
    "a yield misspelt": ({"yield": YIELDS.rename(columns={"yield": "yeild"})}, ["rename 'yeild'"]),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD_REGIONS)
def test_odd_regions_are_refused_in_one_line(tmp_path, name):
    files, words = ODD_REGIONS[name]
    run_call(REGIONS, folder(tmp_path, **files), "wheat", "NL").refused(*words)


RIGHT_REGIONS = {
    "the crop by a longer name": {"crop_name": "Winter wheat"},
    "the crop in capitals, the country in small letters": {"CROP": " WHEAT ", "country": "nl"},
    "no crop said": {"crop": ["wheat", *[None] * 19]},
    "provinces whose letters are countries' elsewhere": {"adm_id": np.repeat(["FR01", "GE02", "LI03", "DR04"], 5)},
}


@pytest.mark.parametrize("name", RIGHT_REGIONS)
def test_rows_that_say_the_named_crop_and_country_are_taken(tmp_path, name):
    found = load_cybench(folder(tmp_path, **{"yield": YIELDS.assign(**RIGHT_REGIONS[name])}), "wheat", "NL")
    assert len(found.labelled()) == 20


@pytest.mark.parametrize(("country", "said"), [("EL", "GR"), ("GR", "EL"), ("UK", "GB")])
def test_countries_of_two_codes_are_one(tmp_path, country, said):
    place = tmp_path / "wheat" / country
    place.mkdir(parents=True)
    regions = YIELDS["adm_id"].str.replace("NL", said)
    YIELDS.assign(country_code=said, adm_id=regions).to_csv(place / f"yield_wheat_{country}.csv", index=False)
    assert len(load_cybench(tmp_path, "wheat", country).labelled()) == 20


def test_centres_of_another_crop_or_country_are_refused(tmp_path):
    centres = pd.DataFrame({"adm_id": ["NL11", "NL12"], "latitude": 52.0, "longitude": [5.0, 6.0]})
    for column, value in (("crop_name", "maize"), ("country_code", "DE")):
        path = folder(tmp_path, location=centres.assign(**{column: value})) / "wheat" / "NL" / "location_wheat_NL.csv"
        with pytest.raises(InputError, match=rf"location_wheat_NL\.csv, row 2, column '{column}': got '{value}'"):
            read_centres(path)


def test_a_crop_is_named_in_any_case(tmp_path):
    found = open_regions(str(folder(tmp_path)), " Wheat", "nl")
    assert {sample.source.facts["crop"] for sample in found.samples} == {"wheat"}
    assert {sample.source.facts["country"] for sample in found.samples} == {"NL"}


FAULTY = {
    "text": ("n.a. (frost)", "'n.a. (frost)'"),
    "negative": (-3.0, "-3"),
    "1e308": ("1e308", "1e+308"),
    "1e20": ("1e20", "1e+20"),
    "infinite": ("inf", "inf"),
    "one in bushels": (130.0, "130"),
    "a decimal comma among points": ("7,5", "decimal point"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_faulty_yield_is_left_out_and_said(tmp_path, caplog, name):
    value, word = FAULTY[name]
    found = load_cybench(folder(tmp_path, **{"yield": changed("yield", 2, value)}), "wheat", "NL")
    assert set(found.flagged) == {"NL11 2012"}
    assert word in found.flagged["NL11 2012"]
    assert "19 of 20 yields taken" in caplog.text
    assert "row 4" in caplog.text
    kept = {sample.source.item: sample for sample in found.samples}
    assert len(kept) == 20
    assert kept["NL11 2012"].target is None
    assert kept["NL11 2014"].streams["history"].values[:, 0].tolist() == [6.0, 6.16, 6.47]


def test_naples_and_namibia_are_regions(tmp_path):
    frame = YIELDS.replace({"NL11": "NA", "NL12": "nan", "NL13": "01"})
    found = load_cybench(folder(tmp_path, **{"yield": frame}), "wheat", "NL")
    assert {sample.source.facts["region"] for sample in found.samples} == {"NA", "nan", "01", "NL14"}
    assert len(found.samples) == 20


def test_excel_s_german_csv_is_read_as_its_english(tmp_path, caplog):
    german = YIELDS.to_csv(index=False, sep=";", decimal=",").encode("cp1252")
    plain = load_cybench(folder(tmp_path / "plain"), "wheat", "NL")
    found = load_cybench(folder(tmp_path / "german", **{"yield": german}), "wheat", "NL")
    assert [sample.target for sample in found.samples] == [sample.target for sample in plain.samples]
    assert "decimal commas" in caplog.text


def test_plain_ndvi_is_taken_as_such_and_never_mixed_with_the_other(tmp_path):
    plain = load_cybench(folder(tmp_path / "a", ndvi=greenness(1 / 255)), "wheat", "NL")
    scaled = load_cybench(folder(tmp_path / "b", ndvi=greenness()), "wheat", "NL")
    units = [found.samples[0].streams["ndvi"].channels[0].unit for found in (plain, scaled)]
    assert units == ["1", "relative"]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.permutations(range(20)), columns=st.permutations(["adm_id", "harvest_year", "yield"]))
def test_the_order_of_rows_and_columns_is_free(tmp_path, rows, columns):
    found = load_cybench(folder(tmp_path, **{"yield": YIELDS.iloc[rows][columns]}), "wheat", "NL")
    assert [sample.source.item for sample in found.samples][:6] == [
        *(f"NL11 {y}" for y in range(2010, 2015)),
        "NL12 2010",
    ]
    assert [sample.target for sample in found.samples] == YIELDS["yield"].tolist()
    last = found.samples[4].streams["history"]
    assert last.values[:, 0].tolist() == YIELDS["yield"][:4].tolist()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=300)
    | st.text(max_size=200).map(str.encode)
    | st.binary(max_size=60).map(GOOD.encode().__add__)
)
def test_any_bytes_are_read_or_refused_by_an_error_of_ours(tmp_path, content):
    (tmp_path / "t.csv").write_bytes(content)
    with contextlib.suppress(InputError):
        read_samples(tmp_path / "t.csv")


MODEL = ModelRef(adapter="=1", task="-1", version="1", adapter_sha256="0" * 64, trunk_sha256="0" * 64)
FORMULAS = (
    "=cmd|' /C calc'!A0",
    "+1+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "\t=1",
    "\r=1",
    "\uff1d1",
    " =1",
)


def prediction(name: str) -> Prediction:
    source = Provenance(
        data=name, item=name, group=None, licence=name, attribution=name, facts={"region": name, "year": 2020.0}
    )
    return Prediction(
        value=-1.25, region=Interval(low=-2.5, high=1e-7), level=0.9, units="t/ha", reasons=(name,), model=MODEL,
        claim=Claim(state="none", population=name), source=source,
    )  # fmt: skip


@pytest.mark.parametrize("name", FORMULAS)
def test_no_name_becomes_a_formula_in_a_csv(tmp_path, name):
    write_predictions([prediction(name), prediction("NL11")], tmp_path / "out.csv")
    assert_harmless((tmp_path / "out.csv").read_bytes())
    back = pd.read_csv(tmp_path / "out.csv")
    assert back[["value", "low", "high"]].to_numpy().tolist() == [[-1.25, -2.5, 1e-7]] * 2
    import geopandas as gpd
    from shapely.geometry import Point

    fields = gpd.GeoDataFrame({"field": [name, 3], "mean": [-1.5, 2.0], name: [1, 2]}, geometry=[Point(0, 0)] * 2)
    assert_harmless(field_bytes(fields, "csv"))


def assert_harmless(content: bytes) -> None:
    for row in pd.read_csv(io.BytesIO(content), header=None, dtype=str, keep_default_na=False).to_numpy():
        for cell in row:
            is_number = cell.replace(".", "").replace("e-", "").lstrip("-").isdigit()
            assert is_number or not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\uff1d")), cell


NAMES = ("my.series", "keys", "type", "a/b", "%2E", "training", "\u00fc", "..")


def test_any_column_may_name_a_stream(tmp_path):
    rng = np.random.default_rng(0)
    for index in range(12):
        pd.DataFrame({"time": [0, 1], "keys": rng.normal(size=2)}).to_csv(tmp_path / f"{index}.csv", index=False)
    rows = {"sample": range(12), "target": rng.normal(size=12), "group": list("abcdef") * 2, "licence": "CC0-1.0"}
    frame = pd.DataFrame({**rows, **{name: [f"{index}.csv" for index in range(12)] for name in NAMES}})
    frame.to_csv(tmp_path / "t.csv", index=False)
    samples = read_samples(tmp_path / "t.csv").samples
    specs = read_specs(samples)
    assert set(specs) == set(NAMES)
    first, second = StreamsTokenizer(specs, 8), StreamsTokenizer(specs, 8)
    assert len({key for key in first.state_dict() if key.endswith("embedding.weight")}) == len(NAMES)
    second.load_state_dict(first.state_dict())
    values = [each.project(each.cut(samples)).values for each in (first, second)]
    assert bool((values[0] == values[1]).all())


def pixels(**other: object) -> str:
    rows = {
        "sample": ["p"] * 3, "target": 90.0, "group": "s", "licence": "CC0-1.0",
        "time": ["2020-01-01", "2020-01-31", "2020-03-01"], "latitude [deg]": 40.0, "longitude [deg]": -110.0,
        "B4 [1]": 0.1, "temperature_2m [degC]": 12.0,
    }  # fmt: skip
    return pd.DataFrame({**rows, **other}).to_csv(index=False)


PIXELS = {
    "reflectance times 10000": (pixels(**{"B4 [1]": 1200}), ["B4", "times 10000"]),
    "kelvin": (pixels(**{"temperature_2m [degC]": 285}), ["temperature_2m", "kelvin"]),
    "a pixel that moves": (pixels(**{"latitude [deg]": [40.0, 41.0, 40.0]}), ["'p'", "no one place"]),
    "no place": (pixels(**{"latitude [deg]": None}), ["'p'", "no one place"]),
    "beyond the pole": (pixels(**{"latitude [deg]": 140.0}), ["'p'", "degrees"]),
    "seconds for dates": (pixels(time=[0, 1, 2]), ["'p'", "dates"]),
}


@pytest.mark.parametrize("name", PIXELS)
def test_an_odd_pixel_series_is_refused_in_one_line(tmp_path, name):
    content, words = PIXELS[name]
    (tmp_path / "t.csv").write_text(content)
    run_call("mainstem.data.earth.pixels:open_pixels", str(tmp_path / "t.csv")).refused(*words)


def test_commands_say_it_in_one_line_and_leave_nothing(tmp_path):
    (tmp_path / "t.csv").write_bytes(with_row("c,3,x,CC0,wet"))
    run_cli("new-adapter", "soil", "--data", "t.csv", cwd=tmp_path).refused("row 4", "'wet'")
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]
    (tmp_path / "v.csv").write_text(pixels(**{"B4 [1]": 1200}))
    asked = ("evaluate", "crop-yield", "--task", "fuel-moisture", "--data", "v.csv")
    run_cli(*asked, cwd=tmp_path).refused("B4")
    root = folder(tmp_path / "set", **{"yield": changed("harvest_year", 3, "2010/11")})
    place = ("--data", root, "--crop", "wheat", "--country", "NL")
    run_cli("evaluate", "crop-yield", *place).refused("row 5", "2010/11")
    run_cli("finetune", "crop-yield", *place, "--out", tmp_path / "run").refused("row 5", "2010/11")
    assert not (tmp_path / "run").exists()


def test_a_table_s_name_never_becomes_code(tmp_path):
    name = 'x"""\nimport os; os.system("touch owned")\n"""\\.csv'
    (tmp_path / name).write_text(GOOD)
    run_cli("new-adapter", "soil", "--data", name, cwd=tmp_path).taken()
    source = (tmp_path / "adapters" / "soil.py").read_text()
    assert [type(node).__name__ for node in ast.parse(source).body[:2]] == ["Expr", "ImportFrom"]


def test_an_upload_that_cannot_be_shown_is_not_kept(tmp_path):
    yields = YIELDS.to_csv(index=False).encode()
    centres = b"adm_id,latitude,longitude\nNL11,6.7,530.2\n"
    files = {"yield_wheat_NL.csv": yields, "location_wheat_NL.csv": centres}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAINSTEM_HOME", str(tmp_path))
        with pytest.raises(InputError, match="outside the globe"):
            keep_upload("mine", files)
        assert not list(tmp_path.rglob("*.csv"))
        kept = keep_upload("mine", {"yield_wheat_NL.csv": yields})
    assert kept.folder is not None
    assert (kept.folder / "wheat" / "NL" / "yield_wheat_NL.csv").read_bytes() == yields


def test_all_missing_columns_are_named_at_once(tmp_path):
    place = tmp_path / "wheat" / "NL"
    place.mkdir(parents=True)
    (place / "yield_wheat_NL.csv").write_text("Region,Year,Yeild\nNL1,2019,8.0\n")
    with pytest.raises(InputError) as caught:
        load_cybench(tmp_path, "wheat", "NL")
    said = str(caught.value)
    assert "lacks the columns 'adm_id', 'harvest_year', 'yield'" in said
    for hint in ("rename 'Region' to adm_id", "'Year' to harvest_year", "'Yeild' to yield"):
        assert hint in said


@pytest.mark.parametrize(("name", "words"), [("nosuch", ""), ("us-mais", "did you mean 'us-maize'?")])
def test_an_unknown_set_is_answered_with_those_there_are(name, words):
    with pytest.raises(InputError, match=f"no folder or set '{name}'") as caught:
        open_regions(name)
    for offered in (words, "us-maize", "nl-maize", "es-maize", "simulated-maize", "folder with --crop and --country"):
        assert offered in str(caught.value)
