"""One decision of a copier on one leg of a master's trade, and all that is known of what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from copypro.statistics.facts import Absent, Figure

NOT_REFUSED = Absent("it was not refused")
NOT_COPIED = Absent("it was not copied")


class Outcome(StrEnum):
    COPIED = "copied"
    REFUSED = "refused"
    WAITING = "waiting"
    """Planned, and neither opened nor refused yet."""


class Copy(Struct, frozen=True, kw_only=True):
    """Money is in the slave's currency, `missed` in the master's. Costs: positive is money lost."""

    copier: str
    slave: str
    """As its owner knows it."""
    broker: str
    """The slave's server."""
    symbol: str
    """The master's name for it."""
    seen_at_utc: datetime
    """When the master's trade was seen: a copy belongs to this hour and this month."""
    currency: str
    master_currency: str
    outcome: Outcome
    code: str = ""
    """Why it was refused."""
    legs_us: Mapping[str, int] = {}
    """Microseconds of each leg whose both ends were recorded."""
    slippage_points: Figure = NOT_COPIED
    """Against the master's price, the difference of the two feeds taken out; positive is worse."""
    slippage: Figure = NOT_COPIED
    spread: Figure = NOT_COPIED
    commission: Figure = NOT_COPIED
    swap: Figure = NOT_COPIED
    profit: Figure = NOT_COPIED
    """The slave's result of it, costs included."""
    missed: Figure = NOT_REFUSED
    """What the master made of the trade, at the master's size, costs included."""


KeyOf = Callable[[Copy], str]
GROUPS: Mapping[str, KeyOf] = {
    "copier": lambda copy: copy.copier,
    "slave": lambda copy: copy.slave,
    "broker": lambda copy: copy.broker,
    "symbol": lambda copy: copy.symbol,
    "hour": lambda copy: f"{copy.seen_at_utc:%H}",
    "month": lambda copy: f"{copy.seen_at_utc:%Y-%m}",
}
"""Hours and months are UTC."""
