"""What several commands take, and how each of them ends that cannot do its work."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn, TextIO

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

Data = Annotated[
    Path, typer.Option(envvar="COPYPRO_DATA", help="the data folder of the running program")
]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON object instead of text")]
ListAsJson = Annotated[bool, typer.Option("--json", help="one JSON array instead of text")]


def fail(error: object) -> NoReturn:
    """One line, exit code 2."""
    typer.echo(f"copypro: {error}", err=True)
    raise typer.Exit(2)


def write(path: Path, text: str) -> None:
    """Where it cannot be written, the command ends by its name."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}")


def _is_lost(stream: TextIO) -> bool:
    """It takes not even a line's end: what it holds back is given up, so that its end says nothing."""
    try:
        stream.write("\n")
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        return True
    return False


class Commands(TyperGroup):
    """Says what is wrong with a command line in one line too, and where its help is."""

    def main(self, *args: Any, **given: Any) -> Any:
        ends_the_process = given.pop("standalone_mode", True)
        try:
            code = super().main(*args, **given | {"standalone_mode": False})
        except TyperException as error:
            said = " ".join(error.format_message().split())
            if said:  # else the help itself was shown
                context = getattr(error, "ctx", None)
                named = f" (see `{context.command_path} --help`)" if context else ""
                typer.echo(f"copypro: {said.rstrip('.')}{named}", err=True)
            code = error.exit_code
        except typer.Abort:
            typer.echo("copypro: not answered: nothing was done", err=True)
            code = 1
        except OSError as error:
            if not _is_lost(sys.stdout):
                raise
            text = f"copypro: standard output cannot be written: {error.strerror}"
            typer.echo(text, err=True)
            code = 2
        if ends_the_process:
            sys.exit(code)
        return code
