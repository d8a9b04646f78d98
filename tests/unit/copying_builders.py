"""A master, three slaves and their copiers; records as they lie on the log; outputs, decoded."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from copypro import messages as m
from copypro import topics
from copypro.envelope import Envelope, decode, encode, fact
from copypro.messages import Seen
from copypro.options import CopierOptions
from copypro.ports import Outgoing, Record
from copypro.trading import Figures, Quote, SymbolSpec
from copypro.values import (
    AccountId,
    CopierId,
    CopyId,
    OrderKind,
    Platform,
    RegistrationId,
    RootId,
    Side,
    Ticket,
    UserId,
    account_id,
    copy_id,
)
from copypro_replicator.replicating import Replicating

D = Decimal
T0 = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
MASTER = account_id(Platform.MT4, "Amber", 1)
OTHER_MASTER = account_id(Platform.MT5, "Amber", 2)
SLAVES = tuple(account_id(Platform.MT5, "Cobalt", login) for login in range(10, 20))
SLAVE = SLAVES[0]
USER = UserId("user")
COPIER = CopierId("c" * 32)
SECOND = CopierId("d" * 32)
ROOT = RootId("501")
COPY = copy_id(MASTER, SLAVE, ROOT)
CONTEXT = m.Context(
    figures=Figures(balance=D("10000.00"), equity=D("10120.50"), margin=D("90")),
    currency="EUR",
    spec=SymbolSpec(
        name="EURUSD",
        digits=5,
        point=D("0.00001"),
        tick_size=D("0.00001"),
        contract_size=D(100000),
        lot_min=D("0.01"),
        lot_max=D(100),
        lot_step=D("0.01"),
    ),
    quote=Quote(symbol="EURUSD", bid=D("1.08001"), ask=D("1.08003")),
)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


# --- commands -----------------------------------------------------------------------------------


def start(
    copier: CopierId = COPIER,
    *,
    slave: AccountId = SLAVE,
    master: AccountId = MASTER,
    user: UserId = USER,
    paused: bool = False,
    mappings: tuple[Any, ...] = (),
    same_server: bool = False,
    market: m.Market | None = None,
    **options: Any,
) -> m.StartCopier:
    return m.StartCopier(
        copier=copier,
        user=user,
        master=master,
        slave=slave,
        master_registration=RegistrationId("m" * 32),
        slave_registration=RegistrationId("s" * 32),
        same_server=same_server,
        options=CopierOptions(**options),
        mappings=mappings,
        paused=paused,
        market=market or {},
    )


def stop(
    copier: CopierId = COPIER,
    open_copies: m.OpenCopies = m.OpenCopies.FOLLOW,
    reason: m.StopReason = m.StopReason.BY_USER,
) -> m.StopCopier:
    return m.StopCopier(copier=copier, master=MASTER, open_copies=open_copies, reason=reason)


def pause(copier: CopierId = COPIER) -> m.PauseCopier:
    return m.PauseCopier(copier=copier, master=MASTER, reason="ByUser")


def resume(copier: CopierId = COPIER, market: m.Market | None = None) -> m.ResumeCopier:
    return m.ResumeCopier(copier=copier, master=MASTER, market=market or {})


# --- order events -------------------------------------------------------------------------------


def deal(lots: str = "1", price: str = "1.08") -> m.Deal:
    return m.Deal(ticket=900, sequence=0, lots=D(lots), price=D(price))


def opened(root: RootId = ROOT, **changes: Any) -> m.PositionOpened:
    given: dict[str, Any] = {
        "account": MASTER,
        "root": root,
        "ticket": Ticket(501),
        "symbol": "EURUSD",
        "side": Side.BUY,
        "lots": D("1.00"),
        "open_price": D("1.08002"),
        "opened_at_broker": at(7200).replace(tzinfo=None),
        "opened_at_utc": at(0),
        "seen": Seen.LIVE,
        "seen_at_utc": at(0.2),
        "deal": deal(),
        "stop_loss": D("1.07"),
        "context": CONTEXT,
    }
    return m.PositionOpened(**(given | changes))


def increased(leg: int = 1, lots: str = "0.5", ever: str = "1.5", **changes: Any) -> Any:
    given: dict[str, Any] = {
        "account": MASTER,
        "root": ROOT,
        "ticket": Ticket(501),
        "symbol": "EURUSD",
        "side": Side.BUY,
        "leg": leg,
        "lots": D(lots),
        "open_lots": D(ever),
        "ever_lots": D(ever),
        "seen": Seen.LIVE,
        "seen_at_utc": at(5),
        "deal": deal(lots, "1.09"),
        "context": CONTEXT,
    }
    return m.PositionIncreased(**(given | changes))


def modified(stop_loss: str | None, take_profit: str | None) -> m.PositionModified:
    return m.PositionModified(
        account=MASTER,
        root=ROOT,
        ticket=Ticket(501),
        stop_loss=None if stop_loss is None else D(stop_loss),
        take_profit=None if take_profit is None else D(take_profit),
        seen_at_utc=at(6),
    )


def reduced(
    open_lots: str, ever_lots: str = "1.00", root: RootId = ROOT, seconds: float = 7
) -> m.PositionReduced:
    return m.PositionReduced(
        account=MASTER,
        root=root,
        ticket=Ticket(502),
        open_lots=D(open_lots),
        ever_lots=D(ever_lots),
        seen_at_utc=at(seconds),
        deal=deal(),
    )


def closed(root: RootId = ROOT, seen: Seen = Seen.LIVE, seconds: float = 9) -> m.PositionClosed:
    return m.PositionClosed(
        account=MASTER,
        root=root,
        ticket=Ticket(501),
        symbol="EURUSD",
        side=Side.BUY,
        seen=seen,
        seen_at_utc=at(seconds),
        deal=deal(),
    )


def placed(root: RootId = ROOT, **changes: Any) -> m.PendingPlaced:
    given: dict[str, Any] = {
        "account": MASTER,
        "root": root,
        "ticket": Ticket(501),
        "symbol": "EURUSD",
        "kind": OrderKind.BUY_LIMIT,
        "lots": D("1.00"),
        "price": D("1.07"),
        "placed_at_broker": at(7200).replace(tzinfo=None),
        "placed_at_utc": at(0),
        "seen": Seen.LIVE,
        "seen_at_utc": at(0.1),
        "expires_at_utc": at(3600),
        "context": CONTEXT,
    }
    return m.PendingPlaced(**(given | changes))


def pending_modified(price: str, **changes: Any) -> m.PendingModified:
    given = {"account": MASTER, "root": ROOT, "ticket": Ticket(501), "seen_at_utc": at(3)}
    return m.PendingModified(price=D(price), **given | changes)


def pending_removed() -> m.PendingRemoved:
    return m.PendingRemoved(
        account=MASTER, root=ROOT, ticket=Ticket(501), seen_at_utc=at(4), reason="deleted"
    )


def filled(**changes: Any) -> m.PositionOpened:
    return opened(from_pending=True, **changes)


def account_removed(registration: str = "m" * 32, *, last: bool = True) -> m.AccountRemoved:
    return m.AccountRemoved(account=MASTER, registration=RegistrationId(registration), last=last)


def missed(root: RootId = ROOT, **changes: Any) -> m.PositionOpened:
    """Found at 90 s, opened at 60 s."""
    given: dict[str, Any] = {"seen": Seen.MISSED, "opened_at_utc": at(60), "seen_at_utc": at(90)}
    return opened(root, **(given | changes))


def equity(account: AccountId = MASTER) -> m.EquityRecorded:
    """From which nothing follows."""
    return m.EquityRecorded(
        account=account,
        time_utc=T0,
        balance=D(100),
        equity=D(100),
        equity_high=D(100),
        equity_low=D(100),
        profit_high={},
        profit_low={},
    )


def closed_unseen(root: RootId = ROOT) -> m.PositionClosed:
    """By the look that found `missed`."""
    return closed(root, Seen.MISSED, 90)


# --- the log, without one -----------------------------------------------------------------------

COMMANDS = (
    m.StartCopier,
    m.UpdateCopier,
    m.PauseCopier,
    m.ResumeCopier,
    m.StopCopier,
    m.MapSymbol,
    m.UnmapSymbol,
    m.SetTradeLogCallback,
)


def outgoing(message: Any, *identity: object) -> Outgoing:
    topic = topics.COPIER_COMMANDS if isinstance(message, COMMANDS) else topics.ORDER_EVENTS
    key = message.master if isinstance(message, COMMANDS) else message.account
    return encode(topic, key, fact(message, T0, *identity))


class Desk:
    """A replicator fed message by message; what each leads to is checked for repeated ids, and to be
    what it leads to after a restart.
    """

    def __init__(self) -> None:
        self.replicating = Replicating()
        self.state: dict[str, bytes] = {}
        self.told: list[Envelope] = []
        self.written: list[Outgoing] = []
        self.now = T0
        self._masters: set[str] = set()
        self._ends = {topics.ORDER_EVENTS.name: 0, topics.COPIER_COMMANDS.name: 0}

    def when(self, *messages: Any, unread: int = 0) -> list[Any]:
        """The events and orders that these records lead to, read at once. `unread`: order events
        that are in the log behind them.
        """
        records = [self.record(message) for message in messages]
        return self.step(records, self._ends[topics.ORDER_EVENTS.name] + unread)

    def step(self, records: list[Record], end_offset: int) -> list[Any]:
        self._masters |= {record.key for record in records}
        after_a_restart = self._restored().step(records, end_offset, self.now)
        outputs = self.replicating.step(records, end_offset, self.now)
        assert outputs == after_a_restart
        return self._decoded(outputs)

    def each(self, *messages: Any) -> list[Any]:
        return [output for message in messages for output in self.when(message)]

    def restart(self) -> None:
        """Only what was written to the state topic is left."""
        self.replicating = self._restored()

    def _restored(self) -> Replicating:
        made = Replicating()
        for key, value in self.state.items():
            made.restore(Record("replicator-state", 0, 0, key, value, {}))
        return made

    def record(self, message: Any, seconds: float = 0) -> Record:
        """On the log, as told so long after the others."""
        topic = (
            topics.COPIER_COMMANDS.name
            if isinstance(message, COMMANDS)
            else topics.ORDER_EVENTS.name
        )
        offset = self._ends[topic]
        self._ends[topic] = offset + 1
        out = outgoing(message, topic, offset)
        headers = {**out.headers, "time": at(seconds).isoformat()}
        return Record(topic, 0, offset, out.key, out.value, headers)

    def _decoded(self, outputs: Iterable[Outgoing]) -> list[Any]:
        told: list[Envelope] = []
        for out in outputs:
            if out.topic != topics.REPLICATOR_STATE.name:
                self.written.append(out)
                told.append(decode(Record(out.topic, 0, 0, out.key, out.value, out.headers)))
                assert out.topic != topics.COPIER_EVENTS.name or out.key in self._masters
            elif out.value is None:
                self.state.pop(out.key, None)
            else:
                self.state[out.key] = out.value
        self.told += told
        ids = [envelope.id for envelope in self.told]
        assert len(ids) == len(set(ids)), "an id was given twice"
        return [envelope.message for envelope in told]


def desk(*messages: Any) -> Desk:
    """After these messages."""
    given = Desk()
    given.each(*messages)
    return given


def names(outputs: list[Any]) -> list[str]:
    """Skips by their code, all else by its type."""
    return [
        output.code
        if isinstance(output, m.CopySkipped | m.CommandDenied)
        else type(output).__name__
        for output in outputs
    ]


def only(outputs: list[Any], kind: type) -> Any:
    found = [output for output in outputs if isinstance(output, kind)]
    assert len(found) == 1, f"{len(found)} of {kind.__name__} in {names(outputs)}"
    return found[0]


def copy_of(slave: AccountId, root: RootId = ROOT) -> CopyId:
    return copy_id(MASTER, slave, root)
