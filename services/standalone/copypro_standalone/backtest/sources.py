"""Where a history comes from: a report's file, a table of trades, or an account in the data folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from copypro import messages as m
from copypro import topics
from copypro.envelope import decode, fact
from copypro.errors import BadStatement
from copypro.ports import LogHistory, Record
from copypro.settings import Settings
from copypro.statements import Statement
from copypro.statements.importing import commands_of
from copypro.topics import Topic
from copypro.values import AccountId, Mode, RegistrationId, UserId
from copypro.wiring import open_history
from copypro_account_watcher.imported import ImportedAgent
from copypro_account_watcher.turn import Turn

from copypro_standalone.backtest import netting
from copypro_standalone.backtest.account_events import Told, live_start, of_events, start_of
from copypro_standalone.backtest.history import History, of_trades
from copypro_standalone.importing import statement_of
from copypro_standalone.replay import read_trades

NOBODY = UserId("0" * 32)
_THEN = datetime(2000, 1, 1, tzinfo=UTC)
"""When an import is said to be made: of no consequence, and always the same."""


def of_file(path: Path, *, lenient: bool, currency: str, balance: Decimal | None) -> History:
    """A report (htm, html, xlsx), or a CSV like examples/trades.csv, which says nothing of money.

    Errors: BadStatement, which names the file, the line and what was expected there.
    """
    if path.suffix.casefold() == ".csv":
        trades = read_trades(path)
        return of_trades(trades, path.name, currency, balance or Decimal(10_000))
    statement = statement_of(path, lenient=lenient)
    events = _imported(statement)
    told = _told(path.name, events, None)
    if netting.is_netting(statement):
        deals = list(netting.happenings(statement.deals))
        told = msgspec.structs.replace(told, mode=Mode.NETTING)
        return History(
            name=told.name,
            platform=told.platform,
            mode=told.mode,
            currency=told.currency,
            balance=start_of(told, deals) if balance is None else balance,
            happenings=deals,
        )
    return of_events(events, told, balance)


def _imported(statement: Statement) -> list[Any]:
    """The events that its import would record."""
    registration = RegistrationId("0" * 32)
    agent: ImportedAgent | None = None
    events: list[Any] = []
    for number, command in enumerate(commands_of(statement, NOBODY, registration)):
        agent = agent or ImportedAgent(command.account)
        turn = Turn(_THEN)
        agent.on_command(fact(command, _THEN, number), turn)
        events += [told.event for told in turn.told]
    return events


async def of_account(settings: Settings, account: str, balance: Decimal | None) -> History:
    """By login, registration id or account id. Errors: BadStatement (no such account, or several),
    LogCorrupt for a folder that is not ours, or Kafka's.
    """
    log = open_history(settings)
    orders = await log.spans(topics.ORDER_EVENTS)
    naming = [
        decode(record).message
        async for record in _records(log, topics.ORDER_EVENTS, orders)
        if record.headers.get("type") in _NAMING
    ]
    meant = _accounts(naming, account)
    if not meant:
        raise BadStatement(
            f"{account}: no file of this name, and no account of this login or id in"
            f" {settings.log_place}"
        )
    if len(meant) > 1:
        several = ", ".join(f"{place}: {id_}" for id_, place in meant.items())
        raise BadStatement(f"{account} is the login of several accounts: name one of {several}")
    (id_,) = meant
    events = [
        decode(record).message
        async for record in _records(log, topics.ORDER_EVENTS, orders)
        if record.key == id_
    ]
    snapshots = await log.spans(topics.ACCOUNT_SNAPSHOTS)
    newest: Record | None = None
    async for record in _records(log, topics.ACCOUNT_SNAPSHOTS, snapshots):
        newest = record if record.key == id_ else newest
    snapshot = None if newest is None else decode(newest).message
    if balance is None:
        balance = live_start(events)
    return of_events(events, _told(account, events, snapshot), balance)


_NAMING = (m.AccountRegistered.__name__, m.HistoryImported.__name__)


async def _records(
    log: LogHistory, topic: Topic, spans: Mapping[int, tuple[int, int]]
) -> AsyncIterator[Record]:
    """The log has no way to ask for one account's: all are looked at, and none is kept here."""
    async for batch in log.records(topic, spans):
        for record in batch:
            yield record


def _accounts(events: Iterable[Any], name: str) -> dict[AccountId, str]:
    """Server and login of each."""
    return {
        event.account: f"{event.server} {event.login}"
        for event in events
        if isinstance(event, m.AccountRegistered | m.HistoryImported)
        and name in (event.account, event.registration, str(event.login))
    }


def _told(name: str, events: Iterable[Any], snapshot: m.AccountSnapshot | None) -> Told:
    """As last said. A name with a login in it is not repeated: the file's or what was asked for is."""
    told: dict[str, Any] = {}
    mode = Mode.HEDGING
    for event in events:
        match event:
            case m.HistoryImported():
                told |= {"platform": event.platform, "currency": event.currency}
                told["balance"] = event.balance
            case m.AccountRegistered():
                told["platform"] = event.platform
            case m.AccountConnected():
                mode, told["currency"] = event.info.mode, event.info.currency
            case _:
                pass
    if snapshot is not None:
        told["balance"] = snapshot.figures.balance
    return Told(name=name, mode=mode, **told)
