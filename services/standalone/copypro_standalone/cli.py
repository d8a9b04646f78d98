"""The `copypro` command. Imports of what a command needs are inside it: `--help` is instant."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from copypro.errors import CopyProError

app = typer.Typer(
    name="copypro",
    help="Copies trades between MetaTrader 4 and 5 accounts: exactly once, every decision explained.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    epilog="Settings are environment variables; `.env.example` lists them all.",
)

DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="The data folder, if not COPYPRO_DATA.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a page.")]


def say(line: str) -> None:
    """To people, on standard error: standard output is for answers."""
    print(line, file=sys.stderr, flush=True)


def run(main: Callable[[], Coroutine[Any, Any, int | None]]) -> None:
    """On uvloop; an error raised on purpose is one clear line and exit code 1."""
    import uvloop

    try:
        code = uvloop.run(main())
    except CopyProError as error:
        for line in str(error).splitlines():
            say(f"copypro: {line}")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    raise typer.Exit(code or 0)


def _overrides(**values: object) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


@app.command()
def up(
    data: DataOption = None,
    host: Annotated[str | None, typer.Option(help="Instead of COPYPRO_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Instead of COPYPRO_GATEWAY_PORT.")] = None,
    simulated: Annotated[bool, typer.Option(hidden=True, help="Mark everything.")] = False,
) -> None:
    """Copy real accounts: the whole ring in this process, until SIGTERM.

    Needs the address of at least one MetaTrader REST bridge: ApiMT4, ApiMT5.
    """

    async def main() -> None:
        from copypro import settings as settings_module

        from copypro_standalone import logs, ring

        settings = settings_module.load(_overrides(data=data, host=host, gateway_port=port))
        logs.configure(settings.log_format, settings.log_level, simulated=simulated)
        limits = ring.COMPRESSED if simulated else ring.RingLimits()
        await ring.up(settings, limits, say, simulated=simulated)

    run(main)


@app.command()
def demo(
    once: Annotated[
        bool, typer.Option(help="End after the check; exit code 1 if it failed.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="A summary object as the last line.")
    ] = False,
    seconds: Annotated[float, typer.Option(help="How long the replay shall take.", min=1)] = 45.0,
    trades: Annotated[
        Path | None, typer.Option(help="Trades to replay, as examples/README.md describes.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Keep the data here instead of a temporary folder.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Save the final screen as an SVG picture.", hidden=True)
    ] = None,
) -> None:
    """Replay real trades between SIMULATED brokers and check every copy against their books."""

    async def main() -> int:
        from copypro_standalone import demo as demo_module

        wanted = demo_module.Wanted(
            once=once, json=json, seconds=seconds, trades=trades, data=data, picture=picture
        )
        return await demo_module.main(wanted)

    run(main)


@app.command(name="mt-simulator")
def mt_simulator(
    mt4_port: Annotated[int | None, typer.Option(help="Port of the MT4 bridge.")] = None,
    mt5_port: Annotated[int | None, typer.Option(help="Port of the MT5 bridge.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    empty: Annotated[bool, typer.Option(help="No brokers and accounts to start with.")] = False,
) -> None:
    """SIMULATED MT4 and MT5 bridges with brokers behind them, on real ports."""

    async def main() -> None:
        import os

        from mt_simulator import main as simulator

        first = mt4_port if mt4_port is not None else int(os.environ.get(_MT4_PORT, "5004"))
        second = mt5_port if mt5_port is not None else int(os.environ.get(_MT5_PORT, "5005"))
        try:
            await simulator.run(first, second, host, empty=empty, say=say)
        except OSError as error:
            say(f"copypro: ports {first} and {second} cannot be listened on: {error.strerror}")
            raise typer.Exit(1) from None

    run(main)


_MT4_PORT, _MT5_PORT = "COPYPRO_SIMULATED_MT4_PORT", "COPYPRO_SIMULATED_MT5_PORT"


@app.command()
def explain(
    account: Annotated[
        str, typer.Argument(help="A registration's id, an account's id or a login.")
    ],
    ticket: Annotated[int, typer.Argument(help="A ticket of a master or of a slave.")],
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Tell the whole story of a ticket: what was seen, decided, sent and answered, and when."""
    from copypro_standalone import explaining

    _print(lambda: explaining.explain(_folder(data), account, ticket, as_json=as_json))


@app.command()
def unresolved(as_json: JsonOption = False, data: DataOption = None) -> None:
    """List the attempts that nobody could settle, with the evidence."""
    from copypro_standalone import operating

    _print(lambda: operating.unresolved(_folder(data), as_json=as_json))


@app.command()
def alerts(
    every: Annotated[bool, typer.Option("--all", help="Also what is over.")] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """List what an operator must know now, once per cause."""
    from copypro_standalone import operating

    _print(lambda: operating.alerts(_folder(data), every=every, as_json=as_json))


@app.command()
def settle(
    attempt: Annotated[
        str | None, typer.Argument(help="The attempt, as `copypro unresolved` lists it.")
    ] = None,
    ticket: Annotated[
        int | None, typer.Option(help="It did happen: the ticket it opened or reached.")
    ] = None,
    nothing: Annotated[bool, typer.Option("--nothing", help="It did nothing.")] = False,
    other_copier: Annotated[
        str | None,
        typer.Option(
            "--other-copier",
            metavar="ACCOUNT",
            help="Instead of an attempt: leave the unknown copier's position TICKET alone.",
        ),
    ] = None,
    data: DataOption = None,
) -> None:
    """Record a person's decision on an attempt that nobody could settle.

    Talks to the running program: beside its data folder, or by COPYPRO_URL and COPYPRO_KEY.
    """
    if (attempt is None) == (other_copier is None):
        raise typer.BadParameter("give an attempt, or --other-copier with --ticket")
    if attempt is not None and (ticket is None) == (not nothing):
        raise typer.BadParameter("give either --ticket or --nothing")
    if other_copier is not None and ticket is None:
        raise typer.BadParameter("--other-copier needs --ticket")

    async def main() -> None:
        from copypro_standalone import operating

        say(await operating.settle(_folder(data), attempt, other_copier, ticket))

    run(main)


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as version_of

    print(version_of("copypro"))


def _folder(data: Path | None) -> Path:
    from copypro import settings

    return settings.load(_overrides(data=data)).data


def _print(answer: Callable[[], int]) -> None:
    try:
        code = answer()
    except CopyProError as error:
        for line in str(error).splitlines():
            say(f"copypro: {line}")
        raise typer.Exit(1) from None
    raise typer.Exit(code)


if __name__ == "__main__":
    app()
