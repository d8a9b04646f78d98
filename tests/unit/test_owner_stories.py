"""One trade of a master's on a slave whose owner has his own hands in it, whose broker does as little as a
broker may: what he closed is not opened again, what is his is not touched, and nothing of the copy stands
on unfollowed; or somebody is told.
"""

from __future__ import annotations

import pytest
from copypro import messages as m
from copypro_standalone.backtest.virtual_time import run
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.examples import examples
from tests.unit.mirror_story import LOTS
from tests.unit.owner_story import ACTS, HANDS, OUTCOMES, OwnedMaster, OwnersBroker
from tests.unit.slave_builders import D
from tests.unit.slave_story import KINDS, SHOWS, lives
from tests.unit.watched import Watched

Steps = list[tuple[str, float]]
SECONDS = st.sampled_from((0.0, 0.3, 1.0, 5.0, 12.0, 60.0))
STEPS = st.tuples(st.sampled_from((*HANDS, *ACTS)), SECONDS)


def told(
    kind: str, steps: Steps, outcomes: list[str], shows: list[str], *, is_strict: bool = False
) -> None:
    async def story() -> None:
        broker = OwnersBroker(kind, outcomes, shows)
        await lives(broker, steps, OwnedMaster(broker, is_strict=is_strict))

    run(story())


@given(
    st.sampled_from(tuple(KINDS)),
    st.booleans(),
    st.tuples(st.sampled_from(("begin", "begin", "place")), SECONDS),
    st.lists(STEPS, max_size=5),
    st.lists(st.sampled_from(OUTCOMES), max_size=5),
    st.lists(st.sampled_from(SHOWS), max_size=6),
)
@settings(examples(40), derandomize=True)
def test_what_its_owner_does_meanwhile_is_his_and_the_rest_is_followed(
    kind: str,
    is_strict: bool,
    first: tuple[str, float],
    steps: Steps,
    outcomes: list[str],
    shows: list[str],
) -> None:
    told(kind, [first, *steps], outcomes, shows, is_strict=is_strict)


@pytest.mark.parametrize("answer", ["lost, filled", "restart, filled"])
def test_netting_a_close_that_nobody_answered_is_not_made_again_with_its_owners_lots(
    answer: str,
) -> None:
    """It was taken to have closed no more than the position showed less than the copy's own: what its
    owner had beside was closed too.
    """
    told("MT5 netting", [("begin", 60.0), ("hand adds", 12.0)], ["full", answer], [])


def test_netting_what_its_owner_adds_just_before_a_close_is_not_closed() -> None:
    """No list had shown it: all that stood under the ticket was asked to be closed."""
    told("MT5 netting", [("begin", 12.0), ("hand adds", 0.0), ("close", 5.0)], [], [])


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [("lost, filled", 0.6), ("restart, filled", 12.0), ("answered late", 12.0)],
)
@pytest.mark.parametrize("kind", ["MT4", "MT5 hedging"])
def test_what_its_owner_closes_a_part_of_before_its_open_is_answered_is_the_copys(
    kind: str, answer: str, seconds: float
) -> None:
    """On MT4 its tag is gone with that, and what stood was followed by nobody. Late, the answer was taken
    for what still stands.
    """
    told(kind, [("begin", seconds), ("hand closes a part", 60.0)], [answer], ["before"])


@pytest.mark.parametrize(
    ("kind", "act"),
    [
        ("MT4", "hand closes by as much"),
        ("MT5 hedging", "hand closes by as much"),
        ("MT5 netting", "hand reverses"),
    ],
)
def test_what_its_owner_closed_before_any_list_showed_it_is_looked_for(kind: str, act: str) -> None:
    """No money moved, and no list missed it: it was taken for open, and with its master's its close was
    refused for ever.
    """
    told(kind, [("begin", 0.3), (act, 12.0)], [], [])


