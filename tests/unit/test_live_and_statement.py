"""A live MT5 account and its own report give the same figures, whenever its broker charges."""

from __future__ import annotations

import asyncio
import json
import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from copypro import collections as c
from copypro.account_history import operations_of, report_of
from copypro.adapters import mt5_translate
from copypro.adapters.sqlite_read_models import SqliteReadModels
from copypro.envelope import Envelope
from copypro.ports import Record, Upsert
from copypro.statements import read
from copypro.statements.importing import commands_of
from copypro.statements.ledger import ledger_of
from copypro.statistics import Report, Statistics
from copypro.topics import ORDER_EVENTS
from copypro.values import AccountId, MessageId, RegistrationId, UserId
from copypro_account_watcher.seen.past import imported_operations, imported_positions
from copypro_stats.batch import Batch, Parts
from copypro_stats.projections import patches
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Struct, structs

from tests.unit import statement_writer as write

START = datetime(2026, 3, 2)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
ACCOUNT = AccountId("a1")
DEPOSIT = Decimal(5000)
cents = st.integers(-50_000, 50_000).map(lambda value: Decimal(value) / 100)
costs = st.integers(-900, 0).map(lambda value: Decimal(value) / 100)


class Closing(Struct, frozen=True):
    profit: Decimal
    swap: Decimal
    commission: Decimal
    fee: Decimal


class Position(Struct, frozen=True):
    is_buy: bool
    entry: Decimal
    entry_fee: Decimal
    closings: tuple[Closing, ...]
    row_has_all: bool
    """The bridge writes into the position's row what all its deals cost, else the closing's own."""


closings = st.builds(Closing, cents, costs, costs, costs)
positions = st.builds(
    Position, st.booleans(), costs, costs, st.lists(closings, min_size=1, max_size=3).map(tuple),
    st.booleans(),
)  # fmt: skip


class Dealt(Struct, frozen=True):
    """A deal of a position: its opening (`at` 0) or one of its closings."""

    position: int
    at: int
    time: datetime
    number: int


@st.composite
def histories(draw: Any) -> tuple[list[Position], list[Dealt]]:
    found = draw(st.lists(positions, min_size=1, max_size=5))
    slots = [which for which, one in enumerate(found) for _ in range(1 + len(one.closings))]
    counts: dict[int, int] = {}
    deals = []
    for slot, which in enumerate(draw(st.permutations(slots)), start=1):
        at = counts[which] = counts.get(which, -1) + 1
        deals.append(Dealt(which, at, START + timedelta(hours=slot), 100 + slot))
    return found, deals


CHARGED_ON_ENTRY = [
    Position(True, Decimal("-3.50"), Decimal(0), (Closing(Decimal(5), *[Decimal(0)] * 3),), True)
]


@settings(deadline=None, max_examples=20)
@example(
    (CHARGED_ON_ENTRY, [Dealt(0, at, START + timedelta(hours=1 + at), 101 + at) for at in (0, 1)])
)
@given(histories())
def test_a_live_account_and_its_own_report_give_the_same_figures(
    history: tuple[list[Position], list[Dealt]],
) -> None:
    found, deals = history
    statement, balance = printed(found, deals)
    ledger = ledger_of(read(statement.encode()))
    imported = Statistics(ledger.before)
    imported.feed(ledger.records)
    live = asyncio.run(live_report(bridge_rows(found, deals), balance))
    assert comparable(live) == comparable(imported.report())


def comparable(report: Report) -> dict[str, Any]:
    """A report's own trade is in no list, and knows its position by no name."""
    figures = structs.asdict(report)
    for name in ENDS:
        figures[name] = structs.replace(figures[name], position="", listed_as=None)
    extremes = {name: structs.replace(getattr(report.pips, name), ticket=0) for name in ENDS}
    return figures | {"pips": structs.replace(report.pips, **extremes)}


ENDS = ("best", "worst")


# --- the report -----------------------------------------------------------------------------------


def printed(found: list[Position], deals: list[Dealt]) -> tuple[str, Decimal]:
    balance = DEPOSIT
    rows = [deal_row(START, 100, "", ("balance", ""), "", (Decimal(0),) * 3, DEPOSIT, balance)]
    for deal in deals:
        one = found[deal.position]
        buys = one.is_buy is (deal.at == 0)
        if deal.at == 0:
            money, profit = (one.entry, one.entry_fee, Decimal(0)), Decimal(0)
        else:
            closing = one.closings[deal.at - 1]
            money, profit = (closing.commission, closing.fee, closing.swap), closing.profit
        balance += sum(money, profit)
        kind = ("buy" if buys else "sell", "in" if deal.at == 0 else "out")
        lots = len(one.closings) if deal.at == 0 else 1
        rows.append(
            deal_row(deal.time, deal.number, symbol(deal.position), kind, f"{lots}.00", money, profit,
                     balance)
        )  # fmt: skip
    return write.mt5_history([], rows), balance


def symbol(position: int) -> str:
    return f"SYM{position}"


