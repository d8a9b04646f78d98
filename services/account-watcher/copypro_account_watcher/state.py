"""What the watcher remembers: small records, one per account, root and copy, kept in its state topic."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from copypro.messages import OpenCopy, PlacePendingCopy, Rights
from copypro.options import CopierOptions
from copypro.trading import AccountInfo, Done, TradeRequest
from copypro.values import (
    AccountId,
    AttemptId,
    CopierId,
    CopyId,
    Lots,
    MessageId,
    OrderKind,
    Platform,
    Price,
    RegistrationId,
    RootId,
    Side,
    Ticket,
    UserId,
)
from msgspec import Struct


class Origin(Struct, frozen=True):
    """The message that led here: consequences derive their ids from it."""

    id: MessageId
    correlation: MessageId
    at_utc: datetime | None = None
    """When a slave order was planned, by the planner's clock."""


class Registration(Struct, kw_only=True, omit_defaults=True):
    registration: RegistrationId
    user: UserId
    name: str
    sealed_password: str
    origin: Origin
    """The command that brought this password: its proof is reported as that command's consequence."""
    enabled: bool = True
    rights: Rights = Rights.NONE
    refused: str = ""
    """The broker's code: this password is not tried again."""
    age: int = 0
    """Counts passwords: the newest one is used first."""


class Removal(Struct, frozen=True):
    registration: RegistrationId
    close_trades: bool
    origin: Origin


class Account(Struct, kw_only=True, omit_defaults=True):
    """Everything of an account but its roots and copies."""

    account: AccountId
    platform: Platform
    server: str
    login: int
    generation: int
    registrations: dict[RegistrationId, Registration] = {}
    passwords: int = 0
    info: AccountInfo | None = None
    connected: bool = False
    clock_offset_minutes: int | None = None
    removal: Removal | None = None
    removed: bool = False
    """Gone: kept so that late orders are answered, and so that adding it again is a new generation."""
    baseline_done: bool = False
    history_done: bool = False
    alive_at_utc: datetime | None = None
    """The last proof of life that was recorded; what is missed is looked for since then."""
    settled_tickets: list[Ticket] = []
    """Tagged positions that a person told us to leave alone."""
    strangers: list[Ticket] = []
    """Tagged positions we do not know: another copier; opens are off until settled."""
    alerts: dict[str, str] = {}
    """cause → code of every alert that stands."""
    serial: int = 0


class LegStatus(StrEnum):
    WAITING = "waiting"
    """Not sent, or sent and the attempt says how it stands."""
    PLACED = "placed"
    """A mirrored pending order stands at the broker."""
    OPEN = "open"
    ENDED = "ended"


class Leg(Struct, kw_only=True, omit_defaults=True):
    number: int
    tag: str
    status: LegStatus = LegStatus.WAITING
    order: OpenCopy | None = None
    """What is to be opened; dropped once it stands."""
    origin: Origin | None = None
    ticket: Ticket | None = None
    moved: bool = False
    """MT4 gave the rest another ticket, which no look has shown yet."""
    original_lots: Lots = Decimal(0)
    lots: Lots = Decimal(0)
    """Open now, by our ledger."""
    asked_lots: Lots | None = None
    """What our last close of it was to leave."""
    open_price: Price = Decimal(0)
    offset: Decimal | None = None
    """Slave's price minus master's, fixed at copying: every later stop uses it."""
    master_price: Price = Decimal(0)
    set_stop_loss: Price | None = None
    set_take_profit: Price | None = None
    """What we last set at the broker; the owner may have changed it since."""
    slave_root: RootId | None = None
    """The root that this leg is on its own account: what happens to that happens to the leg."""
    placed_by: AttemptId | None = None
    """The attempt that placed the mirrored pending order."""
    closed: Done | None = None
    """How it ended, where the broker's books said so before an answer did."""
    naked_since_utc: datetime | None = None
    """The master has a stop, the leg has none: since when."""


class Attempt(Struct, kw_only=True, omit_defaults=True):
    id: AttemptId
    kind: str
    """open, place, modify, close or delete."""
    leg: int
    request: TradeRequest
    started_at_utc: datetime
    tries: int
    longest_call_s: float
    expected_lots: Lots | None = None
    """Of a close: what the leg holds once it is done."""
    unresolved_at_utc: datetime | None = None
    wait_s: float = 0.0
    """From `unresolved_at_utc`: how long it may still happen."""
    absent_read_at_utc: datetime | None = None
    person: bool = False
    """Ambiguous: waits for a person's decision."""


class Copy(Struct, kw_only=True, omit_defaults=True):
    """A root's counterpart on this slave: what is wanted, what stands, what is under way."""

    copy: CopyId
    copier: CopierId
    master: AccountId
    slave: AccountId
    root: RootId
    master_symbol: str
    side: Side
    """The slave's side: the master's, or its opposite when copied in reverse."""
    options: CopierOptions
    same_server: bool
    magic: int
    origin: Origin
    """The latest slave order."""
    symbol: str = ""
    """The slave's name for it; empty until resolved."""
    legs: list[Leg] = []
    fraction: Decimal = Decimal(1)
    stop_loss: Price | None = None
    take_profit: Price | None = None
    """The master's levels as last heard."""
    closing: str = ""
    """Why everything must go; empty: it need not."""
    closing_since_utc: datetime | None = None
    forget: bool = False
    """No more orders of this copy will come."""
    detached: str = ""
    """Why it is no longer ours to manage; kept until the root's close arrives."""
    denied: tuple[str, dict[str, str]] | None = None
    """Why the first leg was not copied: later legs are not copied for the same reason."""
    attempt: Attempt | None = None
    serial: int = 0
    tries: int = 0
    """Refusals in a row of the present step."""
    first_try_at_utc: datetime | None = None
    not_before_utc: datetime | None = None
    bare_open: bool = False
    """The broker refuses stops with the open: open first, then set them."""
    pending: PlacePendingCopy | None = None
    pending_kind: OrderKind | None = None
    pending_gone: str = ""
    pending_filled_at_utc: datetime | None = None
    """The master's order filled: from here the mirrored one has a short grace."""
    settled_levels: tuple[Price | None, Price | None] | None = None
    """The master's levels that are done with: set, or refused for good."""

    def leg(self, number: int) -> Leg:
        return next(leg for leg in self.legs if leg.number == number)

    @property
    def live_legs(self) -> list[Leg]:
        return [leg for leg in self.legs if leg.status is not LegStatus.ENDED]

    @property
    def standing(self) -> bool:
        """Something of it is at the broker."""
        return any(leg.status in (LegStatus.OPEN, LegStatus.PLACED) for leg in self.legs)

    @property
    def over(self) -> bool:
        """Nothing stands, nothing is under way, nothing more will come: it may be forgotten."""
        return self.forget and self.attempt is None and not self.live_legs


def account_key(account: AccountId) -> str:
    return f"account/{account}"


def copy_key(account: AccountId, copy: CopyId) -> str:
    return f"copy/{account}/{copy}"


def root_key(account: AccountId, root: RootId) -> str:
    return f"root/{account}/{root}"


def book_key(account: AccountId) -> str:
    return f"book/{account}"
