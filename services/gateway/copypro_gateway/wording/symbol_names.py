"""Names of symbols, which count letter by letter as the broker writes them. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence

from copypro_gateway.wording.errors import bad


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
        found = _begun_by(name, self._forwards)
        if found is None:
            reversed_ = _begun_by(name[::-1], self._backwards)
            found = None if reversed_ is None else reversed_[::-1]
        return None if found is None else self._written[found]


def _begun_by(beginning: str, names: Sequence[str]) -> str | None:
    """The first by its letters: the very same, if it is there."""
    at = bisect_left(names, beginning)
    return names[at] if at < len(names) and names[at].startswith(beginning) else None
