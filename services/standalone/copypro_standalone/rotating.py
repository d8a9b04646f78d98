"""`copypro keys`: the operator's keys, under which the stored passwords' data keys are wrapped."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from copypro_standalone.arguments import Data, fail

app = typer.Typer(no_args_is_help=True, help="The operator's secret keys.")


@app.callback()
def keys() -> None:
    """The operator's secret keys."""


@app.command()
def rotate(
    data: Data = Path(".copypro"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="only say how many would be wrapped anew")
    ] = False,
) -> None:
    """Wrap all data keys under a new secret key, while the program runs; the old one is then unneeded.

    With a key file in the data folder: makes the new key, and in the end forgets the old one. With
    COPYPRO_SECRET_KEYS: the newest comes first there (new,old), here and in every process that was
    started since; afterwards start them once more with the new one alone. Backups made before need
    the old key.
    """
    from copypro.errors import CopyProError
    from copypro.settings import load
    from copypro.wiring import rotate_keys

    try:
        done = asyncio.run(rotate_keys(load(data), dry_run=dry_run))
    except CopyProError as error:
        fail(error)
    would = "would be " if dry_run else ""
    typer.echo(f"{done.rewrapped} of {done.keys} data keys {would}wrapped anew")
