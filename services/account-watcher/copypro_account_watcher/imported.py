"""An account that exists only in reports: no session, no trade. What is imported merges by number.

Pure but for its place among the agents: a command changes memory and its turn, nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal

import msgspec
from copypro.codes import CODES
from copypro.envelope import Envelope
from copypro.messages import (
    AccountRemoved,
    AccountUpdated,
    BalanceChanged,
    CommandDenied,
    Deal,
    HistoryImported,
    ImportHistory,
    OpenCopy,
    OrderEvent,
    PositionClosed,
    PositionOpened,
    RemoveAccount,
    Rights,
    Seen,
    StatementOperation,
    StatementRow,
    SymbolChoice,
    UpdateAccount,
)
from copypro.ports import Record
from copypro.values import AccountId, RegistrationId, RootId, Ticket
from msgspec import Struct

from copypro_account_watcher.planned.accepting import deny_unknown
from copypro_account_watcher.state import Origin
from copypro_account_watcher.turn import Turn

MOST_CONTRADICTIONS = 50
"""Named in one answer; the others are counted."""
IMPORTED, NUMBER = "imported", "number"
"""The kinds of state record that make an account an imported one."""


class Imported(Struct, kw_only=True, omit_defaults=True):
    """What its last command said of the account; rows are records of their own."""

    registration: RegistrationId
    name: str
    enabled: bool = True
    consider_balance: bool = False
    symbols: SymbolChoice = SymbolChoice()
    written_at: str = ""
    balance: Decimal | None = None


class Known(Struct, frozen=True, omit_defaults=True):
    """What was imported under a number, as text: to recognise it, and to name what differs."""

    said: str


class ImportedAgent:
    """One such account; the same inputs as an agent that trades, and none of its means."""

    def __init__(self, account: AccountId) -> None:
        self.id = account
        self.state: Imported | None = None
        self.known: dict[str, str] = {}
        self.calls: set[asyncio.Task[None]] = set()

    def restore(self, kind: str, record: Record) -> None:
        value = record.value or b""
        if kind == IMPORTED:
            self.state = msgspec.json.decode(value, type=Imported)
        else:
            number = record.key.rpartition("/")[2]
            self.known[number] = msgspec.json.decode(value, type=Known).said

    def start(self) -> None:
        """There is nothing to follow."""

    def pump(self, turn: Turn) -> None:
        """There is nothing to do."""

    async def disconnect(self) -> None:
        """There is no session."""

    def on_slave_order(self, envelope: Envelope, turn: Turn) -> None:
        order = envelope.message
        if not isinstance(order, OpenCopy):
            return
        denied = deny_unknown(order, "IMPORTED_ACCOUNT", {})
        turn.execution(denied, _origin(envelope), f"{order.leg}")

    def on_command(self, envelope: Envelope, turn: Turn) -> None:
        command, origin = envelope.message, _origin(envelope)
        match command:
            case ImportHistory():
                turn.answer(self.id, origin, self._import(command, turn))
            case RemoveAccount() if self._is_of(command.registration):
                turn.answer(self.id, origin, self._remove(command, turn))
            case UpdateAccount() if self._is_of(command.registration):
                turn.answer(self.id, origin, self._update(command, turn))
            case _:
                code = "IMPORTED_ACCOUNT"
                denied = CommandDenied(code=code, message=": ".join(CODES[code]))
                turn.answer(self.id, origin, denied)

    def _is_of(self, registration: RegistrationId) -> bool:
        return self.state is not None and self.state.registration == registration

    # --- importing ----------------------------------------------------------------------------

    def _import(self, command: ImportHistory, turn: Turn) -> HistoryImported:
        added = same = 0
        contradictions: list[str] = []
        for number, said, row in _told(command):
            before = self.known.get(number)
            if before == said:
                same += 1
            elif before is not None:
                contradictions.append(f"{number} is {said}, but was imported as {before}")
            else:
                added += 1
                self.known[number] = said
                turn.remember(f"{NUMBER}/{self.id}/{number}", Known(said))
                for identity, event in _facts(self.id, row, turn):
                    turn.fact(self.id, event, "statement", *identity)
        state = self._last_written(command)
        turn.remember(f"{IMPORTED}/{self.id}", state)
        more = len(contradictions) - MOST_CONTRADICTIONS
        if more > 0:
            contradictions[MOST_CONTRADICTIONS:] = [f"and {more} more"]
        return HistoryImported(
            account=self.id,
            registration=state.registration,
            user=command.user,
            platform=command.platform,
            server=command.server,
            login=command.login,
            name=state.name,
            currency=command.currency,
            balance=state.balance,
            written_at=state.written_at,
            added=added,
            same=same,
            contradictions=tuple(contradictions),
        )

    def _last_written(self, command: ImportHistory) -> Imported:
        """The registration stays the first one's, the balance is that of the newest report."""
        state = self.state
        if state is None:
            state = Imported(registration=command.registration, name=command.name)
        if command.written_at >= state.written_at:
            state.written_at, state.balance = command.written_at, command.balance
        self.state = state
        return state

    def _remove(self, command: RemoveAccount, turn: Turn) -> AccountRemoved:
        for number in self.known:
            turn.remember(f"{NUMBER}/{self.id}/{number}", None)
        turn.remember(f"{IMPORTED}/{self.id}", None)
        self.known, self.state = {}, None
        return AccountRemoved(account=self.id, registration=command.registration, last=True)

    def _update(self, command: UpdateAccount, turn: Turn) -> AccountUpdated:
        state = self.state
        assert state is not None
        state.name = state.name if command.name is None else command.name
        state.enabled = state.enabled if command.enabled is None else command.enabled
        if command.consider_balance is not None:
            state.consider_balance = command.consider_balance
        state.symbols = command.symbols or state.symbols
        turn.remember(f"{IMPORTED}/{self.id}", state)
        return AccountUpdated(
            account=self.id,
            registration=state.registration,
            name=state.name,
            enabled=state.enabled,
            rights=Rights.READ,
            consider_balance=state.consider_balance,
            symbols=state.symbols,
        )


