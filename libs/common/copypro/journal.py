"""The journal: one line and one count for each fact that became durable.

A line names its account and the first cause that it goes back to, so that one grep for a correlation
id tells the story from the REST call, or from the master's trade, to the fill. What follows from
one cause for many copies is one line with their number; each copy has lines of its own where it is
sent. Above `most_lines_per_s` lines are left out and counted: the log is for people, every trade is
told whole by `copypro explain`, and writing must never slow down copying.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import structlog

from copypro import messages as m
from copypro.lines import ERROR, INFO, Line, line_of, line_of_decisions
from copypro.ports import Monotonic, Told
from copypro.values import AttemptId, MessageId

MOST_LINES_PER_S = 100
MOST_ATTEMPTS = 10_000
"""Attempts under way whose master's moment is kept, to tell how long their copy took."""
OUTCOMES: dict[type[m.Message], str] = {
    m.AttemptStarted: "started",
    m.CopyOpened: "filled",
    m.CopyIncreased: "filled",
    m.CopyPendingPlaced: "placed",
    m.CopyPendingRemoved: "removed",
    m.CopyModified: "modified",
    m.CopyReduced: "reduced",
    m.CopyClosed: "closed",
    m.CopyRejected: "rejected",
    m.CopyNotSent: "not_sent",
    m.CopyUnresolved: "unresolved",
    m.CopyReconciled: "reconciled",
    m.CopyNeedsPerson: "needs_person",
}


class Tally(Protocol):
    """Where the journal counts. Never waits, never raises."""

    def leg(self, leg: str, took_s: float) -> None: ...

    def attempt(self, outcome: str) -> None: ...

    def planned(self, copies: int) -> None: ...

    def not_copied(self, by: str, code: str, copies: int) -> None: ...

    def alerted(self, code: str) -> None: ...


class OperatorsJournal:
    """A Journal: lines by structlog under the name of the service that tells, counts into a tally."""

    def __init__(
        self,
        service: str,
        tally: Tally,
        monotonic: Monotonic,
        most_lines_per_s: int = MOST_LINES_PER_S,
    ) -> None:
        self._logger = structlog.get_logger(service)
        self._tally, self._monotonic, self._most = tally, monotonic, most_lines_per_s
        self._seen: dict[AttemptId, datetime] = {}
        self._second, self._lines, self._left_out = 0, 0, 0

    def tell(self, told: Sequence[Told], decided_at: datetime, recorded_at: datetime) -> None:
        planned: dict[MessageId, list[m.Decided]] = {}
        skipped: dict[tuple[MessageId, str], list[m.Decided]] = {}
        joining: set[MessageId] = set()
        for one in told:
            event = one.event
            kind = type(event)
            if kind is m.CopyPlanned:
                planned.setdefault(one.correlation, []).append(event)
            elif kind is m.CopySkipped:
                skipped.setdefault((one.correlation, event.code), []).append(event)
            else:
                if kind is m.CopierStarted or kind is m.CopierResumed:
                    joining.add(one.correlation)
                self._count(event, one.because_at, recorded_at)
                self._say(line_of(event), one.correlation)
        for cause, copies in planned.items():
            self._tally.planned(len(copies))
            if cause not in joining:
                # What stood before its copier came was seen long ago: that is no latency of ours.
                self._tally.leg("seen-planned", _seconds(copies[0].seen_at_utc, decided_at))
            self._say_decisions("", copies, cause)
        for (cause, code), copies in skipped.items():
            self._tally.not_copied("skipped", code, len(copies))
            self._say_decisions(code, copies, cause)

    # --- counts -------------------------------------------------------------------------------

    def _count(self, event: m.Message, planned_at: datetime | None, recorded_at: datetime) -> None:
        outcome = OUTCOMES.get(type(event))
        if outcome is not None:
            self._tally.attempt(outcome)
        match event:
            case m.AttemptStarted() if event.seen_at_utc and len(self._seen) < MOST_ATTEMPTS:
                self._seen[event.attempt] = event.seen_at_utc
            case m.CopyOpened() if event.sent_at_utc and event.answered_at_utc:
                self._legs(event, event.sent_at_utc, event.answered_at_utc, planned_at, recorded_at)
            case m.CopyDenied():
                self._tally.not_copied("denied", event.code, 1)
            case m.AlertRaised():
                self._tally.alerted(event.code)
        if isinstance(event, m.Outcome):
            self._seen.pop(event.attempt, None)

    def _legs(
        self,
        opened: m.CopyOpened,
        sent_at: datetime,
        filled_at: datetime,
        planned_at: datetime | None,
        recorded_at: datetime,
    ) -> None:
        tally = self._tally
        if planned_at is not None:
            tally.leg("planned-sent", _seconds(planned_at, sent_at))
        tally.leg("sent-filled", _seconds(sent_at, filled_at))
        tally.leg("filled-recorded", _seconds(filled_at, recorded_at))
        seen_at = self._seen.get(opened.attempt)
        if seen_at is not None:
            tally.leg("seen-filled", _seconds(seen_at, filled_at))

    # --- lines --------------------------------------------------------------------------------

    def _say(self, line: Line | None, correlation: MessageId) -> None:
        if line is not None and self._may_say(line.level):
            say = getattr(self._logger, line.level)
            say(line.what, correlation=correlation, **line.fields)

    def _say_decisions(self, code: str, copies: list[m.Decided], correlation: MessageId) -> None:
        if self._may_say(INFO):
            line = line_of_decisions(code, copies)
            self._logger.info(line.what, correlation=correlation, **line.fields)

    def _may_say(self, level: str) -> bool:
        """Errors always."""
        second = int(self._monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
            if self._left_out:
                self._logger.warning("lines left out", lines=self._left_out)
                self._left_out = 0
        self._lines += 1
        if self._lines > self._most and level != ERROR:
            self._left_out += 1
            return False
        return True


def _seconds(since: datetime, until: datetime) -> float:
    """Never negative: two machines' clocks may disagree by a little."""
    return max(0.0, (until - since).total_seconds())
