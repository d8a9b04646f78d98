"""The command `copypro backtest`. Imports are made where they are used, so that others start fast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from copypro_standalone.arguments import AsJson, fail, write


def backtest(
    source: Annotated[
        str,
        typer.Argument(
            help="a report (htm, html, xlsx), a CSV like examples/trades.csv, or an account of the"
            " data folder: login, registration id or account id"
        ),
    ],
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", help="NAME=VALUE of Start, as in docs/api.md; repeat it"),
    ] = None,
    options: Annotated[
        Path | None, typer.Option(help="a JSON object of such options; --option wins")
    ] = None,
    balance: Annotated[str, typer.Option(help="the slave's, to begin with")] = "10000",
    currency: Annotated[str, typer.Option(help="the slave's; default the master's")] = "",
    platform: Annotated[str, typer.Option(help="the slave's: MT4 or MT5")] = "MT5",
    mode: Annotated[str, typer.Option(help="the slave's: Hedging or Netting")] = "Hedging",
    leverage: Annotated[int, typer.Option(help="the slave's")] = 100,
    suffix: Annotated[
        str | None, typer.Option(help="the slave's names: the bare ones with this behind")
    ] = None,
    symbols: Annotated[
        Path | None,
        typer.Option(
            help='JSON by the master\'s name ("*": all) of what differs on the slave: name,'
            " contract_size, lot_step, lot_min, commission_per_lot …; null: it has none"
        ),
    ] = None,
    master_symbols: Annotated[
        Path | None,
        typer.Option(help="JSON by its names of what is known better: contract_size, digits …"),
    ] = None,
    map: Annotated[
        list[str] | None, typer.Option("--map", help="MASTER=SLAVE symbols; SLAVE__0.2 fixes lots")
    ] = None,
    rate: Annotated[
        list[str] | None, typer.Option("--rate", help="PAIR=PRICE that the history does not tell")
    ] = None,
    spread: Annotated[str, typer.Option(help="points on the slave")] = "0",
    slippage: Annotated[str, typer.Option(help="points by which each fill is worse")] = "0",
    master_balance: Annotated[
        str, typer.Option(help="at the beginning, where the history does not tell it")
    ] = "",
    master_currency: Annotated[str, typer.Option(help="where it does not tell that")] = "",
    stops: Annotated[
        bool, typer.Option("--stops", help="play a statement's stops, which are the last ones")
    ] = False,
    lenient: Annotated[
        bool, typer.Option("--lenient", help="leave out rows that cannot be read")
    ] = False,
    data: Annotated[
        Path, typer.Option(envvar="COPYPRO_DATA", help="the data folder, for an account of it")
    ] = Path(".copypro"),
    as_json: AsJson = False,
    trades: Annotated[
        Path | None, typer.Option(help="write a row per trade (JSON Lines): its copy or its reason")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="write the slave's report, as `copypro report` makes it")
    ] = None,
) -> None:
    """What a copier would have made of a master's history: SIMULATED, by the live code.

    The market moves only at the master's own prices; the answer says what else it rests on. The same
    input gives the same bytes.

    \b
    copypro backtest examples/trades.csv -o riskType=FixedLot -o riskValue=0.1
    copypro backtest statement.htm --balance 5000 --currency EUR --rate EURUSD=1.10
    copypro backtest 1001 --platform MT4 --suffix .m --spread 8 --trades rows.jsonl --json
    """
    import logging

    from copypro.errors import CopyProError
    from copypro.settings import load
    from rich.console import Console

    from copypro_standalone.backtest import command, report
    from copypro_standalone.logs import configure

    configure(as_json=False, level=logging.CRITICAL)
    wish = command.Wish(
        source=source,
        options=option or (),
        options_file=options,
        platform=platform,
        mode=mode,
        currency=currency,
        balance=balance,
        leverage=leverage,
        suffix=suffix,
        symbols=symbols,
        master_symbols=master_symbols,
        maps=map or (),
        rates=rate or (),
        spread=spread,
        slippage=slippage,
        master_balance=master_balance,
        master_currency=master_currency,
        stops=stops,
        lenient=lenient,
    )
    try:
        answer = command.backtest(load(data), wish)
        if trades is not None:
            write(trades, report.as_lines(answer.results.rows))
        if html is not None:
            write(html, command.page_of(answer))
    except CopyProError as error:
        fail(error)
    if as_json:
        typer.echo(report.as_json(answer.summary))
    else:
        report.show(answer.summary, Console(emoji=False))
