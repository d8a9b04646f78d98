"""The small values everything else is made of, and the ids that follow from content.

Ids of accounts, copies and legs are hashes of what they name, so that two processes, or one
before and after a crash, always arrive at the same id for the same thing.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import NewType

AccountId = NewType("AccountId", str)
"""One MetaTrader account: hash of platform, server and login; 32 hex digits."""
RegistrationId = NewType("RegistrationId", str)
"""A user's entry for an account: random, 32 hex digits; what REST calls an account's id."""
CopierId = NewType("CopierId", str)
"""A rule that links a master to a slave: random, 32 hex digits."""
UserId = NewType("UserId", str)
"""A user of the gateway: random, 32 hex digits."""
RootId = NewType("RootId", str)
"""One trade idea on one account, from open to flat, however many tickets it had."""
CopyId = NewType("CopyId", str)
"""The slave's counterpart of a root: hash of master, slave and root; 32 hex digits."""
AttemptId = NewType("AttemptId", str)
"""One trade call for one step of a copy: hash of the copy, the step and a count; 32 hex digits."""
MessageId = NewType("MessageId", str)
Ticket = NewType("Ticket", int)
"""MetaTrader's number of an order or position; up to 64 bits."""
Lots = Decimal
Price = Decimal
"""A price as the broker writes it; zero never means "none" here, None does."""
LARGEST = Decimal(10) ** 15
"""No price, volume, factor or sum of money is meant to be larger, in whatever currency."""


class Platform(StrEnum):
    MT4 = "MT4"
    MT5 = "MT5"


class Mode(StrEnum):
    """How an account keeps positions: each apart, or one per symbol."""

    HEDGING = "Hedging"
    NETTING = "Netting"


class Side(StrEnum):
    is_buy: bool
    sign: int

    def __init__(self, value: str) -> None:
        # Attributes: a copy's prices, levels and volume ask them again and again.
        self.is_buy = value == "Buy"
        self.sign = 1 if self.is_buy else -1

    BUY = "Buy"
    SELL = "Sell"

    @property
    def opposite(self) -> Side:
        return Side.SELL if self.is_buy else Side.BUY

    def along(self, move: Decimal) -> Decimal:
        """A price's move, above zero the way this side wants a price to go. A zero has no sign."""
        return move if self.is_buy else -move


class OrderKind(StrEnum):
    """What an entry of the list of open orders is: a position, or one of the pending orders."""

    is_pending: bool
    side: Side

    def __init__(self, value: str) -> None:
        # Attributes: every look asks them of every open order.
        self.is_pending = value not in ("Buy", "Sell")
        self.side = Side.BUY if value.startswith("Buy") else Side.SELL

    BUY = "Buy"
    SELL = "Sell"
    BUY_LIMIT = "BuyLimit"
    SELL_LIMIT = "SellLimit"
    BUY_STOP = "BuyStop"
    SELL_STOP = "SellStop"
    BUY_STOP_LIMIT = "BuyStopLimit"
    SELL_STOP_LIMIT = "SellStopLimit"

    @property
    def reversed(self) -> OrderKind:
        """The kind with the same trigger price on the other side (trading rule of reverse copying).

        A buy limit waits below the market; so does a sell stop: they trigger at the same price.
        """
        return _REVERSED[self]


_REVERSED = {
    OrderKind.BUY: OrderKind.SELL,
    OrderKind.SELL: OrderKind.BUY,
    OrderKind.BUY_LIMIT: OrderKind.SELL_STOP,
    OrderKind.SELL_LIMIT: OrderKind.BUY_STOP,
    OrderKind.BUY_STOP: OrderKind.SELL_LIMIT,
    OrderKind.SELL_STOP: OrderKind.BUY_LIMIT,
    OrderKind.BUY_STOP_LIMIT: OrderKind.SELL_STOP_LIMIT,
    OrderKind.SELL_STOP_LIMIT: OrderKind.BUY_STOP_LIMIT,
}


def digest(*parts: object) -> str:
    """32 hex digits that depend on every part and on where one ends and the next begins."""
    return blake2b("|".join(map(str, parts)).encode(), digest_size=16).hexdigest()


def account_id(platform: Platform, server: str, login: int) -> AccountId:
    """The one key of a MetaTrader account; letter case and blanks around the server's name do not count."""
    return AccountId(digest("account", platform.value, server.strip().casefold(), login))


def imported_account_id(user: UserId, platform: Platform, owner: str) -> AccountId:
    """An account that exists only in reports. The user's own: whoever brings a report proves nothing
    about the account it speaks of. `owner`: broker and login, or what makes a test that test.
    """
    return AccountId(digest("imported", user, platform.value, owner.casefold()))


def copy_id(master: AccountId, slave: AccountId, root: RootId) -> CopyId:
    """The pair and the root, never the copier: no pair copies a root twice, whatever copiers come and go."""
    return copy_of(pair_of(master, slave), root)


def pair_of(master: AccountId, slave: AccountId) -> blake2b:
    """What the ids of all copies of a pair begin with, hashed."""
    return blake2b(f"copy|{master}|{slave}|".encode(), digest_size=16)


def copy_of(pair: blake2b, root: RootId) -> CopyId:
    """digest("copy", master, slave, root), in the ring's innermost loop."""
    copy = pair.copy()
    copy.update(root.encode())
    return CopyId(copy.hexdigest())


_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
TAG_LENGTH = 14


_PAIRS = [one + other for one in _CROCKFORD for other in _CROCKFORD]


@lru_cache(maxsize=1024)
def leg_tag(copy: CopyId, leg: int) -> str:
    """The comment that marks a leg at the broker: T, 12 Crockford digits (60 bits), 1 check digit."""
    bits = int(digest("leg", copy, leg)[:15], 16)
    body = "".join([_PAIRS[(bits >> shift) & 1023] for shift in (50, 40, 30, 20, 10, 0)])
    return f"T{body}{_check_digit(bits)}"


def tag_in(comment: str) -> str | None:
    """The valid leg tag at the start of a comment, if one is there."""
    tag = comment[:TAG_LENGTH]
    if len(tag) < TAG_LENGTH or tag[0] != "T":
        return None
    bits = 0
    for letter in tag[1:13]:
        value = _CROCKFORD.find(letter)
        if value < 0:
            return None
        bits = bits << 5 | value
    return tag if tag[13] == _check_digit(bits) else None


def _check_digit(bits: int) -> str:
    # Letters and digits only: some MT5 servers refuse a comment with anything else in it.
    return _CROCKFORD[bits % 31]


_MAGIC_BASE = 0x43500000
_MAGIC_SPAN = 0x000FFFFF


@lru_cache(maxsize=4096)
def magic_of(master: AccountId, slave: AccountId) -> int:
    """The pair's magic number: a positive 32-bit integer from a range of our own, the same on both platforms."""
    return _MAGIC_BASE + int(digest("magic", master, slave)[:8], 16) % _MAGIC_SPAN
