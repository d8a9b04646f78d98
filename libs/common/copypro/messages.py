"""Every command and event, as frozen structs; one tagged union per topic.

A command is a wish and ends in exactly one event that names it as its cause (`CommandDenied`
included). An event is a fact. `numbers` hold what a decision was made from, by name, as text.
Times: `_utc` UTC; `_broker` the broker's server clock, no zone. The envelope carries the rest
(id, cause, correlation, when it was written).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from copypro.callbacks import Callback
from copypro.options import CopierOptions, SymbolMapping
from copypro.protection import Protector, ProtectorSettings
from copypro.trading import (
    AccountInfo,
    CloseReason,
    Done,
    Figures,
    OpenOrder,
    Quote,
    SymbolSpec,
    TradeRequest,
)
from copypro.values import (
    AccountId,
    AttemptId,
    CopierId,
    CopyId,
    Lots,
    OrderKind,
    Platform,
    Price,
    RegistrationId,
    RootId,
    Side,
    Ticket,
    UserId,
)

Numbers = dict[str, str]
"""What a decision was made from: by name, as text."""


class Message(Struct, frozen=True, kw_only=True, omit_defaults=True, tag=True, gc=False):
    """The root of all messages; the tag is the class's name, in a field `type`.

    Not tracked by the garbage collector: what is made whole and never changed forms no cycles.
    """


# --- account-commands -------------------------------------------------------------------------


class RegisterAccount(Message, frozen=True, kw_only=True):
    """Watch this account for this user. Its first registration starts the account; each later one
    must prove its own password before it may read or trade.
    """

    account: AccountId
    registration: RegistrationId
    user: UserId
    platform: Platform
    server: str
    login: int
    name: str
    """As the user calls it."""
    sealed_password: str
    """Encrypted for this registration; only the watcher opens it."""


class SymbolChoice(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """On which of an account's own symbols copies are opened in a registration's name; closes go on
    everywhere.
    """

    all: bool = True
    """True: all but those that are `off`; False: only those that are `on`."""
    on: tuple[str, ...] = ()
    off: tuple[str, ...] = ()

    def allows(self, symbol: str) -> bool:
        return symbol not in self.off if self.all else symbol in self.on


class UpdateAccount(Message, frozen=True, kw_only=True):
    """Change a registration. What is None stays as it is."""

    account: AccountId
    registration: RegistrationId
    name: str | None = None
    server: str | None = None
    """Spelled anew; it counts until a password has logged in by it."""
    sealed_password: str | None = None
    """A new password, encrypted: it has no rights until it has logged in."""
    enabled: bool | None = None
    """False: nothing is opened on the account, and nothing that opens on it is copied; closes go on."""
    consider_balance: bool | None = None
    """Only kept, for those who show it."""
    symbols: SymbolChoice | None = None


class RemoveAccount(Message, frozen=True, kw_only=True):
    """Ends a registration; the last one of an account ends the account.

    `close_trades`: False leaves open copies where they are (detached), True closes them first.
    """

    account: AccountId
    registration: RegistrationId
    close_trades: bool = False


class UpdateEquityProtector(Message, frozen=True, kw_only=True):
    """Arm this registration's equity protector anew with these settings, or switch it off."""

    account: AccountId
    registration: RegistrationId
    settings: ProtectorSettings


class SetEquityProtectorCallback(Message, frozen=True, kw_only=True):
    """Tell this address what the registration's equity protector does; None: nobody any more."""

    account: AccountId
    registration: RegistrationId
    callback: Callback | None


class SettleUnresolved(Message, frozen=True, kw_only=True):
    """A person's decision on an attempt that nobody could settle.

    `ticket` given: the attempt did open (or reach) this ticket; None: it did nothing.
    """

    account: AccountId
    attempt: AttemptId
    ticket: Ticket | None = None
    by: str
    """The user who decided."""


class SettleOtherCopier(Message, frozen=True, kw_only=True):
    """A person's word on a tagged position we do not know: leave it alone, and open again."""

    account: AccountId
    ticket: Ticket
    by: str
    """The user who decided."""


