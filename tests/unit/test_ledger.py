"""What becomes of our legs by what their account shows, and who is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from copypro import messages as m
from copypro.errors import Refused
from copypro.messages import Deal, PendingRemoved, PositionClosed, PositionReduced
from copypro.trading import (
    CloseReason,
    CloseRequest,
    DeleteRequest,
    Done,
    ModifyRequest,
    OpenRequest,
)
from copypro.values import AccountId, Mode, OrderKind, Platform, RootId, Side, Ticket
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.planned.step import Sends
from copypro_account_watcher.planned.steps import next_step
from copypro_account_watcher.settled import outcomes
from copypro_account_watcher.settled.asked import settle_asked
from copypro_account_watcher.settled.claiming import claim
from copypro_account_watcher.settled.ends import closed_with_position, leg_closed, parts_of
from copypro_account_watcher.settled.following import follow, follow_hidden, settle_fills
from copypro_account_watcher.settled.late_modifies import give_up
from copypro_account_watcher.settled.mirrored import pending_removed
from copypro_account_watcher.settled.unresolved import planned_anew, settle
from copypro_account_watcher.state import Attempt, Copy, LegStatus, copy_key
from copypro_account_watcher.turn import Turn
from msgspec.structs import replace

from tests.unit.diff_builders import Watch, order, row
from tests.unit.slave_builders import (
    LIMITS,
    SEEN_AT,
    TICKET,
    TIMES,
    D,
    attempt,
    live,
    standing,
    wanted,
)

ROOT = RootId("9")


def remembered(copy: Copy, watch: Watch | None = None, *, mode: Mode = Mode.HEDGING) -> Memory:
    memory = Memory(copy.slave, LIMITS)
    memory.account, memory.live = live().account, live(mode=mode)
    memory.book.follow(Platform.MT5, mode)
    if watch is not None:
        memory.book = watch.book
    memory.know(copy)
    return memory


def told(turn: Turn, kind: type) -> list[Any]:
    return [each.event for each in turn.told if isinstance(each.event, kind)]


def closing(lots: str, reason: CloseReason = CloseReason.UNKNOWN) -> PositionClosed:
    return PositionClosed(
        account=AccountId("b" * 32),
        root=ROOT,
        ticket=TICKET,
        symbol="EURUSD",
        side=Side.BUY,
        seen=m.Seen.LIVE,
        seen_at_utc=SEEN_AT,
        deal=Deal(ticket=5, sequence=1, lots=D(lots), price=D("1.1")),
        reason=reason,
    )


def reduction(lots: str, left: str) -> PositionReduced:
    return PositionReduced(
        account=AccountId("b" * 32),
        root=ROOT,
        ticket=TICKET,
        open_lots=D(left),
        ever_lots=D("0.10"),
        seen_at_utc=SEEN_AT,
        deal=Deal(ticket=5, sequence=1, lots=D(lots), price=D("1.1")),
    )


# --- what nobody answered ---# --- what nobody answered -----------------------------------------------------------------------


def unanswered() -> Copy:
    copy = wanted()
    request = OpenRequest(
        symbol="EURUSD", kind=OrderKind.BUY, lots=D("0.10"), comment="t", magic=1, price=D("1.1")
    )
    copy.attempt = attempt("open", request)
    copy.attempt.unresolved_at_utc = SEEN_AT
    return copy


def test_what_is_taken_for_ours_by_its_shape_alone_is_told() -> None:
    """It may be its owner's, which only a person can say."""
    copy, turn = unanswered(), Turn(SEEN_AT)
    memory = remembered(copy)
    settle(memory, [order(8, magic=1)], (), memory.live.mono, turn)
    [opened] = told(turn, m.CopyOpened)
    [alert] = told(turn, m.AlertRaised)
    assert opened.ticket == 8
    assert (alert.code, copy.legs[0].ticket) == ("INFERRED", 8)


def test_a_person_is_asked_once_which_of_two_it_is() -> None:
    copy, turn = unanswered(), Turn(SEEN_AT)
    memory = remembered(copy)
    for _ in range(2):
        settle(memory, [order(8, magic=1), order(9, magic=1)], (), memory.live.mono, turn)
    [asked] = told(turn, m.CopyNeedsPerson)
    [alert] = told(turn, m.AlertRaised)
    assert "8, 9" in asked.evidence
    assert alert.code == "NEEDS_PERSON"
    assert copy.attempt is not None, "until then nothing more is sent"


