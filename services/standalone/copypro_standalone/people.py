"""`copypro users`: who may use the gateway, beside the running program or before its first start."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from copypro_standalone.arguments import Data, ListAsJson, fail

app = typer.Typer(no_args_is_help=True, help="Who may use the gateway.")
Answer = TypeVar("Answer")


@app.command()
def add(
    email: Annotated[str, typer.Argument(help="the new user signs in with it")],
    password: Annotated[
        str | None, typer.Option(help="asked for, or the first line of a pipe")
    ] = None,
    data: Data = Path(".copypro"),
) -> None:
    """Make a user where sign-up is closed, also while the program runs; prints the userKey."""
    from copypro.settings import load

    from copypro_standalone import operating

    chosen = _asked_for() if password is None else password
    if not chosen:
        fail("an empty password is none")
    typer.echo(_run(lambda: operating.add_user(load(data), email, chosen)))


def _asked_for() -> str:
    if sys.stdin and sys.stdin.isatty():
        answer: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return answer
    line = sys.stdin.readline() if sys.stdin else ""
    if not line:
        raise typer.Abort
    return line.rstrip("\r\n")


@app.command()
def invite(
    data: Data = Path(".copypro"),
    days: Annotated[int, typer.Option(help="until it is over", min=1, max=365)] = 7,
) -> None:
    """Print a code with which one person may sign up once, where COPYPRO_SIGN_UP=invite."""
    from copypro.settings import load

    from copypro_standalone import operating

    typer.echo(_run(lambda: operating.invite_user(load(data), days)))


@app.command()
def keys(
    email: Annotated[str, typer.Argument()],
    data: Data = Path(".copypro"),
    as_json: ListAsJson = False,
) -> None:
    """A user's keys by id, name, scope and end; never the keys themselves."""
    from copypro.settings import load
    from copypro_gateway.shapes import user_key

    from copypro_standalone import operating

    found = [user_key(key) for key in _run(lambda: operating.keys_of(load(data), email))]
    if as_json:
        typer.echo(json.dumps(found))
        return
    for row in found:
        until = row["expiresAt"] or "never"
        typer.echo(
            f"{row['id']} {row['scope']} since {row['createdAt']}, over {until}: {row['name']}"
        )


@app.command()
def revoke(
    email: Annotated[str, typer.Argument()],
    key: Annotated[str, typer.Argument(help="its id, as `copypro users keys` shows it")],
    data: Data = Path(".copypro"),
) -> None:
    """Remove a user's key for good; the running gateways refuse it within 5 seconds."""
    from copypro.settings import load

    from copypro_standalone import operating

    _run(lambda: operating.revoke_key(load(data), email, key))
    typer.echo("revoked")


def _run(made: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
    """Errors are said in one line, and the command ends with 2."""
    from copypro.errors import CopyProError
    from copypro_gateway.wording.errors import ApiError

    try:
        return asyncio.run(made())
    except (CopyProError, ApiError) as error:
        fail(error)
