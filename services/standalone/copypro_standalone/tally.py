"""What is known of every copy so far, taken fact by fact from the log. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from copypro import messages as m
from copypro.values import AccountId, CopyId, RootId
from msgspec import Struct, field

from copypro_standalone.story import LEGS, Fact, legs_ms


class Pair(Struct):
    """One (master trade, slave): what was recorded of it."""

    root: RootId
    slave: AccountId
    planned_at: datetime | None = None
    copied: int = 0
    """Opens recorded as done: more than one is the fault that must never be."""
    ended: bool = False
    """Closed by us, or by its own stop, target or owner at the broker."""
    code: str = ""
    """Why it was not copied."""
    numbers: dict[str, str] = {}
    unresolved: bool = False

    @property
    def is_decided(self) -> bool:
        return not self.unresolved and (self.copied > 0 or self.code != "")


class SlaveTally(Struct):
    copied: int = 0
    ended: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    last_code: str = ""
    last_numbers: dict[str, str] = field(default_factory=dict)
    last_total_ms: float | None = None


class Tally:
    def __init__(self, master: AccountId) -> None:
        self._master = master
        self.opened: dict[RootId, datetime] = {}
        """The master's trades, and when each was seen."""
        self.closed: set[RootId] = set()
        self.pairs: dict[CopyId, Pair] = {}
        self.slaves: dict[AccountId, SlaveTally] = {}
        self.legs_ms: dict[str, list[float]] = {}
        self.first_copy_at: datetime | None = None
        self.reductions = 0

    def take(self, fact: Fact) -> None:
        message = fact.envelope.message
        match message:
            case m.PositionOpened() if message.account == self._master:
                self.opened[message.root] = message.seen_at_utc
            case m.PositionClosed() if message.account == self._master:
                self.closed.add(message.root)
            case m.CopyPlanned():
                self._pair(message).planned_at = fact.recorded_at
            case m.CopySkipped() | m.CopyDenied():
                self._refused(message, message.code, message.numbers)
            case m.CopyRejected() if message.final and not self._pair(message).copied:
                self._refused(message, message.code, {"broker": message.message})
            case m.CopyOpened():
                self._opened(message, fact.recorded_at)
            case m.CopyReconciled():
                self._reconciled(message)
            case m.CopyUnresolved() | m.CopyNeedsPerson():
                self._pair(message).unresolved = True
            case m.CopyReduced():
                self.reductions += 1
            case m.CopyClosed() | m.CopyDetached():
                self._ended(message)
            case _:
                pass

    def undecided(self, slaves: Iterable[AccountId]) -> list[tuple[RootId, AccountId]]:
        """Pairs for which nothing final is recorded yet."""
        decided = {(pair.root, pair.slave) for pair in self.pairs.values() if pair.is_decided}
        wanted = [(root, slave) for slave in slaves for root in self.opened]
        return [pair for pair in wanted if pair not in decided]

    def running(self) -> int:
        """Copies whose end is not recorded yet."""
        return sum(pair.copied > 0 and not pair.ended for pair in self.pairs.values())

    def _pair(self, message: m.CopyPlanned | m.CopySkipped | m.Execution) -> Pair:
        pair = self.pairs.get(message.copy)
        if pair is None:
            pair = self.pairs[message.copy] = Pair(message.root, message.slave)
        return pair

    def _slave(self, account: AccountId) -> SlaveTally:
        return self.slaves.setdefault(account, SlaveTally())

    def _refused(
        self, message: m.CopySkipped | m.Execution, code: str, numbers: dict[str, str]
    ) -> None:
        pair, slave = self._pair(message), self._slave(message.slave)
        if pair.copied or pair.code:
            return
        pair.code, pair.numbers, pair.unresolved = code, numbers, False
        slave.refused[code] = slave.refused.get(code, 0) + 1
        slave.last_code, slave.last_numbers = code, numbers

    def _opened(self, message: m.CopyOpened, recorded_at: datetime) -> None:
        pair, slave = self._pair(message), self._slave(message.slave)
        if message.leg > 0:
            return
        pair.copied += 1
        pair.unresolved = False
        slave.copied += 1
        self.first_copy_at = self.first_copy_at or recorded_at
        seen = self.opened.get(message.root)
        if seen is not None:
            legs = legs_ms(seen, pair.planned_at, message, recorded_at)
            for name, ms in legs.items():
                self.legs_ms.setdefault(name, []).append(ms)
            slave.last_total_ms = legs["total"]

    def _reconciled(self, message: m.CopyReconciled) -> None:
        pair = self._pair(message)
        was_open = pair.unresolved
        pair.unresolved = False
        if message.found is None and not pair.copied:
            self._refused(message, "NOT_RESENT", {})
        elif message.found is not None and was_open and not pair.copied:
            pair.copied += 1
            self._slave(message.slave).copied += 1

    def _ended(self, message: m.Execution) -> None:
        pair = self._pair(message)
        if pair.copied and not pair.ended:
            pair.ended = True
            self._slave(message.slave).ended += 1


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all do not exceed (nearest rank); 0 of nothing."""
    if not values:
        return 0.0
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * int(share * 100) // 100))
    return ordered[rank - 1]


def summary(legs: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """p50, p95, p99 and max in milliseconds, by leg in the order of the way, then the total."""
    found = {}
    for name in (*LEGS[1:], "total"):
        values = legs.get(name, [])
        if values:
            found[name] = {
                "p50": round(percentile(values, 0.50), 2),
                "p95": round(percentile(values, 0.95), 2),
                "p99": round(percentile(values, 0.99), 2),
                "max": round(max(values), 2),
            }
    return found
