"""All that an account's agent remembers: what its state records hold, and what is known at this moment.
Pure.
"""

from __future__ import annotations

import msgspec
from copypro.envelope import of_newer_version
from copypro.ports import Record
from copypro.trading import OpenOrder
from copypro.values import TAG_LENGTH, AccountId, AttemptId, CopyId, Platform
from msgspec import Struct

from copypro_account_watcher.forgotten import Forgotten
from copypro_account_watcher.limits import WatcherLimits
from copypro_account_watcher.planned.live import Live
from copypro_account_watcher.seen.book import Book, Closed, Rest, Root
from copypro_account_watcher.state import (
    Account,
    Attempt,
    Copy,
    Leg,
    LegStatus,
    account_key,
    as_now,
    book_key,
    closed_key,
    copy_key,
)
from copypro_account_watcher.turn import Turn


class Doubt(Struct):
    """An attempt without a clear outcome, in its owner's memory and on its owner's monotonic clock: no
    wall clock, whoever sets it, shortens what must be waited for.
    """

    since: float
    """When this owner learned of it: the answer, or the restart that found no answer."""
    absent_read_at: float | None = None
    """When its absence was read for the first time, after the wait."""


class Memory:
    def __init__(self, account: AccountId, limits: WatcherLimits) -> None:
        self.id, self.limits = account, limits
        self.account: Account | None = None
        """None: nobody has registered it."""
        self.book = Book(account)
        self.copies: dict[CopyId, Copy] = {}
        self.by_tag: dict[str, tuple[Copy, Leg]] = {}
        self.live = Live(Platform.MT4, limits)
        """Of the present session, or the last one."""
        self.marked: dict[CopyId, None] = {}
        """Copies that are to be given a turn, in order."""
        self.wants_look = self.wants_history = False
        """Somebody waits for a look at the account, and for one that reads history too."""
        self.refusals: list[str] = []
        """What the circuit breaker has not counted yet."""
        self.broker_stop = ""
        """The broker's code, until the next session: it said that nothing will be opened."""
        self._forgotten = Forgotten()
        self._doubts: dict[AttemptId, Doubt] = {}
        self._saved_rest: Rest | None = None

    def restore(self, kind: str, record: Record) -> None:
        """One of this account's state records, in any order. Errors: BadRecord for a kind that only a
        newer version knows.
        """
        value = record.value or b""
        match kind:
            case "account":
                self.account = msgspec.json.decode(value, type=Account)
            case "book":
                self.book.restore_rest(value)
            case "root":
                self.book.restore_root(msgspec.json.decode(value, type=Root))
            case "closed":
                self.book.restore_closed(msgspec.json.decode(value, type=Closed))
            case "copy":
                self.know(as_now(msgspec.json.decode(value, type=Copy)))
            case _:
                raise of_newer_version(record)

    @property
    def known(self) -> Account:
        assert self.account is not None
        return self.account

    def save_account(self, turn: Turn) -> None:
        turn.remember(account_key(self.id), self.account)

    def save_book(self, turn: Turn) -> None:
        """What changed of it beside its open roots, since it was last saved."""
        for root, closed in self.book.unsaved_closed().items():
            turn.remember(closed_key(self.id, root), closed)
        rest = self.book.rest()
        if rest != self._saved_rest:
            self._saved_rest = rest
            turn.remember(book_key(self.id), rest)

    # --- copies -------------------------------------------------------------------------------

    def know(self, copy: Copy) -> None:
        self.copies[copy.copy] = copy
        for leg in copy.legs:
            if not leg.is_extra:
                self.by_tag[leg.tag] = (copy, leg)

    def save(self, copy: Copy, turn: Turn) -> None:
        turn.remember(copy_key(self.id, copy.copy), copy)

    def touch(self, copy: Copy, turn: Turn) -> None:
        """The copy changed, or something that it waits for did: record it, and give it a turn."""
        self.save(copy, turn)
        self.marked[copy.copy] = None

    def touch_all(self) -> None:
        self.marked.update(dict.fromkeys(self.copies))

    def try_again(self) -> None:
        """A new session: nothing that was put off waits any longer."""
        for copy in self.copies.values():
            copy.not_before_utc = None
        self.touch_all()

    def forget(self, copy: Copy, now: float, turn: Turn) -> None:
        """It is over. `now` on the monotonic clock."""
        del self.copies[copy.copy]
        for leg in copy.legs:
            if not leg.is_extra:
                self.by_tag.pop(leg.tag, None)
        self._forgotten.add(copy, now)
        turn.remember(copy_key(self.id, copy.copy), None)

    def is_forgotten(self, tag: str) -> bool:
        """Of a copy that is over."""
        return tag in self._forgotten

    def tagged(self, order: OpenOrder) -> tuple[Copy, Leg] | None:
        """The leg whose tag the order carries, of a copy that is over too. None for the order of another
        copier: also one whose leg waits to be sent, since nothing of ours can have opened it. It is our
        own of a time that this state does not know, where that is an older one brought back.
        """
        account, tag = self.account, order.comment[:TAG_LENGTH]
        if account is None or order.ticket in (*account.strangers, *account.settled_tickets):
            return None
        found = self.by_tag.get(tag) or self._forgotten.get(tag)
        if found is None:
            return None
        copy, leg = found
        is_under_way = copy.attempt is not None and copy.attempt.leg == leg.number
        return None if leg.status is LegStatus.WAITING and not is_under_way else found

    # --- attempts that nobody answered clearly ------------------------------------------------

    def doubt(self, attempt: Attempt, now: float) -> Doubt:
        """From `now` on, on the monotonic clock, if it is a new one."""
        return self._doubts.setdefault(attempt.id, Doubt(now))

    def certain(self, attempt: Attempt) -> None:
        self._doubts.pop(attempt.id, None)

    @property
    def in_doubt(self) -> bool:
        return bool(self._doubts)

    @property
    def unresolved(self) -> int:
        """Attempts that nobody has settled. Counted at every turn, over all copies."""
        return sum(1 for copy in self.copies.values() if copy.is_unresolved)
