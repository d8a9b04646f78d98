"""One pending order of a master's, mirrored on a slave whose broker does as little as a broker may: at
rest its copy is what waits and what stands there, where the master's is and no more than that, and
nothing when that is flat; the market is never asked beside it; or somebody is told.
"""

from __future__ import annotations

import asyncio

import pytest
from copypro_standalone.backtest.virtual_time import run
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.unit.mirror_story import ACTS, OUTCOMES, MirrorBroker, MirroredMaster
from tests.unit.slave_builders import D
from tests.unit.slave_story import KINDS, SHOWS, lives
from tests.unit.watched import watched

Steps = list[tuple[str, float]]
SECONDS = st.sampled_from((0.0, 0.3, 1.0, 5.0, 12.0, 60.0))


def told(
    kind: str, outcomes: list[str], shows: list[str], steps: Steps, *, has_clock: bool = False
) -> None:
    broker = MirrorBroker(kind, outcomes, shows, has_clock=has_clock)
    run(lives(broker, steps, MirroredMaster()))


@given(
    st.sampled_from(tuple(KINDS)),
    st.booleans(),
    SECONDS,
    st.lists(st.tuples(st.sampled_from(ACTS), SECONDS), max_size=5),
    st.lists(st.sampled_from(OUTCOMES), max_size=5),
    st.lists(st.sampled_from(SHOWS), max_size=6),
)
@examples(30)
def test_at_rest_a_mirrored_order_is_as_its_master_has_it_or_somebody_is_told(
    kind: str, expires: bool, first_s: float, steps: Steps, outcomes: list[str], shows: list[str]
) -> None:
    """One that expires needs its broker's clock, which is learned first."""
    first = [("", 2.0), ("place to expire", first_s)] if expires else [("place", first_s)]
    told(kind, outcomes, shows, [*first, *steps], has_clock=expires)


@pytest.mark.parametrize("then", ["", "ours fills", "restart", "reduce"])
@pytest.mark.parametrize("kind", KINDS)
def test_ours_whose_masters_filled_unseen_is_taken_back_or_followed_once_its_copier_ends(
    kind: str, then: str
) -> None:
    """It waited on, and filled for a copier that was over."""
    told(kind, [], [], [("place", 12.0), ("fills unseen, copier ends", 1.0), (then, 60.0)])


@pytest.mark.parametrize("deletion", ["lost, filled in part", "part"])
def test_what_is_told_late_of_ours_is_not_of_what_went_to_the_market_in_its_place(
    deletion: str,
) -> None:
    """A part of it filled just as it was deleted, and was closed by that: the position that the market
    gave was taken for closed as well, and nobody followed it.
    """
    told("MT5 hedging", ["full", deletion], [], [("place", 12.0), ("fill", 5.0)])


def test_ours_that_was_added_to_before_any_list_showed_its_fill_is_counted_once() -> None:
    """Netting: its position has what was added, whose answer tells of that as well."""
    steps = [("place", 0.3), ("part", 0.0), ("ours fills", 0.3), ("open", 60.0)]
    told("MT5 netting", ["full", "answered late"], [], steps)


def test_the_rest_of_ours_is_deleted_when_its_part_was_closed_before_any_list_showed_it() -> None:
    """By its deletion: the rest waited on, and would have filled."""
    told("MT5 hedging", ["part"], ["before"], [("place", 5.0), ("remove", 60.0)])


def test_what_opened_with_the_stop_of_before_is_given_the_masters_latest() -> None:
    """Another leg had it already, and the one that came later stood without a stop."""
    steps = [
        ("place", 12.0), ("part", 5.0), ("ours is gone", 0.3), ("stop", 0.0), ("open", 5.0),
    ]  # fmt: skip
    told("MT5 hedging", ["answered late"], [], steps)


@pytest.mark.parametrize("kind", KINDS)
def test_ours_that_was_gone_before_any_list_showed_it_is_looked_for(kind: str) -> None:
    """No list missed it: it was taken for waiting until the master's filled."""
    told(kind, [], [], [("place", 5.0), ("ours is gone", 60.0)])


def test_a_call_that_ours_is_asked_of_makes_it_no_part_of_the_others_position() -> None:
    """Netting: its ticket became that of the position, which was then taken for its fill."""
    steps = [("place", 0.3), ("ours is gone", 0.3), ("part", 0.3), ("open", 60.0)]
    told("MT5 netting", [], [], steps)


