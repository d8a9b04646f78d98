"""What a look shows without proof: it waits until every look has shown it for so long. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from copypro_account_watcher.seen.book import Book
from copypro_account_watcher.seen.looks import Look


class Doubts:
    """Of one look; those of the look before are the book's. A doubt has a kind and the name of what it is
    about.
    """

    def __init__(self, book: Book, look: Look) -> None:
        self._book, self._look = book, look
        self._now: dict[tuple[str, str], datetime] = {}

    def waited(self, what: str, name: object, seconds: float | None = None) -> bool:
        """True once this doubt stood in every look for so long, or the time that rows are waited for."""
        doubt, look = (what, str(name)), self._look
        since = self._book.doubts.get(doubt, look.at_utc)
        self._now[doubt] = since
        wait_s = look.row_wait_s if seconds is None else seconds
        return look.at_utc - since >= timedelta(seconds=wait_s)

    def asked(self, what: str, name: object) -> bool:
        """And history, which may lag, was asked for so much later and has not settled it: what looks alike
        may be another's.
        """
        has_waited, asked_at = self.waited(what, name), self._look.history_asked_at_utc
        lag = timedelta(seconds=self._look.history_lag_s)
        return has_waited and asked_at is not None and asked_at >= self._now[what, str(name)] + lag

    def keeps(self, what: str, name: object) -> None:
        """A doubt that history led to: a look without it settles nothing."""
        doubt = (what, str(name))
        if doubt in self._book.doubts and not self._look.has_history:
            self._now[doubt] = self._book.doubts[doubt]

    def keeps_all(self, what: str) -> None:
        for doubt, name in self._book.doubts:
            if doubt == what:
                self.keeps(doubt, name)

    def outdates(self, what: str, name: object) -> None:
        """What is shown now is newer than what was in doubt."""
        self._book.doubts.pop((what, str(name)), None)

    def stood(self, what: str, name: object) -> bool:
        """The look before had this doubt as well."""
        return (what, str(name)) in self._book.doubts

    def settle(self, what: str, name: object) -> datetime:
        """It is over; since when it stood, or now."""
        doubt = (what, str(name))
        self._now.pop(doubt, None)
        return self._book.doubts.pop(doubt, self._look.at_utc)

    def finish(self) -> None:
        """Those that this look no longer showed are over."""
        self._book.doubts = self._now
