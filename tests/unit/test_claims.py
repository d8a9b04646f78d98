"""Positions with our tags: under a leg's own ticket the leg's record decides, else the tag."""

from __future__ import annotations

import pytest
from copypro.values import RootId, Ticket
from copypro_account_watcher.settled.claims import Claim, unclaimed, whose
from copypro_account_watcher.state import Copy, LegStatus

from tests.unit.diff_builders import Watch, hedging, mt4, order, row
from tests.unit.slave_builders import attempt, standing, wanted

OURS, OTHER = Ticket(77), Ticket(78)


def claimed(copy: Copy, *tickets: Ticket, watch: Watch | None = None) -> list[Claim]:
    """What each of these tickets, all with the first leg's tag, is to the copy."""
    book, leg = (watch or hedging()).book, copy.legs[0]
    orders = [order(ticket, comment=leg.tag, magic=copy.magic) for ticket in tickets]
    return [whose(each, copy, leg, book, set(tickets)) for each in orders]


@pytest.mark.parametrize("status", [LegStatus.OPEN, LegStatus.LEFT, LegStatus.ENDED])
def test_under_its_own_ticket_a_leg_is_what_its_record_says(status: LegStatus) -> None:
    copy = standing()
    copy.legs[0].status = status
    assert claimed(copy, OURS) == [Claim.KNOWN]


@pytest.mark.parametrize("status", [LegStatus.OPEN, LegStatus.LEFT, LegStatus.ENDED])
def test_a_second_ticket_beside_the_first_is_one_too_many(status: LegStatus) -> None:
    copy = standing()
    copy.legs[0].status = status
    assert claimed(copy, OURS, OTHER) == [Claim.KNOWN, Claim.EXTRA]


@pytest.mark.parametrize("status", [LegStatus.OPEN, LegStatus.LEFT])
def test_another_ticket_in_place_of_the_first_is_the_leg(status: LegStatus) -> None:
    copy = standing()
    copy.legs[0].status = status
    assert claimed(copy, OTHER) == [Claim.MOVED]


def test_what_shows_after_the_leg_ended_is_one_too_many_unless_it_ended_itself() -> None:
    copy, watch = standing(), hedging()
    copy.legs[0].status = LegStatus.ENDED
    assert claimed(copy, OTHER, watch=watch) == [Claim.EXTRA]
    watch.sees(order(OTHER))
    watch.sees(closed=(row(OTHER),))
    assert claimed(copy, OTHER, watch=watch) == [Claim.KNOWN], "a list from before it ended"


@pytest.mark.parametrize("status", [LegStatus.OPEN, LegStatus.LEFT, LegStatus.ENDED])
def test_what_has_its_tag_and_not_its_magic_is_its_owners(status: LegStatus) -> None:
    copy = standing()
    copy.legs[0].status = status
    copy.magic += 1
    twin = order(OTHER, comment=copy.legs[0].tag, magic=copy.magic - 1)
    assert whose(twin, copy, copy.legs[0], hedging().book, {OTHER}) is Claim.OWNERS


def test_what_was_given_up_and_shows_is_late() -> None:
    copy = wanted()
    copy.legs[0].status, copy.legs[0].lost = LegStatus.LOST, attempt("open", None)
    assert claimed(copy, OTHER) == [Claim.LATE]


@pytest.mark.parametrize("kind", ["open", "close"])
def test_nothing_is_said_while_an_attempt_of_the_copy_is_under_way(kind: str) -> None:
    copy = wanted()
    copy.attempt = attempt(kind, None)
    assert claimed(copy, OURS, OTHER) == [Claim.KNOWN, Claim.KNOWN]


def test_the_tickets_of_one_root_are_one_position() -> None:
    """The server opened it anew: a list of before and one of after show one leg."""
    copy, watch = standing(), hedging()
    watch.sees(order(OURS, identifier=OURS))
    watch.sees(order(OTHER, identifier=OURS))
    copy.legs[0].slave_root = RootId("77")
    assert claimed(copy, OTHER, watch=watch) == [Claim.KNOWN]
    assert claimed(copy, OURS, watch=watch) == [Claim.KNOWN]


@pytest.mark.parametrize("comment", ["from #77", "rewritten"])
def test_the_rest_of_a_position_is_nobodys_open_before_anything_told_of_its_reduction(
    comment: str,
) -> None:
    """Another copy's open that nobody answered has its magic and side: taken for that, it was closed."""
    watch = mt4()
    watch.sees(order(OURS, "0.50", magic=7))
    rest = order(OTHER, "0.25", magic=7, comment=comment)
    assert watch.snapshot(rest) == [], "its deal is waited for"
    assert unclaimed([rest], watch.book, {OURS}) == set()


def test_what_stands_beside_all_that_is_known_is_unclaimed() -> None:
    watch = mt4()
    known, new = order(OURS, "0.50", magic=7), order(OTHER, "0.25", magic=7)
    watch.sees(known)
    assert unclaimed([known, new], watch.book, {OURS}) == {OTHER}
    assert unclaimed([known, new], watch.book, {OURS, OTHER}) == set()