def _origin(envelope: Envelope) -> Origin:
    return Origin(envelope.id, envelope.correlation)


def _told(command: ImportHistory) -> Iterator[tuple[str, str, StatementRow | StatementOperation]]:
    """Each row's number and what it says. Comments are left out: brokers cut them differently."""
    for row in command.rows:
        money = f"{row.profit} {row.swap} {row.commission} {row.fee}"
        said = f"{row.side} {row.lots} {row.symbol} at {row.closed_at_broker}: {money}"
        yield f"{row.number}", said, row
    for operation in command.operations:
        said = f"{operation.kind} {operation.amount} at {operation.time_broker}"
        yield f"{operation.number}{_suffix(operation)}", said, operation


def _suffix(operation: StatementOperation) -> str:
    """Some reports give every balance row the number 0; the cost of a deal is beside the deal."""
    if operation.kind == "EntryCost":
        return "-entry"
    return "" if operation.number else f"-{operation.time_broker:%Y%m%d%H%M%S}"


Facts = Iterator[tuple[tuple[object, ...], OrderEvent]]


def _facts(account: AccountId, row: StatementRow | StatementOperation, turn: Turn) -> Facts:
    if isinstance(row, StatementOperation):
        changed = BalanceChanged(
            account=account,
            ticket=Ticket(row.number),
            kind=row.kind,
            amount=row.amount,
            time_broker=row.time_broker,
            seen=Seen.IMPORTED,
            seen_at_utc=turn.now,
            comment=row.comment,
        )
        yield ("balance", row.kind, row.number, row.time_broker), changed
        return
    root = RootId(f"statement:{row.number}")
    if row.opened_at_broker is not None and row.open_price is not None:
        yield ("opened", row.number), _opened(account, root, row, turn)
    yield ("closed", row.number), _closed(account, root, row, turn)


def _opened(account: AccountId, root: RootId, row: StatementRow, turn: Turn) -> PositionOpened:
    assert row.opened_at_broker is not None
    assert row.open_price is not None
    return PositionOpened(
        account=account,
        root=root,
        ticket=row.ticket,
        symbol=row.symbol,
        side=row.side,
        lots=row.lots,
        open_price=row.open_price,
        opened_at_broker=row.opened_at_broker,
        opened_at_utc=None,
        seen=Seen.IMPORTED,
        seen_at_utc=turn.now,
        deal=Deal(
            ticket=row.ticket,
            sequence=0,
            lots=row.lots,
            price=row.open_price,
            time_broker=row.opened_at_broker,
        ),
        stop_loss=row.stop_loss,
        take_profit=row.take_profit,
        comment=row.comment,
    )


def _closed(account: AccountId, root: RootId, row: StatementRow, turn: Turn) -> PositionClosed:
    return PositionClosed(
        account=account,
        root=root,
        ticket=row.ticket,
        symbol=row.symbol,
        side=row.side,
        seen=Seen.IMPORTED,
        seen_at_utc=turn.now,
        deal=Deal(
            ticket=row.number,
            sequence=1,
            lots=row.lots,
            price=row.close_price,
            profit=row.profit,
            swap=row.swap,
            commission=row.commission,
            fee=row.fee,
            time_broker=row.closed_at_broker,
        ),
    )
