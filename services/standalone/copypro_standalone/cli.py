"""The command `copypro`. Imports are made where they are used, so that each command starts fast."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A MetaTrader 4/5 trade copier: exactly once, and every decision can be explained.",
)
users = typer.Typer(no_args_is_help=True, help="Who may use the gateway.")
app.add_typer(users, name="users")
imports = typer.Typer(no_args_is_help=True, help="History from files.")
app.add_typer(imports, name="import")
Data = Annotated[
    Path, typer.Option(envvar="COPYPRO_DATA", help="the data folder of the running program")
]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON object instead of text")]


def _fail(error: object) -> NoReturn:
    typer.echo(f"copypro: {error}", err=True)
    raise typer.Exit(2)


@app.command()
def up() -> None:
    """Copy real accounts: the whole program in one process.

    Settings come from the environment: ApiMT4 and ApiMT5 (addresses of your bridges; a platform
    without one is off), COPYPRO_DATA (folder, default .copypro), COPYPRO_HOST (127.0.0.1),
    COPYPRO_GATEWAY_PORT (5020), COPYPRO_ALERT_URL. See .env.example for all.
    """
    import uvloop
    from copypro.errors import CopyProError
    from copypro.settings import load

    from copypro_standalone.logs import configure

    try:
        settings = load()
        configure(as_json=settings.log_json)
        uvloop.run(_up(settings))
    except CopyProError as error:
        _fail(error)


async def _up(settings: Any) -> None:
    import structlog

    from copypro_standalone.limits import scaled_limits
    from copypro_standalone.ring import Ring

    logger = structlog.get_logger("copypro")
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    watcher_limits, terminal_limits = scaled_limits(os.environ.get("COPYPRO_TEST_LIMITS", ""))
    async with Ring(settings, watcher_limits, terminal_limits) as ring:
        logger.info("ready", gateway=ring.url, data=str(settings.data.resolve()))
        failed = asyncio.create_task(ring.failed())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait((failed, stopped), return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            failed.result()
        failed.cancel()
        logger.info("stopping: no new opens; calls in flight are answered and recorded")
    logger.info("stopped")


@app.command()
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="end after the check; 1 if it failed")
    ] = False,
    as_json: AsJson = False,
    speed: Annotated[float, typer.Option(help="replayed events a second", min=0.1)] = 15.0,
    trades: Annotated[Path | None, typer.Option(help="a CSV like examples/trades.csv")] = None,
    data: Annotated[Path | None, typer.Option(help="keep the data in this folder")] = None,
    svg: Annotated[Path | None, typer.Option(help="draw the final screen into this file")] = None,
) -> None:
    """Watch real trades being copied between SIMULATED brokers; needs nothing else.

    Starts simulated MT4 and MT5 bridges (5004, 5005), the gateway (5020) and all services, replays
    real trades, and checks the brokers' own books at the end.
    """
    import logging

    import uvloop
    from copypro.errors import CopyProError

    from copypro_standalone import demo as module
    from copypro_standalone.logs import configure

    configure(as_json=False, level=logging.ERROR)
    try:
        code = uvloop.run(
            module.run(
                once=once,
                as_json=as_json,
                speed=speed,
                trades=trades or module.TRADES,
                ports=(5004, 5005, 5020),
                data=data,
                svg=svg,
            )
        )
    except KeyboardInterrupt:
        code = 0
    except (CopyProError, OSError, ValueError) as error:
        _fail(error)
    raise typer.Exit(code)


@app.command("mt-simulator")
def mt_simulator(
    mt4_port: Annotated[int, typer.Option(help="port of the simulated mt4rest")] = 5004,
    mt5_port: Annotated[int, typer.Option(help="port of the simulated mt5rest")] = 5005,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    empty: Annotated[
        bool, typer.Option("--empty", help="no accounts: fill it by its control API")
    ] = False,
) -> None:
    """SIMULATED MetaTrader bridges alone, with a small world of brokers behind them."""
    import uvloop
    from mt_simulator.main import run

    try:
        uvloop.run(run(mt4_port, mt5_port, host, empty=empty, say=typer.echo))
    except OSError as error:
        _fail(error)


@app.command()
def explain(
    account: Annotated[str, typer.Argument(help="login, registration id or account id")],
    ticket: Annotated[int, typer.Argument(help="a master's or a slave's ticket")],
    data: Data = Path(".copypro"),
    as_json: AsJson = False,
) -> None:
    """The whole story of one trade: seen, decided with its numbers, sent, answered, recorded."""
    from copypro.errors import CopyProError

    from copypro_standalone import explaining

    try:
        story = explaining.story_of(data, account, ticket)
    except CopyProError as error:
        _fail(error)
    if story is None:
        _fail(f"ticket {ticket} of account {account} is in no event of {data}")
    if as_json:
        typer.echo(explaining.as_json(story))
    else:
        explaining.show(story)


@app.command()
def unresolved(data: Data = Path(".copypro"), as_json: AsJson = False) -> None:
    """Attempts that nobody could settle yet, with the evidence."""
    _list(data, "unresolved", as_json, "nothing is unresolved")


@app.command()
def alerts(data: Data = Path(".copypro"), as_json: AsJson = False) -> None:
    """What an operator must know now."""
    _list(data, "alerts", as_json, "no alerts")


def _list(data: Path, collection: str, as_json: bool, empty: str) -> None:
    from copypro.errors import CopyProError

    from copypro_standalone import explaining

    try:
        rows = explaining.open_rows(data, collection)
    except CopyProError as error:
        _fail(error)
    if as_json:
        typer.echo(json.dumps(rows))
    elif not rows:
        typer.echo(empty)
    for row in [] if as_json else rows:
        typer.echo(explaining.one_line(row))


@app.command()
def settle(
    account: Annotated[str, typer.Argument(help="the registration id, as Accounts shows it")],
    attempt: Annotated[
        str, typer.Option(help="the attempt, as `copypro unresolved` shows it")
    ] = "",
    ticket: Annotated[int, typer.Option(help="what it opened; or another copier's position")] = 0,
    url: Annotated[str, typer.Option(envvar="COPYPRO_URL")] = "http://127.0.0.1:5020",
    key: Annotated[str, typer.Option(envvar="COPYPRO_KEY", help="your userKey")] = "",
) -> None:
    """Record your decision on an attempt or a position that only a person can judge.

    With --attempt and --ticket: it did open this ticket. With --attempt alone: it did nothing.
    With --ticket alone: leave this tagged position of another copier alone, and open again.
    """
    from copypro_standalone import operating

    if not key:
        _fail("set COPYPRO_KEY to your userKey (SignIn gives one)")
    problem = asyncio.run(operating.settle(url, key, account, attempt or None, ticket or None))
    if problem:
        _fail(problem)
    typer.echo("recorded")


@imports.command("statement")
def import_statement(
    files: Annotated[list[Path], typer.Argument(help="MT4 or MT5 reports: htm, html or xlsx")],
    check: Annotated[
        bool, typer.Option("--check", help="import nothing: each printed figure beside ours")
    ] = False,
    as_json: AsJson = False,
    lenient: Annotated[
        bool, typer.Option("--lenient", help="leave out and list rows that cannot be read")
    ] = False,
    url: Annotated[str, typer.Option(envvar="COPYPRO_URL")] = "http://127.0.0.1:5020",
    key: Annotated[str, typer.Option(envvar="COPYPRO_KEY", help="your userKey")] = "",
) -> None:
    """Reports of MetaTrader (trading history or strategy tester) as accounts to look at.

    With --check nothing is imported and nothing has to run; --json prints an object per file. Else
    the running gateway imports them: the same file twice changes nothing, files merge by ticket.
    """
    from copypro.errors import BadStatement

    from copypro_standalone import importing

    if not check and not key:
        _fail("set COPYPRO_KEY to your userKey (SignIn gives one), or use --check")
    try:
        reports = [
            importing.checked(path, lenient=lenient)
            if check
            else asyncio.run(importing.imported(url, key, path, lenient=lenient))
            for path in files
        ]
    except BadStatement as error:
        _fail(error)
    if as_json:
        for report in reports:
            typer.echo(json.dumps(report))
    elif check:
        importing.show(reports)
    else:
        typer.echo("\n".join(map(importing.told, reports)))


@users.command("add")
def add_user(
    email: Annotated[str, typer.Argument(help="the new user signs in with it")],
    data: Data = Path(".copypro"),
    password: Annotated[
        str,
        typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, help="asked for"),
    ] = "",
) -> None:
    """Make a user where sign-up is closed, also while the program runs; prints the userKey."""
    from copypro.errors import CopyProError
    from copypro_gateway.errors import ApiError

    from copypro_standalone import operating

    try:
        key = asyncio.run(operating.add_user(data, email, password))
    except (CopyProError, ApiError) as error:
        _fail(error)
    typer.echo(key)


@app.command()
def version() -> None:
    """The installed version."""
    from importlib.metadata import version as installed

    typer.echo(f"copypro {installed('copypro')}, Python {sys.version.split()[0]}")