def test_what_was_left_to_its_owner_as_it_opened_is_not_over_by_a_list_of_before() -> None:
    """Its copy was forgotten with its master's close: what stands with a tag that nobody knows any more
    pauses the account's opens.
    """
    steps = [("begin", 0.0), ("session lost", 1.0), ("open", 5.0), ("hand reduces", 12.0)]
    told("MT4", steps, [], [])


def test_mt4_the_rest_of_ours_is_followed_beside_its_owners_trade_with_our_comment() -> None:
    """That was taken for ours under another ticket, and the rest stood on for good."""
    steps = [("begin", 0.3), ("hand trades as we do", 0.0), ("hand reduces", 12.0)]
    told("MT4", steps, [], [])


def test_the_rest_of_ours_that_filled_and_was_closed_by_its_deletion_is_gone() -> None:
    """Its owner had closed the filled part. Nobody answered: it was deleted again for ever, and missed."""
    steps = [("place", 12.0), ("ours fills in part", 12.0), ("hand closes", 12.0)]
    told("MT5 hedging", steps, ["full", "restart, filled beside"], [])


@pytest.mark.parametrize("act", ["hand moves the stop", "hand drops the stop"])
def test_the_masters_next_stop_takes_the_place_of_the_owners_also_where_it_is_as_before(
    act: str,
) -> None:
    """What we had set last was taken for what stands."""
    steps = [("begin", 12.0), ("stop", 12.0), (act, 12.0), ("stop and back", 12.0)]
    told("MT5 hedging", steps, [], [])


def test_a_stop_that_is_set_long_after_it_was_given_up_is_not_its_owners() -> None:
    """The master had taken it back: it stood until the next one."""
    steps = [("begin", 5.0), ("stop and back", 12.0)]
    told("MT5 hedging", steps, ["full", "lost, filled late"], [])


@pytest.mark.parametrize("kind", ["MT4", "MT5 hedging"])
@pytest.mark.parametrize("seconds", [0.0, 0.3, 5.0])
def test_the_masters_next_stop_takes_the_place_of_the_owners_also_of_one_that_no_list_has_shown(
    kind: str, seconds: float
) -> None:
    """Set just before the master's stop went there and back, it stood until the next one."""
    told(kind, [("begin", 5.0), ("hand moves the stop", seconds), ("stop and back", 12.0)], [], [])


@pytest.mark.parametrize("act", ["hand moves the stop", "hand drops the stop"])
def test_what_its_owner_made_of_a_stop_stands_though_a_former_call_may_come_late(act: str) -> None:
    steps = [("begin", 12.0), ("stop", 12.0), ("stop", 12.0), (act, 12.0)]
    told("MT5 hedging", steps, ["full", "lost", "full", "lost, filled late"], [])


def test_netting_a_frame_of_before_ours_was_added_to_its_owners_says_nothing_of_ours() -> None:
    """It came first: what it showed less was taken for closed, and as much of ours stood on."""
    told("MT5 netting", [("begin", 0.0), ("hand adds", 12.0)], [], ["stale"])


