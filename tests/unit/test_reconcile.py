"""Attempts without a clear outcome: presence is believed at once, absence after the waits and two reads."""

from __future__ import annotations

from typing import Any

import pytest
from copypro.trading import CloseRequest, Done, OpenRequest
from copypro.values import Mode, OrderKind, Ticket
from copypro_account_watcher.settled.reconcile import (
    Absent,
    Ambiguous,
    Doubt,
    Finding,
    Found,
    NotYet,
    settle_change,
    settle_open,
)
from copypro_account_watcher.state import Attempt, Leg, LegStatus
from msgspec.structs import replace

from tests.unit.diff_builders import order, row
from tests.unit.slave_builders import LIMITS, D, attempt, wanted

SINCE, WAIT_S = 1000.0, 30.0
APART_S = LIMITS.absence_reads_apart_s
LEG = wanted().legs[0]
REQUEST = OpenRequest(
    symbol="EURUSD", kind=OrderKind.BUY, lots=D("0.10"), comment=LEG.tag, magic=7, price=D("1.1")
)


def unclear() -> Attempt:
    made = attempt("open", REQUEST)
    made.wait_s = WAIT_S
    return made


def settled(doubt: Doubt, after_s: float, *orders: Any, ended: Any = ()) -> Finding:
    """By a look so long after the doubt began."""
    return settle_open(
        unclear(),
        doubt,
        LEG,
        orders=orders,
        ended=ended,
        unclaimed={each.ticket for each in orders},
        now=SINCE + after_s,
        limits=LIMITS,
    )


def test_a_tagged_order_is_it_at_once_and_any_further_one_is_too_many() -> None:
    two = order(9, "0.04", comment=LEG.tag), order(8, "0.06", comment=LEG.tag)
    found = settled(Doubt(SINCE), 0, *two)
    assert isinstance(found, Found)
    assert (found.answer.ticket, found.inferred, found.duplicates) == (8, False, (9,))
    assert found.answer.lots == D("0.06"), "filled in part, and the other one's are not its own"


def test_what_has_its_tag_and_not_its_magic_is_its_owners_beside_what_has_both() -> None:
    his, ours = order(8, comment=LEG.tag), order(9, comment=LEG.tag, magic=7)
    found = settled(Doubt(SINCE), 0, his, ours)
    assert isinstance(found, Found)
    assert (found.answer.ticket, found.duplicates) == (9, ())
    ended = (row(7, comment=LEG.tag, magic=7),)
    found = settled(Doubt(SINCE), 0, his, ended=ended)
    assert isinstance(found, Found)
    assert (found.answer.ticket, found.duplicates) == (7, ())


def test_an_order_that_filled_in_part_is_listed_twice_and_is_no_second_one() -> None:
    position = order(8, "0.04", comment=LEG.tag)
    rest = order(8, "0.06", OrderKind.BUY_LIMIT, comment=LEG.tag)
    found = settled(Doubt(SINCE), 0, position, rest)
    assert isinstance(found, Found)
    assert (found.answer.ticket, found.duplicates) == (8, ())
    placing = unclear()
    placing.kind = "place"
    for orders in ((position, rest), (rest, position)):
        found = settle_open(
            placing,
            Doubt(SINCE),
            LEG,
            orders=orders,
            ended=(),
            unclaimed=(),
            now=SINCE,
            limits=LIMITS,
        )
        assert isinstance(found, Found)
        assert found.answer.lots == D("0.10"), "what it was placed for"


def test_what_opened_is_what_the_first_list_showed_though_a_part_is_closed_by_now() -> None:
    """By it every later part of the master's is sized."""
    finding = settle_open(
        unclear(),
        Doubt(SINCE),
        LEG,
        orders=[order(8, "0.06", magic=7, comment=LEG.tag)],
        ended=None,
        unclaimed=(),
        now=SINCE,
        limits=LIMITS,
        shown=Done(ticket=Ticket(8), lots=D("0.10"), price=D("1.1")),
    )
    assert isinstance(finding, Found)
    assert finding.answer.lots == D("0.10")


def test_history_proves_it_too() -> None:
    found = settled(Doubt(SINCE), 0, ended=[row(8, comment=LEG.tag)])
    assert isinstance(found, Found)
    assert found.answer.ticket == 8


def test_a_mirrored_order_that_was_deleted_for_the_market_is_no_proof_of_the_open_after_it() -> (
    None
):
    """One leg, one tag: the master's order filled, ours was deleted, and then the market was asked."""
    deleted = row(7, kind=OrderKind.BUY_LIMIT, comment=LEG.tag, cancelled=True)
    assert settled(Doubt(SINCE), 0, ended=[deleted]) == NotYet(SINCE + WAIT_S)
    placing = unclear()
    placing.kind = "place"
    finding = settle_open(
        placing,
        Doubt(SINCE),
        LEG,
        orders=(),
        ended=[deleted],
        unclaimed=(),
        now=SINCE,
        limits=LIMITS,
    )
    assert isinstance(finding, Found), "of its placing it is"
    assert finding.answer.ticket == 7


