"""A master scales in and out in any order: after each step the slave has what the rule says.

From the master's facts through the replicator's orders to the agent's steps, with a broker that
does what it is asked to.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from itertools import count
from typing import Any

from copypro import messages as m
from copypro.options import RiskType, SmallRest
from copypro.trading import CloseRequest, Done, OpenRequest
from copypro.values import Platform, Ticket
from copypro_account_watcher.planned.accepting import accept
from copypro_account_watcher.planned.step import Rests, Sends
from copypro_account_watcher.planned.steps import next_step
from copypro_account_watcher.planned.targets import floor_to_step, target_lots
from copypro_account_watcher.settled import outcomes
from copypro_account_watcher.state import Copy, LegStatus
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.unit.copying_builders import Desk, closed, deal, increased, opened, reduced, start
from tests.unit.slave_builders import ORIGIN, SEEN_AT, TIMES, D, attempt, context, live, spec

CENT = D("0.01")
Call = OpenRequest | CloseRequest
Change = tuple[str, int]
"""in: so many hundredths of a lot more; out: so many per cent of what is open."""


class Broker:
    """One copy, and a broker that fills what it is asked to."""

    def __init__(self) -> None:
        self.copy: Copy | None = None
        self._tickets = count(70)

    def when(self, orders: Iterable[object]) -> list[Call]:
        """What these orders make the agent send."""
        calls: list[Call] = []
        for order in orders:
            if isinstance(order, m.OpenCopy | m.ReduceCopy | m.CloseCopy):
                self.copy, events = accept(self.copy, order, ORIGIN, SEEN_AT)
                assert events == []
                assert self.copy is not None
                calls += self._settle(self.copy)
        return calls

    def lots(self) -> dict[int, Decimal]:
        """What stands, by leg."""
        legs = self.copy.legs if self.copy is not None else []
        return {leg.number: leg.lots for leg in legs if leg.status is LegStatus.OPEN}

    def originals(self) -> dict[int, Decimal]:
        return {leg.number: leg.original_lots for leg in self.copy.legs} if self.copy else {}

    def _settle(self, copy: Copy) -> list[Call]:
        calls: list[Call] = []
        while not isinstance(step := next_step(copy, live()), Rests):
            assert isinstance(step, Sends), step
            assert isinstance(step.request, Call)
            calls.append(step.request)
            leg = copy.leg(step.leg)
            lots = leg.lots if step.request.lots is None else step.request.lots
            assert isinstance(step.request, OpenRequest) or CENT <= lots <= leg.lots
            copy.attempt = attempt(step.kind, step.request, expected=step.expected_lots)
            copy.attempt.leg = step.leg
            ticket = leg.ticket or Ticket(next(self._tickets))
            answer = Done(ticket=ticket, lots=lots, price=D("1.1"))
            outcomes.done(copy, copy.attempt, answer, Platform.MT5, TIMES)
        return calls


class Master:
    """A position on netting. `left`: what the rule leaves of each of its legs, exactly."""

    def __init__(self, lots: Decimal) -> None:
        self.open_lots = self.ever_lots = lots
        self.legs = 1
        self.left = {0: Fraction(1)}
        self.seconds = 10.0

    def joined(self) -> None:
        """What is open now is the copy's first leg."""
        self.left = {0: Fraction(1)}

    def when(self, change: Change) -> m.OrderEvent:
        what, amount = change
        self.seconds += 1
        return self._more(amount * CENT) if what == "in" else self._less(amount)

    def _more(self, lots: Decimal) -> m.OrderEvent:
        self.open_lots += lots
        self.ever_lots += lots
        self.left[self.legs] = Fraction(1)
        self.legs += 1
        event: m.PositionIncreased = increased(
            self.legs - 1,
            str(lots),
            str(self.ever_lots),
            open_lots=self.open_lots,
            seen_at_utc=SEEN_AT,
            context=context(),
            deal=deal(str(lots), "1.1"),
        )
        return event

    def _less(self, percent: int) -> m.OrderEvent:
        """Never all of it: that is a close."""
        rest = max(CENT, floor_to_step(self.open_lots * (100 - percent) / 100, CENT))
        share = Fraction(rest) / Fraction(self.open_lots)
        self.left = {leg: left * share for leg, left in self.left.items()}
        self.open_lots = rest
        return reduced(str(rest), str(self.ever_lots), seconds=self.seconds)


def expected(broker: Broker, master: Master) -> dict[int, Decimal]:
    """Each leg's original by what is left of it, floored; a rest that no broker takes is closed."""
    wanted = {
        leg: target_lots(
            broker.originals()[leg],
            Decimal(left.numerator) / left.denominator,
            spec(),
            False,
            SmallRest.CLOSE_ALL,
        )
        for leg, left in master.left.items()
    }
    return {leg: lots for leg, lots in wanted.items() if lots > 0}


OPTIONS: dict[str, Any] = {
    "copy_existing_trades": True,
    "small_rest": SmallRest.CLOSE_ALL,
    "margin_reserve": D(0),
}
SIZES: dict[str, dict[str, Any]] = {
    "as the master": {},
    "a part of it": {"risk_value": D("0.07")},
    "fixed": {"risk_type": RiskType.FIXED_LOT, "risk_value": D("0.07")},
}
changes = st.lists(
    st.tuples(st.just("in"), st.integers(15, 200)) | st.tuples(st.just("out"), st.integers(1, 99)),
    max_size=10,
)
A_HALF_OUT_AND_IN_AGAIN: list[Change] = [("out", 50), ("in", 100), ("out", 20)]


@given(
    st.integers(15, 300), changes, st.integers(0, 3), st.booleans(), st.sampled_from(list(SIZES))
)
@example(100, A_HALF_OUT_AND_IN_AGAIN, 0, False, "as the master")
@example(100, A_HALF_OUT_AND_IN_AGAIN, 1, True, "fixed")
def test_whatever_a_master_adds_and_takes_off_each_leg_has_what_the_rule_says(
    lots: int, steps: list[Change], joins_after: int, restarts: bool, size: str
) -> None:
    """`joins_after`: the copier starts when so many changes are over already."""
    desk, broker, master = Desk(), Broker(), Master(lots * CENT)
    options = OPTIONS | SIZES[size]
    desk.now = SEEN_AT
    if joins_after == 0:
        desk.when(start(**options))
    first = opened(
        lots=master.open_lots,
        open_price=D("1.1"),
        opened_at_utc=SEEN_AT,
        seen_at_utc=SEEN_AT,
        context=context(),
        stop_loss=None,
    )
    broker.when(desk.when(first))
    for number, change in enumerate(steps, start=1):
        before = broker.lots()
        calls = broker.when(desk.when(master.when(change)))
        if number == joins_after:
            assume(master.open_lots * 7 >= 1)  # else it is below the slave's minimum
            master.joined()
            calls = broker.when(desk.when(start(**options)))
        if restarts:
            desk.restart()
        if broker.copy is None:
            continue
        assert broker.lots() == expected(broker, master)
        if change[0] == "in" or number == joins_after:
            (call,) = calls
            assert isinstance(call, OpenRequest), "what was just opened is not closed at once"
        else:
            assert all(isinstance(call, CloseRequest) for call in calls)
            assert all(left <= before[leg] for leg, left in broker.lots().items())
    broker.when(desk.when(closed(seconds=master.seconds + 1)))
    assert broker.lots() == {}, "no dust"
