"""A history written as a report and read again is the same history, whatever it is and however written."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from copypro.statements import read
from copypro.statements.ledger import ledger_of
from copypro.statistics import Operation, Record, Statistics, Trade, in_order, moves_balance
from copypro.values import Side
from copypro_standalone.cli import app
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.unit import statement_writer as write

START = datetime(2024, 1, 1)
cents = st.integers(-10_000_000, 10_000_000).map(lambda value: Decimal(value) / 100)
FORMATS = st.sampled_from(
    [write.spaced, write.plain, write.with_marks(",", "."), write.with_marks(".", ",")]
)


@st.composite
def histories(draw: Any) -> list[Record]:
    found: list[Record] = []
    for ticket in range(1, draw(st.integers(1, 25))):
        at = START + timedelta(seconds=draw(st.integers(0, 10_000)) * 60)
        if draw(st.integers(0, 6)) == 0:
            found.append(Operation(closed_at=at, ticket=ticket, amount=draw(cents)))
            continue
        price = Decimal(draw(st.integers(50_000, 200_000))).scaleb(-5)
        found.append(
            Trade(
                closed_at=at,
                ticket=ticket,
                side=draw(st.sampled_from(Side)),
                symbol=draw(st.sampled_from(("eurusd", "gbpusd.m", "#apple"))),
                lots=Decimal(draw(st.integers(1, 5_000))) / 100,
                profit=draw(cents),
                swap=draw(cents) / 1000,
                commission=-abs(draw(cents)) / 1000,
                opened_at=at - timedelta(seconds=draw(st.integers(0, 9_999))),
                open_price=price,
                close_price=price + Decimal(draw(st.integers(-900, 900))).scaleb(-5),
            )
        )
    return found


def written(record: Record, number: write.Numbers) -> str:
    if isinstance(record, Operation):
        amount = f"{record.amount:.2f}"
        return write.mt4_operation(
            record.ticket, shown(record.closed_at), "balance", amount, number
        )
    assert isinstance(record, Trade)
    assert record.opened_at is not None
    prices = (f"{record.open_price:.5f}", f"{record.close_price:.5f}")
    money = (f"{record.commission:.5f}", "0.00", f"{record.swap:.5f}", f"{record.profit:.2f}")
    return write.mt4_closed(
        record.ticket, shown(record.opened_at), record.side.value.lower(), f"{record.lots:.2f}",
        record.symbol, prices, shown(record.closed_at), money, number,
    )  # fmt: skip


def shown(moment: datetime) -> str:
    return moment.strftime("%Y.%m.%d %H:%M:%S")


@settings(deadline=None)
@given(histories(), FORMATS, st.sampled_from(["utf-8", "utf-16", "cp1251"]))
def test_a_history_and_the_report_of_it_give_the_same_figures(
    history: list[Record], number: write.Numbers, encoding: str
) -> None:
    balance = Decimal(5_000) + sum(map(moves_balance, history), Decimal(0))
    rows = [written(record, number) for record in history]
    page = write.mt4_statement(rows, [("Balance", number(f"{balance:.5f}"))])
    ledger = ledger_of(read(page.encode(encoding)))
    live, imported = Statistics(Decimal(5_000)), Statistics(ledger.before)
    live.feed(in_order(history))
    imported.feed(ledger.records)
    assert ledger.before == 5_000
    assert imported.report() == live.report()


def test_the_check_prints_an_object_for_each_file(tmp_path: Path) -> None:
    path = tmp_path / "statement.htm"
    row = write.mt4_operation(1, "2024.04.30 09:00:00", "balance", "10.00")
    path.write_text(write.mt4_statement([row], [("Balance", "10.00"), ("Equity", "11.00")]))
    shown = CliRunner().invoke(app, ["import", "statement", str(path), "--json", "--check"])
    assert shown.exit_code == 0, shown.output
    report = json.loads(shown.output)
    assert {key: report[key] for key in ("file", "platform", "kind")} == {
        "file": str(path), "platform": "MT4", "kind": "history",
    }  # fmt: skip
    balance, equity = report["figures"]
    assert balance == {
        "name": "Balance", "printed": "10.00", "ours": "10.00", "equal": True, "why": None,
    }  # fmt: skip
    assert (equity["ours"], equity["equal"]) == ("10.00", False)
    assert "balance 10.00 + credit 0 + open 0" in equity["why"]


def test_a_file_that_cannot_be_read_ends_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "statement.htm"
    path.write_text(write.mt4_statement(["<tr><td>1</td><td>2024.01.01</td><td>x</td><td>y</td>"]))
    shown = CliRunner().invoke(app, ["import", "statement", str(path), "--check"])
    assert shown.exit_code == 2
    assert "line 5: expected buy, sell" in shown.output
