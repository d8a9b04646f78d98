"""The trades of a statement become the steps of a master's hand, in order and complete."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from copypro.errors import SettingsError
from copypro_standalone import demo_world, replaying
from copypro_standalone.replaying import Close, Open

HEADER = (
    "trade,rest_of,symbol,side,lots,open_time,open_price,stop_loss,take_profit,"
    "close_time,close_price,closed_by\n"
)
FIRST = (
    "1,,EURUSD,buy,0.04,2019-04-19T02:00:00,1.1000,1.0900,1.1200,2019-04-20T02:00:00,1.1100,hand\n"
)
REST = (
    "2,1,EURUSD,buy,0.01,2019-04-19T02:00:00,1.1000,1.0900,1.1200,2019-04-21T02:00:00,1.1150,hand\n"
)


def load(folder: Path, *rows: str) -> list[replaying.Trade]:
    path = folder / "trades.csv"
    path.write_text(HEADER + "".join(rows))
    return replaying.load(path)


def test_a_trade_and_its_rest_are_one_position_closed_in_pieces(tmp_path: Path) -> None:
    opened, part, rest = replaying.steps(load(tmp_path, FIRST, REST))

    assert isinstance(opened, Open)
    assert opened.lots == Decimal("0.05")
    assert isinstance(part, Close)
    assert (part.lots, part.price) == (Decimal("0.04"), Decimal("1.1100"))
    assert isinstance(rest, Close)
    assert rest.lots is None


def test_a_wrong_row_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"trades.csv, line 2: .*Side"):
        load(tmp_path, FIRST.replace("buy", "hold"))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="holds no trades"):
        load(tmp_path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        replaying.load(tmp_path / "none.csv")


def test_levels_that_could_not_stand_at_the_open_are_left_out(tmp_path: Path) -> None:
    (trade,) = load(tmp_path, FIRST.replace("1.0900", "1.1050"))

    assert replaying.valid_levels(trade, Decimal("0.0002")) == (None, Decimal("1.1200"))


def test_the_real_trades_open_and_close_once_each_and_are_all_traded_in_the_demo() -> None:
    trades = replaying.load(replaying.BUNDLED)
    steps = replaying.steps(trades)
    open_now: set[int] = set()
    for step in steps:
        if isinstance(step, Open):
            assert step.trade.number not in open_now
            open_now.add(step.trade.number)
        else:
            assert step.number in open_now
            if step.lots is None:
                open_now.remove(step.number)

    assert open_now == set()
    assert len(trades) >= 300
    assert sum(trade.rest_of is not None for trade in trades) == 2
    assert demo_world.unknown(trade.symbol for trade in trades) == set()
