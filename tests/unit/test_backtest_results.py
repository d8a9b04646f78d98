"""What a backtest says of each trade adds up to what its brokers booked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from copypro import collections as c
from copypro.copy_history import copies_of
from copypro.errors import SettingsError
from copypro.quality import Copy, Outcome
from copypro.statistics.facts import Absent
from copypro.values import Mode, Platform, Side
from copypro_standalone.backtest import command
from copypro_standalone.backtest.history import Closed, Happening, History, Increased, Opened
from copypro_standalone.backtest.playing import Played
from copypro_standalone.backtest.results import Results
from copypro_standalone.backtest.virtual_time import run
from copypro_standalone.backtest.world import Slave
from copypro_standalone.report.facts import Facts, facts_of

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
D = Decimal


def opened(position: str, after: int = 0, price: str = "1.10001", **more: Any) -> Opened:
    return Opened(
        at=AT + after * MINUTE,
        position=position,
        ticket=int(position),
        symbol="EURUSD",
        side=Side.BUY,
        lots=D(1),
        price=D(price),
        **more,
    )


def closed(position: str, after: int, lots: str, profit: str) -> Closed:
    at = AT + after * MINUTE
    return Closed(at=at, position=position, lots=D(lots), price=D("1.10101"), profit=D(profit))


def added(position: str, after: int, price: str, **more: Any) -> Increased:
    at = AT + after * MINUTE
    return Increased(at=at, position=position, lots=D(1), price=D(price), **more)


def replayed(
    happenings: Sequence[Happening],
    mode: Mode,
    *,
    master: Mode = Mode.HEDGING,
    platform: Platform = Platform.MT5,
    symbols: dict[str, Any] | None = None,
    known: dict[str, Any] | None = None,
) -> tuple[Played, Results]:
    history = History(
        name="x",
        platform=Platform.MT5,
        mode=master,
        currency="USD",
        balance=D(10_000),
        happenings=happenings,
    )
    slave = Slave(
        platform=platform,
        mode=mode,
        currency="USD",
        balance=D(10_000),
        symbols=symbols or {},
        leverage=1000,
    )
    return command.played_and_found(command.plan_of(history, slave, {}, known=known))


def page_facts(played: Played) -> Facts:
    return run(facts_of(played.memory.models, played.slave, simulated=True))


ADDED = (opened("1"), added("1", 1, "1.10051"), closed("1", 2, "2", "150"))


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        (Mode.NETTING, [("150.00", "closed"), (None, "part of leg 0")]),
        (Mode.HEDGING, [("100.00", "closed"), ("50.00", "closed")]),
    ],
)
def test_what_was_added_to_a_position_is_paid_once(mode: Mode, told: list[Any]) -> None:
    played, results = replayed(ADDED, mode, master=Mode.NETTING)
    assert results.balance - results.start == 150
    (row,) = results.rows
    legs = [row, *row["further_legs"]]
    assert [(leg["slave_profit"], leg["ended"]) for leg in legs] == told
    quality = page_facts(played).quality
    assert quality is not None
    assert quality.total["copied"] == 2
    assert quality.total["profit"]["USD"]["total"] == 150


@pytest.mark.parametrize("platform", Platform)
def test_what_the_slave_s_broker_charges_is_in_its_trades_whenever_it_charges(
    platform: Platform,
) -> None:
    one = (opened("1"), closed("1", 1, "1", "100"))
    commission = {"*": {"commission_per_lot": "7"}}
    played, results = replayed(one, Mode.HEDGING, platform=platform, symbols=commission)
    assert results.balance - results.start == 93
    assert [Decimal(row["slave_profit"]) for row in results.rows] == [93]
    quality = page_facts(played).quality
    assert quality is not None
    assert quality.total["profit"]["USD"]["total"] == 93


@pytest.mark.parametrize("mode", Mode)
def test_what_the_master_s_broker_charged_on_entry_is_charged_again(mode: Mode) -> None:
    happenings = [opened("1", cost=D("-3.50"))]
    if mode is Mode.NETTING:
        happenings.append(added("1", 1, "1.10001", cost=D("-3.50")))
    lots = str(len(happenings))
    done = [*happenings, closed("1", 2, lots, "100")]
    _, results = replayed(done, Mode.HEDGING, master=mode)
    result = 100 - D("3.50") * len(happenings)
    assert results.master_balance == 10_000 + result
    assert [Decimal(row["profit"]) for row in results.rows] == [result]


IMPOSSIBLE = [
    ({"contract_size": "0"}, "contract_size: 0 is not above 0"),
    ({"contract_size": "nan"}, "contract_size: NaN is not a number"),
    ({"digits": 400}, "digits: 400 is not from 0 to 10"),
]
IMPOSSIBLE_OF_SLAVE = [
    *IMPOSSIBLE,
    ({"lot_step": "0"}, "lot_step: 0 is not above 0"),
    ({"lot_min": "-1"}, "lot_min: -1 is not above 0"),
    ({"commission_per_lot": "inf"}, "commission_per_lot: Infinity is not a number"),
]


@pytest.mark.parametrize(("terms", "said"), IMPOSSIBLE_OF_SLAVE)
def test_terms_that_no_slave_s_symbol_can_have_are_named(terms: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=f"symbols: EURUSD: {said}"):
        replayed((opened("1"), closed("1", 1, "1", "100")), Mode.HEDGING, symbols={"*": terms})


@pytest.mark.parametrize(("terms", "said"), IMPOSSIBLE)
def test_terms_that_no_master_s_symbol_can_have_are_named(terms: dict[str, Any], said: str) -> None:
    played = (opened("1"), closed("1", 1, "1", "100"))
    with pytest.raises(SettingsError, match=f"master-symbols: EURUSD: {said}"):
        replayed(played, Mode.HEDGING, known={"EURUSD": terms})


def test_what_was_added_is_paid_once_in_a_period_that_begins_after_the_opening_too() -> None:
    played, _ = replayed(ADDED, Mode.NETTING, master=Mode.NETTING)

    async def later() -> list[Copy] | None:
        models = played.memory.models
        (copier,) = await models.find(c.COPIERS, limit=2)
        return await copies_of(models, copier, since="2026-03-02T09:00:30.000000Z")

    (copy,) = run(later()) or ()
    assert copy.outcome is Outcome.COPIED
    assert isinstance(copy.profit, Absent)
