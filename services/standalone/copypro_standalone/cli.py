"""The command `copypro`. Imports are made where they are used, so that each command starts fast."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from copypro_standalone import analytics, auditing, cluster, people, rotating
from copypro_standalone.arguments import AsJson, Commands, Data, ListAsJson
from copypro_standalone.arguments import fail as _fail
from copypro_standalone.backtest.cli import backtest

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A MetaTrader 4/5 trade copier: exactly once, and every decision can be explained.",
)
app.add_typer(people.app, name="users")
app.add_typer(cluster.app, name="topics")
app.add_typer(auditing.app, name="audit")
app.add_typer(rotating.app, name="keys")
app.command()(backtest)
rebuilds = typer.Typer(no_args_is_help=True, help="Make anew what follows from the log.")
app.add_typer(rebuilds, name="rebuild")
letters = typer.Typer(no_args_is_help=True, help="Records that could not be read.")
app.add_typer(letters, name="dead-letters")
imports = typer.Typer(no_args_is_help=True, help="History from files.")
app.add_typer(imports, name="import")
app.command()(analytics.report)
app.command()(analytics.quality)
TestLimits = Annotated[bool, typer.Option("--test-limits", hidden=True)]


@app.command()
def up(test_limits: TestLimits = False) -> None:
    """Copy real accounts: the whole program in one process.

    Settings come from the environment: ApiMT4 and ApiMT5 (addresses of your bridges; a platform
    without one is off), COPYPRO_DATA (folder, default .copypro), COPYPRO_HOST (127.0.0.1),
    COPYPRO_GATEWAY_PORT (5020), COPYPRO_ALERT_URL. See .env.example for all.

    SIGTERM, Ctrl-C or a closed terminal ends it within 10 s: nothing more is opened, calls in flight
    are answered and recorded. A second one ends it at once. Exit codes: 0 stopped, 1 a service ended
    by itself, 2 wrong settings or data, 129, 130 and 143 ended at once.
    """
    _serve("gateway", "account-watcher", "replicator", "stats", test_limits=test_limits)


@app.command()
def gateway(test_limits: TestLimits = False) -> None:
    """The REST API alone, beside other processes: needs Kafka and MongoDB.

    Turns calls into commands and answers queries. Settings as for `up`, and
    KAFKA_BOOTSTRAP_SERVERS, MongoDB, COPYPRO_SECRET_KEYS; ApiMT4 and ApiMT5 say which platforms
    are on. Answers on COPYPRO_GATEWAY_PORT (5020). Run as many as calls need.
    """
    _serve("gateway", test_limits=test_limits)


@app.command("account-watcher")
def account_watcher(test_limits: TestLimits = False) -> None:
    """Owns accounts at the bridges, sees and trades: needs Kafka and MongoDB.

    Settings: ApiMT4, ApiMT5, KAFKA_BOOTSTRAP_SERVERS, MongoDB, COPYPRO_SECRET_KEYS (the gateway's).
    Health and metrics on COPYPRO_SERVICE_PORT (5021). Run as many as accounts need: they share
    the partitions, and each account has one owner at a time.
    """
    _serve("account-watcher", test_limits=test_limits)


@app.command()
def replicator(test_limits: TestLimits = False) -> None:
    """Plans what each slave is asked to do, alone: needs Kafka.

    Settings: KAFKA_BOOTSTRAP_SERVERS. Health and metrics on COPYPRO_SERVICE_PORT (5021). Run as
    many as trades need: they share the partitions.
    """
    _serve("replicator", test_limits=test_limits)


@app.command()
def stats(test_limits: TestLimits = False) -> None:
    """Makes what REST shows, posts alerts and callbacks, alone: needs Kafka and MongoDB.

    Settings: KAFKA_BOOTSTRAP_SERVERS, MongoDB, COPYPRO_SECRET_KEYS (the gateway's),
    COPYPRO_ALERT_URL. Health and metrics on COPYPRO_SERVICE_PORT (5021). Run as many as events
    need: they share the partitions.
    """
    _serve("stats", test_limits=test_limits)


def _serve(*services: str, test_limits: bool) -> None:
    import structlog
    import uvloop
    from copypro.errors import CopyProError, ServiceEnded
    from copypro.settings import load, mistyped

    from copypro_standalone import serving
    from copypro_standalone.limits import REAL_LIMITS, scaled_limits
    from copypro_standalone.logs import configure
    from copypro_standalone.ring import Ring

    try:
        settings = load()
        configure(as_json=settings.log_json, simulated=settings.simulated)
        for name, meant in mistyped(os.environ).items():
            structlog.get_logger("copypro").warning("nothing reads this", name=name, meant=meant)
        limits = scaled_limits(os.environ, wanted=test_limits)
        ring = Ring(settings, *limits, services=services)
        if limits != REAL_LIMITS:
            structlog.get_logger("copypro").info("LIMITS OF A TEST: not for real money")
        uvloop.run(serving.run(ring))
    except ServiceEnded:
        raise typer.Exit(1) from None
    except CopyProError as error:
        _fail(error)


@app.command()
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="end after the check; 1 if it failed")
    ] = False,
    as_json: AsJson = False,
    speed: Annotated[float, typer.Option(help="replayed events a second", min=0.1)] = 15.0,
    trades: Annotated[Path | None, typer.Option(help="a CSV like examples/trades.csv")] = None,
    data: Annotated[Path | None, typer.Option(help="keep the data in this new folder")] = None,
    svg: Annotated[Path | None, typer.Option(help="draw the final screen into this file")] = None,
    distributed: Annotated[
        bool, typer.Option("--distributed", help="on the processes of `make up-distributed`")
    ] = False,
    url: Annotated[
        str, typer.Option(envvar="COPYPRO_URL", help="--distributed: the gateway")
    ] = "http://127.0.0.1:5020",
    bridge: Annotated[
        str, typer.Option(envvar="ApiMT5", help="--distributed: the simulated mt5rest")
    ] = "http://127.0.0.1:5005",
) -> None:
    """Watch real trades being copied between SIMULATED brokers; needs nothing else.

    Starts simulated MT4 and MT5 bridges (5004, 5005), the gateway (5020) and all services, replays
    real trades, and checks the brokers' own books at the end. With --distributed nothing is started:
    it runs on the processes of `make up-distributed`.

    SIGTERM, Ctrl-C or a closed terminal ends it and all that it started. Exit codes: 0 the check
    passed, 1 it failed, 2 it cannot run, 128 and the signal's number where it was ended before.
    """
    import logging

    import uvloop
    from copypro.errors import CopyProError

    from copypro_standalone import demo as module
    from copypro_standalone import demo_rings, serving
    from copypro_standalone.logs import configure

    configure(as_json=False, level=logging.ERROR)
    if svg is not None and (svg.is_dir() or not svg.parent.is_dir()):
        _fail(f"--svg {svg} cannot be written: name a file in a folder that is there")
    if distributed:
        rings = demo_rings.running(url, bridge)
    else:
        rings = demo_rings.in_process((5004, 5005, 5020), data)
    try:
        shown = module.run(
            once=once,
            as_json=as_json,
            speed=speed,
            trades=trades or module.TRADES,
            rings=rings,
            svg=svg,
        )
        code = uvloop.run(serving.exit_code_of(shown))
    except (CopyProError, OSError, ValueError) as error:
        _fail(error)
    raise typer.Exit(code)


@app.command("mt-simulator")
def mt_simulator(
    mt4_port: Annotated[
        int, typer.Option(help="port of the simulated mt4rest", min=0, max=65535)
    ] = 5004,
    mt5_port: Annotated[
        int, typer.Option(help="port of the simulated mt5rest", min=0, max=65535)
    ] = 5005,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    empty: Annotated[
        bool, typer.Option("--empty", help="no accounts: fill it by its control API")
    ] = False,
) -> None:
    """SIMULATED MetaTrader bridges alone, with a small world of brokers behind them."""
    import uvloop
    from mt_simulator.main import CannotListen, run

    try:
        uvloop.run(run(mt4_port, mt5_port, host, empty=empty, say=typer.echo))
    except CannotListen as error:
        _fail(f"{error}: give another --host or --{error.platform.lower()}-port (0: any free one)")


@app.command()
def explain(
    account: Annotated[str, typer.Argument(help="login, registration id or account id")],
    ticket: Annotated[int, typer.Argument(help="a master's or a slave's ticket")],
    data: Data = Path(".copypro"),
    as_json: AsJson = False,
) -> None:
    """The whole story of one trade: seen, decided with its numbers, sent, answered, recorded."""
    from copypro.errors import CopyProError
    from copypro.settings import load

    from copypro_standalone import explaining

    try:
        settings = load(data)
        story = asyncio.run(explaining.story_of(settings, account, ticket))
    except CopyProError as error:
        _fail(error)
    if isinstance(story, str):
        _fail(story)
    if as_json:
        typer.echo(explaining.as_json(story))
    else:
        explaining.show(story)


@app.command()
def unresolved(data: Data = Path(".copypro"), as_json: ListAsJson = False) -> None:
    """Attempts that nobody could settle yet, with the evidence."""
    _list(data, "unresolved", as_json, "nothing is unresolved")


@app.command()
def alerts(data: Data = Path(".copypro"), as_json: ListAsJson = False) -> None:
    """What an operator must know now."""
    _list(data, "alerts", as_json, "no alerts")


def _list(data: Path, collection: str, as_json: bool, empty: str) -> None:
    from copypro.errors import CopyProError
    from copypro.settings import load

    from copypro_standalone import explaining

    try:
        rows = explaining.open_rows(load(data), collection)
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
    ticket: Annotated[
        int | None, typer.Option(help="what it opened; or another copier's position", min=1)
    ] = None,
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
    if not attempt and ticket is None:
        lists = "`copypro unresolved` and `copypro alerts` list them"
        _fail(f"give --attempt, --ticket or both: {lists}")
    said = asyncio.run(operating.settle(url, key, account, attempt or None, ticket))
    if said.problem:
        _fail(said.problem)
    later = f"accepted, and not done yet: {url}/Commands/{said.pending} tells when it is"
    typer.echo(later if said.pending else "recorded")


@letters.command("list")
def list_letters(data: Data = Path(".copypro"), as_json: ListAsJson = False) -> None:
    """Records that no service could read and that were not replayed yet, oldest first."""
    from copypro.errors import CopyProError
    from copypro.settings import load

    from copypro_standalone import explaining

    try:
        rows = asyncio.run(explaining.letter_rows(load(data)))
    except CopyProError as error:
        _fail(error)
    if as_json:
        typer.echo(json.dumps(rows))
    elif not rows:
        typer.echo("no dead letters")
    for row in [] if as_json else rows:
        typer.echo(
            f"{row['topic']} {row['partition']} {row['offset']}: {row['type']} of {row['key']},"
            f" put aside {row['written_at']}: {row['reason']}"
        )


@letters.command("replay")
def replay_letter(
    topic: Annotated[str, typer.Argument(help="as `copypro dead-letters list` shows it")],
    partition: Annotated[int, typer.Argument()],
    offset: Annotated[int, typer.Argument()],
    url: Annotated[str, typer.Option(envvar="COPYPRO_URL")] = "http://127.0.0.1:5020",
    key: Annotated[
        str, typer.Option(envvar="COPYPRO_MANAGER_KEY", help="the gateway's operator key")
    ] = "",
) -> None:
    """Append the record to its topic again, as it was, once an upgrade can read it.

    It comes after everything that is there now: an old change of stops replaces newer ones. An open
    that is too old is denied as EXPIRED, as any other.
    """
    from copypro_standalone import operating

    if not key:
        _fail("set COPYPRO_MANAGER_KEY to the key that the gateway was started with")
    said = asyncio.run(operating.replay_letter(url, key, topic, partition, offset))
    if said.problem:
        _fail(said.problem)
    typer.echo("replayed")


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
    reports: list[importing.Report] = []
    refused: BadStatement | None = None
    for path in files:
        try:
            reports.append(
                importing.checked(path, lenient=lenient)
                if check
                else asyncio.run(importing.imported(url, key, path, lenient=lenient))
            )
        except BadStatement as error:
            refused = error
            break
    if as_json:
        for report in reports:
            typer.echo(json.dumps(report))
    elif check:
        importing.show(reports)
    else:
        for report in reports:
            typer.echo(importing.told(report))
    if refused is not None:
        _fail(refused)


@rebuilds.command("stats")
def rebuild_stats(
    data: Data = Path(".copypro"),
    older_log: Annotated[
        bool, typer.Option("--older-log", help="the log was brought back from an older backup")
    ] = False,
) -> None:
    """Make the read models (accounts, orders, logs, statistics) anew from the log, then switch.

    Works while the program runs: the new ones are built beside the live ones, and readers see the
    former or the new ones, whole. Users and passwords are not touched.

    Read models that have seen more than the log holds are not replaced, since that may be another
    installation's log; with --older-log they are.
    """
    from copypro.errors import CopyProError
    from copypro.settings import load

    from copypro_standalone import operating

    try:
        records = asyncio.run(operating.rebuild_stats(load(data), older_log=older_log))
    except CopyProError as error:
        _fail(error)
    typer.echo(f"rebuilt from {records} records")


@app.command()
def version() -> None:
    """The installed version."""
    from importlib.metadata import version as installed

    typer.echo(f"copypro {installed('copypro')}, Python {sys.version.split()[0]}")