def test_ours_that_filled_into_the_position_of_another_leg_is_the_copys() -> None:
    """Netting: it was taken for removed, and what it had added stood for good."""
    steps = [("place", 12.0), ("fill", 0.0), ("open", 1.0), ("ours fills", 60.0)]
    told("MT5 netting", [], [], steps)


def test_a_list_of_before_ours_was_deleted_shows_no_position_too_many() -> None:
    """It was to be closed as one for good, and its copier opened nothing any more."""
    steps = [("place", 0.3), ("short list", 0.0), ("open", 1.0), ("fill", 1.0), ("close", 5.0)]
    broker = MirrorBroker("MT4", ["lost, filled"], ["stale", "after"])
    assert "DUPLICATE" not in run(lives(broker, steps, MirroredMaster()))


FILLED_BESIDE = [("place", 0.3), ("part", 0.0), ("open", 12.0)]
"""Ours waits beside the position of another leg until it is deleted: the master's is at the market."""


@pytest.mark.parametrize("deletion", ["part", "lost, filled in part", "restart, filled in part"])
@pytest.mark.parametrize("master", ["stop", "remove", "close"])
def test_what_ours_filled_before_it_was_deleted_is_closed_where_another_leg_has_it(
    deletion: str, master: str
) -> None:
    """Netting: it stood for good, beside all that the market gave in its place, and nobody was told."""
    steps = [*FILLED_BESIDE, (master, 60.0)]
    raised = run(
        lives(MirrorBroker("MT5 netting", ["full", "full", deletion], []), steps, MirroredMaster())
    )
    assert "LATE_FILL" in raised


@pytest.mark.parametrize("tells_rest", [True, False])
def test_what_ours_filled_before_its_master_was_flat_is_closed_with_the_rest(
    tells_rest: bool,
) -> None:
    """Netting: into another leg's position, while its deletion was refused. Lists show the rest, also
    where the deletion's answer does not tell it.
    """
    broker = MirrorBroker("MT5 netting", ["full", "full", *["refused"] * 6], [])
    broker.tells_rest = tells_rest
    steps = [*FILLED_BESIDE, ("ours fills in part", 0.3), ("close", 60.0)]
    run(lives(broker, steps, MirroredMaster()))


def test_what_an_owner_adds_after_ours_was_deleted_is_left_to_the_owner() -> None:
    """Netting, to the position in which ours had filled in part."""

    async def lives_on() -> None:
        broker = MirrorBroker("MT5 netting", ["full", "full", "part"], [])
        master, (platform, mode) = MirroredMaster(), KINDS["MT5 netting"]
        async with watched(mode=mode, platform=platform) as account:
            broker.attach(account)
            for act, seconds in [*FILLED_BESIDE, ("add", 60.0), ("close", 60.0)]:
                if act == "add":
                    broker.owner_adds(D("0.07"))
                for order in master.does(act):
                    await account.order(order)
                await asyncio.sleep(seconds)
        assert broker.held == D("0.07")

    run(lives_on())


def test_what_ours_filled_goes_before_what_another_leg_may_still_fill() -> None:
    """Netting, both in one list: a part of it was taken for the other's, whose own came later."""
    outcomes = ["full", "full", "restart, filled in part", "fills further"]
    steps = [("place", 60.0), ("part", 0.3), ("open", 12.0), ("short list", 60.0)]
    told("MT5 netting", outcomes, [], steps)


def test_what_an_unanswered_add_is_found_with_is_no_more_than_was_asked() -> None:
    """Netting: ours had filled in part into its position, which was all taken for what was added."""
    outcomes = ["full", "restart, filled late", "full"]
    steps = [("place", 12.0), ("fill", 0.0), ("open", 1.0), ("ours fills in part", 60.0)]
    told("MT5 netting", outcomes, [], steps)


def test_ours_that_filled_into_a_position_which_had_less_than_was_asked_is_the_copys() -> None:
    """Netting: its leg's lost answer was taken for all of it, and ours for removed."""
    steps = [("place", 12.0), ("fill", 1.0), ("open", 1.0), ("ours fills", 5.0)]
    told("MT5 netting", ["full", "lost, filled in part"], ["stale", "after", "before"], steps)


