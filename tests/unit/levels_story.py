"""The levels of one trade of a master's, or of its order, on a slave whose broker executes late what it
never answered: also long after newer ones were set.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from copypro import messages as m
from copypro.trading import Done, ModifyRequest, OpenOrder, TradeRequest
from copypro.values import Price
from copypro_account_watcher.state import LegStatus
from msgspec.structs import replace

from tests.unit.mirror_story import LOTS, MirrorBroker, MirroredMaster
from tests.unit.slave_builders import D
from tests.unit.slave_story import OF, Broker, ledger, standing_alerts
from tests.unit.watched import ACCOUNT, Watched

LEVELS: dict[str, tuple[Price | None, Price | None]] = {
    "levels a": (D("1.05"), None),
    "levels b": (D("1.051"), D("1.2")),
    "levels c": (D("1.052"), None),
    "levels d": (D("1.051"), D("1.21")),
    "no levels": (None, None),
}
PRICES = {"price a": D("1.098"), "price b": D("1.097"), "price c": D("1.096")}
ACTS = (*LEVELS, *PRICES, "fill", "part", "open", "reduce", "restart", "short list", "ours fills")
LATE_S = {"late": 5.0, "in half a minute": 30.0, "in two minutes": 120.0}
ANSWERS = (
    "full",
    "lost",
    "lost, filled",
    "refused",
    "restart, filled late",
    *(f"lost, {when}" for when in LATE_S),
)
"""Of modifies."""


class LateBroker(MirrorBroker):
    def __init__(self, kind: str, answers: Sequence[str], shows: Sequence[str]) -> None:
        super().__init__(kind, [], shows)
        self.answers = list(answers)

    async def does(self, request: TradeRequest) -> Done:
        if isinstance(request, ModifyRequest) and self.answers:
            when = self.answers[0].removeprefix("lost, ")
            if when in LATE_S:
                self.story.append(f"{self.answers.pop(0)}: {request}")
                self._spawn(self._does_late(request, LATE_S[when]))
                return await self._silent("lost")
            self.outcomes = [self.answers.pop(0)]
        return await super().does(request)

    async def _does_late(self, request: ModifyRequest, seconds: float) -> None:
        """What is gone by then is not changed any more."""
        how = self._how()
        await asyncio.sleep(seconds)
        if request.ticket in {*self.waiting, *self.open}:
            self.story.append(f"only now ({how}): {request}")
            self._modify(request)
            self._tell_later(how)


class LevelsMaster(MirroredMaster):
    acts = ("begin", *LEVELS, *PRICES, *MirroredMaster.acts)

    def __init__(self) -> None:
        super().__init__()
        self.take_profit: Price | None = None

    def _does(self, act: str) -> list[m.SlaveOrder]:
        if self.is_over:
            return []
        if act == "begin":
            self.open += LOTS
            return [self._opens(str(LOTS))]
        if act in LEVELS:
            self.stop_loss, self.take_profit = LEVELS[act]
            return [self._protects() if self.is_open else self._modifies()]
        if act in PRICES:
            self.price = self.price if self.is_open else PRICES[act]
            return [] if self.is_open else [self._modifies()]
        return [self._with_target(order) for order in super()._does(act)]

    def _protects(self) -> m.SlaveOrder:
        return m.ModifyCopy(
            copy=OF, slave=ACCOUNT, stop_loss=self.stop_loss, take_profit=self.take_profit
        )

    def _modifies(self) -> m.SlaveOrder:
        order = super()._modifies()
        assert isinstance(order, m.ModifyPendingCopy)
        return replace(order, take_profit=self.take_profit)

    def _with_target(self, order: m.SlaveOrder) -> m.SlaveOrder:
        if not isinstance(order, m.OpenCopy):
            return order
        return replace(order, take_profit=self.take_profit)

    def at_rest(self, account: Watched, broker: Broker) -> None:
        super().at_rest(account, broker)
        assert isinstance(broker, MirrorBroker)
        copy = ledger(account.log)
        if copy is None or copy.detached or standing_alerts(account):
            return
        why = (broker.story, broker.open, broker.waiting, copy)
        assert not copy.is_unresolved, why
        for leg in copy.legs:
            if leg.ticket is None:
                continue
            if leg.status is LegStatus.OPEN and self.is_open:
                order = broker.open[leg.ticket]
                assert _levels(order) == (self.stop_loss, self.take_profit), why
            elif leg.status is LegStatus.PLACED and not self.is_open:
                order = broker.waiting[leg.ticket]
                wanted = (self.price, self.stop_loss, self.take_profit)
                assert (order.open_price, *_levels(order)) == wanted, why


def _levels(order: OpenOrder) -> tuple[Price | None, Price | None]:
    return order.stop_loss, order.take_profit