def test_levels_that_changed_while_the_open_was_under_way_are_set_when_it_stands() -> None:
    copy = wanted(sl="1.0950")
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    copy.attempt = attempt("open", step.request)
    copy.stop_loss = D("1.0970")
    done = Done(ticket=TICKET, lots=D("0.10"), price=D("1.10002"))
    outcomes.done(copy, copy.attempt, done, Platform.MT5, TIMES)
    step = next_step(copy, live())
    assert isinstance(step, Sends)
    assert step.kind == "modify"


@pytest.mark.parametrize(("listed", "overtaken"), [("1.0950", "1.0900"), ("1.0970", None)])
def test_a_stop_that_a_former_call_set_late_is_not_taken_for_the_owners(
    listed: str, overtaken: str | None
) -> None:
    """Of two that were given up the former one was executed after all; or the latter was."""
    copy = standing(sl="1.0970")
    leg = copy.legs[0]
    leg.set_stop_loss = D("1.0900")
    former, latter = (moves("1.0950"), moves("1.0970"))
    leg.late_modifies = [former]
    market = live()
    market.looked([order(TICKET, sl=listed)], None)
    give_up(leg, latter, market)
    assert leg.set_stop_loss == D(listed)
    assert leg.overtaken_stop_loss == (None if overtaken is None else D(overtaken))
    assert leg.late_modifies == [former, latter]


def moves(stop_loss: str) -> Attempt:
    request = ModifyRequest(ticket=TICKET, stop_loss=D(stop_loss), take_profit=None)
    return attempt("modify", request)


def test_a_second_position_with_one_legs_tag_is_closed_and_its_copier_halted() -> None:
    copy, turn = unanswered(), Turn(SEEN_AT)
    memory, tag = remembered(copy), copy.legs[0].tag
    two = [order(8, magic=1, comment=tag), order(9, magic=1, comment=tag)]
    memory.live.looked(two, None)
    settle(memory, two, (), memory.live.mono, turn)
    first, extra = copy.legs
    assert (first.ticket, first.lots) == (8, D("0.10"))
    assert (extra.ticket, extra.lots, extra.is_extra) == (9, D("0.10"), True)
    assert memory.known.halted == {9: copy.copier}
    assert copy_key(memory.id, copy.copy) in [output.key for output in turn.close()]
    step = next_step(copy, memory.live)
    assert isinstance(step, Sends)
    assert (step.kind, step.request.ticket) == ("close", 9)  # type: ignore[union-attr]


@pytest.mark.parametrize(("listed", "left"), [("0.06", "0.06"), ("0.10", "0.10")])
def test_a_part_that_nobody_answered_is_planned_anew_from_what_stands(
    listed: str, left: str
) -> None:
    """It may be executed late, and is then no doing of the owner's: its copier is halted."""
    copy, turn = standing(), Turn(SEEN_AT)
    leg, request = copy.legs[0], CloseRequest(ticket=TICKET, symbol="EURUSD", lots=D("0.04"))
    copy.attempt = attempt("close", request, expected=D("0.06"))
    copy.attempt.unresolved_at_utc = SEEN_AT
    leg.slave_root, leg.asked_pieces = ROOT, [D("0.04")]
    memory = remembered(copy)
    memory.live.looked([order(TICKET, listed)], None)
    planned_anew(memory, copy, "a later look shows what stands", turn)
    assert (leg.lots, leg.given_up_pieces, leg.closes_late) == (D(left), [D("0.04")], True)
    follow(memory, reduction("0.04", "0.02"), turn)
    assert memory.known.halted == {TICKET: copy.copier}
    assert copy.detached == ""


def test_another_ticket_in_place_of_a_legs_own_is_what_it_is_closed_by() -> None:
    copy = standing()
    memory = remembered(copy)
    moved = order(8, magic=1, comment=copy.legs[0].tag)
    claim(memory, [moved], None, Turn(SEEN_AT))
    assert copy.legs[0].ticket == 8