def test_ours_that_no_list_shows_is_not_deleted_beside_its_positions_other_legs() -> None:
    """Netting: it had filled, an add had its position's number, and the deletion closed them both."""
    steps = [("place", 1.0), ("fill", 1.0), ("open", 1.0), ("short list", 0.3)]
    told("MT5 netting", ["filled beside", "refused"], ["lists", "after"], steps)


def test_parts_that_were_closed_by_their_orders_deletion_leave_the_other_legs_in_hand() -> None:
    """MT5 hedging: they were taken for its owner's own doing, and no leg was followed any more."""
    steps = [("place", 1.0), ("part", 1.0), ("open", 1.0)]
    told("MT5 hedging", ["full", "full", "part", "filled beside"], ["before", "after"], steps)


@pytest.mark.parametrize("kind", KINDS)
def test_ours_that_expires_before_its_masters_fill_is_told_goes_to_the_market(kind: str) -> None:
    steps = [("", 2.0), ("place to expire", 19.0), ("fill", 60.0)]
    told(kind, [], [], steps, has_clock=True)


def test_legs_whose_position_was_closed_before_any_list_showed_it_have_ended() -> None:
    """Netting: by the deletion of the order that had opened it. The other was to be closed for ever."""
    steps = [("place", 5.0), ("part", 1.0), ("open", 2.0), ("close", 60.0)]
    told("MT5 netting", ["fills further"], [], steps)


def test_what_ours_filled_in_part_is_without_what_was_added_before_any_list_showed_it() -> None:
    """Netting: its rest was gone, and it was taken to have filled whole in its position's lots."""
    steps = [("place", 5.0), ("fill", 1.0), ("open", 0.0), ("ours is gone", 60.0)]
    told("MT5 netting", ["part"], ["lists", "after"], steps)


def test_an_unanswered_add_is_found_without_what_ours_filled_into_its_position() -> None:
    """Netting, after a restart: both were taken for whole, and it had filled in part."""
    steps = [("", 2.0), ("place", 0.3), ("part", 1.0), ("open", 5.0), ("ours fills", 60.0)]
    outcomes, shows = ["full", "restart, filled in part"], ["after", "before"]
    told("MT5 netting", outcomes, shows, steps, has_clock=True)


def test_netting_an_add_to_what_ours_had_filled_ends_with_the_deletion_that_closed_it_all() -> None:
    """Before any list showed the position, while its order was seen: its close was refused for ever."""
    steps = [("place", 1.0), ("fill", 1.0), ("open", 0.0), ("close", 5.0)]
    told("MT5 netting", ["part"], ["stale", "after", "after", "before"], steps)


def test_netting_a_frame_of_before_an_add_and_a_reduction_is_no_reduction_of_its_owners() -> None:
    """What had been closed of it before was taken for its owner's doing: the copy was left alone."""
    outcomes = ["full", "unlisted, filled", "lost, filled in part"]
    shows = ["before", "stale", "stale", "after", "before", "lists"]
    steps = [
        ("place", 0.3), ("fill", 0.0), ("open", 12.0), ("stop", 0.0), ("ours fills", 60.0),
        ("reduce", 0.0),
    ]  # fmt: skip
    told("MT5 netting", outcomes, shows, steps)


def test_netting_what_is_told_late_of_ours_is_not_of_what_the_market_gave_in_its_place() -> None:
    """Its part was closed by its deletion: what the market gave was taken for closed with it."""
    outcomes, shows = ["full", "fills further"], ["before", "before", "stale", "stale"]
    told("MT5 netting", outcomes, shows, [("place", 12.0), ("part", 0.0)])


def test_ours_is_as_its_masters_also_when_a_former_change_of_it_comes_late() -> None:
    """The master's had a stop since: ours was without it for good."""
    steps = [("place", 0.3), ("reduce", 0.0), ("move", 0.0), ("move", 5.0), ("protect", 0.0)]
    told("MT4", ["restart, filled", "lost, filled late"], ["lists"], steps)


def test_the_rest_of_ours_that_a_short_list_lacks_is_known_after_a_restart() -> None:
    """Nobody had answered, and its filled part was taken for all of it: the rest waited on, unfollowed."""
    outcomes, shows = ["restart, filled in part", "answered late", "lost, filled late"], ["before"]
    steps = [("place", 0.0), ("stop", 60.0), ("short list", 12.0), ("open", 12.0)]
    told("MT5 hedging", outcomes, shows, steps)
