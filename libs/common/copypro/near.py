"""Names that are nearly another: what somebody mistyped, and what would be passed over. Pure."""

from __future__ import annotations

from collections.abc import Iterable

_SHORT = 3
"""Of names below it nearly each is one slip from any other."""
_LONGEST = 100
"""A name above it is nobody's slip."""


def near(name: str, known: Iterable[str], *, two_from: int) -> str | None:
    """Of the known names the one that is a slip away (of those with at least `two_from` letters, two): a
    letter more, less or another, or two that changed places. The nearest, and of several the
    first. Case, and what is neither letter nor digit, counts for nothing.
    """
    if len(name) > _LONGEST:
        return None
    written = _letters(name)
    found: list[tuple[int, str]] = []
    for each in known:
        meant = _letters(each)
        allowed = 0 if len(meant) < _SHORT else 1 if len(meant) < two_from else 2
        if len(set(written) ^ set(meant)) <= 2 * allowed:
            slips = _slips(written, meant)
            if slips <= allowed:
                found.append((slips, each))
    return min(found, key=lambda one: one[0])[1] if found else None


def _letters(name: str) -> str:
    return "".join(each for each in name.lower() if each.isalnum())


def _slips(one: str, other: str) -> int:
    """The fewest that make one of the other (optimal string alignment)."""
    earlier: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        earliest, earlier, row = earlier, row, [i]
        for j, b in enumerate(other, 1):
            fewest = min(earlier[j] + 1, row[j - 1] + 1, earlier[j - 1] + (a != b))
            if i > 1 and j > 1 and (a, one[i - 2]) == (other[j - 2], b):
                fewest = min(fewest, earliest[j - 2] + 1)
            row.append(fewest)
    return row[-1]