# --- whose doing an end is ----# --- whose doing an end is ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "expected", "closed", "detached"),
    [
        ("0.04", "0.06", "0.10", "CLOSED_BY_STOP_LOSS"),  # a part was asked for, a stop took all
        ("0.10", "0", "0.10", ""),  # all of it was
    ],
)
def test_an_end_while_our_close_is_under_way_is_ours_only_if_that_was_to_close_it_all(
    asked: str, expected: str, closed: str, detached: str
) -> None:
    """A rest below the smallest lot goes as well, though nobody asked for the copy's end."""
    copy = standing()
    request = CloseRequest(ticket=TICKET, symbol="EURUSD", lots=D(asked))
    copy.attempt = attempt("close", request, expected=D(expected))
    copy.legs[0].slave_root = ROOT
    by = CloseReason.STOP_LOSS if detached else CloseReason.UNKNOWN
    turn, part = Turn(SEEN_AT), Done(ticket=TICKET, lots=D(closed), price=D("1.1"))
    leg_closed(remembered(copy), copy, copy.legs[0], closing(closed, by), part, turn)
    assert (copy.legs[0].status, copy.detached) == (LegStatus.ENDED, detached)
    assert told(turn, m.CopyClosed) == [], "the answer tells"


def test_an_end_by_as_many_lots_as_our_close_asked_for_is_ours() -> None:
    """A reduction that was told late had left just as many."""
    copy = standing("0.05")
    copy.attempt = attempt(
        "close", CloseRequest(ticket=TICKET, symbol="EURUSD", lots=D("0.05")), expected=D("0.01")
    )
    leg = copy.legs[0]
    leg.slave_root, leg.asked_pieces = ROOT, [D("0.05")]
    part = Done(ticket=TICKET, lots=D("0.05"), price=D("1.1"))
    leg_closed(remembered(copy), copy, leg, closing("0.05"), part, Turn(SEEN_AT))
    assert (leg.status, leg.asked_pieces, copy.detached) == (LegStatus.ENDED, [], "")


@pytest.mark.parametrize(
    ("asked", "lots", "is_made", "is_ours", "due"),
    [
        (("0.02", "0.03"), "0.03", False, True, ["0.02"]),
        (("0.02", "0.03"), "0.03", True, True, ["0.02"]),
        (("0.02", "0.03"), "0.05", True, True, []),  # a list shows both together
        (("0.02", "0.03"), "0.04", True, False, []),
        (("0.03",), "0.02", False, False, []),  # done in part
        ((), "0.02", False, False, []),
    ],
)
def test_a_deal_of_as_many_lots_as_our_closes_asked_for_is_theirs(
    asked: tuple[str, ...], lots: str, is_made: bool, is_ours: bool, due: list[str]
) -> None:
    """`due`: what is still to be told; what the owner takes off later must not be taken for it."""
    copy, event = standing(), closing(lots)
    leg = copy.legs[0]
    leg.asked_pieces = [D(each) for each in asked]
    deal = replace(event.deal, ticket=-5 if is_made else 5)
    memory, turn = remembered(copy), Turn(SEEN_AT)
    assert settle_asked(memory, copy, [leg], replace(event, deal=deal), turn) is is_ours
    assert leg.asked_pieces == [D(each) for each in due]
    assert memory.known.halted == {}


def test_a_close_that_took_more_than_it_was_asked_for_halts_its_copier_and_a_stop_does_not() -> (
    None
):
    for by, is_halted in ((CloseReason.UNKNOWN, True), (CloseReason.STOP_LOSS, False)):
        copy = standing()
        leg = copy.legs[0]
        leg.slave_root, leg.asked_pieces = ROOT, [D("0.04")]
        memory, part = remembered(copy), Done(ticket=TICKET, lots=D("0.10"), price=D("1.1"))
        leg_closed(memory, copy, leg, closing("0.10", by), part, Turn(SEEN_AT))
        assert memory.known.halted == ({TICKET: copy.copier} if is_halted else {})


def test_what_a_stop_closed_whole_is_no_doing_of_the_part_that_nobody_answered() -> None:
    copy = standing()
    leg, request = copy.legs[0], CloseRequest(ticket=TICKET, symbol="EURUSD", lots=D("0.04"))
    copy.attempt = attempt("close", request, expected=D("0.06"))
    copy.attempt.unresolved_at_utc = SEEN_AT
    leg.slave_root, leg.asked_pieces = ROOT, [D("0.04")]
    memory, part = remembered(copy), Done(ticket=TICKET, lots=D("0.10"), price=D("1.1"))
    leg_closed(memory, copy, leg, closing("0.10", CloseReason.STOP_LOSS), part, Turn(SEEN_AT))
    planned_anew(memory, copy, "a later look shows what stands", Turn(SEEN_AT))
    assert memory.known.halted == {}
    assert (copy.attempt, leg.status) == (None, LegStatus.ENDED)


