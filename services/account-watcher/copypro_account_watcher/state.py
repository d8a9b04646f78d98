"""What the watcher remembers: small records, one per account, root and copy, kept in its state topic."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from copypro.codes import Denial, denied
from copypro.messages import OpenCopy, PlacePendingCopy, Rights, SymbolChoice
from copypro.options import CopierOptions, SymbolMapping
from copypro.protection import Protector
from copypro.trading import AccountInfo, Done, TradeRequest
from copypro.values import (
    AccountId,
    AttemptId,
    CopierId,
    CopyId,
    Lots,
    MessageId,
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
    server: str = ""
    """As its user spells it; empty: as the account does."""
    enabled: bool = True
    consider_balance: bool = False
    symbols: SymbolChoice = SymbolChoice()
    sealed_password: str = ""
    """The newest one that has logged in; empty: none has."""
    rights: Rights = Rights.NONE
    """What that one proved."""
    age: int = 0
    """Counts proofs: the newest one of the account is used first."""
    unproved: str = ""
    """A password, sealed, that is to be tried once. The one that works stays in use meanwhile."""
    refused: str = ""
    """The broker's code for the last one that was tried: it is not tried again."""
    protector: Protector | None = None

    @property
    def refuses_opens(self) -> Denial | None:
        """Why nothing is opened in its name."""
        if not self.enabled:
            return denied("ACCOUNT_DISABLED")
        if self.protector is not None and self.protector.stops_opens:
            return denied("EQUITY_PROTECTION", **self.protector.numbers)
        match self.rights:
            case Rights.TRADE:
                return None
            case Rights.READ:
                return denied("READ_ONLY")
            case Rights.NONE:
                return denied("ACCOUNT_REFUSED", broker=self.refused)


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
    proofs: int = 0
    info: AccountInfo | None = None
    connected: bool = False
    clock_offset_minutes: int | None = None
    removals: list[Removal] = []
    """Under way: of each registration that is to go."""
    removed: bool = False
    """Gone: kept so that late orders are answered, and so that adding it again is a new generation."""
    baseline_done: bool = False
    history_done: bool = False
    alive_at_utc: datetime | None = None
    """The last proof of life that was recorded; what is missed is looked for since then."""
    balance: Decimal | None = None
    """With nothing in doubt, as it was when this was last recorded: whoever follows sees what moved."""
    settled_tickets: list[Ticket] = []
    """Tagged positions that a person told us to leave alone."""
    strangers: list[Ticket] = []
    """Tagged positions we do not know: another copier; opens are off until settled."""
    halted: dict[Ticket, CopierId] = {}
    """Copiers that open nothing more here until a person has looked at this ticket."""
    alerts: dict[str, str] = {}
    """cause → code of every alert that stands."""
    serial: int = 0
    """Counts what happened to it, whatever its generation: no two facts of it have one id."""
    doomed: list[RegistrationId] = []
    """Removed registrations whose data key is still to be destroyed."""

    def staying(self, registration: RegistrationId) -> Registration | None:
        """None: it was never here, is gone, or is about to go."""
        leaving = any(removal.registration == registration for removal in self.removals)
        return None if leaving else self.registrations.get(registration)

    def server_of(self, registration: Registration) -> str:
        """Its name, as it is spelled where a password has logged in, else as this one's user does."""
        return self.server if self.proofs or not registration.server else registration.server

    @property
    def usable(self) -> Registration | None:
        """The newest password that may trade, else the newest that may read."""
        proved = [r for r in self.registrations.values() if r.sealed_password]
        return max(proved, key=lambda r: (r.rights is Rights.TRADE, r.age), default=None)

    @property
    def is_disabled(self) -> bool:
        """Switched off by everybody who has it."""
        known = self.registrations.values()
        return bool(known) and not any(registration.enabled for registration in known)

    @property
    def refused(self) -> str:
        """Why there is none that works: the broker's code; empty: there is one, or one to be tried."""
        refused = ""
        for known in self.registrations.values():
            if known.sealed_password:
                return ""
            refused = refused or known.refused
        return refused


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
    held_lots: Lots | None = None
    """Of a close: what it held when it was sent, as far as the list showed."""
    taken: Done | None = None
    """Of a close of a part: its deal, where the account has told it."""
    unresolved_at_utc: datetime | None = None
    wait_s: float = 0.0
    """How long it may still happen, from when its owner learned that it is unclear."""
    person: bool = False
    """Ambiguous: waits for a person's decision."""

    @property
    def opens(self) -> bool:
        """A position, or an order that may become one."""
        return self.kind in ("open", "place")