def deal_row(
    time: datetime, number: int, name: str, kind: tuple[str, str], lots: str,
    money: tuple[Decimal, ...], profit: Decimal, balance: Decimal,
) -> tuple[str, ...]:  # fmt: skip
    costs = (f"{part:.2f}" for part in money)
    price = "1.10000" if name else ""
    return (
        f"{time:%Y.%m.%d %H:%M:%S}", str(number), name, *kind, lots, price, str(number) if name else "",
        *costs, f"{profit:.2f}", f"{balance:.2f}", "",
    )  # fmt: skip


# --- the bridge's history -------------------------------------------------------------------------


def bridge_rows(found: list[Position], deals: list[Dealt]) -> bytes:
    rows: list[dict[str, Any]] = [
        {"ticket": 100, "orderType": "Balance", "dealType": "Balance", "profit": float(DEPOSIT),
         "symbol": "", "openTime": START.isoformat(), "closeTime": START.isoformat()}
    ]  # fmt: skip
    for which, one in enumerate(found):
        own = [deal for deal in deals if deal.position == which]
        rows.append(position_row(which, one, own))
    return json.dumps({"orders": rows}).encode()


def position_row(which: int, one: Position, deals: list[Dealt]) -> dict[str, Any]:
    outs = [
        {"ticketNumber": deal.number, "direction": "Out", "lots": 1, "price": 1.1,
         "profit": float(closing.profit), "swap": float(closing.swap),
         "commission": float(closing.commission), "fee": float(closing.fee),
         "openTimeAsDateTime": deal.time.isoformat()}
        for deal, closing in zip(deals[1:], one.closings, strict=True)
    ]  # fmt: skip
    last, own = deals[-1], one.closings[-1]
    entry, entry_fee = (one.entry, one.entry_fee) if one.row_has_all else (Decimal(0), Decimal(0))
    return {
        "ticket": 9000 + which, "symbol": symbol(which), "orderType": "Buy" if one.is_buy else "Sell",
        "dealType": "DealBuy", "state": "Filled", "lots": len(outs), "closeLots": len(outs),
        "openPrice": 1.1, "closePrice": 1.1, "digits": 5, "openTime": deals[0].time.isoformat(),
        "closeTime": last.time.isoformat(), "profit": float(own.profit), "swap": float(own.swap),
        "commission": float(own.commission + entry), "fee": float(own.fee + entry_fee),
        "dealInternalIn": {"ticketNumber": deals[0].number, "commission": float(one.entry),
                           "fee": float(one.entry_fee)},
        "partialCloseDeals": outs[:-1], "dealInternalOut": outs[-1],
    }  # fmt: skip


async def live_report(body: bytes, balance: Decimal) -> Report:
    """From the bridge's answer through events and read models, as it is shown."""
    history, _ = mt5_translate.history(body)
    facts = [
        *imported_operations(ACCOUNT, history, NOW),
        *imported_positions(ACCOUNT, history.closed, NOW),
    ]
    with tempfile.TemporaryDirectory() as folder:
        models = await SqliteReadModels.open(Path(folder))
        parts, batch = Parts(models), Batch()
        for offset, (_, message) in enumerate(facts):
            envelope = Envelope(
                id=MessageId(str(offset)), cause=None, correlation=MessageId("c"), time=NOW,
                message=message,
            )  # fmt: skip
            record = Record(ORDER_EVENTS.name, 0, offset, ACCOUNT, b"", {})
            for patch in patches(record, envelope):
                await parts.lay(patch, "order-events/0", offset, batch)
        figures = {"figures": {"balance": str(balance)}}
        batch.upserts.append(
            Upsert(collection=c.ACCOUNTS, id=ACCOUNT, source="x", version=1, fields=figures)
        )
        await parts.write(batch)
        report = await report_of(models, ACCOUNT)
        await models.close()
        return report


@pytest.mark.parametrize(
    ("word", "balance"),
    [("bonus", "6000.00"), ("bonus", "5000.00"), ("kredyt", "5000.00"), ("credit", "5000.00")],
)
def test_what_moves_the_credit_alone_is_told_by_the_balance_that_is_printed(
    word: str, balance: str
) -> None:
    """The account that a report is imported as begins where the report does, and has its credit."""
    paid = deal_row(START, 100, "", ("balance", ""), "", (Decimal(0),) * 3, DEPOSIT, DEPOSIT)
    given = deal_row(
        START + timedelta(hours=1), 101, "", (word, ""), "", (Decimal(0),) * 3, Decimal(1000),
        Decimal(balance),
    )  # fmt: skip
    statement = read(write.mt5_history([], [paid, given]).encode())
    ledger = ledger_of(statement)
    assert ledger.before + ledger.moved == Decimal(balance)
    (command,) = commands_of(statement, UserId("u"), RegistrationId("r"))
    assert command.balance == Decimal(balance)
    docs = [
        {"time": one.time_broker.isoformat(), "ticket": one.number, "kind": one.kind,
         "amount": str(one.amount)}
        for one in command.operations
    ]  # fmt: skip
    assert list(operations_of(docs)) == list(ledger.records)
