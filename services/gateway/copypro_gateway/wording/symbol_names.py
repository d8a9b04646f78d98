"""Names of symbols, which count letter by letter as the broker writes them. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, takewhile

from copypro_gateway.wording.errors import bad

A_PAIR = 6
"""Letters, of two currencies: a name of as many is no part of another's."""


class SymbolNames:
    """An account's own, as far as they are known: there may be thousands, and as many to check."""

    def __init__(self, names: Iterable[str]) -> None:
        self._own = frozenset(names)
        self._written = {name.lower(): name for name in self._own}
        self._forwards = sorted(self._written)
        self._backwards = sorted(name[::-1] for name in self._written)

    def check(self, field: str, name: str, beside: Collection[str] = ()) -> None:
        """One that is none of them is taken, since lists are made for several accounts. Errors: 400 for
        one that would say nothing of the symbol that it means, where that is not named `beside` it:
        several in one, other letters' case, without what this broker writes around it.
        """
        if name in self._own:
            return
        if "," in name:
            raise bad(field, "is one symbol: repeat the name for each, or give a JSON list")
        meant = self._meant(name.lower())
        if meant is not None and meant not in beside:
            raise bad(field, f"is not as the broker writes it, which is {meant}: see SymbolList")

    def _meant(self, name: str) -> str | None:
        begun = (self._written[each] for each in _begun_by(name, self._forwards))
        ended = (self._written[each[::-1]] for each in _begun_by(name[::-1], self._backwards))
        length = len(name)
        return next(
            chain(
                (each for each in begun if _is_whole(name, each[length : length + 1])),
                (each for each in ended if _is_whole(name, each[:-length][-1:])),
            ),
            None,
        )


def _is_whole(name: str, beside: str) -> bool:
    """Whether a symbol's own name ends where this letter follows or precedes it. A short one (T, OIL) may
    be a part of another's (TSLA, USOIL).
    """
    return len(name) >= A_PAIR or not beside.isalnum() or beside.islower()


def _begun_by(beginning: str, names: Sequence[str]) -> Iterator[str]:
    """By their letters: the very same first, if it is there."""
    following = (names[at] for at in range(bisect_left(names, beginning), len(names)))
    return takewhile(lambda name: name.startswith(beginning), following)