def asks_for_a_part() -> tuple[Memory, Copy, Attempt]:
    """A close of 0.04 of 0.10, under way."""
    copy = standing()
    request = CloseRequest(ticket=TICKET, symbol="EURUSD", lots=D("0.04"))
    asked = copy.attempt = attempt("close", request, expected=D("0.06"))
    copy.legs[0].slave_root, copy.legs[0].asked_pieces = ROOT, [D("0.04")]
    return remembered(copy), copy, asked


def ended_by(copy: Copy) -> tuple[str, str]:
    return copy.legs[0].status, copy.detached


@pytest.mark.parametrize("by", [CloseReason.TAKE_PROFIT, CloseReason.CLIENT])
@pytest.mark.parametrize("is_sent", [True, False])
def test_what_its_owner_or_a_stop_closed_before_our_close_of_a_part_is_told_as_that(
    by: CloseReason, is_sent: bool
) -> None:
    memory, copy, asked = asks_for_a_part()
    follow(memory, closing("0.10", by), Turn(SEEN_AT))
    if is_sent:
        gone = Refused("POSITION_NOT_FOUND", "not found")
        found = outcomes.refused(copy, asked, gone, Platform.MT5, SEEN_AT, LIMITS, TIMES)
    else:
        found = outcomes.not_sent(copy, asked, "TOO_LATE", SEEN_AT, LIMITS, TIMES)
    _, detached = found.events
    assert isinstance(detached, m.CopyDetached)
    assert (detached.ticket, detached.reason) == (TICKET, f"CLOSED_BY_{by.name}")
    assert ended_by(copy) == (LegStatus.ENDED, f"CLOSED_BY_{by.name}")


@pytest.mark.parametrize("by", [CloseReason.TAKE_PROFIT, CloseReason.CLIENT])
def test_what_its_owner_or_a_stop_closed_after_our_close_of_a_part_is_told_beside_that(
    by: CloseReason,
) -> None:
    """It was told as ours, with the lots of what was not, and the part was told nowhere."""
    memory, copy, asked = asks_for_a_part()
    follow(memory, reduction("0.04", "0.06"), Turn(SEEN_AT))
    follow(memory, closing("0.06", by), Turn(SEEN_AT))
    done = Done(ticket=TICKET, lots=D("0.04"), price=D("1.1"))
    reduced, detached = outcomes.done(copy, asked, done, Platform.MT5, TIMES).events
    assert isinstance(reduced, m.CopyReduced)
    assert isinstance(detached, m.CopyDetached)
    assert (reduced.closed_lots, reduced.open_lots) == (D("0.04"), D(0))
    assert detached.reason == f"CLOSED_BY_{by.name}"


@pytest.mark.parametrize("then", ["", "it stands", "its owner closes the rest"])
def test_a_part_that_our_close_took_without_an_answer_is_told_by_its_deal(then: str) -> None:
    """It was told as absent, and what was closed of the copy was told nowhere."""
    memory, copy, asked = asks_for_a_part()
    copy.fraction, asked.unresolved_at_utc = D("0.6"), SEEN_AT
    turn = Turn(SEEN_AT)
    if then:
        follow(memory, reduction("0.04", "0.06"), turn)
    if then.startswith("its owner"):
        follow(memory, closing("0.06", CloseReason.CLIENT), turn)
    planned_anew(memory, copy, "a later look shows what stands", turn)
    events = [each.event for each in turn.told if isinstance(each.event, m.Execution)]
    done = [event for event in events if not isinstance(event, m.CopyReconciled)]
    if not then:
        assert done == [], "nothing shows that it was done"
        return
    reduced, *more = done
    assert isinstance(reduced, m.CopyReduced)
    left = copy.legs[0].lots
    assert (reduced.attempt, reduced.closed_lots, reduced.open_lots) == (asked.id, D("0.04"), left)
    assert [type(event) for event in more] == ([m.CopyDetached] if left == 0 else [])


