"""`copypro backtest`: the live code on a clock of its own, held against a live ring on the same trades."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from copypro import topics
from copypro.errors import BadStatement, ServiceEnded
from copypro.ports import Record
from copypro.settings import Settings
from copypro.values import CopyId, Mode, Platform, RootId, account_id, copy_id, leg_tag
from copypro_standalone import demo_world
from copypro_standalone.backtest import command, history, report, sources, virtual_time
from copypro_standalone.backtest.history import Happening
from copypro_standalone.backtest.playing import Replay
from copypro_standalone.backtest.world import Slave
from copypro_standalone.cli import app
from copypro_standalone.demo import TRADES, Demo
from copypro_standalone.demo_rings import in_process
from copypro_standalone.replay import Event, read_trades
from mt_simulator.client import SimulatorControl
from rich.console import Console
from typer.testing import CliRunner

from tests.unit import statement_writer as write
from tests.unit.shared_statements import FOLDER, MISSING

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("heard_again")]
FEW, FEWER = 30, 16
Row = dict[str, Any]


def few_trades(folder: Path, count: int) -> Path:
    path = folder / "few.csv"
    with TRADES.open(newline="") as file, path.open("w", newline="") as copy:
        csv.writer(copy).writerows(islice(csv.reader(file), count + 1))
    return path


def backtest(source: Path | str, data: Path, **wish: Any) -> command.Answer:
    return command.backtest(Settings(data=data), command.Wish(source=str(source), **wish))


# --- the same input gives the same bytes -----------------------------------------------------------


def run_apart(*arguments: str) -> bytes:
    """In a process whose hash seed is another than this one's."""
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    program = [sys.executable, "-m", "copypro_standalone", "backtest", *arguments]
    done = subprocess.run(program, env=environment, capture_output=True, check=True, timeout=100)
    return done.stdout


def test_the_same_input_gives_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    source, rows = few_trades(tmp_path, FEW), tmp_path / "rows.jsonl"
    options = ("-o", "riskValue=0.6", "--balance", "700", "--platform", "MT4")
    html = tmp_path / "report.html"
    files = ("--trades", str(rows), "--html", str(html))
    said = run_apart(str(source), *options, "--json", *files)
    for _ in range(2):
        here = backtest(source, tmp_path, options=["riskValue=0.6"], balance="700", platform="MT4")
        assert report.as_json(here.summary).encode() + b"\n" == said
        assert report.as_lines(here.results.rows).encode() == rows.read_bytes()
        assert command.page_of(here).encode() == html.read_bytes()
    assert b"SIMULATED" in html.read_bytes()
    summary = here.summary
    assert summary["copied"] + summary["refused"] == summary["master"]["trades"] == FEW
    assert summary["copied"] > 0 < summary["refused"]


# --- the live ring does the same ------------------------------------------------------------------


class Patient(Demo):
    """Lets every copier be done with an event before the next one: the demo's months pass in seconds,
    and on a busy machine the market may move on before a copy is sent.
    """

    async def _play(self, event: Event) -> None:
        await super()._play(event)
        async with asyncio.timeout(60):
            while not await self._is_done(event):  # noqa: ASYNC110 - a server is asked
                await asyncio.sleep(0.01)

    async def _is_done(self, event: Event) -> bool:
        ticket = self.tickets[event.trade.number]
        if event.opens:
            self.rows = await self._call("TradeLogsAll", limit=10_000)
            decided = {
                row["id"] for row in self._opens() if row["outcome"] not in ("planned", None)
            }
            return all(f"{copy_of(ticket, slave)}.0.open" in decided for slave in demo_world.SLAVES)
        for slave in demo_world.SLAVES:
            book = await self._slave_book(slave)
            tag = leg_tag(copy_of(ticket, slave), 0)
            if any(order["comment"].startswith(tag) for order in book["open"]):
                return False
        return True


def copy_of(ticket: int, slave: demo_world.Slave) -> CopyId:
    master = account_id(Platform.MT4, demo_world.MASTER_SERVER, 1001)
    own = account_id(Platform(slave.platform), slave.server, slave.login)
    return copy_id(master, own, RootId(f"{ticket}"))


async def live(trades: Path, data: Path) -> tuple[Demo, dict[str, Row]]:
    """The demo's own run: a real ring, real connections, real time."""
    demo = Patient(Console(file=io.StringIO()), trades=trades, speed=1000)
    async with (
        in_process((0, 0, 0), data)(demo.console) as ring,
        SimulatorControl(ring.control) as control,
    ):
        await demo.run(control, ring.url)
    return demo, {row["id"]: row for row in demo.rows}


