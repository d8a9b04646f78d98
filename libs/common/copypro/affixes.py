"""What a broker writes around its symbols, as its own forex majors prove it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from itertools import combinations

from msgspec import Struct

MAJORS = (
    "EURUSD", "GBPUSD", "USDJPY", "USDCHF", "AUDUSD", "USDCAD", "NZDUSD", "EURGBP", "EURJPY",
    "GBPJPY", "EURCHF", "AUDJPY",
)  # fmt: skip
MAJORS_NEEDED = 5
PAIRS = tuple(
    f"{base}{other}"
    for base, other in combinations(("EUR", "GBP", "AUD", "NZD", "USD", "CAD", "CHF", "JPY"), 2)
)
"""All of the eight large currencies, in the order in which everybody writes them."""


class Affix(Struct, frozen=True):
    prefix: str
    suffix: str

    def around(self, name: str) -> str:
        return f"{self.prefix}{name}{self.suffix}"


class Names(tuple[str, ...]):
    """An account's symbols, made by `names_of`. They may be thousands, and what follows from them is
    looked up for every copy: they are hashed once.
    """

    @cached_property
    def _hash(self) -> int:
        return super().__hash__()

    def __hash__(self) -> int:
        return self._hash


def names_of(names: Iterable[str]) -> Names:
    """Equal lists, as of two accounts at one broker, are one object: nobody compares them by each name."""
    return names if isinstance(names, Names) else _only(Names(names))


@lru_cache(maxsize=256)
def _only(names: Names) -> Names:
    return names


@lru_cache(maxsize=256)
def proven(names: Names) -> tuple[Affix, ...]:
    """Each prefix and suffix that at least five forex majors share."""
    groups: dict[Affix, set[str]] = {}
    for name in names:
        for major in MAJORS:
            at = name.find(major)
            if at >= 0:
                affix = Affix(name[:at], name[at + len(major) :])
                groups.setdefault(affix, set()).add(major)
    return tuple(affix for affix, majors in groups.items() if len(majors) >= MAJORS_NEEDED)


def learn_affix(names: Sequence[str]) -> Affix | None:
    """The one that is proven, if only one is. Computed once per list of names."""
    found = proven(names_of(names))
    return found[0] if len(found) == 1 else None
