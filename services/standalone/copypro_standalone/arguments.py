"""What several commands take, and how each of them ends that cannot do its work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

Data = Annotated[
    Path, typer.Option(envvar="COPYPRO_DATA", help="the data folder of the running program")
]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON object instead of text")]


def fail(error: object) -> NoReturn:
    """One line, exit code 2."""
    typer.echo(f"copypro: {error}", err=True)
    raise typer.Exit(2)