def live_outcomes(demo: Demo, rows: Mapping[str, Row], slave: demo_world.Slave) -> list[Any]:
    """By trade: the code of its refusal, or the copy's lots."""
    found = []
    for number in sorted(demo.tickets):
        row = rows[f"{copy_of(demo.tickets[number], slave)}.0.open"]
        found.append(row["exceptionCode"] or float(row["slaveLots"]))
    return found


def replayed(demo: Demo, slave: demo_world.Slave) -> list[Any]:
    names = {trade.symbol for trade in demo.trades}
    theirs = [name for name in slave.symbols if name == "*" or name in names]
    plan = command.plan_of(
        history.of_trades(demo.trades, "live", "USD", Decimal(demo_world.BALANCE)),
        Slave(
            platform=Platform(slave.platform),
            mode=Mode(slave.mode),
            currency=slave.currency,
            balance=Decimal(slave.balance),
            suffix=slave.suffix or None,
            symbols={name: slave.symbols[name] for name in theirs},
        ),
        slave.options,
        rates={
            pair: Decimal(rate) for pair, rate in demo_world._RATES.items() if pair not in names
        },
        known={name: demo_world.symbol_fields(name) for name in names},
    )
    rows = command.played_and_found(plan)[1].rows
    return [row.get("code") or float(row["slave_lots"]) for row in rows]


def test_a_backtest_and_a_live_ring_copy_and_refuse_the_same_with_the_same_lots(
    tmp_path: Path,
) -> None:
    demo, rows = asyncio.run(live(few_trades(tmp_path, FEWER), tmp_path / "data"))
    assert len(demo.tickets) == FEWER
    seen: set[type] = set()
    for slave in demo_world.SLAVES:
        outcomes = live_outcomes(demo, rows, slave)
        assert replayed(demo, slave) == outcomes, slave.name
        seen.update(map(type, outcomes))
    assert seen == {str, float}  # there were copies and there were refusals

    with pytest.raises(BadStatement, match="no account of this login or id"):
        backtest("999", tmp_path / "data")
    own = backtest("1001", tmp_path / "data")  # what the live ring recorded, as a history
    assert [row["lots"] for row in own.results.rows] == [str(t.lots) for t in demo.trades]
    assert own.summary["copied"] == own.summary["master"]["trades"] == FEWER
    assert Decimal(own.summary["master"]["start_balance"]) == Decimal(demo_world.BALANCE)


# --- each trade has its copy or its reason ---------------------------------------------------------

LOTS = "riskType=FixedLot"
REFUSALS = [
    ("a filter", {"options": ["filterSide=CopyBuyOnly"]}, {"FILTER_SIDE"}),
    ("a stop is needed", {"options": ["riskType=FixedRisk"]}, {"NO_STOP"}),
    ("too small", {"options": ["RISKVALUE=0.5"]}, {"BELOW_MIN_LOT"}),
    ("no money", {"options": [LOTS, "riskValue=5"], "balance": "1000"}, {"NOT_ENOUGH_MARGIN"}),
    ("netting", {"mode": "Netting"}, {"NETTING_SHARED"}),
    ("no mapping", {"maps": ["USDCAD=LOONIE"]}, {"UNMAPPED_SYMBOL"}),
]


@pytest.mark.parametrize(("name", "wish", "codes"), REFUSALS, ids=[one[0] for one in REFUSALS])
def test_every_trade_has_its_copy_or_its_reason(
    tmp_path: Path, name: str, wish: dict[str, Any], codes: set[str]
) -> None:
    answer = backtest(few_trades(tmp_path, 30), tmp_path, **wish)
    rows, summary = answer.results.rows, answer.summary
    refused = [row for row in rows if row["outcome"] != "copied"]
    assert {row["code"] for row in refused} == codes
    for row in refused:
        assert row["meaning"]
        assert row["remedy"]
    assert len(rows) == 30 == summary["copied"] + summary["refused"]
    counted = {one["code"]: one["trades"] for one in summary["refusals"]}
    assert sum(counted.values()) == len(refused)
    missed = sum((Decimal(one["profit_missed"]) for one in summary["refusals"]), Decimal(0))
    assert missed == sum((Decimal(row["profit"]) for row in refused), Decimal(0))
    made = [Decimal(row["slave_profit"]) for row in rows if row["outcome"] == "copied"]
    assert Decimal(summary["slave"]["profit"]) == sum(made, Decimal(0))