@pytest.mark.parametrize(("listed", "is_waited_for"), [("0.06", True), ("0.10", False)])
def test_a_part_that_the_list_shows_gone_waits_for_its_deal(
    listed: str, is_waited_for: bool
) -> None:
    """Given up before that, its close was told as absent."""
    watch = Watch(mode=Mode.HEDGING)
    watch.starts(order(TICKET, "0.10"))
    memory, copy, asked = asks_for_a_part()
    memory.book = watch.book
    copy.legs[0].slave_root, asked.unresolved_at_utc = watch.book.root_of(TICKET), SEEN_AT
    doubt = memory.doubt(asked, memory.live.mono)
    memory.live.mono = asked_at = doubt.since + asked.wait_s + 1
    orders, turn = [order(TICKET, listed)], Turn(SEEN_AT)
    memory.live.looked(orders, asked_at)
    again = settle(memory, orders, (), asked_at, turn)
    assert again == (asked_at + LIMITS.row_wait_s if is_waited_for else None)
    assert len(told(turn, m.CopyReconciled)) == (not is_waited_for)


@pytest.mark.parametrize(("listed", "is_told"), [("1.0900", True), ("1.0800", False)])
def test_stops_that_were_set_without_an_answer_are_told_by_the_list(
    listed: str, is_told: bool
) -> None:
    copy, turn = standing(), Turn(SEEN_AT)
    request = ModifyRequest(ticket=TICKET, stop_loss=D("1.0900"), take_profit=None)
    asked = copy.attempt = attempt("modify", request)
    asked.unresolved_at_utc = SEEN_AT
    memory = remembered(copy)
    memory.live.looked([order(TICKET, "0.10", sl=listed)], None)
    planned_anew(memory, copy, "a later look shows what stands", turn)
    modified = [(each.attempt, each.stop_loss) for each in told(turn, m.CopyModified)]
    assert modified == ([(asked.id, D("1.0900"))] if is_told else [])
    assert copy.legs[0].set_stop_loss == D(listed)


def test_what_a_stop_closed_beside_our_close_that_nobody_answered_is_told_as_that() -> None:
    """Also of one leg of several, whose copy goes on."""
    memory, copy, asked = asks_for_a_part()
    other = replace(copy.legs[0], number=1, ticket=Ticket(78), slave_root=RootId("10"))
    copy.legs.append(other)
    asked.unresolved_at_utc = SEEN_AT
    turn = Turn(SEEN_AT)
    follow(memory, closing("0.10", CloseReason.TAKE_PROFIT), turn)
    planned_anew(memory, copy, "a later look shows what stands", turn)
    [detached] = told(turn, m.CopyDetached)
    assert (detached.leg, detached.reason) == (0, "CLOSED_BY_TAKE_PROFIT")
    assert told(turn, m.CopyClosed) == []
    assert (copy.attempt, *ended_by(copy)) == (None, LegStatus.ENDED, "")


@pytest.mark.parametrize(("held", "left"), [("0.10", "0.06"), ("0.04", "0.04")])
def test_a_reduction_leaves_what_the_list_shows_or_less(held: str, left: str) -> None:
    """What is told may be older than our last answer."""
    copy = standing(held)
    leg = copy.legs[0]
    leg.slave_root, leg.original_lots = ROOT, D("0.10")
    copy.fraction, leg.asked_pieces = D("0.4"), [D("0.04")]
    memory = remembered(copy)
    follow(memory, reduction("0.04", "0.06"), Turn(SEEN_AT))
    assert (leg.lots, leg.asked_pieces, copy.detached) == (D(left), [], "")


def test_what_its_owner_takes_off_beside_our_close_is_not_taken_off_our_leg() -> None:
    """Netting: the position has as much of the owner's, and our call is not answered yet."""
    copy = standing()
    request = CloseRequest(ticket=TICKET, symbol="EURUSD", lots=D("0.04"))
    copy.attempt = attempt("close", request, expected=D("0.06"))
    leg = copy.legs[0]
    leg.slave_root, leg.asked_pieces = ROOT, [D("0.04")]
    follow(remembered(copy, mode=Mode.NETTING), reduction("0.05", "0.15"), Turn(SEEN_AT))
    assert (leg.lots, leg.asked_pieces, copy.detached) == (D("0.10"), [D("0.04")], "")


def test_a_reduction_of_the_owners_just_after_our_call_leaves_the_copy_to_him() -> None:
    """One leg has no other whose opening a list may lack."""
    copy = standing()
    copy.legs[0].slave_root = ROOT
    memory, turn = remembered(copy), Turn(SEEN_AT)
    memory.live.just_changed[TICKET] = 1000.0
    follow(memory, reduction("0.06", "0.04"), turn)
    assert copy.detached == "VOLUME_CHANGED"
    assert len(told(turn, m.CopyDetached)) == 1


