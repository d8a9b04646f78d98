"""`copypro audit`: who changed what, as a file that shows whether it was changed itself."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from copypro_standalone.arguments import Data, fail

if TYPE_CHECKING:
    from copypro.envelope import Envelope
    from copypro.ports import LogHistory

app = typer.Typer(no_args_is_help=True, help="Who changed what.")
STDOUT = Path("-")


@app.command()
def export(
    file: Annotated[
        Path, typer.Argument(help="replaced once the new one is whole; -: to the terminal")
    ] = STDOUT,
    data: Data = Path(".copypro"),
) -> None:
    """Write the audit trail as JSON Lines, oldest first, each line holding the one before's hash.

    Works beside the running program. The last line's hash is said at the end: noted where nobody
    who can write the file can write, it shows later whether the end was cut off.
    """
    from copypro.errors import CopyProError
    from copypro.settings import load
    from copypro.wiring import open_history

    try:
        history = open_history(load(data))
        with nullcontext(sys.stdout) if file == STDOUT else anew(file) as out:
            count, last = asyncio.run(write(history, out))
    except CopyProError as error:
        fail(error)
    except OSError as error:
        if file == STDOUT:
            raise
        fail(f"{file} cannot be written: {error.strerror}")
    typer.echo(f"{count} lines, the last one's hash {last}", err=True)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="as `copypro audit export` wrote it")],
    last: Annotated[str, typer.Option(help="the hash that the last line must have")] = "",
) -> None:
    """Say whether an exported trail is as it was written; else its first broken line, and end with 1."""
    from copypro_standalone import chain

    try:
        with file.open(encoding="utf-8") as lines:
            found = chain.check(lines)
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        fail(f"{file} is no audit trail: it is no text")
    if isinstance(found, chain.Broken):
        typer.echo(f"line {found.line} {found.reason}")
        raise typer.Exit(1)
    if last and found.last != last:
        typer.echo(f"after line {found.lines}: the end is missing, or this is another trail")
        raise typer.Exit(1)
    typer.echo(f"{found.lines} lines as they were written, the last one's hash {found.last}")


async def write(history: LogHistory, out: IO[str]) -> tuple[int, str]:
    """How many lines, and the last one's hash. Errors: the log's, BadRecord (of a newer version)."""
    from copypro_standalone.chain import FIRST, line_of

    number, previous = 0, FIRST
    async for event in _events(history):
        number += 1
        line, previous = line_of(event, number, previous)
        out.write(line + "\n")
    out.flush()
    return number, previous


async def _events(history: LogHistory) -> AsyncIterator[Envelope]:
    """In the order in which they were written: all have one key, so they are in one partition."""
    from copypro import topics
    from copypro.envelope import decode

    spans = await history.spans(topics.AUDIT)
    async for batch in history.records(topics.AUDIT, spans):
        for record in batch:
            yield decode(record)


@contextmanager
def anew(file: Path) -> Iterator[IO[str]]:
    """In place of `file`, once all of it is on disk: until then, and when it fails, the former one is as
    it was. A new file is for its owner alone.
    """
    if file.exists() and not file.is_file():  # a pipe or a device: there is nothing to keep
        with file.open("w", encoding="utf-8") as out:
            yield out
        return
    place = file.resolve()
    number, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}-")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as out:
            yield out
            out.flush()
            os.fsync(number)
        if place.exists():
            shutil.copymode(place, name)
        os.replace(name, place)
    finally:
        Path(name).unlink(missing_ok=True)
