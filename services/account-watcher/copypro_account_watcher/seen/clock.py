"""The broker's clock: how far it is from UTC, learned from ticks, never configured.

MetaTrader's times carry no zone. A server's offset follows the daylight saving of New York, of
Europe or of nobody, so it is measured: the time of a tick minus our UTC, rounded to a quarter of
an hour. A tick is trusted only when it is fresh: its own time went on since the last one, and what
is left after rounding is small. Pure: the caller brings the time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec import Struct

QUARTER_S = 900
DAY = timedelta(days=1)
HOUR = 60
"""In minutes: what a clock is put back by in autumn."""
LATE_S = 1.0
KEPT_S = 600.0
"""What a server's tick said of this machine's clock counts for so long."""


class ClockLimits(Struct, frozen=True, kw_only=True):
    agreeing: int = 2
    """Fresh ticks in a row that must show an offset before it is believed."""
    residue_s: float = 120.0
    """Distance from a full quarter of an hour that a broker's drifting clock may have."""
    doubt_after_s: float = 3600.0
    """Without a confirming tick for so long (a weekend), the first that disagrees unlearns it."""
    back_after_s: float = 20.0
    """So long must ticks of the past follow each other as time does: then the clock was put back."""
    in_step_s: float = 5.0
    """What a tick's way here may vary by meanwhile."""
    least_minutes: int = -12 * 60
    most_minutes: int = 14 * 60


class ClockOffset:
    """`minutes`: broker clock minus UTC; None while no fresh tick has shown it.

    `skew_s`: broker clock minus UTC minus the offset, of the newest fresh tick: the drift of both
    clocks and the tick's way here together. Only a sign: it cannot tell whose clock is wrong.
    """

    def __init__(self, minutes: int | None = None) -> None:
        self.minutes = minutes
        self.skew_s: float | None = None
        self._limits = ClockLimits()
        self._newest: datetime | None = None
        self._confirmed_at: datetime | None = None
        self._candidate: int | None = None
        self._agreeing = 0
        self._back: tuple[datetime, float, int] | None = None
        """Ticks of an hour ago or more: since when, how far the first was from UTC, and how many."""

    def see(self, time_broker: datetime, now_utc: datetime) -> None:
        """One tick. The first one only starts the watch: it may have waited since Friday."""
        away_s = (time_broker - now_utc.astimezone(UTC).replace(tzinfo=None)).total_seconds()
        minutes = round(away_s / QUARTER_S) * (QUARTER_S // 60)
        residue_s = away_s - minutes * 60
        limits = self._limits
        if minutes > limits.most_minutes:
            return  # of no clock there is: beside it all true ticks would seem old
        newest, self._newest = self._newest, max(time_broker, self._newest or time_broker)
        if newest is None or time_broker <= newest:
            is_back = self.minutes is None or minutes <= self.minutes - HOUR
            if is_back and minutes >= limits.least_minutes:
                self._see_back(time_broker, minutes, residue_s, now_utc)
            return
        if abs(residue_s) > limits.residue_s:
            return
        if minutes < limits.least_minutes:
            return
        if minutes == self.minutes:
            self._confirm(minutes, residue_s, now_utc)
            return
        if self._is_doubtful(now_utc):
            self.minutes = None
        self._agreeing = self._agreeing + 1 if minutes == self._candidate else 1
        self._candidate = minutes
        if self._agreeing >= limits.agreeing:
            self._confirm(minutes, residue_s, now_utc)

    def see_both(self, at_broker: datetime, at_utc: datetime, now_utc: datetime) -> None:
        """What tells when it happened by both clocks. Bridges whose quotes tell only UTC have no other
        sign; once fresh ticks have shown it they count alone.
        """
        away_s = (at_broker - at_utc.astimezone(UTC).replace(tzinfo=None)).total_seconds()
        minutes = round(away_s / QUARTER_S) * (QUARTER_S // 60)
        limits = self._limits
        is_a_clock = limits.least_minutes <= minutes <= limits.most_minutes
        if self._confirmed_at is not None or not is_a_clock or abs(away_s - minutes * 60) >= 1:
            return  # one of the two may be told in whole seconds
        if self.minutes is None or now_utc - at_utc < DAY:  # it may have been put back or forward
            self.minutes = minutes

    def is_older(self, age_s: float, limit_s: float, now_utc: datetime) -> bool:
        """Of what seems so old by this clock. Put back since a tick last confirmed it, what is of now seems
        an hour old.
        """
        may_be_back = self._is_doubtful(now_utc) and abs(age_s - HOUR * 60) <= limit_s
        return age_s > limit_s and not may_be_back

    def _see_back(
        self, time_broker: datetime, minutes: int, residue_s: float, now_utc: datetime
    ) -> None:
        """Autumn's repeated hour, or a clock that was hours ahead and is right again: its ticks all seem
        old. Or what a closed market showed last.
        """
        limits, away_s = self._limits, minutes * 60 + residue_s
        since, first_s, count = self._back or (now_utc, away_s, 0)
        if abs(away_s - first_s) > limits.in_step_s:
            since, first_s, count = now_utc, away_s, 0
        self._back = (since, first_s, count + 1)
        is_long = (now_utc - since).total_seconds() >= limits.back_after_s
        if is_long and count >= limits.agreeing and abs(residue_s) <= limits.residue_s:
            self._newest = time_broker
            self._confirm(minutes, residue_s, now_utc)

    def _confirm(self, minutes: int, residue_s: float, now_utc: datetime) -> None:
        self.minutes, self.skew_s, self._confirmed_at = minutes, residue_s, now_utc
        self._candidate, self._agreeing, self._back = None, 0, None

    def _is_doubtful(self, now_utc: datetime) -> bool:
        if self._confirmed_at is None:
            return True
        return (now_utc - self._confirmed_at).total_seconds() > self._limits.doubt_after_s


class HostClock:
    """Whether this machine's own clock is wrong: when the brokers of several servers say so.

    One broker alone may have the wrong clock itself. A tick's time has whole seconds and is always a
    little old, so a broker may seem late by `LATE_S` more.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._skews: dict[str, tuple[float, float]] = {}

    def see(self, server: str, skew_s: float, mono: float) -> None:
        self._skews[server] = (skew_s, mono)

    def off_s(self, mono: float) -> float | None:
        """Seconds by which this clock is behind (positive) or ahead (negative) of all of at least
        two servers; None: it is not, or nobody can tell.
        """
        skews = [skew for skew, at in self._skews.values() if mono - at <= KEPT_S]
        if len(skews) < 2:
            return None
        if min(skews) > self._limit_s:
            return min(skews)
        if max(skews) < -(self._limit_s + LATE_S):
            return max(skews)
        return None


def to_utc(time_broker: datetime, offset_minutes: int | None) -> datetime | None:
    """Aware UTC of a broker's time; None while the offset is unknown."""
    if offset_minutes is None:
        return None
    return (time_broker - timedelta(minutes=offset_minutes)).replace(tzinfo=UTC)


def to_broker(time_utc: datetime, offset_minutes: int | None) -> datetime | None:
    """The broker's zoneless time of a UTC moment; None while the offset is unknown."""
    if offset_minutes is None:
        return None
    utc = time_utc.astimezone(UTC).replace(tzinfo=None)
    return utc + timedelta(minutes=offset_minutes)