@pytest.mark.parametrize(
    ("fraction", "lots", "by"),
    [
        ("1", "0.10", "VOLUME_CHANGED"),
        ("0.5", "0.05", "VOLUME_CHANGED"),
        ("0.5", "0.10", ""),
    ],
)
def test_what_its_owner_cut_is_known_without_its_symbols_terms(
    fraction: str, lots: str, by: str
) -> None:
    """A bridge may refuse them. They alone say how much is still to be closed for its master."""
    copy = standing()
    copy.fraction, copy.legs[0].slave_root, copy.legs[0].lots = D(fraction), ROOT, D(lots)
    memory = remembered(copy)
    memory.live.forget_symbol("EURUSD")
    follow(memory, reduction(str(D(lots) - D("0.04")), "0.04"), Turn(SEEN_AT))
    assert copy.detached == by


@pytest.mark.parametrize("mode", [Mode.HEDGING, Mode.NETTING])
def test_a_part_that_history_alone_tells_settles_a_close_of_ours_on_netting_alone(
    mode: Mode,
) -> None:
    """There an add may have hidden it from the lists; nor is it one of what is over by now."""
    for stands in (True, False):
        watch = Watch(mode=mode)
        watch.starts(order(TICKET, "0.10"))
        copy = standing()
        leg = copy.legs[0]
        root = watch.book.root_of(TICKET)
        leg.slave_root, leg.asked_pieces = root, [D("0.04")]
        if not stands:
            watch.book.roots.clear()
        event = replace(reduction("0.04", "0.10"), root=root)
        event = replace(event, deal=replace(event.deal, time_utc=SEEN_AT + timedelta(hours=1)))
        follow_hidden(remembered(copy, watch, mode=mode), event, Turn(SEEN_AT))
        is_told = stands and mode is Mode.NETTING
        assert (leg.lots, leg.asked_pieces) == (D("0.10"), [] if is_told else [D("0.04")])


@pytest.mark.parametrize("platform", Platform)
def test_the_rest_of_our_partial_close_is_addressed_once_its_new_ticket_is_seen(
    platform: Platform,
) -> None:
    """MT4's second partial close, sent to the former ticket, would be refused."""
    copy = standing()
    copy.fraction = D("0.4")
    request = CloseRequest(ticket=TICKET, symbol="EURUSD", lots=D("0.04"))
    copy.attempt = attempt("close", request, expected=D("0.06"))
    done = Done(ticket=TICKET, lots=D("0.04"), price=D("1.1"))
    found = outcomes.done(copy, copy.attempt, done, platform, TIMES)
    is_moved = platform is Platform.MT4
    assert (copy.legs[0].lots, copy.legs[0].moved, found.look) == (D("0.06"), is_moved, is_moved)
    assert isinstance(next_step(copy, live()), Sends) is not is_moved


@pytest.mark.parametrize("closing_", ["MASTER_FLAT", ""])
def test_a_leg_that_ended_with_a_position_that_no_look_showed_is_told_as_its_copy_stands(
    closing_: str,
) -> None:
    copy, turn = standing(), Turn(SEEN_AT)
    copy.closing = closing_
    gone = row(TICKET, "0.20", profit=D("8.00"))
    closed_with_position(remembered(copy), copy, copy.legs[0], gone, turn)
    assert [each.profit for each in told(turn, m.CopyClosed)] == ([D("4.00")] if closing_ else [])
    assert len(told(turn, m.CopyDetached)) == (not closing_)
    assert copy.detached == ("" if closing_ else "CLOSED_BY_UNKNOWN")


@pytest.mark.parametrize(
    ("lots", "deal", "profits"),
    [
        (("0.10", "0.30"), "0.40", ("2.00", "6.00")),
        (("0.10", "0.30"), "0.80", ("1.00", "3.00")),  # the rest was the owner's
        (("0.10", "0.30"), "0.20", ("2.00", "6.00")),  # a part of it was told before
    ],
)
def test_legs_of_one_position_have_no_more_of_its_profit_than_there_is(
    lots: tuple[str, ...], deal: str, profits: tuple[str, ...]
) -> None:
    event = closing(deal)
    paid = replace(event.deal, profit=D("8.00"))
    parts = parts_of(replace(event, deal=paid), [D(each) for each in lots])
    assert [part.profit for part in parts] == [D(each) for each in profits]


