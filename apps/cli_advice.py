"""Commands that hand advice out: zones of fields, a signed rule turned into a rate map, reports; part of `apps.cli`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mainstem.apps.cli_lists import AsJson
from mainstem.apps.ending import tell
from mainstem.apps.progress import shown

Fields = Annotated[Path, typer.Option(help="The fields: GeoJSON, .gpkg, .shp, .zip or .kml.")]
Out = Annotated[Path, typer.Option(help="The folder to write to.")]


def vigour(
    scenes: Annotated[list[Path], typer.Argument(help="Dated scenes with B4 and B8: GeoTIFF, .SAFE, STAC, Zarr, .nc.")],
    out: Out,
    fields: Annotated[Path | None, typer.Option(help="The fields: GeoJSON, .gpkg, .shp, .zip or .kml.")] = None,
    level: Annotated[float, typer.Option(help="Of the intervals.")] = 0.9,
    attribution: Annotated[str, typer.Option(help="Whose scenes they are.")] = "scenes of the user's own",
    licence: Annotated[str, typer.Option(help="Under which terms.")] = "",
    as_json: AsJson = False,
) -> None:
    """Map how green pixels and fields were against the map's mean, from scenes alone, without a model."""
    from mainstem.apps.fields.vigour import VigourSpec, map_vigour

    spec = VigourSpec(fields=fields, level=level, attribution=attribution, licence=licence)
    with shown("vigour", as_json) as report:
        done = map_vigour(scenes, out, spec, report)
    if as_json:
        print(json.dumps(done))
    else:
        tell(done["map"], *done.get("fields", []), f"{done['units']}; {done['reason']}")
        tell(*(f"left out: {line}" for line in done.get("left_out", ())))


def zones(
    rasters: Annotated[
        list[Path], typer.Argument(help="GeoTIFFs of yield or vigour, or folders of maps, one a season and field.")
    ],
    fields: Fields,
    out: Out,
    number: Annotated[int, typer.Option(help="Zones a field, 3 to 7; 0: what seasons left out bear.")] = 0,
    least_ha: Annotated[float, typer.Option(help="Smallest patch of a zone, hectares.")] = 0.2,
    smooth: Annotated[float, typer.Option(help="Standard deviation of the smoothing, metres.")] = 20.0,
    as_json: AsJson = False,
) -> None:
    """Draw zones of fields from seasons of yield or vigour, and say whether they last from season to season."""
    from mainstem.apps.fields.zones import make_zones
    from mainstem.data.earth.zones import ZoneSpec

    spec = ZoneSpec(num_zones=number, least_ha=least_ha, smooth_m=smooth)
    with shown("zones", as_json) as report:
        done = make_zones(rasters, fields, out, spec, report)
    if as_json:
        print(json.dumps(done))
        return
    for field in done["fields"]:
        if field["drawn"]:
            tell(f"field {field['field']}: {field['zones']} zones; {field['reason']}")
        else:
            tell(f"field {field['field']}: not drawn: {field['why']}")
    tell(f"{out / 'zones.gpkg'}; {done['note']}")


def rates(
    zones: Annotated[Path, typer.Argument(help="Zones: zones.gpkg of `fields zones`, or polygons with a column zone.")],
    rule: Annotated[Path, typer.Option(help="Your rule: a text file, a line a zone (docs/advice.md).")],
    out: Annotated[Path, typer.Option(help="A new folder to write to.")],
    signed_by: Annotated[str, typer.Option(help="Your name, which signs the rule; asked for if not given.")] = "",
    cell: Annotated[float, typer.Option(help="Largest width of a cell, metres.")] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Turn a rule that you wrote and sign into rate maps: ISOXML (versions 3 and 4), Shapefile and GeoTIFF."""
    import sys

    from mainstem.apps.fields.rates import make_rates, plan_rates
    from mainstem.core.errors import InputError
    from mainstem.data.earth.rate_rules import sign

    if not signed_by:
        known, planned, _, _ = plan_rates(zones, rule, cell)
        for made in planned:
            tell(f"field {made.rates.field}: {made.area_ha:.2f} ha, {made.mean:.2f} {known.unit} on average")
        if as_json or not (sys.stdin and sys.stdin.isatty()):
            raise InputError("the rule is not signed, nothing was written; add --signed-by and your name")
        signed_by = typer.prompt(f"{known.product}, {known.unit}: type your name to sign this rule")
    signature = sign(signed_by)
    with shown("rates", as_json) as report:
        done = make_rates(zones, rule, signature, out, cell, report)
    if as_json:
        print(json.dumps(done))
        return
    for field in done["fields"]:
        amount = f"{field['amount']:.2f} {field['amount_unit']}" if field["amount_unit"] != "1" else field["amount"]
        tell(f"field {field['field']}: {field['area_ha']:.2f} ha, {field['mean']:.2f} {done['unit']}, {amount} in all")
        if field["zones_claim"] == "none":
            tell(f"  its zones: {field['zones_reason']}")
    tell(f"{out}; {done['note']}: signed by {done['signed']}")


def report(
    source: Annotated[
        Path,
        typer.Argument(help="A folder of `mainstem map` or `fields harvest`, or of several, or a table of forecasts."),
    ],
    out: Annotated[Path, typer.Option(help="A new folder to write to.")],
    zones_file: Annotated[
        Path | None, typer.Option("--zones", help="zones.gpkg of `fields zones`, for its fields.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="One field or region; repeat it. All unless given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a one-page PDF for every field of a map, or for every region of a table, and all of them in one."""
    from mainstem.apps.fields.report import make_reports

    with shown("report", as_json) as progress:
        done = make_reports(source, out, zones_file, only or (), progress)
    if as_json:
        print(json.dumps(done))
        return
    tell(f"{out / 'all.pdf'} and {len(done['pages'])} pages of one each")
