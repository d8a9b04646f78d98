"""What stats wrote about a copy, as facts. Of an older version some fields may be missing: then what
they would tell is absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec import Struct

from copypro.quality.facts import NOT_REFUSED, Copy, Outcome
from copypro.statistics.facts import ZERO, Absent, Figure

Doc = Mapping[str, Any]
LEGS = {
    "seenToPlanned": ("seen_at", "planned_at"),
    "plannedToSent": ("planned_at", "sent_at"),
    "sentToFilled": ("sent_at", "filled_at"),
    "filledToRecorded": ("filled_at", "recorded_at"),
    "seenToFilled": ("seen_at", "filled_at"),
}
"""The last is what a copy takes altogether, ours and the broker's."""
_REFUSED = ("skipped", "denied", "rejected")
STILL_OPEN = Absent("it is still open")
MASTER_OPEN = Absent("the master's trade is still open, or was never a position")
NOT_ITS_OWN = Absent("it is part of the position that an earlier leg opened, and told with that")
NO_WORTH = Absent("what a move of the price is worth was not recorded when it was sent")
NO_POINT = Absent("the size of a point was not recorded when it was sent")
NO_PRICE = Absent("the master's price was not known")
NOT_FIRST = Absent("it is told with the trade's first leg")


class Ended:
    """What became of a position, from the documents of its closings."""

    __slots__ = ("commission", "is_flat", "result", "swap")

    def __init__(self) -> None:
        self.result = self.commission = self.swap = ZERO
        self.is_flat = False

    def add(self, doc: Doc) -> None:
        commission = sum(
            (Decimal(doc.get(name) or 0) for name in ("commission", "fee", "entry_cost")), ZERO
        )
        swap = Decimal(doc.get("swap") or 0)
        self.commission += commission
        self.swap += swap
        self.result += Decimal(doc["profit"]) + swap + commission
        self.is_flat = self.is_flat or bool(doc.get("flat"))


def ended_by(field: str, docs: Iterable[Doc], into: dict[Any, Ended]) -> None:
    """`field`: `opened_as`, the ticket that a slave's position was opened under, or `root`."""
    for doc in docs:
        into.setdefault(doc.get(field) or doc["ticket"], Ended()).add(doc)


class Side(Struct, frozen=True, kw_only=True):
    """One account of a copier: what its documents say, and its positions that ended."""

    name: str
    server: str
    currency: str
    ended: Mapping[Any, Ended]


def is_decision(row: Doc) -> bool:
    return str(row["id"]).endswith(".open") and "seen_at" in row


Position = tuple[str, int]
"""A copy, and the ticket of the slave's position."""


def position_of(row: Doc) -> Position | None:
    """None: nothing stands on the slave."""
    ticket = row.get("slave_ticket")
    return None if ticket is None else (str(row["copy"]), int(ticket))


def opening_legs(rows: Iterable[Doc]) -> dict[Position, int]:
    """The leg that opened each position: on a netting slave the later ones add to it, and what becomes
    of it is one result.
    """
    found: dict[Position, int] = {}
    for row in rows:
        position = position_of(row)
        if position is not None:
            found[position] = min(found.get(position, row["leg"]), row["leg"])
    return found


def copy_of(
    row: Doc, copier: str, master: Side, slave: Side, opened_by: Mapping[Position, int]
) -> Copy:
    """`row`: of the trade logs, one for which `is_decision` holds; `opened_by`: of `opening_legs`."""
    outcome = _outcome(row)
    facts: dict[str, Any] = _costs(row, slave, opened_by) if outcome is Outcome.COPIED else {}
    return Copy(
        copier=copier,
        slave=slave.name,
        broker=slave.server,
        symbol=str(row["master_symbol"]),
        seen_at_utc=_moment(row["seen_at"]),
        currency=slave.currency,
        master_currency=master.currency,
        outcome=outcome,
        code=str(row.get("code") or "") if outcome is Outcome.REFUSED else "",
        legs_us=_legs(row),
        missed=_missed(row, master) if outcome is Outcome.REFUSED else NOT_REFUSED,
        **facts,
    )


def _outcome(row: Doc) -> Outcome:
    """What stands was copied, whatever was denied about it later."""
    if row.get("slave_ticket") is not None and row.get("slave_price") is not None:
        return Outcome.COPIED
    return Outcome.REFUSED if row.get("outcome") in _REFUSED else Outcome.WAITING


def _legs(row: Doc) -> dict[str, int]:
    """A mirrored order may fill before the master's does: that took no time."""
    found: dict[str, int] = {}
    for name, (start, end) in LEGS.items():
        if row.get(start) and row.get(end):
            span = _moment(row[end]) - _moment(row[start])
            if span >= timedelta():
                found[name] = span // timedelta(microseconds=1)
    return found


def _costs(row: Doc, slave: Side, opened_by: Mapping[Position, int]) -> dict[str, Figure]:
    numbers: Doc = row.get("numbers_sent") or {}
    lots = Decimal(row["slave_lots"])
    slippage = NO_PRICE if row.get("slippage") is None else Decimal(row["slippage"])
    point, worth = numbers.get("point"), numbers.get("price_worth")
    in_points: Figure = NO_POINT
    if point is not None:
        in_points = slippage if isinstance(slippage, Absent) else slippage / Decimal(point)
    return {
        "slippage_points": in_points,
        "slippage": _money(slippage, lots, worth),
        "spread": _money(
            Decimal(numbers["spread"]) if "spread" in numbers else NO_WORTH, lots, worth
        ),
        **_result(row, slave, opened_by),
    }


def _result(row: Doc, slave: Side, opened_by: Mapping[Position, int]) -> dict[str, Figure]:
    position = position_of(row)
    if position is not None and opened_by.get(position, row["leg"]) < row["leg"]:
        return {"commission": NOT_ITS_OWN, "swap": NOT_ITS_OWN, "profit": NOT_ITS_OWN}
    ended = slave.ended.get(row["slave_ticket"])
    if ended is None or not ended.is_flat:
        return {"commission": STILL_OPEN, "swap": STILL_OPEN, "profit": STILL_OPEN}
    return {"commission": -ended.commission, "swap": -ended.swap, "profit": ended.result}


def _money(move: Figure, lots: Decimal, worth: str | None) -> Figure:
    """`worth`: of one lot for a move of 1.0 of the price, in the slave's currency."""
    if isinstance(move, Absent):
        return move
    return NO_WORTH if worth is None else move * lots * Decimal(worth)


def _missed(row: Doc, master: Side) -> Figure:
    if row.get("leg"):
        return NOT_FIRST
    ended = master.ended.get(row["root"])
    return MASTER_OPEN if ended is None or not ended.is_flat else ended.result


def _moment(text: Any) -> datetime:
    return datetime.fromisoformat(str(text))