def test_what_a_list_settles_of_our_closes_is_remembered() -> None:
    """Else, after a restart, what the owner takes off would count as ours."""
    watch = Watch(mode=Mode.NETTING)
    watch.starts(order(TICKET, "0.10"))
    copy = standing()
    leg = copy.legs[0]
    leg.slave_root, leg.asked_pieces = watch.book.root_of(TICKET), [D("0.05")]
    memory, turn = remembered(copy, watch, mode=Mode.NETTING), Turn(SEEN_AT)
    memory.live.looked([order(TICKET, "0.10")], None)
    settle_fills(memory, turn)
    assert leg.asked_pieces == []
    assert copy_key(memory.id, copy.copy) in [output.key for output in turn.close()]


# --- mirrored orders ----------------------------------------------------------------------------


def placed() -> Copy:
    copy = standing()
    copy.legs[0].status = LegStatus.PLACED
    copy.legs[0].slave_root = ROOT
    return copy


def test_an_order_that_is_gone_while_we_delete_it_is_told_by_the_deletions_answer() -> None:
    copy = placed()
    copy.attempt = attempt("delete", DeleteRequest(ticket=TICKET))
    leg, turn = copy.legs[0], Turn(SEEN_AT)
    pending_removed(remembered(copy), copy, leg, TICKET, "deleted", D("0.10"), turn)
    assert told(turn, m.CopyPendingRemoved) == []
    assert (leg.status, copy.detached) == (LegStatus.PLACED, "")
    assert outcomes.is_done(leg, "delete")


def test_an_order_taken_for_merged_into_what_is_not_there_is_told_as_gone() -> None:
    copy, turn = placed(), Turn(SEEN_AT)
    gone = PendingRemoved(
        account=copy.slave, root=ROOT, ticket=TICKET, seen_at_utc=SEEN_AT, reason="merged"
    )
    follow(remembered(copy, mode=Mode.NETTING), gone, turn)
    [removed] = told(turn, m.CopyPendingRemoved)
    assert removed.ticket == TICKET
    assert copy.legs[0].status is LegStatus.ENDED


def test_a_mirrored_order_that_filled_has_the_levels_that_its_position_shows() -> None:
    """A gap may have cost it one, which is then set anew."""
    copy = placed()
    leg = copy.legs[0]
    leg.set_stop_loss, leg.set_take_profit = D("1.0900"), D("1.2000")
    memory, turn = remembered(copy), Turn(SEEN_AT)
    memory.live.looked([order(TICKET, "0.10", tp="1.1900")], None)
    settle_fills(memory, turn)
    [opened] = told(turn, m.CopyOpened)
    assert (opened.lots, opened.ticket) == (D("0.10"), TICKET)
    assert (leg.status, leg.set_stop_loss, leg.set_take_profit) == (
        LegStatus.OPEN,
        None,
        D("1.1900"),
    )
    assert copy.settled_levels is None


def test_what_its_owner_took_off_before_the_open_was_answered_is_not_held() -> None:
    copy = unanswered()
    leg, request = copy.legs[0], copy.attempt.request if copy.attempt else None
    leg.slave_root = ROOT
    memory = remembered(copy)
    follow(memory, reduction("0.04", "0.06"), Turn(SEEN_AT))
    assert copy.attempt is not None
    assert isinstance(request, OpenRequest)
    done = Done(ticket=TICKET, lots=request.lots, price=D("1.1"))
    outcomes.done(copy, copy.attempt, done, Platform.MT5, TIMES)
    assert (leg.status, leg.original_lots, leg.lots) == (LegStatus.OPEN, D("0.10"), D("0.06"))


def test_what_waits_of_an_order_goes_when_its_owner_closed_what_had_filled() -> None:
    copy = standing()
    leg = copy.legs[0]
    leg.status, leg.slave_root, leg.lots = LegStatus.ENDED, ROOT, D(0)
    copy.detached = "CLOSED_BY_UNKNOWN"
    memory = remembered(copy)
    waits = order(TICKET, "0.04", OrderKind.BUY_LIMIT, magic=1, comment=leg.tag)
    memory.live.looked([waits], None)
    claim(memory, [waits], None, Turn(SEEN_AT))
    step = next_step(copy, memory.live)
    assert isinstance(step, Sends)
    assert (step.kind, copy.closing, copy.closing_since_utc) == (
        "delete",
        "CLOSED_BY_UNKNOWN",
        SEEN_AT,
    )
