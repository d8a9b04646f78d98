"""The broker's clock, learned from its quotes: trading rules T-1 to T-3.

MetaTrader writes its server's time without a zone. Its offset from UTC is a multiple of 15 minutes,
so fresh quotes show it, and nothing else may: a configured number of hours is wrong twice a year.
"""

from __future__ import annotations

from datetime import datetime, timedelta

STEP_MINUTES = 15
LARGEST_MINUTES = 14 * 60
AGREEING = 3
"""So many quotes in a row must agree before an offset is believed, or changed."""


class ClockOffset:
    """`minutes`: broker minus UTC, None while unknown. A quote that is not fresh disagrees with the
    next one by its age, so only agreement counts.
    """

    def __init__(self, minutes: int | None = None) -> None:
        self.minutes = minutes
        self._candidate: int | None = None
        self._agreed = 0

    def see(self, broker: datetime, now_utc: datetime) -> None:
        """A quote that has just come in, stamped by the broker."""
        behind = (broker - now_utc.replace(tzinfo=None)).total_seconds() / 60
        rounded = round(behind / STEP_MINUTES) * STEP_MINUTES
        if abs(rounded) > LARGEST_MINUTES or abs(behind - rounded) > 2:
            return
        if rounded == self._candidate:
            self._agreed += 1
        else:
            self._candidate, self._agreed = rounded, 1
        if self._agreed >= AGREEING or self.minutes is None:
            self.minutes = rounded


def to_utc(broker: datetime | None, offset_minutes: int | None, zone: datetime) -> datetime | None:
    """A broker's time as UTC, with the zone of `zone`; None where the offset is unknown."""
    if broker is None or offset_minutes is None:
        return None
    return (broker - timedelta(minutes=offset_minutes)).replace(tzinfo=zone.tzinfo)
