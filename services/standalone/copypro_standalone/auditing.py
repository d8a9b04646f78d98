"""Compares what the brokers' own books say with the master's history and with our record. Pure.

The evidence is the brokers': how often an order with each copy's tag was executed, and what is
open at the end. Our record is believed only where the two agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from copypro.values import AccountId, RootId, copy_id, leg_tag
from msgspec import Struct

from copypro_standalone.tally import Pair


class Books(Struct, frozen=True):
    """One slave, as its broker tells."""

    name: str
    account: AccountId
    executed: Mapping[str, int]
    """By tag: how many opening orders with this comment were executed."""
    open_positions: Sequence[str]
    """What is still open and ours, described for people."""


class Finding(Struct, frozen=True):
    trades: int
    pairs: int
    copies: int
    reasons: dict[str, int]
    problems: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        return not self.problems and self.pairs > 0


def audit(
    master: AccountId,
    roots: Sequence[RootId],
    books: Sequence[Books],
    pairs: Iterable[Pair],
    *,
    master_open: int = 0,
) -> Finding:
    """Each (master trade, slave) has exactly one executed copy, or none and one recorded reason;
    nothing else was executed; and once the master is flat, so is every slave.
    """
    recorded = {(pair.root, pair.slave): pair for pair in pairs}
    problems: list[str] = []
    reasons: dict[str, int] = {}
    copies = 0
    for slave in books:
        expected = {leg_tag(copy_id(master, slave.account, root), 0): root for root in roots}
        for tag, root in expected.items():
            pair = recorded.get((root, slave.account))
            executed = slave.executed.get(tag, 0)
            problem = _problem(executed, pair)
            if problem:
                problems.append(f"trade {root} on {slave.name}: {problem}")
            elif executed:
                copies += 1
            elif pair is not None:
                reasons[pair.code] = reasons.get(pair.code, 0) + 1
        strange = {tag: times for tag, times in slave.executed.items() if tag not in expected}
        problems += [
            f"{slave.name}: {times} orders {tag!r} of no trade" for tag, times in strange.items()
        ]
        if not master_open:
            problems += [f"{slave.name}: still open: {text}" for text in slave.open_positions]
    return Finding(len(roots), len(roots) * len(books), copies, reasons, tuple(problems))


def _problem(executed: int, pair: Pair | None) -> str:
    if executed > 1:
        return f"executed {executed} times"
    if pair is None:
        return "executed but never recorded" if executed else "neither copied nor explained"
    if executed and not pair.copied:
        return f"executed, but recorded as {pair.code or 'nothing final'}"
    if not executed and pair.copied:
        return "recorded as copied, but the broker has no such order"
    if not executed and not pair.code:
        return "neither copied nor explained"
    return ""
