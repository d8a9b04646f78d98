"""One trade of a master's on a slave whose broker does as little as a broker may: at rest its copy holds
what stands there, no more than the master's part, and nothing when that is flat; or somebody is told.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from copypro import messages as m
from copypro_standalone.backtest.virtual_time import run
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.unit.slave_story import (
    ACTS,
    KINDS,
    OF,
    OUTCOMES,
    SHOWS,
    Broker,
    Master,
    for_a_person,
    lives,
)
from tests.unit.watched import ACCOUNT, Watched

Steps = list[tuple[str, float]]
STEPS = st.tuples(st.sampled_from(ACTS), st.sampled_from((0.0, 0.3, 5.0, 60.0)))


@given(
    st.sampled_from(tuple(KINDS)),
    st.lists(STEPS, max_size=4),
    st.lists(st.sampled_from(OUTCOMES), max_size=5),
    st.lists(st.sampled_from(SHOWS), max_size=5),
)
@examples(30)
def test_at_rest_a_copy_holds_what_stands_or_somebody_is_told(
    kind: str, steps: Steps, outcomes: list[str], shows: list[str]
) -> None:
    async def told() -> None:
        await lives(Broker(kind, outcomes, shows), [("open", 0.3), *steps])

    run(told())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("act", ["close", "reduce"])
def test_what_a_close_in_part_leaves_is_known_where_a_frame_told_of_it_before_its_answer(
    kind: str, act: str
) -> None:
    """The part was taken off twice: what was left stood, and nobody followed it."""

    async def told() -> None:
        broker = Broker(kind, ["full", "part"], ["lists", "before"])
        await lives(broker, [("open", 12.0), (act, 5.0)])

    run(told())


@pytest.mark.parametrize("kind", ["MT5 hedging", "MT5 netting"])
def test_a_late_frame_of_before_a_part_was_closed_is_no_further_fill(kind: str) -> None:
    """It was filled in part: what the frame shows more was reduced as well, and the copier was halted."""

    async def told() -> None:
        outcomes, shows = ["part", "part", "refused"], ["stale", "stale", "after", "after"]
        broker = Broker(kind, outcomes, shows)
        await lives(broker, [("open", 0.3), ("reduce", 5.0)])
        closes = [line for line in broker.story if "CloseRequest" in line]
        assert len(closes) == 4, broker.story

    run(told())


def test_what_fills_further_beside_its_close_is_known_after_a_restart() -> None:
    """The copy was forgotten with its close, and no list had shown anything else."""

    async def told() -> None:
        outcomes, shows = ["fills further", "restart, filled"], ["lists", "lists", "before"]
        broker = Broker("MT5 netting", outcomes, shows)
        await lives(broker, [("open", 0.3), ("stop", 0.3), ("close", 5.0), ("restart", 5.0)])

    run(told())


def test_a_late_frames_growth_that_never_was_is_no_close_of_too_much() -> None:
    """A list corrects it, beside a close that was given up: as much as that took is as it should be."""

    async def told() -> None:
        outcomes = ["unlisted, filled", "fills further", "unlisted, filled"]
        broker = Broker("MT5 netting", outcomes, ["lists", "stale"])
        raised = await lives(broker, [("open", 0.3), ("open", 0.3), ("reduce", 60.0)])
        assert "CLOSED_TOO_MUCH" not in raised

    run(told())


def test_netting_a_late_frame_tells_no_deal_of_a_close_that_was_answered_just_now() -> None:
    """It was taken off what had filled further, whose own close was lost: that stood for good, untold."""

    async def told() -> None:
        broker = Broker("MT5 netting", ["fills further", "full", "lost"], ["stale"])
        await lives(broker, [("open", 0.3), ("close", 0.0)])

    run(told())


def test_netting_a_part_that_was_answered_beside_a_close_that_was_given_up_is_not_its_owners() -> (
    None
):
    """What the part left was taken for the owner's once the next close was not answered: it stood for good,
    untold.
    """

    async def told() -> None:
        broker = Broker("MT5 netting", ["full", "unlisted", "part", "lost"], [])
        await lives(broker, [("open", 5.0), ("close", 60.0)])
        assert not broker.stands, broker.story

    run(told())


@pytest.mark.parametrize("answer", ["lost", "unlisted"])
def test_netting_what_filled_further_hides_no_close_from_the_one_after_it(answer: str) -> None:
    """As much was closed as had filled meanwhile: the deal of that was taken for the next one's, which
    nobody had answered, and what had filled stood for good, untold.
    """

    async def told() -> None:
        broker = Broker("MT5 netting", ["fills further", "full", answer], ["before"])
        await lives(broker, [("open", 5.0), ("close", 60.0)])
        assert not broker.stands, broker.story

    run(told())


@pytest.mark.parametrize("shown", ["before", "after"])
def test_netting_what_is_taken_for_the_owners_beside_a_close_that_nobody_answered_is_told(
    shown: str,
) -> None:
    """A late frame had shown a growth that never was: what stood was taken for his, untold."""

    async def told() -> None:
        broker = Broker("MT5 netting", ["fills further", "full", "lost"], ["stale", shown])
        raised = await lives(broker, [("open", 0.3), ("close", 0.0)])
        assert "LEFT_OPEN" in raised

    run(told())


@pytest.mark.parametrize("answer", ["answered late", "lost, filled", "restart, filled", "accepted"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_opens_once_its_copy_was_left_is_told_to_be_left(kind: str, answer: str) -> None:
    """Its call was under way: it stood, and nobody was told that nothing closes it any more."""

    class Leaver(Master):
        acts: Sequence[str] = (*Master.acts, "leave")

        def does(self, act: str) -> list[m.SlaveOrder]:
            if act == "leave":
                return [m.DetachCopy(copy=OF, slave=ACCOUNT, reason="COPIER_STOPPED")]
            return super().does(act)

        def at_rest(self, account: Watched, broker: Broker) -> None:
            (alert,) = for_a_person(account)
            assert (alert.code, alert.numbers["ticket"]) == ("LEFT_OPEN", "101")

    async def told() -> None:
        await lives(Broker(kind, [answer], []), [("open", 0.3), ("leave", 60.0)], Leaver())

    run(told())


def test_netting_the_deal_of_a_part_that_was_answered_is_not_the_next_closes() -> None:
    """No list had shown the position before: its deal was taken off once more, and as much stood on."""

    async def told() -> None:
        broker = Broker("MT5 netting", ["full", "part", "lost"], [])
        await lives(broker, [("open", 0.3), ("reduce", 0.0)])

    run(told())