def test_symbols_that_the_slave_lacks_or_names_otherwise(tmp_path: Path) -> None:
    terms = tmp_path / "symbols.json"
    given = {"AUDUSD": None, "USDCAD": {"name": "LOONIE", "contract_size": "10000"}}
    terms.write_text(json.dumps(given))
    source = few_trades(tmp_path, 6)
    unmapped = backtest(source, tmp_path, symbols=terms).results.rows
    refused = {row["symbol"] for row in unmapped if row["outcome"] != "copied"}
    assert refused == {"AUDUSD", "USDCAD"}
    mapped = backtest(source, tmp_path, symbols=terms, maps=["USDCAD=LOONIE"]).results.rows
    lots = {
        (row["slave_symbol"], Decimal(row["slave_lots"]) / Decimal(row["lots"]))
        for row in mapped
        if row["symbol"] == "USDCAD"
    }
    assert lots == {("LOONIE", 10)}


def test_spread_and_slippage_cost_what_they_say(tmp_path: Path) -> None:
    """Ten points of USDCAD at 0.1 lots, there and back, are a dollar: 1.31 of the other one."""
    source = few_trades(tmp_path, 1)
    options = [LOTS, "riskValue=0.1"]
    plain = backtest(source, tmp_path, options=options)
    spread = backtest(source, tmp_path, options=options, spread="10")
    worse = backtest(source, tmp_path, options=options, slippage="5")
    (row,) = worse.results.rows
    assert Decimal(row["slippage"]) == Decimal("0.00005")
    profits = [Decimal(each.summary["slave"]["profit"]) for each in (plain, spread, worse)]
    assert profits[1] == profits[2]
    assert profits[0] - profits[1] == pytest.approx(Decimal("0.76"), abs=Decimal("0.01"))


# --- reports of MetaTrader ------------------------------------------------------------------------


def test_a_report_is_replayed_with_the_balance_it_tells(tmp_path: Path) -> None:
    """A partial close is one trade, and the master's balance is the report's own to the cent."""
    money = ("-1.00", "0.00", "-0.50", "10.00")
    prices = ("1.10000", "1.10100")

    def closed(ticket: int, lots: str, until: str, comment: str) -> str:
        opened = "2024.05.02 10:00:00"
        return write.mt4_closed(
            ticket, opened, "buy", lots, "eurusd", prices, until, money, comment=comment
        )

    rows = [
        write.mt4_operation(1, "2024.05.01 09:00:00", "balance", "1000.00"),
        closed(2, "0.10", "2024.05.02 11:00:00", "to #3"),
        closed(3, "0.20", "2024.05.02 12:00:00", "from #2"),
    ]
    path = tmp_path / "report.htm"
    path.write_text(write.mt4_statement(rows, [("Balance", "1017.00")]))
    answer = backtest(path, tmp_path, options=["riskType=BalanceMultiplier"], balance="2000")
    master = answer.summary["master"]
    assert (master["trades"], master["start_balance"], master["profit"]) == (1, "1000.00", "17.00")
    (row,) = answer.results.rows
    assert (row["lots"], row["pieces"], Decimal(row["slave_lots"])) == ("0.30", 2, Decimal("0.6"))
    assert (row["ended"], answer.summary["slave"]["trades"]) == ("closed", 2)


@pytest.mark.skipif(FOLDER is None, reason=MISSING)
@pytest.mark.parametrize(
    "name",
    [
        "mt4-04-usd-ava-34.htm",
        "mt4-17-usd-73-partial-history-withdrawal.htm",
        "mt5-02-netting-in-out-3.html",
        "mt5-05-netting-41.xlsx",
    ],
)
def test_a_real_report_is_replayed_whole(tmp_path: Path, name: str) -> None:
    """With enough money every trade is copied, and what the slave makes is what the master's prices made."""
    assert FOLDER is not None
    answer = backtest(FOLDER / name, tmp_path, balance="10000000")
    summary = answer.summary
    assert summary["copied"] == summary["master"]["trades"] > 0
    made, theirs = Decimal(summary["slave"]["profit"]), Decimal(summary["master"]["profit"])
    assert abs(made - theirs) <= abs(theirs) / 100 + summary["slave"]["trades"]
    told = sources.of_file(FOLDER / name, lenient=False, currency="", balance=None)
    moved = told.balance + history.booked(told.happenings)
    assert Decimal(summary["master"]["balance"]) == moved  # booked to the cent, swaps and all


# --- what cannot be done is said ------------------------------------------------------------------

