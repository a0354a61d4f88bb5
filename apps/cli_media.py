"""Commands on archives of pictures, sound, video and text; part of `apps.cli`."""

import typer

media_app = typer.Typer(
    no_args_is_help=True,
    help="Find, compare and verify in archives. Originals are never written to.",
)


@media_app.callback()
def media() -> None:
    """Find, compare and verify in archives. Originals are never written to."""