class LegStatus(StrEnum):
    WAITING = "waiting"
    """Not sent, or sent and the attempt says how it stands."""
    PLACED = "placed"
    """A mirrored pending order stands at the broker."""
    OPEN = "open"
    LEFT = "left"
    """It stands and is not ours to touch any more: taken in hand by the slave's owner, or left on
    request. Known as ours until the broker shows that it ended.
    """
    LOST = "lost"
    """Sent once, looked for and not found: given up. If it shows after all, it is this one."""
    ENDED = "ended"
    """Nothing of it stands, and nothing can."""


class Leg(Struct, kw_only=True, omit_defaults=True):
    number: int
    tag: str
    status: LegStatus = LegStatus.WAITING
    order: OpenCopy | None = None
    """What is to be opened; dropped once it stands."""
    origin: Origin | None = None
    ticket: Ticket | None = None
    base: Decimal = Decimal(1)
    """The copy's fraction when the leg was sized: later reductions count from there."""
    moved: bool = False
    """MT4 gave the rest another ticket, which no look has shown yet."""
    original_lots: Lots = Decimal(0)
    lots: Lots = Decimal(0)
    """Open now, by our ledger."""
    due_lots: Lots = Decimal(0)
    """Asked for and not filled: the same order may still be filled further."""
    asked_lots: Lots | None = None
    """What our last close of it was to leave."""
    asked_pieces: list[Lots] = []
    """What our closes of so many lots were to take, each until its deal is seen or it was refused: one
    that was given up may still be executed.
    """
    closes_late: bool = False
    """One of them was given up."""
    given_up_pieces: list[Lots] = []
    """Those that were."""
    closes_hidden: bool = False
    """Netting: it filled further by as much as was closed, so that no list shows that this was done."""
    open_price: Price = Decimal(0)
    offset: Decimal | None = None
    """Slave's price minus master's, fixed at copying: every later stop uses it."""
    master_price: Price = Decimal(0)
    set_stop_loss: Price | None = None
    set_take_profit: Price | None = None
    """What we last set at the broker; the owner may have changed it since."""
    set_stop_limit_price: Price | None = None
    set_expires_at_broker: datetime | None = None
    """The same of a mirrored pending order."""
    slave_root: RootId | None = None
    """The root that this leg is on its own account: what happens to that happens to the leg."""
    placed_by: AttemptId | None = None
    """The attempt that placed the mirrored pending order."""
    replaced: Ticket | None = None
    """That order's ticket once the market takes its place: what is told of it late is not of the leg."""
    closed: Done | None = None
    """How it ended, where the broker's books said so before an answer did."""
    closed_by: str = ""
    """Whose doing that was, where ours was to close a part of it."""
    naked_since_utc: datetime | None = None
    """The master has a stop, the leg has none: since when."""
    late_modifies: list[Attempt] = []
    """That nobody answered and that were given up: one may be executed yet."""
    overtaken_stop_loss: Price | None = None
    """What we had set when one of them was executed after all, until it is set again."""
    levels_asked_at_utc: datetime | None = None
    """When the master last changed its levels since ours were sent: what the owner made of them before
    is over.
    """
    levels_refused: bool = False
    """The broker refused it the master's latest levels for good: the next ones are tried again."""
    lost: Attempt | None = None
    """Of a lost leg: the attempt that was given up."""

    def to_the_market(self) -> None:
        """Its mirrored order is gone, and nothing of that was it."""
        self.status, self.lots = LegStatus.WAITING, Decimal(0)
        self.replaced, self.ticket, self.slave_root = self.ticket, None, None
        self.late_modifies = []

    @property
    def is_live(self) -> bool:
        """It is still to be sent, or to be followed."""
        return self.status in (LegStatus.WAITING, LegStatus.PLACED, LegStatus.OPEN)

    @property
    def answered_pieces(self) -> list[Lots]:
        """Of those asked for, the ones that were taken or are under way, and that no look has told yet."""
        answered = self.asked_pieces
        for piece in self.given_up_pieces:
            answered = without(answered, piece)
        return answered

    def tell(self, piece: Lots) -> None:
        """The deal of one of those asked for was seen: of an answered one sooner than of one given up."""
        if piece not in self.answered_pieces:
            self.given_up_pieces = without(self.given_up_pieces, piece)
        self.asked_pieces = without(self.asked_pieces, piece)
        self.closes_hidden = self.closes_hidden and bool(self.answered_pieces)

    def tell_all(self) -> None:
        self.asked_pieces, self.given_up_pieces, self.closes_hidden = [], [], False

    @property
    def is_extra(self) -> bool:
        """A position too many with another leg's tag: it is closed, whatever is wanted of the copy."""
        return self.number < 0