@pytest.mark.parametrize("what", ["session lost", "restart"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_that_its_owner_cut_while_nobody_watched_is_left_alone_too(
    kind: str, what: str
) -> None:
    """The symbol's terms were not known yet: it was closed with its master's."""

    async def story() -> None:
        broker = OwnersBroker(kind, [], [])
        steps = [("begin", 12.0), (what, 0.0), ("hand closes a part", 12.0)]
        await lives(broker, steps, OwnedMaster(broker))
        assert broker.held == D("0.05"), broker.story

    run(story())


@pytest.mark.parametrize("what", ["session lost", "restart"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_its_owner_cut_is_known_by_the_symbols_terms_however_late_these_come(
    kind: str, what: str
) -> None:
    """On MT4 what is left has another ticket, and what is new waited for them, but not this."""

    class Slow(OwnersBroker):
        def attach(self, account: Watched) -> None:
            super().attach(account)
            account.bridge.answers_in_s = {"EURUSD": 4.0}

    async def story() -> None:
        broker = Slow(kind, [], [])
        steps = [("begin", 20.0), (what, 0.0), ("hand closes a part", 20.0)]
        await lives(broker, steps, OwnedMaster(broker))
        assert broker.held == D("0.05"), broker.story

    run(story())


def test_netting_a_close_that_was_given_up_does_not_hide_whose_lots_the_next_one_leaves() -> None:
    """What it had asked for was taken for closed and not told: its owner's lots were closed."""
    steps = [("begin", 0.3), ("hand trades alike", 12.0)]
    told("MT5 netting", steps, ["full", "restart, not filled", "unlisted, filled"], [])


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_that_was_closed_at_the_second_try_is_taken_off_once(kind: str) -> None:
    told(kind, [("begin", 60.0), ("reduce", 12.0)], ["full", "lost"], ["lists", "lists", "before"])
    told(kind, [("begin", 60.0), ("reduce", 12.0)], ["full", "lost"], [])


def test_mt4_what_was_found_by_its_shape_is_known_when_its_close_is_not_answered() -> None:
    """Its owner had closed a part of it. Nothing tied the leg to what its account told: its end was not
    seen, and its close was refused for ever.
    """
    told("MT4", [("begin", 0.3), ("hand reduces", 12.0)], ["lost, filled", "restart, filled"], [])


def test_netting_what_ours_was_turned_into_before_any_list_showed_it_is_its_owners() -> None:
    """The other side had its number: it was closed with its master's."""
    steps = [("begin", 0.0), ("session lost", 1.0), ("close", 1.0), ("hand reverses", 12.0)]
    told("MT5 netting", steps, [], [])


def test_netting_what_its_owner_added_before_ours_was_found_is_not_ours() -> None:
    """All that stood was taken for what had been asked for, and was closed with the master's."""
    told("MT5 netting", [("begin", 0.3), ("hand adds", 0.0), ("restart", 12.0)], [], ["before"])


def test_netting_all_legs_that_its_owner_closed_before_any_list_showed_them_are_over() -> None:
    """The first one was; the close of the other was refused for ever."""
    steps = [("begin", 0.3), ("open", 1.0), ("hand closes", 12.0)]
    told("MT5 netting", steps, [], [])


def test_mt4_the_rest_of_an_unanswered_open_is_not_left_for_its_owners_trade_with_our_comment() -> (
    None
):
    """That had our tag and not our magic, the rest our magic and no tag: the first was taken for ours."""
    steps = [("begin", 60.0), ("hand trades as we do", 0.0), ("hand closes a part", 12.0)]
    told("MT4", steps, ["restart, filled"], [])


def test_what_its_owner_closed_while_a_part_was_being_closed_is_not_opened_again() -> None:
    """Nobody had answered, so the end was taken for ours: the master's next add opened anew."""
    steps = [("begin", 0.3), ("reduce", 12.0), ("hand closes by as much", 12.0), ("open", 12.0)]
    told("MT4", steps, ["full", "lost, filled"], [])


def test_netting_a_part_that_its_owners_add_hid_is_not_looked_for_in_his_close_of_all() -> None:
    """That was more than was asked: opens were halted for nothing."""
    steps = [
        ("begin", 60.0),
        ("reduce", 5.0),
        ("hand trades as we do", 12.0),
        ("hand closes", 12.0),
    ]
    told("MT5 netting", steps, [], [])


def test_netting_an_add_that_is_answered_after_its_position_was_closed_is_over() -> None:
    """It was missed for good, and its close was refused for ever."""
    steps = [("begin", 12.0), ("open", 12.0), ("hand closes", 12.0)]
    told("MT5 netting", steps, ["full", "answered late"], [])


def test_netting_a_frame_of_before_another_position_ended_opens_nothing() -> None:
    """Its end was looked for among what came after the other's, and was never found."""
    steps = [("begin", 0.3), ("hand begins anew", 1.0), ("hand closes", 12.0)]
    told("MT5 netting", steps, [], ["stale", "lists", "after"])


@pytest.mark.parametrize("deletion", ["fills further", "lost, filled in part"])
def test_netting_what_ours_filled_into_its_owners_position_as_it_was_deleted_is_told(
    deletion: str,
) -> None:
    """Nothing else of the copy stood there: it stood on for good, untold."""
    told("MT5 netting", [("place", 0.3), ("hand adds", 12.0)], ["full", deletion], [])


@pytest.mark.parametrize("kind", ["MT4", "MT5 hedging"])
def test_what_its_owner_closed_before_it_was_found_is_not_added_to(kind: str) -> None:
    """Its open was not answered, and the master's add had waited for that: it opened the copy anew."""
    steps = [("begin", 0.3), ("open", 0.3), ("ours fills in part", 1.0)]
    told(kind, [*steps, ("hand closes by as much", 12.0)], ["accepted"], ["lists", "before"])


@pytest.mark.parametrize("kind", KINDS)
def test_an_add_that_waits_is_not_sent_once_its_owner_has_closed_what_stood(kind: str) -> None:
    """It was taken for a leg that stands on: the copy was opened anew."""

    class Slow(OwnedMaster):
        def does(self, act: str) -> list[m.SlaveOrder]:
            orders = super().does(act)
            return [
                self._delayed(order) if isinstance(order, m.OpenCopy) else order for order in orders
            ]

        @staticmethod
        def _delayed(order: m.OpenCopy) -> m.OpenCopy:
            return replace(order, options=replace(order.options, trade_delay_ms=20_000))

    async def story() -> None:
        broker = OwnersBroker(kind, [], [])
        await lives(broker, [("begin", 60.0), ("open", 1.0), ("hand closes", 60.0)], Slow(broker))
        assert len([line for line in broker.story if "OpenRequest" in line]) == 1, broker.story

    run(story())


@pytest.mark.parametrize("answer", ["unlisted, filled", "lost, filled", "restart, filled"])
@pytest.mark.parametrize("master", ["reduce", "close"])
def test_netting_a_close_that_nobody_answered_and_an_add_hid_is_not_made_again(
    master: str, answer: str
) -> None:
    """No list showed less, and it was made again with its owner's lots."""
    steps = [("begin", 12.0), (master, 0.0), ("hand trades as we do", 12.0)]
    told("MT5 netting", steps, ["full", answer], [])


@pytest.mark.parametrize("kind", KINDS)
def test_what_its_owner_closes_is_not_a_part_of_before_its_first_list(kind: str) -> None:
    """As much was left as that part had: a close of ours was said to have taken too much, and its
    copier opened nothing any more.
    """

    async def story() -> None:
        broker = OwnersBroker(kind, [], ["lists", "before"])
        steps = [("begin", 1.0), ("reduce", 0.3), ("hand closes", 12.0)]
        raised = await lives(broker, steps, OwnedMaster(broker, is_strict=True))
        assert "CLOSED_TOO_MUCH" not in raised

    run(story())


@pytest.mark.parametrize(
    ("steps", "shows"),
    [
        ([("begin", 1.0), ("hand closes by less", 0.3), ("hand trades as we do", 0.3)], []),
        ([("begin", 60.0), ("hand closes by less", 5.0), ("hand trades as we do", 0.0)], []),
        ([("begin", 12.0), ("hand reduces", 0.3), ("hand trades as we do", 0.3)], ["after"]),
    ],
)
def test_mt4_its_owners_trade_with_the_comment_of_our_rest_is_not_that(
    steps: Steps, shows: list[str]
) -> None:
    """It was followed when the rest was closed, as no list had shown that: nobody was told."""
    told("MT4", [*steps, ("hand closes", 12.0)], [], shows)


def test_mt4_the_rest_of_ours_is_followed_beside_its_owners_trade_with_its_comment() -> None:
    """A part had been closed before: that trade was taken for the rest, which stood on for good."""
    steps = [("begin", 0.0), ("hand reduces", 12.0), ("hand reduces", 0.0)]
    more = [("hand trades as we do", 0.3), ("hand closes by less", 0.3)]
    told("MT4", [*steps, *more], [], ["lists", "after"])


@pytest.mark.parametrize("is_strict", [False, True])
@pytest.mark.parametrize("part", ["hand closes by less", "hand closes a part"])
def test_mt4_what_was_found_by_its_shape_and_ends_before_its_chain_is_told_is_over(
    part: str, is_strict: bool
) -> None:
    """Only the last ticket of the chain was the leg's: its close was refused for ever."""
    steps = [("begin", 5.0), (part, 0.3), ("close", 12.0)]
    told("MT4", steps, ["restart, filled late", "lost, filled"], [], is_strict=is_strict)


def test_mt4_what_was_found_by_its_shape_was_as_large_as_its_closed_parts_and_the_rest() -> None:
    """The rest was taken for all of it, of which the master's next part was closed."""

    async def story() -> None:
        broker = OwnersBroker("MT4", ["restart, filled late"], [])
        steps = [("begin", 5.0), ("hand closes by less", 0.3), ("reduce", 12.0)]
        await lives(broker, steps, OwnedMaster(broker))
        assert broker.held == D("0.01"), broker.story

    run(story())


@pytest.mark.parametrize("master", ["fill", "remove", "close"])
def test_netting_ours_that_filled_into_its_owners_position_before_any_list_is_followed(
    master: str,
) -> None:
    """It was taken to wait for good, and what it had filled was never closed."""

    async def story() -> None:
        broker = OwnersBroker("MT5 netting", [], [])
        steps = [("place", 0.0), ("hand trades alike", 1.0), ("ours fills", 30.0), (master, 60.0)]
        assert "INFERRED" in await lives(broker, steps, OwnedMaster(broker))
        assert (broker.held, broker.own_lots) == (D(0), LOTS)

    run(story())


@pytest.mark.parametrize("is_strict", [False, True])
def test_netting_what_its_owner_cut_and_our_add_hid_is_no_close_that_was_given_up(
    is_strict: bool,
) -> None:
    """None was: less was left than the closes of ours were to leave, and their copier was stopped."""
    steps = [
        ("begin", 60.0),
        ("hand closes a part", 0.0),
        ("open", 0.3),
        ("reduce", 5.0),
        ("reduce", 1.0),
    ]
    told("MT5 netting", steps, [], [], is_strict=is_strict)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_strict", [False, True])
def test_what_its_owner_closes_while_a_part_is_asked_for_is_his_where_that_is_refused(
    kind: str, is_strict: bool
) -> None:
    """It was said to have closed too much; and the master's next add is no copy of its own."""

    async def story() -> None:
        broker = OwnersBroker(kind, [], ["lists", "before"])
        steps = [("begin", 60.0), ("reduce", 0.0), ("hand closes", 12.0), ("open", 12.0)]
        raised = await lives(broker, steps, OwnedMaster(broker, is_strict=is_strict))
        assert "CLOSED_TOO_MUCH" not in raised
        assert broker.held == 0

    run(story())


@pytest.mark.parametrize("answer", ["answered late", "lost, filled", "restart, filled"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_its_owner_closes_after_a_part_that_is_not_answered_yet_is_his(
    kind: str, answer: str
) -> None:
    """More than that part: ours was said to have closed too much, and its copier was stopped."""

    class Reduces(OwnedMaster):
        def does(self, act: str) -> list[m.SlaveOrder]:
            return [
                replace(order, fraction=D("0.8")) if isinstance(order, m.ReduceCopy) else order
                for order in super().does(act)
            ]

    async def story() -> None:
        broker = OwnersBroker(kind, ["full", answer], [])
        steps = [("begin", 60.0), ("reduce", 1.0), ("hand closes", 60.0), ("open", 12.0)]
        raised = await lives(broker, steps, Reduces(broker))
        assert "CLOSED_TOO_MUCH" not in raised
        assert broker.held == 0

    run(story())


@pytest.mark.parametrize("then_s", [0.2, 60.0])
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_stop_closes_while_a_part_is_asked_for_in_vain_is_no_close_of_ours(
    kind: str, then_s: float
) -> None:
    """It was said to have closed too much, once nobody had answered it, and its copier was stopped."""

    async def story() -> None:
        broker = OwnersBroker(kind, ["full", "lost"], [])
        steps = [("begin", 60.0), ("reduce", 0.0), ("hand's stop fires", then_s), ("close", 60.0)]
        raised = await lives(broker, steps, OwnedMaster(broker))
        assert "CLOSED_TOO_MUCH" not in raised
        assert broker.held == 0

    run(story())


@pytest.mark.parametrize("act", ["hand closes", "hand closes by as much"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_masters_add_to_what_its_owner_closed_before_its_open_was_answered_is_not_opened(
    kind: str, act: str
) -> None:
    """History told that it had opened, and the add went out before it told the end as well."""
    told(kind, [("begin", 5.0), (act, 1.0), ("open", 0.0)], ["accepted"], [])


def test_mt4_a_rest_that_was_found_by_its_shape_and_closed_unseen_has_ended() -> None:
    """Nothing tied it to the trade whose rest it was: its close was refused for ever, as VANISHED."""
    steps = [("begin", 0.0), ("session lost", 0.3), ("reduce", 0.0), ("hand closes by less", 0.3)]
    told("MT4", steps, ["restart, filled beside", "restart, filled beside"], [])


def test_netting_a_close_that_was_done_in_part_is_not_told_by_the_one_of_its_rest() -> None:
    """Nobody answered that, and its deal was left for the first: it was made again with its owner's lots.
    (A close that would fill further is done in part.)
    """
    steps = [("begin", 12.0), ("hand adds", 60.0), ("close", 12.0)]
    told("MT5 netting", steps, ["full", "fills further", "unlisted, filled"], [])


@pytest.mark.parametrize(
    "steps",
    [
        [
            ("begin", 5.0),
            ("reduce", 5.0),
            ("hand trades as we do", 0.3),
            ("hand closes by more", 1.0),
        ],
        [
            ("begin", 1.0),
            ("reduce", 60.0),
            ("hand trades as we do", 0.0),
            ("hand's stop fires", 5.0),
        ],
        [("begin", 12.0), ("hand trades as we do", 12.0), ("close", 12.0)],
    ],
)
def test_its_owners_trade_with_our_comment_is_not_touched(steps: Steps) -> None:
    """It has not our magic number. It was taken for the copy, under another ticket, and closed with its
    master's, or for one too many, and closed at once.
    """

    async def story() -> None:
        broker = OwnersBroker("MT5 hedging", [], [])
        raised = await lives(broker, steps, OwnedMaster(broker))
        assert [order.magic for order in broker.open.values()] == [0], broker.story
        assert raised == ["LEFT_OPEN"]

    run(story())


def test_its_owners_trade_with_our_comment_is_not_what_nobody_answered() -> None:
    """Ours had been seen and was closed by its owner: his other trade was found in its place."""

    async def story() -> None:
        broker = OwnersBroker("MT5 hedging", ["lost, filled beside"], ["before", "lists", "before"])
        steps = [("place", 0.3), ("hand trades as we do", 1.0), ("hand closes by as much", 5.0)]
        raised = await lives(broker, steps, OwnedMaster(broker))
        assert [order.magic for order in broker.open.values()] == [0], broker.story
        assert raised == ["LEFT_OPEN"]

    run(story())


def test_mt4_what_is_found_once_its_copy_was_left_is_told_with_its_ticket() -> None:
    """Its open had not been answered when its owner cut another leg: nobody knew the ticket yet."""
    steps = [("begin", 12.0), ("open", 5.0)]
    hands = [("hand closes by less", 0.3), ("hand closes a part", 12.0)]
    told("MT4", [*steps, *hands], ["refused", "part", "accepted"], [])
