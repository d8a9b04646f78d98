"""Whatever became of modifies, at rest the levels are the master's latest, or somebody is told."""

from __future__ import annotations

import pytest
from copypro import messages as m
from copypro_standalone.backtest.virtual_time import run
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.examples import examples
from tests.unit.levels_story import ACTS, ANSWERS, LateBroker, LevelsMaster
from tests.unit.slave_builders import D
from tests.unit.slave_story import KINDS, OF, SHOWS, Broker, Master, lives
from tests.unit.watched import ACCOUNT, Watched

Steps = list[tuple[str, float]]
SECONDS = st.sampled_from((0.0, 0.3, 5.0, 12.0, 60.0))


def told(kind: str, answers: list[str], shows: list[str], steps: Steps) -> None:
    run(lives(LateBroker(kind, answers, shows), steps, LevelsMaster()))


@given(
    st.sampled_from(tuple(KINDS)),
    st.tuples(st.sampled_from(("begin", "place")), SECONDS),
    st.lists(st.tuples(st.sampled_from(ACTS), SECONDS), min_size=1, max_size=6),
    st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=6),
    st.lists(st.sampled_from(SHOWS), max_size=6),
)
@examples(40)
def test_at_rest_the_levels_are_the_masters_latest_or_somebody_is_told(
    kind: str, first: tuple[str, float], steps: Steps, answers: list[str], shows: list[str]
) -> None:
    told(kind, answers, shows, [first, *steps])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("answer", ["lost, late", "lost, in two minutes"])
@pytest.mark.parametrize("former", ["no levels", "levels a", "levels b"])
def test_a_position_has_the_latest_levels_when_former_ones_come_late(
    kind: str, answer: str, former: str
) -> None:
    """None, an older stop and an older target among them."""
    steps = [("begin", 12.0), ("levels d", 12.0), (former, 2.0), ("levels c", 12.0)]
    told(kind, ["full", answer], [], steps)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("later", ["levels c", "price b", "no levels"])
def test_a_mirrored_order_is_as_the_latest_when_former_changes_come_late(
    kind: str, later: str
) -> None:
    told(kind, ["lost, in half a minute"], [], [("place", 12.0), ("levels a", 5.0), (later, 12.0)])


@pytest.mark.parametrize("kind", KINDS)
def test_what_ours_became_has_the_latest_levels_when_those_of_the_order_come_late(
    kind: str,
) -> None:
    steps = [("place", 12.0), ("levels a", 5.0), ("levels b", 5.0), ("ours fills", 5.0)]
    told(kind, ["lost, in two minutes"], [], [*steps, ("fill", 12.0)])


def test_mt4_what_is_left_of_a_part_has_the_latest_levels_under_its_new_ticket() -> None:
    """They came late, before the part was closed."""
    steps = [("begin", 12.0), ("levels a", 3.0), ("levels b", 2.5), ("reduce", 60.0)]
    told("MT4", ["lost, late"], [], steps)


@pytest.mark.parametrize("show", SHOWS)
def test_netting_all_legs_have_the_latest_levels_when_one_of_them_had_former_ones_late(
    show: str,
) -> None:
    steps = [("begin", 12.0), ("open", 12.0), ("levels a", 5.0), ("levels b", 12.0)]
    told("MT5 netting", ["full", "lost, in half a minute"], [show] * 6, steps)


class ReversedMaster(Master):
    """Whose targets are its slave's stops."""

    acts = ("begin", "target a", "target b", "no target", "close")

    def does(self, act: str) -> list[m.SlaveOrder]:
        targets = {"begin": D("1.18"), "target a": D("1.19"), "target b": D("1.21")}
        target = targets.get(act)
        if act == "begin":
            order = self._opens("0.10")
            reversed_ = replace(order.options, reverse_copy=True)
            return [replace(order, options=reversed_, take_profit=target)]
        if act == "close":
            return super().does(act)
        return [m.ModifyCopy(copy=OF, slave=ACCOUNT, stop_loss=None, take_profit=target)]

    def at_rest(self, account: Watched, broker: Broker) -> None:
        for order in broker.open.values():
            assert order.stop_loss == D("1.21"), broker.story


@pytest.mark.parametrize("answer", ["lost, in half a minute", "lost, in two minutes"])
def test_the_stop_that_a_reverse_copy_keeps_is_the_latest_one_when_a_former_one_comes_late(
    answer: str,
) -> None:
    """Its master has taken away the target that it came from: nothing else tells of it."""
    broker = LateBroker("MT5 hedging", [answer], [])
    steps = [("begin", 12.0), ("target a", 5.0), ("target b", 5.0), ("no target", 5.0)]
    run(lives(broker, steps, ReversedMaster()))
    assert "only now" in " ".join(broker.story)
