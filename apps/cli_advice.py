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


def zones(
    rasters: Annotated[list[Path], typer.Argument(help="GeoTIFFs of yield or vigour, one a season.")],
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