WRONG: list[tuple[list[str], str]] = [
    (["-o", "riskTipe=FixedLot"], "option: there is no riskTipe: did you mean riskType?"),
    (["-o", "riskType=Random"], "riskType: Input should be"),
    (["-o", "zzz=1"], "option: there is no zzz; there are riskType, riskValue,"),
    (["-o", "riskValue=0"], "riskValue: 0 is not above 0"),
    (["-o", "riskValue=0,5"], "riskValue: is not a number like 0.5"),
    (["-o", "riskType=fixedlot"], "riskValue: FixedLot needs the lots of each copy"),
    (["-o", "riskValue"], "option: riskValue is not name=value"),
    (["--balance", "much"], "balance: much is not a number"),
    (["--balance", "-5"], "balance: -5 is not above 0"),
    (["--platform", "MT6"], "platform: MT6 is none of MT4, MT5"),
    (["--platform", "MT4", "--mode", "netting"], "mode: MT4 accounts are always Hedging"),
    (["--currency", "XAF"], "currency: nothing in the history says what USD is worth in XAF"),
    (["--currency", "12"], "currency: 12 is not a currency's three letters, such as EUR"),
    (["--currency", "euros"], "currency: euros is not a currency's three letters, such as EUR"),
    (["--master-currency", "$"], "master-currency: $ is not a currency's three letters"),
    (["--rate", "123456=1"], "rate: 123456=1 is not PAIR=PRICE"),
    (["--balance", "1e30"], "balance: 1e30 is above 1,000,000,000,000,000"),
    (["--leverage", "9" * 30], f"leverage: {'9' * 30} is above 1,000,000,000,000,000"),
    (["--master-balance", "-4"], "master-balance: -4 is below 0"),
    (["--trades", "/dev/full"], "/dev/full cannot be written: No space left on device"),
    (["--html", "/dev/full"], "/dev/full cannot be written: No space left on device"),
    (["--rate", "EURUSD"], "rate: EURUSD is not PAIR=PRICE"),
    (["--map", "XAUUSD"], "map: XAUUSD is not MASTER=SLAVE"),
    (["--symbols", "missing.json"], "symbols: missing.json: No such file"),
    (["--spread", "-1"], "spread: -1 points: give 0 or more"),
    (["--trades", "/none/rows.jsonl"], "/none/rows.jsonl cannot be written: No such file"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG, ids=[one[1] for one in WRONG])
def test_a_wrong_option_is_named_with_the_fix(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    source = str(few_trades(tmp_path, 2))
    done = CliRunner().invoke(app, ["backtest", source, "--master-currency", "USD", *arguments])
    assert done.exit_code == 2
    assert said in done.output
    assert "Traceback" not in done.output


def test_a_source_that_is_none_is_said(tmp_path: Path) -> None:
    empty, text = tmp_path / "empty.htm", tmp_path / "text.html"
    empty.write_bytes(b"")
    text.write_text("<html><body>hello</body></html>")
    only_deposits = tmp_path / "deposits.htm"
    deposit = write.mt4_operation(1, "2024.05.01 09:00:00", "balance", "1000.00")
    only_deposits.write_text(write.mt4_statement([deposit], [("Balance", "1000.00")]))
    for source, said in (
        (str(tmp_path / "none.htm"), "no such file"),
        (str(empty), "the file is empty"),
        (str(text), "not a report of MetaTrader"),
        (str(only_deposits), "there is no trade whose opening is known in it"),
        ("1001", "1001: no such file; as an account: "),
    ):
        done = CliRunner().invoke(app, ["backtest", source, "--data", str(tmp_path / "nothing")])
        assert done.exit_code == 2
        assert said in done.output
        assert "Traceback" not in done.output


class Breaking(Replay):
    """Loses the watcher's partition with a damaged record in its memory."""

    def _do(self, happening: Happening) -> None:
        super()._do(happening)
        log = self.memory.log
        state = topics.WATCHER_STATE.name
        log.state(state)[0]["root/?"] = Record(state, 0, 0, "root/?", b"{}", {})
        log.lose(topics.ACCOUNT_WATCHER, 0)


def test_a_service_that_breaks_ends_the_backtest_instead_of_starting_over(tmp_path: Path) -> None:
    trades = read_trades(few_trades(tmp_path, 2))
    replayed = history.of_trades(trades, "few", "USD", Decimal(1000))
    slave = Slave(platform=Platform.MT5, mode=Mode.HEDGING, currency="USD", balance=Decimal(1000))
    with pytest.raises(ServiceEnded, match="account-watcher ended: ValidationError"):
        virtual_time.run(Breaking(command.plan_of(replayed, slave, {})).run())
