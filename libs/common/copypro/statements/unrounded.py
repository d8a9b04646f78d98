"""MT4's tester adds and counts profits that it does not round; the rows that it prints are rounded.

A loss of less than half a cent is printed as 0.00, which reads as a win. Which rows those are can
be told when the report's own count of wins is lower than that of its rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import combinations

from msgspec import Struct
from msgspec.structs import replace

from copypro.statements.ledger import Ledger
from copypro.statistics.facts import Record, Trade

MOST_COUNTED = 200_000
"""Trades, in all ways to choose the losses among the rows of 0.00: each is a report of its own."""
LEAST = Decimal("0.000001")
"""A loss that no printed figure shows."""


class Resigned(Struct, frozen=True):
    """A ledger in which some rows that are printed as 0.00 are losses, and what to say of them."""

    ledger: Ledger
    text: str


def resigned(
    ledger: Ledger, wins: int, printed_wins: Decimal | None, agrees: Callable[[Ledger], int]
) -> Resigned | None:
    """The choice with which most figures agree, or the ledger as it is where there are too many.
    None if no row of 0.00 can explain the wins.
    """
    zeros = [at for at, record in enumerate(ledger.records) if _is_zero(record)]
    losses = 0 if printed_wins is None else wins - int(printed_wins)
    if not 0 < losses <= len(zeros):
        return None
    if math.comb(len(zeros), losses) * len(ledger.records) > MOST_COUNTED:
        rows = f"{losses} of the {len(zeros)} rows of 0.00"
        return Resigned(ledger, f"0.00 is a win; the tester counted {rows} as losses below it")
    return max(_choices(ledger, zeros, losses), key=lambda choice: agrees(choice.ledger))


def _is_zero(record: Record) -> bool:
    return isinstance(record, Trade) and not record.result


def _choices(ledger: Ledger, zeros: Sequence[int], losses: int) -> Iterator[Resigned]:
    for chosen in combinations(zeros, losses):
        lost: Mapping[int, Record] = {at: _lost(ledger.records[at]) for at in chosen}
        records = [lost.get(at, record) for at, record in enumerate(ledger.records)]
        rows = ", ".join(str(ledger.records[at].ticket) for at in chosen)
        text = f"0.00 is a win; row {rows} must have lost less than half a cent"
        yield Resigned(replace(ledger, records=records), text)


def _lost(record: Record) -> Record:
    return replace(record, profit=-LEAST) if isinstance(record, Trade) else record
