"""An account of the data folder, among others."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from copypro import topics
from copypro.adapters.sqlite_log import SqliteLog
from copypro.envelope import encode, fact
from copypro.errors import BadStatement
from copypro.messages import AccountRegistered, Deal, PositionOpened, Seen
from copypro.ports import Outgoing
from copypro.settings import Settings
from copypro.values import AccountId, Platform, RegistrationId, RootId, Side, Ticket, UserId
from copypro_standalone.backtest.sources import of_account
from msgspec import structs

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
OURS, OTHER = AccountId("a" * 32), AccountId("b" * 32)
REGISTERED = AccountRegistered(
    account=OURS, registration=RegistrationId("1" * 32), user=UserId("u"), platform=Platform.MT5,
    server="Alpha", login=1001, name="Main", generation=0,
)  # fmt: skip
OPENED = PositionOpened(
    account=OURS, root=RootId("7"), ticket=Ticket(7), symbol="EURUSD", side=Side.BUY,
    lots=Decimal("0.1"), open_price=Decimal("1.10000"), opened_at_broker=AT.replace(tzinfo=None),
    opened_at_utc=AT, seen=Seen.LIVE, seen_at_utc=AT,
    deal=Deal(ticket=7, sequence=0, lots=Decimal("0.1"), price=Decimal("1.10000")),
)  # fmt: skip


def test_an_account_s_history_is_read_whatever_is_in_the_records_of_others(tmp_path: Path) -> None:
    """Here one that only a later version could read."""

    async def story() -> list[int]:
        log = await SqliteLog.open(tmp_path)
        events = (REGISTERED, OPENED, structs.replace(OPENED, account=OTHER, ticket=Ticket(8)))
        written = [
            encode(topics.ORDER_EVENTS, event.account, fact(event, AT, number))
            for number, event in enumerate(events)
        ]
        newer = {**written[-1].headers, "id": "f" * 32, "version": "999"}
        written.append(Outgoing(topics.ORDER_EVENTS.name, OTHER, b"{}", newer))
        await log.append(written)
        await log.close()
        history = await of_account(Settings(data=tmp_path), "1001", None)
        return [one.ticket for one in history.opened()]

    assert asyncio.run(story()) == [7]


async def test_a_login_of_several_accounts_is_told_which_there_are(tmp_path: Path) -> None:
    """The same login at two brokers: an id of the log alone tells nobody which is which."""
    other = structs.replace(REGISTERED, account=OTHER, server="Beta")
    log = await SqliteLog.open(tmp_path)
    await log.append(
        [
            encode(topics.ORDER_EVENTS, event.account, fact(event, AT, "registered"))
            for event in (REGISTERED, other)
        ]
    )
    await log.close()
    told = f"name one of Alpha 1001: {OURS}, Beta 1001: {OTHER}"
    with pytest.raises(BadStatement, match=told):
        await of_account(Settings(data=tmp_path), "1001", None)