class StatementRow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One closing of a report (a closed MT4 order, an MT5 closing deal), under its own number.

    `opened_at_broker` None: opened before the report began.
    """

    number: int
    ticket: Ticket
    symbol: str
    side: Side
    lots: Lots
    close_price: Price
    closed_at_broker: datetime
    profit: Decimal
    swap: Decimal = Decimal(0)
    commission: Decimal = Decimal(0)
    fee: Decimal = Decimal(0)
    open_price: Price | None = None
    opened_at_broker: datetime | None = None
    stop_loss: Price | None = None
    take_profit: Price | None = None
    comment: str = ""


class StatementOperation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A balance operation of a report; kind `EntryCost`: what an MT5 deal in cost."""

    number: int
    kind: str
    amount: Decimal
    time_broker: datetime
    comment: str = ""


class ImportHistory(Message, frozen=True, kw_only=True):
    """One bounded piece of a report. The first makes the account, of the kind that is only looked
    at; each adds what is not there yet under its number and names what contradicts it.
    """

    account: AccountId
    registration: RegistrationId
    user: UserId
    platform: Platform
    server: str
    login: int
    name: str
    currency: str
    balance: Decimal | None
    """As the report prints it, at `written_at`."""
    written_at: str
    rows: tuple[StatementRow, ...] = ()
    operations: tuple[StatementOperation, ...] = ()


AccountCommand = (
    RegisterAccount
    | UpdateAccount
    | RemoveAccount
    | UpdateEquityProtector
    | SetEquityProtectorCallback
    | SettleUnresolved
    | SettleOtherCopier
    | ImportHistory
)


# --- copier-commands --------------------------------------------------------------------------


Market = dict[str, Price]
"""What the master's symbols cost, by their names, where its account has just shown it: what joins
now is measured from there.
"""


class StartCopier(Message, frozen=True, kw_only=True):
    """Copy this master to this slave from now on. The same pair again, by the same user, is the same
    copier with new options.
    """

    copier: CopierId
    """Of the copier if it is a new one; the event says which it is."""
    user: UserId
    master: AccountId
    slave: AccountId
    master_registration: RegistrationId
    slave_registration: RegistrationId
    same_server: bool
    """Both accounts are on one server: their prices and symbols are the same."""
    options: CopierOptions
    mappings: tuple[SymbolMapping, ...] = ()
    paused: bool = False
    """True: it is made, and copies nothing until it is resumed."""
    market: Market = {}


class UpdateCopier(Message, frozen=True, kw_only=True):
    """New options for what opens from now on; copies that stand keep theirs."""

    copier: CopierId
    master: AccountId
    options: CopierOptions


class PauseCopier(Message, frozen=True, kw_only=True):
    """Open nothing until it is resumed; stops and closes of open copies go on."""

    copier: CopierId
    master: AccountId
    reason: str
    """For people."""
    unless_paused: bool = False
    """True: one that is paused already keeps its own reason."""


class ResumeCopier(Message, frozen=True, kw_only=True):
    """Copy again what opens from now on; what was skipped meanwhile stays skipped."""

    copier: CopierId
    master: AccountId
    market: Market = {}
    only_from: str = ""
    """Only if this is the reason of its pause; empty: whatever it is."""


class StopReason(StrEnum):
    BY_USER = "ByUser"
    MASTER_REMOVED = "MasterRemoved"
    SLAVE_REMOVED = "SlaveRemoved"


class OpenCopies(StrEnum):
    """What becomes of a stopped copier's open copies."""

    FOLLOW = "Follow"
    """Stops and closes are still followed until flat."""
    CLOSE = "Close"
    """They are closed now."""
    LEAVE = "Leave"
    """They stay open and are managed no more."""


class StopCopier(Message, frozen=True, kw_only=True):
    """Ends a copier."""

    copier: CopierId
    master: AccountId
    open_copies: OpenCopies = OpenCopies.FOLLOW
    reason: StopReason = StopReason.BY_USER


class MapSymbol(Message, frozen=True, kw_only=True):
    """For this copier these two symbols belong together; replaces a former mapping of the master's."""

    copier: CopierId
    master: AccountId
    mapping: SymbolMapping


class UnmapSymbol(Message, frozen=True, kw_only=True):
    """Takes a mapping back: the slave's symbol is found by name again."""

    copier: CopierId
    master: AccountId
    master_symbol: str


class SetTradeLogCallback(Message, frozen=True, kw_only=True):
    """Tell this address each of the copier's trade logs; None: nobody any more."""

    copier: CopierId
    master: AccountId
    callback: Callback | None


CopierCommand = (
    StartCopier
    | UpdateCopier
    | PauseCopier
    | ResumeCopier
    | StopCopier
    | MapSymbol
    | UnmapSymbol
    | SetTradeLogCallback
)