class Copy(Struct, kw_only=True, omit_defaults=True):
    """A root's counterpart on this slave: what is wanted, what stands, what is under way."""

    copy: CopyId
    copier: CopierId
    registration: RegistrationId | None = None
    """The slave's, in whose name it is."""
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
    mapping: SymbolMapping | None = None
    """By which that was found: what is added keeps it, and its lots, whatever is mapped by then."""
    legs: list[Leg] = []
    fraction: Decimal = Decimal(1)
    """What the master has left of the first leg."""
    stop_loss: Price | None = None
    take_profit: Price | None = None
    """The master's levels as last heard."""
    closing: str = ""
    """Why everything must go; empty: it need not."""
    closing_numbers: dict[str, str] = {}
    """What that was decided from."""
    closing_since_utc: datetime | None = None
    forget: bool = False
    """No more orders of this copy will come."""
    stopped: bool = False
    """Its copier was: what stands is followed, what waits is not opened."""
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
    not_before_for: str = ""
    """The kind of call that backs off."""
    refusal: tuple[str, str] | None = None
    """The broker's last one of what is wanted now: of which kind of call, and what it said."""
    corrections: int = 0
    """Of the present step: how often the broker asked for something else."""
    levels_late_since_utc: datetime | None = None
    """The master's levels are not set although it was tried, or its symbol's terms or price were asked
    for: since when.
    """
    reduction_late_since_utc: datetime | None = None
    """A part should be closed and is not although it was tried: since when."""
    bare_open: bool = False
    """The broker refuses stops with the open: open first, then set them."""
    pending: PlacePendingCopy | None = None
    pending_filled_lots: Lots = Decimal(0)
    """So much of the master's order has filled, in its own lots."""
    pending_share: Decimal = Decimal(1)
    """And so much of the whole, once its rest was removed: ours may have filled whole."""
    no_expiry: bool = False
    """The broker refused the mirrored order's expiry: the master's own removes the copy."""
    pending_gone: str = ""
    pending_filled_at_utc: datetime | None = None
    """The master's order filled: from here the mirrored one has a short grace."""
    settled_levels: tuple[Price | None, Price | None] | None = None
    """The master's levels that are done with: set, or refused for good."""

    def leg(self, number: int) -> Leg:
        """Errors: LookupError."""
        for leg in self.legs:
            if leg.number == number:
                return leg
        raise LookupError(f"copy {self.copy} has no leg {number}")

    def close(self, why: str, now: datetime) -> None:
        """All of it, and nothing else any more."""
        self.closing, self.closing_since_utc = why, now
        self.begin_step()

    def begin_step(self) -> None:
        """Waits and counts of the former step no longer apply."""
        self.tries, self.corrections = 0, 0
        self.first_try_at_utc, self.not_before_utc = None, None

    def is_calling(self, leg: Leg, kind: str) -> bool:
        """A call of this kind on this leg is under way, or nobody knows what became of it."""
        attempt = self.attempt
        return attempt is not None and attempt.kind == kind and attempt.leg == leg.number

    def origin_of(self, leg: Leg) -> Origin:
        """Of what is told of it."""
        return leg.origin or self.origin

    def left_of(self, leg: Leg) -> Decimal:
        """The fraction of the leg's original volume that should be left: only what the master took
        off since it was added. A mirrored order may have filled further than the master's: what it has
        more is for what the master's may still fill, until its rest is removed.
        """
        left, pending = self.fraction / leg.base, self.pending
        has_filled = leg.original_lots > 0 and self.pending_filled_lots > 0
        if pending is None or leg.placed_by is None or not has_filled:
            return left
        ours = leg.original_lots / (leg.original_lots + leg.due_lots)
        masters = self.pending_filled_lots / pending.lots
        common = min(Decimal(1), masters / ours)
        is_rest_gone = self.pending_share < 1
        return common * left if is_rest_gone else 1 - common * (1 - left)

    @property
    def is_unresolved(self) -> bool:
        """Nobody could tell yet what became of its call."""
        return self.attempt is not None and self.attempt.unresolved_at_utc is not None

    @property
    def live_legs(self) -> list[Leg]:
        return [leg for leg in self.legs if leg.is_live]

    @property
    def open_legs(self) -> list[Leg]:
        return [leg for leg in self.legs if leg.status is LegStatus.OPEN]

    @property
    def levels_refused(self) -> bool:
        return any(leg.levels_refused for leg in self.open_legs)

    @property
    def standing(self) -> bool:
        """Something of it is at the broker."""
        return any(leg.status in (LegStatus.OPEN, LegStatus.PLACED) for leg in self.legs)

    @property
    def may_stand(self) -> bool:
        """That, or nobody has answered yet whether it is; what was never sent is not."""
        return self.standing or (self.attempt is not None and self.attempt.opens)

    @property
    def over(self) -> bool:
        """Nothing stands or can come to stand, nothing is under way, nothing more will be asked: it
        may be forgotten. Until then this record tells how it ended.
        """
        ended = all(leg.status is LegStatus.ENDED for leg in self.legs)
        return self.forget and self.attempt is None and ended


def without(pieces: list[Lots], lots: Lots) -> list[Lots]:
    """All but the first of these lots, if there is one."""
    at = pieces.index(lots) if lots in pieces else len(pieces)
    return [*pieces[:at], *pieces[at + 1 :]]


def as_now(copy: Copy) -> Copy:
    """A record of before legs could be left: a detached copy's legs that had not ended. And of when
    stops were given up: they are tried again.
    """
    for leg in copy.legs:
        is_open_end = leg.ticket is not None and leg.lots > 0
        if copy.detached and leg.status is LegStatus.ENDED and is_open_end:
            leg.status = LegStatus.LEFT
        if copy.stop_loss is not None and leg.set_stop_loss is None:
            copy.settled_levels = None
    return copy


def account_key(account: AccountId) -> str:
    return f"account/{account}"


def copy_key(account: AccountId, copy: CopyId) -> str:
    return f"copy/{account}/{copy}"


def root_key(account: AccountId, root: RootId) -> str:
    return f"root/{account}/{root}"


def closed_key(account: AccountId, root: RootId) -> str:
    return f"closed/{account}/{root}"


def book_key(account: AccountId) -> str:
    return f"book/{account}"
