"""Whether everything that moved an account's balance has been told. Pure.

A withdrawal looks like a loss until history names it, and history may lag behind the balance: one
that is empty explains nothing. What moved while no trade did is taken for paid until history says
otherwise, however late; what moved beside a trade stays in doubt, for a bounded time.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from copypro.messages import (
    BalanceChanged,
    OrderEvent,
    PositionClosed,
    PositionIncreased,
    PositionOpened,
    PositionReduced,
)
from copypro.protection import CREDITS

TRADES = (PositionOpened, PositionIncreased, PositionReduced, PositionClosed)
"""What moves the balance besides its operations; a changed stop, for one, does not."""
NOTHING = Decimal(0)
COSTS = Decimal("0.01")
"""Of the balance: what a frame's trade may have cost beside what its deal says."""


class Accounted:
    """The balance as it was last seen, and how much of its moves nothing has told yet."""

    def __init__(self, wait_s: float) -> None:
        self.paid = NOTHING
        """Moved while no trade did: a payment, as far as anybody can see."""
        self._left = NOTHING
        """In doubt: it may have been a trade."""
        self.taken = NOTHING
        """In the last look, for what its trade cost beside what its deal says."""
        self._wait_s = wait_s
        self._balance: Decimal | None = None
        self._owed = False
        self._since: float | None = None
        """On the monotonic clock: when the doubt that stands began."""

    def resume(self, balance: Decimal | None) -> None:
        """As the owner before left it; without effect once a look was taken."""
        if self._balance is None:
            self._balance = balance

    def owe(self) -> None:
        """There was a time that only history can tell of: nothing is settled before it was read."""
        self._owed = True

    @property
    def untold(self) -> Decimal:
        return self.paid + self._left

    @property
    def explained(self) -> Decimal | None:
        """The balance without what nothing has told; None: no look was taken."""
        return None if self._balance is None else self._balance - self.untold

    def looked(
        self,
        balance: Decimal,
        told: Sequence[OrderEvent],
        *,
        is_frame: bool,
        has_history: bool,
        is_trading: bool = False,
    ) -> bool:
        """True: the balance moved in this look, and nothing tells why. `is_trading`: positions ended or
        shrank whose deals nobody has told yet.
        """
        former, self._balance, self.taken = self._balance, balance, NOTHING
        self._owed = self._owed and not has_history
        if former is None:
            return False
        before, moved = self.untold, balance - former
        if has_history and before + moved == 0:
            told = ()  # of a time before the first look: the balance has it already
        costs = COSTS * abs(former) if is_frame else NOTHING
        change = unexplained(NOTHING, moved, told, costs=costs)
        self.taken = _beside(moved, told) - change
        has_traded = is_trading or any(isinstance(event, TRADES) for event in told)
        self._book(change, is_told=bool(told), is_payment=moved != 0 and not has_traded)
        return moved != 0 and self.untold not in (NOTHING, before)

    def _book(self, change: Decimal, *, is_told: bool, is_payment: bool) -> None:
        """What is told ends a payment first, what moves a doubt; the rest of it is new."""
        if is_told:
            self.paid, change = _met(self.paid, change)
        self._left, change = _met(self._left, change)
        self.paid, change = _met(self.paid, change)
        if is_payment:
            self.paid += change
        else:
            self._left += change

    def settle(self, now: float) -> bool:
        """True: nothing is in doubt, or history did not tell in time. It must not keep a limit from
        being seen.
        """
        if self._left == 0 and not self._owed:
            self._since = None
            return True
        self._since = now if self._since is None else self._since
        if now - self._since <= self._wait_s:
            return False
        self._left, self._owed, self._since = NOTHING, False, None
        return True


def _met(amount: Decimal, change: Decimal) -> tuple[Decimal, Decimal]:
    """What is left of both where they have opposite signs: the smaller is used up."""
    if amount * change >= 0:
        return amount, change
    both = amount + change
    return (both, NOTHING) if abs(amount) > abs(change) else (NOTHING, both)


def unexplained(
    before: Decimal, moved: Decimal, told: Sequence[OrderEvent], *, costs: Decimal
) -> Decimal:
    """What is in doubt after a look, in the account's currency; `before` it, and what moved in it.

    A frame is about one thing: a trade in it explains up to so much more than its amount, since brokers
    book its costs in several ways. What is more may have been paid just before. A list shows all that
    happened since the last look, and what is told may have moved before: there each thing explains its
    amount and no more.
    """
    rest = _beside(moved, told)
    is_trade = any(isinstance(event, TRADES) for event in told)
    return before if is_trade and moved != 0 and abs(rest) <= costs else before + rest


def _beside(moved: Decimal, told: Sequence[OrderEvent]) -> Decimal:
    return moved - sum(map(_amount, told), NOTHING)


def _amount(event: OrderEvent) -> Decimal:
    match event:
        case BalanceChanged():
            return NOTHING if event.kind in CREDITS else event.amount
        case PositionOpened() | PositionIncreased():
            return event.deal.entry_cost
        case PositionReduced() | PositionClosed():
            deal = event.deal
            return deal.profit + deal.swap + deal.commission + deal.fee
        case _:
            return NOTHING