# --- order-events -----------------------------------------------------------------------------


class Seen(StrEnum):
    LIVE = "live"
    """While following the account."""
    BASELINE = "baseline"
    """Found open at the account's first connect."""
    MISSED = "missed"
    """Found after a time without proof of life, or opened and closed between two looks."""
    IMPORTED = "imported"
    """From the account's history or a statement: never copied."""


class Context(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The account at the moment of a look: what sizing a copy needs, all from the same look."""

    figures: Figures
    currency: str
    spec: SymbolSpec | None = None
    quote: Quote | None = None


class Deal(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """MetaTrader's record of a fill; on MT4, which has none, made from the order itself."""

    ticket: int
    sequence: int
    """0 for the first deal of a root, then counting."""
    lots: Lots
    price: Price
    profit: Decimal = Decimal(0)
    swap: Decimal = Decimal(0)
    commission: Decimal = Decimal(0)
    fee: Decimal = Decimal(0)
    entry_cost: Decimal = Decimal(0)
    """What opening the position cost where that moves the balance by itself (MT5): of a deal that
    opens and, where the broker tells it again, of one that closes. In no closing's commission or fee.
    """
    time_broker: datetime | None = None
    time_utc: datetime | None = None


class Rights(StrEnum):
    """What a registration's own password has proved at the broker."""

    NONE = "none"
    """It has not logged in yet, or was refused."""
    READ = "read"
    """An investor password."""
    TRADE = "trade"


class AccountRegistered(Message, frozen=True, kw_only=True):
    """A user's entry for an account now exists; its password is tried next."""

    account: AccountId
    registration: RegistrationId
    user: UserId
    platform: Platform
    server: str
    login: int
    name: str
    generation: int
    """Counts how often the account was added anew after its last registration was removed; from 1."""


class HistoryImported(Message, frozen=True, kw_only=True):
    """A piece of a report was read into an account of the kind `imported`: `added` is new, `same`
    was there already; a contradiction was left out. Balance and time are those of the report that
    was written last.
    """

    account: AccountId
    registration: RegistrationId
    user: UserId
    platform: Platform
    server: str
    login: int
    name: str
    currency: str
    balance: Decimal | None
    written_at: str
    added: int
    same: int
    contradictions: tuple[str, ...] = ()


class AccountUpdated(Message, frozen=True, kw_only=True):
    """A registration as it now is; `rights` as a password of its own has proved them by a login."""

    account: AccountId
    registration: RegistrationId
    name: str
    enabled: bool
    rights: Rights
    proving: bool = False
    """A password of it waits to be tried."""
    refused: str = ""
    """The code with which the last password that was tried was refused; empty: it was not."""
    consider_balance: bool = False
    symbols: SymbolChoice = SymbolChoice()
    leaving: bool = False
    """Its removal was asked for and waits until its copies are closed."""
    server: str = ""
    """As it is spelled now; empty: as before."""


class AccountConnected(Message, frozen=True, kw_only=True):
    """A session stands, and the account is being followed."""

    account: AccountId
    info: AccountInfo
    clock_offset_minutes: int | None
    """Broker clock minus UTC; None while no fresh tick has shown it."""


class AccountDisconnected(Message, frozen=True, kw_only=True):
    """The session is gone; it is tried again by itself."""

    account: AccountId
    code: str
    """The bridge's, or ours; short and stable."""
    message: str
    """For people; holds no secret."""


class AccountRefused(Message, frozen=True, kw_only=True):
    """A registration's password was refused; it is not tried again until it is changed."""

    account: AccountId
    registration: RegistrationId
    code: str
    message: str
    rights: Rights = Rights.NONE
    """What an earlier password of the registration still proves."""


class ProofDelayed(Message, frozen=True, kw_only=True):
    """A registration's password could not be tried yet, and why; it is tried again by itself."""

    account: AccountId
    registration: RegistrationId
    code: str
    message: str


class AccountRemoved(Message, frozen=True, kw_only=True):
    """A registration is gone; `last`: and with it the account itself."""

    account: AccountId
    registration: RegistrationId
    last: bool
    left_open: tuple[Ticket, ...] = ()


class CommandDenied(Message, frozen=True, kw_only=True):
    """A command that changed nothing: `code` and `message` say why and what would help."""

    code: str
    message: str


class Settled(Message, frozen=True, kw_only=True):
    """A person's decision was recorded: on an attempt, or on a tagged position we did not know."""

    account: AccountId
    what: str
    by: str
    """The user who decided."""


class PositionOpened(Message, frozen=True, kw_only=True):
    """A position now exists. A pending order that filled keeps its root (`from_pending`)."""

    account: AccountId
    root: RootId
    ticket: Ticket
    symbol: str
    """As this account's broker writes it, suffix included."""
    side: Side
    lots: Lots
    open_price: Price
    opened_at_broker: datetime
    opened_at_utc: datetime | None
    """None while the broker's clock is not known."""
    seen: Seen
    seen_at_utc: datetime
    """When the watcher received it."""
    deal: Deal
    stop_loss: Price | None = None
    take_profit: Price | None = None
    magic: int = 0
    comment: str = ""
    from_pending: bool = False
    copy: CopyId | None = None
    """Set when this position is a copy of ours: it is never copied again."""
    context: Context | None = None
    """None for imported facts."""


class PositionIncreased(Message, frozen=True, kw_only=True):
    """More of the same root: a netting add, or a further fill of one order."""

    account: AccountId
    root: RootId
    ticket: Ticket
    symbol: str
    side: Side
    leg: int
    """1 for the first increase; the copy's leg of the same number answers it."""
    lots: Lots
    """Added by this increase."""
    open_lots: Lots
    ever_lots: Lots
    """All that the root ever opened, this increase included."""
    seen: Seen
    seen_at_utc: datetime
    deal: Deal
    stop_loss: Price | None = None
    take_profit: Price | None = None
    copy: CopyId | None = None
    context: Context | None = None


class PositionModified(Message, frozen=True, kw_only=True):
    """Its stops are now these; None: it has none."""

    account: AccountId
    root: RootId
    ticket: Ticket
    stop_loss: Price | None
    take_profit: Price | None
    seen_at_utc: datetime


class PositionReduced(Message, frozen=True, kw_only=True):
    """Part of a root was closed. Fraction left = open_lots / ever_lots.

    What a list alone showed has a deal that was made up. It is told again under that deal's ticket,
    with its figures, once history has them; so is the close of a root.
    """

    account: AccountId
    root: RootId
    ticket: Ticket
    """The ticket the rest now has (MT4 gives it a new one)."""
    open_lots: Lots
    ever_lots: Lots
    seen_at_utc: datetime
    deal: Deal
    reason: CloseReason = CloseReason.UNKNOWN


class PositionClosed(Message, frozen=True, kw_only=True):
    """The root is flat, by positive evidence of the broker; `deal` is the last one."""

    account: AccountId
    root: RootId
    ticket: Ticket
    symbol: str
    side: Side
    seen: Seen
    seen_at_utc: datetime
    deal: Deal
    reason: CloseReason = CloseReason.UNKNOWN


class PendingPlaced(Message, frozen=True, kw_only=True):
    """A pending order now waits at the broker."""

    account: AccountId
    root: RootId
    ticket: Ticket
    symbol: str
    kind: OrderKind
    lots: Lots
    price: Price
    """Its trigger."""
    placed_at_broker: datetime
    placed_at_utc: datetime | None
    seen: Seen
    seen_at_utc: datetime
    stop_limit_price: Price | None = None
    """Of stop-limit orders: where the limit order is placed once the trigger is reached."""
    stop_loss: Price | None = None
    take_profit: Price | None = None
    expires_at_broker: datetime | None = None
    expires_at_utc: datetime | None = None
    magic: int = 0
    comment: str = ""
    copy: CopyId | None = None
    context: Context | None = None


class PendingModified(Message, frozen=True, kw_only=True):
    """Only levels, price and expiry: MetaTrader cannot edit volume or kind."""

    account: AccountId
    root: RootId
    ticket: Ticket
    price: Price
    seen_at_utc: datetime
    stop_limit_price: Price | None = None
    stop_loss: Price | None = None
    take_profit: Price | None = None
    expires_at_broker: datetime | None = None
    expires_at_utc: datetime | None = None


class PendingRemoved(Message, frozen=True, kw_only=True):
    """Deleted, expired or rejected: it never became a position, or what had not filled of it will not."""

    account: AccountId
    root: RootId
    ticket: Ticket
    seen_at_utc: datetime
    reason: str = ""


class PendingFilled(Message, frozen=True, kw_only=True):
    """A pending order triggered; `PositionOpened` with the same root follows at once."""

    account: AccountId
    root: RootId
    ticket: Ticket
    seen_at_utc: datetime


class EquityProtectorUpdated(Message, frozen=True, kw_only=True):
    """An equity protector as it now is: as its user set it, or what it counts from was learned or
    moved by money that was paid in or out.
    """

    account: AccountId
    registration: RegistrationId
    protector: Protector


class EquityProtectorReset(Message, frozen=True, kw_only=True):
    """A new day of the broker's: it counts from that day's balance and is armed anew."""

    account: AccountId
    registration: RegistrationId
    protector: Protector


class EquityProtectorTriggered(Message, frozen=True, kw_only=True):
    """Equity reached a limit. What its settings ask for begins with this record, and goes on until it
    is done.
    """

    account: AccountId
    registration: RegistrationId
    protector: Protector


class EquityProtectorCallbackSet(Message, frozen=True, kw_only=True):
    """Who is told what a registration's equity protector does; None: nobody."""

    account: AccountId
    registration: RegistrationId
    callback: Callback | None


class BalanceChanged(Message, frozen=True, kw_only=True):
    """A deposit, withdrawal, credit, charge or the like: never a trade."""

    account: AccountId
    ticket: Ticket
    kind: str
    """Balance, Credit, Charge, Correction, Bonus, Commission …: the bridge's word."""
    amount: Decimal
    """In the account's currency; negative leaves the account."""
    time_broker: datetime
    seen: Seen
    seen_at_utc: datetime
    comment: str = ""


class EquityRecorded(Message, frozen=True, kw_only=True):
    """At most one a minute, while it changes: highs and lows since the last one."""

    account: AccountId
    time_utc: datetime
    balance: Decimal
    equity: Decimal
    equity_high: Decimal
    equity_low: Decimal
    profit_high: dict[str, Decimal]
    """By root: the highest profit of each open position, in the account's currency."""
    profit_low: dict[str, Decimal]
    """By root: the lowest."""
    clock_offset_minutes: int | None = None
    """The broker's clock minus UTC at that time; None: not known yet."""


class AlertRaised(Message, frozen=True, kw_only=True):
    """What an operator must know now; once per cause. `cause` names it, so that a repeat is known."""

    account: AccountId
    code: str
    cause: str
    text: str
    numbers: Numbers = {}


class AlertCleared(Message, frozen=True, kw_only=True):
    """What the alert of this cause said no longer holds."""

    account: AccountId
    cause: str


OrderEvent = (
    AccountRegistered
    | HistoryImported
    | AccountUpdated
    | AccountConnected
    | AccountDisconnected
    | AccountRefused
    | ProofDelayed
    | AccountRemoved
    | CommandDenied
    | Settled
    | PositionOpened
    | PositionIncreased
    | PositionModified
    | PositionReduced
    | PositionClosed
    | PendingPlaced
    | PendingModified
    | PendingRemoved
    | PendingFilled
    | EquityProtectorUpdated
    | EquityProtectorReset
    | EquityProtectorTriggered
    | EquityProtectorCallbackSet
    | BalanceChanged
    | EquityRecorded
    | AlertRaised
    | AlertCleared
)


# --- account-snapshots, account-symbols -------------------------------------------------------


class AccountSnapshot(Message, frozen=True, kw_only=True):
    """Figures and open orders: when changed at most one a second, else one each 30 s as proof of life."""

    account: AccountId
    seen_alive_at_utc: datetime
    figures: Figures
    orders: tuple[OpenOrder, ...]


class SymbolLearned(Message, frozen=True, kw_only=True):
    """A symbol's terms of trade, as the broker has just given them."""

    account: AccountId
    spec: SymbolSpec


class AccountSymbols(Message, frozen=True, kw_only=True):
    """One bounded piece of an account's symbols."""

    account: AccountId
    piece: int
    """From 0."""
    pieces: int
    """How many there are now."""
    names: tuple[str, ...]


SymbolEvent = AccountSymbols | SymbolLearned


# --- slave-orders -----------------------------------------------------------------------------


class OpenCopy(Message, frozen=True, kw_only=True):
    """Open a leg of a copy at the market. `side`, levels and prices are the master's, never swapped:
    the slave's agent applies `options.reverse_copy`, which belongs to sizing and stops alike.
    """

    copy: CopyId
    copier: CopierId
    master: AccountId
    slave: AccountId
    root: RootId
    leg: int
    symbol: str
    """The master's name for it."""
    side: Side
    lots: Lots
    """The master's lots of this leg."""
    fraction: Decimal
    """What the master had left of the copy's first leg when this one was added: the reductions of
    before do not cut it. 1 for the first leg.
    """
    master_price: Price
    """What slippage is measured from, except for a joined trade."""
    stop_loss: Price | None
    take_profit: Price | None
    context: Context
    options: CopierOptions
    same_server: bool
    fresh_from_utc: datetime | None
    """What age counts from; None: unknown, which is too old."""
    seen_at_utc: datetime
    """When the master's event was received: latency counts from here."""
    magic: int
    mapping: SymbolMapping | None = None
    from_pending: bool = False
    """The master's pending order filled: if a mirrored order of this copy exists, it is awaited first."""
    registration: RegistrationId | None = None
    """The slave's registration in whose name it is: without its right to trade nothing opens."""
    joined: bool = False
    """The trade was open before the copier: its entry price and that look's quote say nothing now."""
    market_price: Price | None = None
    """Of a joined trade: the master's market when it was joined, from which slippage is measured."""


class ModifyCopy(Message, frozen=True, kw_only=True):
    """The master's stops are now these, by the master's own prices; None: it has none."""

    copy: CopyId
    slave: AccountId
    stop_loss: Price | None
    take_profit: Price | None


class ReduceCopy(Message, frozen=True, kw_only=True):
    """Bring the first leg down to its original volume × fraction, and each later one to its original
    volume × fraction / its own OpenCopy's fraction. Cumulative, never above what is open.
    """

    copy: CopyId
    slave: AccountId
    fraction: Decimal


class CloseCopy(Message, frozen=True, kw_only=True):
    """The root is flat, or the copier ends. `forget`: no more orders of this copy will come."""

    copy: CopyId
    slave: AccountId
    reason: str
    forget: bool = True


class DetachCopy(Message, frozen=True, kw_only=True):
    """Leave it open and manage it no more."""

    copy: CopyId
    slave: AccountId
    reason: str


class PlacePendingCopy(Message, frozen=True, kw_only=True):
    """Mirror a pending order; as in OpenCopy everything is the master's own."""

    copy: CopyId
    copier: CopierId
    master: AccountId
    slave: AccountId
    root: RootId
    symbol: str
    kind: OrderKind
    lots: Lots
    price: Price
    stop_limit_price: Price | None
    stop_loss: Price | None
    take_profit: Price | None
    expires_at_utc: datetime | None
    context: Context
    options: CopierOptions
    same_server: bool
    seen_at_utc: datetime
    magic: int
    mapping: SymbolMapping | None = None
    registration: RegistrationId | None = None


class ModifyPendingCopy(Message, frozen=True, kw_only=True):
    """The master's pending order is now this, by the master's own prices."""

    copy: CopyId
    slave: AccountId
    price: Price
    stop_limit_price: Price | None
    stop_loss: Price | None
    take_profit: Price | None
    expires_at_utc: datetime | None


class RemovePendingCopy(Message, frozen=True, kw_only=True):
    """The master's pending order is gone: delete the mirrored one if it still waits. If it filled in
    part, only its rest is, or what fills further is not copied: the copy is held to the same share.
    `opens_nothing`: its copier was stopped; what of the copy was not sent yet, of whatever kind, is not
    opened any more.
    """

    copy: CopyId
    slave: AccountId
    reason: str
    opens_nothing: bool = False


SlaveOrder = (
    OpenCopy
    | ModifyCopy
    | ReduceCopy
    | CloseCopy
    | DetachCopy
    | PlacePendingCopy
    | ModifyPendingCopy
    | RemovePendingCopy
)


# --- copier-events ----------------------------------------------------------------------------


class Copier(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A copier as it now is."""

    copier: CopierId
    user: UserId
    master: AccountId
    slave: AccountId
    master_registration: RegistrationId
    slave_registration: RegistrationId
    same_server: bool
    options: CopierOptions
    mappings: tuple[SymbolMapping, ...] = ()
    paused: bool = False
    pause_reason: str = ""
    callback: Callback | None = None
    """Who is told of each of its trade logs."""


class CopierStarted(Message, frozen=True, kw_only=True):
    """From `order_offset` on, the master's order events are copied; what is older is existing."""

    state: Copier
    order_offset: int
    started_at_utc: datetime


class CopierUpdated(Message, frozen=True, kw_only=True):
    """Options or mappings changed: the whole new state."""

    state: Copier


class CopierPaused(Message, frozen=True, kw_only=True):
    """It opens nothing from here on; `pause_reason` of its state says why."""

    state: Copier


class CopierResumed(Message, frozen=True, kw_only=True):
    """What opens from here on is copied again."""

    state: Copier


class CopierStopped(Message, frozen=True, kw_only=True):
    """The copier has ended; `open_copies` says what becomes of what it opened."""

    copier: CopierId
    master: AccountId
    slave: AccountId
    user: UserId
    reason: StopReason
    open_copies: OpenCopies


class Decided(Message, frozen=True, kw_only=True):
    """One decision for one pair on one leg of a root; the trade as the master made it."""

    copy: CopyId
    copier: CopierId
    master: AccountId
    slave: AccountId
    root: RootId
    leg: int
    symbol: str
    side: Side
    lots: Lots
    price: Price
    seen_at_utc: datetime
    pending: bool = False
    kind: OrderKind | None = None
    """Of the master's pending order; absent in what was recorded before it was told."""

    @property
    def order_type(self) -> OrderKind | Side:
        return self.kind or self.side


class CopyPlanned(Decided, frozen=True, kw_only=True):
    """It is to be copied: an order for the slave was written with it. What came of it is in
    executions.
    """


class CopySkipped(Decided, frozen=True, kw_only=True):
    """Not copied, by the copier's rule: the code, the numbers, and in `remedy` what would let it pass."""

    code: str
    numbers: Numbers
    remedy: str


CopierEvent = (
    CopierStarted
    | CopierUpdated
    | CopierPaused
    | CopierResumed
    | CopierStopped
    | CommandDenied
    | CopyPlanned
    | CopySkipped
)


# --- executions -------------------------------------------------------------------------------


class Execution(Message, frozen=True, kw_only=True):
    """What happened to a copy on its slave."""

    copy: CopyId
    copier: CopierId
    master: AccountId
    slave: AccountId
    root: RootId
    leg: int


class AttemptStarted(Execution, frozen=True, kw_only=True):
    """Committed before the first byte of `request` leaves: the fence against sending twice."""

    attempt: AttemptId
    request: TradeRequest
    tag: str
    """The comment by which the leg is known at the broker."""
    longest_call_s: float
    """After so long without an answer none can come any more."""
    tries: int
    """Of this step, this one not counted."""
    bid: Price | None = None
    ask: Price | None = None
    numbers: Numbers = {}
    """What the volume, levels and checks were computed from."""
    seen_at_utc: datetime | None = None


class Outcome(Execution, frozen=True, kw_only=True):
    """The common part of what an attempt led to."""

    attempt: AttemptId
    sent_at_utc: datetime | None = None
    """None: what the broker's books or events tell, with no answer to a call."""
    answered_at_utc: datetime | None = None
    """Without `sent_at_utc`: when a mirrored order was seen to have filled by itself."""


class CopyOpened(Outcome, frozen=True, kw_only=True):
    """A leg stands on the slave."""

    ticket: Ticket
    symbol: str
    side: Side
    lots: Lots
    """Filled, which may be less than asked."""
    price: Price
    slippage: Decimal | None = None
    """Against the master's price in price units; positive is worse for the slave."""
    stop_loss: Price | None = None
    take_profit: Price | None = None


class CopyIncreased(CopyOpened, frozen=True, kw_only=True):
    """A further leg stands, or an order was filled further: `lots` is then the leg's whole."""


class CopyPendingPlaced(Outcome, frozen=True, kw_only=True):
    """The mirrored pending order waits at the slave's broker."""

    ticket: Ticket
    symbol: str
    kind: OrderKind
    lots: Lots
    price: Price


class CopyPendingRemoved(Outcome, frozen=True, kw_only=True):
    """The mirrored pending order is gone."""

    ticket: Ticket
    reason: str


class CopyModified(Outcome, frozen=True, kw_only=True):
    """The leg's stops at the slave's broker are now these; `price` is a pending order's trigger."""

    ticket: Ticket
    stop_loss: Price | None
    take_profit: Price | None
    price: Price | None = None


class CopyReduced(Outcome, frozen=True, kw_only=True):
    """Part of a leg was closed."""

    ticket: Ticket
    """The ticket the rest now has."""
    closed_lots: Lots
    open_lots: Lots
    price: Price


class CopyClosed(Outcome, frozen=True, kw_only=True):
    """A leg is flat."""

    ticket: Ticket
    closed_lots: Lots
    price: Price
    profit: Decimal
    """In the slave's currency, as the broker's answer has it."""
    reason: str


class CopyDenied(Execution, frozen=True, kw_only=True):
    """We did not send it: the code, the numbers behind it and what would let it pass."""

    code: str
    numbers: Numbers
    remedy: str
    pending: bool = False
    """It is a mirrored pending order; the fill of the master's has an outcome of its own."""


class CopyRejected(Outcome, frozen=True, kw_only=True):
    """The broker certainly refused. `final`: this step is given up; else it is tried again."""

    code: str
    message: str
    final: bool
    kind: OrderKind | None = None
    """Of an open: what it was to be. Given up, nothing of the leg stands."""


class CopyNotSent(Outcome, frozen=True, kw_only=True):
    """Certainly no byte left: a new attempt may follow while the order is fresh."""

    reason: str
    kind: OrderKind | None = None
    """Of an open: what it was to be."""


class CopyUnresolved(Outcome, frozen=True, kw_only=True):
    """Nobody knows whether it happened; what is looked for is the tag, the magic and the shape."""

    reason: str


class CopyReconciled(Outcome, frozen=True, kw_only=True):
    """The broker's books settled an unresolved attempt. `found` None: an open is proven absent, and not
    resent; what a change has done all the same is told after this.
    """

    found: Done | None
    inferred: bool = False
    evidence: str = ""


class CopyNeedsPerson(Outcome, frozen=True, kw_only=True):
    """The broker's books are ambiguous: `copypro settle` records a person's decision."""

    evidence: str


class CopyDetached(Execution, frozen=True, kw_only=True):
    """No longer ours to manage: closed or changed by the slave's owner or broker, or left on removal."""

    ticket: Ticket | None
    reason: str

    @property
    def left(self) -> str:
        """What a person must know of a position that stands, and that nothing here closes any more because
        its master, its copier or its account is gone; empty: that is not so.
        """
        if self.ticket is None or self.reason not in ("ACCOUNT_REMOVED", "COPIER_STOPPED"):
            return ""
        return f"ticket {self.ticket} is left open, and nothing closes it any more"


ExecutionEvent = (
    AttemptStarted
    | CopyOpened
    | CopyIncreased
    | CopyPendingPlaced
    | CopyPendingRemoved
    | CopyModified
    | CopyReduced
    | CopyClosed
    | CopyDenied
    | CopyRejected
    | CopyNotSent
    | CopyUnresolved
    | CopyReconciled
    | CopyNeedsPerson
    | CopyDetached
)


# --- dead-letters -----------------------------------------------------------------------------


class DeadLetter(Message, frozen=True, kw_only=True):
    """A record that could not be decoded, as it was: nothing followed from it."""

    topic: str
    """Where it lay; with partition and offset that is its name."""
    partition: int
    offset: int
    reason: str
    key: str
    value_base64: str
    """Empty, as the headers are, where the record was too large for a letter."""
    headers: dict[str, str]


class DeadLetterReplayed(Message, frozen=True, kw_only=True):
    """The record of that name was appended to its topic again, by an operator; written in the same
    append. It is no longer listed; if it still cannot be read there is a new letter.
    """

    topic: str
    partition: int
    offset: int


DeadLetterEvent = DeadLetter | DeadLetterReplayed


# --- audit ------------------------------------------------------------------------------------


class CallBegun(Message, frozen=True, kw_only=True):
    """A call that may change something was let in, and is durably noted before anything is done.

    Its outcome is the CallEnded that is caused by it; without one, nobody knows it: the gateway ended
    in between, and what the call did is in the other topics.
    """

    call: str
    user: UserId | None = None
    """None: nobody that is known here (a sign-up), or the operator, or a call by the id alone."""
    key_id: str = ""
    key_name: str = ""
    operator: bool = False
    address: str = ""
    """The client's, as a trusted proxy says or as it connected."""
    parameters: dict[str, str]
    """As given, by name; secrets are `***`, an address is cut to its host."""


class CallEnded(Message, frozen=True, kw_only=True):
    """What the call that is its cause was answered."""

    status: int
    """HTTP's; 202: accepted, and `command` tells the rest."""
    code: str = ""
    """Why it was refused."""
    command: str = ""


AuditEvent = CallBegun | CallEnded
