"""Names of symbols, which count letter by letter as the broker writes them. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, takewhile

from copypro.affixes import names_of, proven

from copypro_gateway.wording.errors import bad


class SymbolNames:
    """An account's own, as far as they are known: there may be thousands, and as many to check."""

    def __init__(self, names: Iterable[str]) -> None:
        listed = names_of(names)
        self._own = frozenset(listed)
        self._affixes = proven(listed)
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
        around = (affix.around(name).lower() for affix in self._affixes)
        begun = (self._written[each] for each in _begun_by(name, self._forwards))
        ended = (self._written[each[::-1]] for each in _begun_by(name[::-1], self._backwards))
        length = len(name)
        return next(
            chain(
                (self._written[each] for each in around if each in self._written),
                (each for each in begun if _is_whole(each[length : length + 1])),
                (each for each in ended if _is_whole(each[:-length][-1:])),
            ),
            None,
        )


def _is_whole(beside: str) -> bool:
    """Whether a symbol's own name ends where this letter follows or precedes it: otherwise it is a part of
    another's (T of TSLA, OIL of USOIL, BTCUSD of BTCUSDT).
    """
    return not beside.isalnum() or beside.islower()


def _begun_by(beginning: str, names: Sequence[str]) -> Iterator[str]:
    """By their letters: the very same first, if it is there."""
    following = (names[at] for at in range(bisect_left(names, beginning), len(names)))
    return takewhile(lambda name: name.startswith(beginning), following)