def test_nor_is_one_that_a_list_of_before_its_deletion_shows() -> None:
    """It would be followed in the position's place, and the position closed as one too many."""
    deleted = order(7, kind=OrderKind.BUY_LIMIT, comment=LEG.tag)
    assert settled(Doubt(SINCE), 0, deleted) == NotYet(SINCE + WAIT_S)
    found = settled(Doubt(SINCE), 0, deleted, order(8, comment=LEG.tag))
    assert isinstance(found, Found)
    assert (found.answer.ticket, found.duplicates) == (8, ())


def test_absence_is_believed_after_the_wait_and_two_reads_apart_on_one_monotonic_clock() -> None:
    doubt = Doubt(SINCE)
    assert settled(doubt, WAIT_S - 1) == NotYet(SINCE + WAIT_S)
    assert settled(doubt, WAIT_S) == NotYet(SINCE + WAIT_S + APART_S)
    assert settled(doubt, WAIT_S + APART_S - 1) == NotYet(SINCE + WAIT_S + APART_S)
    assert isinstance(settled(doubt, WAIT_S + APART_S), Absent)


def test_absence_is_never_read_from_a_look_without_history() -> None:
    doubt = Doubt(SINCE)
    assert settled(doubt, WAIT_S, ended=None) == NotYet(SINCE + WAIT_S)
    assert doubt.absent_read_at is None


@pytest.mark.parametrize(
    "more", [{"magic": 8}, {"lots": "0.20"}, {"kind": OrderKind.SELL}, {"symbol": "GBPUSD"}]
)
def test_shape_and_magic_without_a_tag_are_it_if_all_of_them_fit(more: Any) -> None:
    found = settled(Doubt(SINCE), WAIT_S, order(8, magic=7))
    assert isinstance(found, Found)
    assert found.inferred
    assert isinstance(settled(Doubt(SINCE), WAIT_S, order(8, **({"magic": 7} | more))), NotYet)


def test_several_that_fit_are_for_a_person() -> None:
    found = settled(Doubt(SINCE), WAIT_S, order(8, magic=7), order(9, magic=7))
    assert isinstance(found, Ambiguous)


@pytest.mark.parametrize(
    ("expected", "mode", "waits"),
    [("0", Mode.HEDGING, False), ("0.05", Mode.HEDGING, True), ("0", Mode.NETTING, True)],
)
def test_a_close_is_planned_anew_once_it_cannot_come_any_more(
    expected: str, mode: Mode, waits: bool
) -> None:
    """All of a hedging position may be closed again after any later look: it cannot close twice."""
    request = CloseRequest(ticket=Ticket(8), symbol="EURUSD", lots=None)
    unanswered = attempt("close", request, expected=D(expected))
    unanswered.wait_s = WAIT_S
    doubt = Doubt(SINCE)
    assert planned_at(unanswered, doubt, mode, SINCE) is not None, "the look is not later"
    soon = planned_at(unanswered, doubt, mode, SINCE + 1)
    assert soon == (SINCE + WAIT_S if waits else None)
    assert planned_at(unanswered, doubt, mode, SINCE + WAIT_S + 1) is None


def test_netting_a_close_that_no_list_showed_is_planned_anew_once_history_is_read_twice() -> None:
    """What was added in the same moment hides it from the lists."""
    request = CloseRequest(ticket=Ticket(8), symbol="EURUSD", lots=D("0.05"))
    unanswered, doubt = attempt("close", request, expected=D("0.05")), Doubt(SINCE)
    unanswered.wait_s = 0.0
    untold = replace(LEG, status=LegStatus.OPEN, asked_pieces=[D("0.05")])
    told = replace(untold, asked_pieces=[])
    first, later = SINCE + 1, SINCE + 1 + APART_S
    assert planned_at(unanswered, doubt, Mode.NETTING, first, told, ended=None) is None
    assert planned_at(unanswered, doubt, Mode.NETTING, first, untold, ended=None) == first
    assert planned_at(unanswered, doubt, Mode.NETTING, first, untold) == later
    assert planned_at(unanswered, doubt, Mode.NETTING, later, untold, ended=None) == later
    assert planned_at(unanswered, doubt, Mode.NETTING, later, untold) is None
    on_hedging = planned_at(unanswered, Doubt(SINCE), Mode.HEDGING, first, untold, ended=None)
    assert on_hedging is None, "there a list tells"


def planned_at(
    unanswered: Attempt, doubt: Doubt, mode: Mode, at: float, leg: Leg = LEG, ended: Any = ()
) -> float | None:
    return settle_change(
        unanswered, doubt, leg, mode, asked_at=at, ended=ended, now=at, limits=LIMITS
    )
