"""Commands on a farm's fields: harvests in, advice out; part of `apps.cli`."""

import typer

from mainstem.apps.cli_advice import rates, report, vigour, zones
from mainstem.apps.cli_harvest import harvest

fields_app = typer.Typer(
    no_args_is_help=True,
    help="Harvests in, advice out: what a combine logged, zones, rates and reports of fields.",
)


@fields_app.callback()
def fields() -> None:
    """Harvests in, advice out: what a combine logged, zones, rates and reports of fields."""


fields_app.command("harvest")(harvest)
fields_app.command("vigour")(vigour)
fields_app.command("zones")(zones)
fields_app.command("rates")(rates)
fields_app.command("report")(report)
