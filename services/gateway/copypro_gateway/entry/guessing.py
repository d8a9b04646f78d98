"""Who may try a password now: guessing gets slow, and nobody can lock another one out. Pure.

Each try is paid for before it is made, so that many connections at once are no way around it, and
paid back when the password was right. Kept in memory: a restart forgets it, and each gateway process
counts for itself.
"""

from __future__ import annotations

from collections import OrderedDict

from msgspec import Struct

from copypro_gateway.entry.buckets import MOST_KEPT, Buckets


class GuessLimits(Struct, frozen=True, kw_only=True):
    """Tries at once, and the seconds in which one more is earned."""

    pair_tries: int = 5
    pair_every_s: float = 60.0
    """Of one e-mail from one address."""
    address_tries: int = 20
    address_every_s: float = 10.0
    """Of one address, whatever the e-mail; making a user counts as well."""
    email_tries: int = 50
    email_every_s: float = 30.0
    """Of one e-mail from all addresses from which nobody has signed in with it yet."""
    slower_by_s: float = 0.2
    """A wrong password is answered so much later for each try of its pair that is spent."""


LIMITS = GuessLimits()


class Try(Struct, frozen=True):
    email: str
    address: str

    @property
    def pair(self) -> str:
        return f"{self.email.casefold()} {self.address}"


class Guessing:
    def __init__(self, limits: GuessLimits) -> None:
        self._limits = limits
        self._pairs = Buckets(1 / limits.pair_every_s, limits.pair_tries)
        self._addresses = Buckets(1 / limits.address_every_s, limits.address_tries)
        self._emails = Buckets(1 / limits.email_every_s, limits.email_tries)
        self._known: OrderedDict[str, None] = OrderedDict()

    def of_address(self, address: str, now: float) -> float:
        """0.0: the address has paid for one try. Else the seconds until it may come again."""
        return self._addresses.take(address, now)

    def begin(self, attempt: Try, now: float) -> float:
        """0.0: paid for by the address, the pair, and the e-mail unless the pair is known. Else nothing
        is, and so many seconds pass until it could be.
        """
        paid: list[tuple[Buckets, str]] = []
        for buckets, name in self._asked(attempt):
            wait_s = buckets.take(name, now)
            if wait_s > 0:
                for earlier, its_name in paid:
                    earlier.give_back(its_name, now)
                return wait_s
            paid.append((buckets, name))
        return 0.0

    def right(self, attempt: Try, now: float) -> None:
        """Paid back; from here on strangers' tries are no matter for this pair."""
        for buckets, name in self._asked(attempt):
            buckets.give_back(name, now)
        self._known[attempt.pair] = None
        self._known.move_to_end(attempt.pair)
        if len(self._known) > MOST_KEPT:
            self._known.popitem(last=False)

    def wrong_s(self, attempt: Try, now: float) -> float:
        """How much later a wrong password is answered."""
        spent = self._limits.pair_tries - self._pairs.level(attempt.pair, now)
        return spent * self._limits.slower_by_s

    def _asked(self, attempt: Try) -> list[tuple[Buckets, str]]:
        asked = [(self._addresses, attempt.address), (self._pairs, attempt.pair)]
        if attempt.pair not in self._known:
            asked.append((self._emails, attempt.email.casefold()))
        return asked
