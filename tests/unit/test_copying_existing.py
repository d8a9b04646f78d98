"""What was there when a copier started, and what was found too late."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from copypro import messages as m
from copypro.envelope import decode
from copypro.messages import OpenCopies, Seen
from copypro.options import CopierOptions, PendingMode, SideFilter
from copypro.values import RootId
from msgspec.structs import replace

from tests.unit.copying_builders import (
    CONTEXT,
    COPIER,
    MASTER,
    SECOND,
    SLAVES,
    T0,
    D,
    at,
    closed,
    closed_unseen,
    copy_of,
    desk,
    equity,
    increased,
    missed,
    modified,
    names,
    only,
    opened,
    pause,
    pending_removed,
    placed,
    reduced,
    resume,
    start,
    stop,
)

EARLY, LATE = at(-60), at(60)


# --- existing -------------------------------------------------------------------------------------


def test_trades_that_were_open_are_recorded_as_skipped() -> None:
    given = desk(opened(), opened(RootId("502")))
    outputs = given.when(start())
    assert names(outputs) == ["CopierStarted", "EXISTING", "EXISTING"]
    assert outputs[1].remedy == "start the copier with copyExistingTrades"
    assert names(given.when(increased())) == ["EXISTING"]
    assert given.each(reduced("0.5"), closed()) == []


def test_an_event_that_was_in_the_log_before_the_start_is_existing_when_it_is_read() -> None:
    given = desk()
    given.when(start(), unread=1)
    assert names(given.when(opened(opened_at_utc=LATE))) == ["EXISTING"]
    assert names(given.when(opened(RootId("502")))) == ["CopyPlanned", "OpenCopy"]


@pytest.mark.parametrize("seen", [Seen.BASELINE, Seen.MISSED])
def test_what_a_first_look_finds_is_existing_unless_it_opened_later(seen: Seen) -> None:
    given = desk(start())
    assert names(given.when(opened(seen=seen, opened_at_utc=EARLY))) == ["EXISTING"]
    assert names(given.when(opened(RootId("2"), seen=seen, opened_at_utc=T0))) == ["EXISTING"]
    order = only(given.when(opened(RootId("3"), seen=seen, opened_at_utc=LATE)), m.OpenCopy)
    assert (order.fresh_from_utc, order.joined) == (LATE, False)


def test_a_first_look_without_a_known_clock_proves_nothing() -> None:
    given = desk(start())
    found = opened(seen=Seen.BASELINE, opened_at_utc=None)
    assert names(given.when(found)) == ["EXISTING"]


def test_an_existing_trade_is_joined_with_what_is_left_of_it() -> None:
    given = desk(opened(), increased(lots="0.5", ever="1.5"), reduced("0.6", "1.5"))
    given.now = at(300)
    outputs = given.when(start(copy_existing_trades=True, market={"EURUSD": D("1.0912")}))
    order = only(outputs, m.OpenCopy)
    assert (order.lots, order.fraction, order.joined) == (D("0.6"), 1, True)
    assert (order.market_price, order.master_price) == (D("1.0912"), D("1.08002"))
    assert (order.fresh_from_utc, order.seen_at_utc) == (at(300), at(300))
    assert only(outputs, m.CopierStarted).started_at_utc == at(300)


def test_a_trade_that_opened_a_moment_ago_is_joined_at_the_market_of_its_own_look() -> None:
    given = desk(opened())
    given.now = at(4)
    order = only(given.when(start(copy_existing_trades=True)), m.OpenCopy)
    assert order.market_price == D("1.08002"), "the middle of its quote"


def test_an_existing_trade_that_shrank_and_grew_is_joined_with_what_is_open() -> None:
    given = desk(opened(), reduced("0.50"), increased(lots="0.5", ever="1.5", open_lots=D("1.00")))
    joins = start(copy_existing_trades=True, market={"EURUSD": D("1.0915")})
    assert only(given.when(joins), m.OpenCopy).lots == D("1.00")


def test_nothing_is_joined_at_the_price_of_a_look_that_had_none() -> None:
    given = desk(opened(context=replace(CONTEXT, quote=None)))
    assert names(given.when(start(copy_existing_trades=True)))[1:] == ["NO_MARKET_PRICE"]


def test_nothing_is_joined_at_a_price_that_nobody_knows() -> None:
    given = desk(opened())
    given.now = at(300)
    outputs = given.when(start(copy_existing_trades=True, market={"GBPUSD": D("1.27")}))
    assert names(outputs) == ["CopierStarted", "NO_MARKET_PRICE"]


def test_fractions_of_a_joined_trade_count_from_what_was_joined() -> None:
    given = desk(opened(), reduced("0.5"), start(copy_existing_trades=True))
    assert only(given.when(reduced("0.4")), m.ReduceCopy).fraction == D("0.8")
    given.restart()
    leg = only(given.when(increased(lots="0.5", ever="1.5", open_lots=D("0.9"))), m.OpenCopy)
    assert leg.fraction == D("0.8")
    # half of each is left: of the 0.4 of before, and of the 0.5 that came
    assert only(given.when(reduced("0.45", "1.5")), m.ReduceCopy).fraction == D("0.4")


def test_a_joined_trade_passes_the_filters_or_says_why_not() -> None:
    given = desk(opened())
    options: dict[str, Any] = {"copy_existing_trades": True, "filter_side": SideFilter.SELL_ONLY}
    assert names(given.when(start(**options))) == ["CopierStarted", "FILTER_SIDE"]


def test_a_copy_of_ours_is_not_joined() -> None:
    given = desk(opened(copy=copy_of(SLAVES[2])))
    outputs = given.when(start(copy_existing_trades=True))
    assert names(outputs) == ["CopierStarted", "IS_A_COPY"]


def test_existing_trades_found_after_the_start_are_joined_too() -> None:
    given = desk(start(copy_existing_trades=True))
    order = only(given.when(opened(seen=Seen.BASELINE, opened_at_utc=EARLY)), m.OpenCopy)
    assert (order.joined, order.fresh_from_utc) == (True, T0)


def test_a_later_pause_does_not_make_existing_trades_fresh() -> None:
    given = desk(start(copy_existing_trades=True), pause())
    given.now = at(900)
    given.when(resume())
    order = only(given.when(opened(seen=Seen.BASELINE, opened_at_utc=EARLY)), m.OpenCopy)
    assert order.fresh_from_utc == T0


# --- started paused, to join later ----------------------------------------------------------------


def test_a_copier_started_paused_joins_what_is_open_when_it_first_runs() -> None:
    given = desk(opened(), opened(RootId("502")))
    waits = start(copy_existing_trades=True, paused=True, pending_mode=PendingMode.MIRROR)
    assert names(given.when(waits)) == ["CopierStarted"]
    assert names(given.when(opened(RootId("503")), placed(RootId("504")))) == ["PAUSED", "PAUSED"]
    skipped = only(given.when(closed(RootId("502"))), m.CopySkipped)
    assert (skipped.code, skipped.numbers) == ("PAUSED", {"reason": "ByUser"})
    given.restart()
    given.now = at(900)
    outputs = given.when(resume(market={"EURUSD": D("1.0915")}))
    assert names(outputs) == ["CopierResumed", "CopyPlanned", "OpenCopy"]
    order = only(outputs, m.OpenCopy)
    assert order.market_price == D("1.0915")
    assert (order.root, order.joined, order.fresh_from_utc) == ("501", True, at(900))
    assert given.each(pause()) != []
    assert names(given.when(resume())) == ["CopierResumed"]


def test_what_is_added_before_it_joins_is_part_of_what_it_joins() -> None:
    given = desk(start(), pause(), opened(), stop())
    given.when(start(SECOND, copy_existing_trades=True, paused=True))
    assert given.when(increased()) == []
    outputs = given.when(resume(SECOND, market={"EURUSD": D("1.0915")}))
    assert only(outputs, m.OpenCopy).lots == D("1.5")


def test_what_was_never_joined_has_its_reason_too() -> None:
    given = desk(opened(), placed(RootId("7")))
    options: dict[str, Any] = {
        "copy_existing_trades": True,
        "pending_mode": PendingMode.MIRROR,
    }
    given.when(start(paused=True, **options))
    removal = m.PendingRemoved(
        account=MASTER, root=RootId("7"), ticket=pending_removed().ticket, seen_at_utc=at(4)
    )
    skipped = only(given.when(removal), m.CopySkipped)
    assert (skipped.code, skipped.pending) == ("PAUSED", True)
    given.when(placed(RootId("8"), seen=Seen.BASELINE, placed_at_utc=EARLY))
    outputs = given.when(stop())
    assert names(outputs) == ["CopierStopped", "COPIER_STOPPED", "COPIER_STOPPED"]
    assert [skip.pending for skip in outputs[1:]] == [False, True]


def test_a_start_of_the_same_pair_resumes_and_joins() -> None:
    given = desk(opened())
    given.when(start(copy_existing_trades=True, paused=True))
    outputs = given.when(start(SECOND, copy_existing_trades=True))
    assert names(outputs) == ["CopierStarted", "CopyPlanned", "OpenCopy"]
    assert only(outputs, m.OpenCopy).copier == COPIER


def test_a_pair_that_is_started_paused_again_joins_later_all_the_same() -> None:
    given = desk(opened())
    given.when(start(copy_existing_trades=True, paused=True))
    again = start(SECOND, copy_existing_trades=True, paused=True)
    assert names(given.when(again)) == ["CopierStarted"]
    outputs = given.when(resume(market={"EURUSD": D("1.0915")}))
    assert names(outputs) == ["CopierResumed", "CopyPlanned", "OpenCopy"]


def test_what_was_decided_before_it_joins_is_not_told_again_when_it_does() -> None:
    given = desk(start(), opened(), stop())
    again = start(SECOND, copy_existing_trades=True, paused=True)
    assert names(given.when(again)) == ["CopierStarted", "ALREADY_COPIED"]
    assert names(given.when(resume(SECOND))) == ["CopierResumed"]


def test_joining_may_be_given_up_before_it_runs() -> None:
    given = desk(opened())
    given.when(start(copy_existing_trades=True, paused=True))
    given.when(m.UpdateCopier(copier=COPIER, master=MASTER, options=CopierOptions()))
    assert names(given.when(resume())) == ["CopierResumed", "EXISTING"]


def test_a_paused_copier_that_wants_nothing_existing_says_so_at_once() -> None:
    given = desk(opened())
    assert names(given.when(start(paused=True))) == ["CopierStarted", "EXISTING"]


# --- missed ---------------------------------------------------------------------------------------


def test_what_is_found_open_late_counts_its_age_from_the_brokers_open() -> None:
    given = desk(start())
    order = only(given.when(missed()), m.OpenCopy)
    assert (order.fresh_from_utc, order.seen_at_utc) == (at(60), at(90))


def test_what_is_found_late_without_a_known_age_is_not_copied() -> None:
    given = desk(start())
    skipped = only(given.when(missed(opened_at_utc=None)), m.CopySkipped)
    assert (skipped.code, skipped.numbers["opened_at"]) == ("MISSED", "unknown")


def test_what_opened_and_closed_between_two_looks_is_not_copied() -> None:
    given = desk(start())
    outputs = given.when(missed(), reduced("0.5", seconds=90), closed_unseen())
    assert names(outputs) == ["MISSED"]
    assert outputs[0].numbers == {"seen": "missed", "closed": "True", "lasted_s": "unknown"}
    assert not any(key.startswith("root/") for key in given.state)


def test_history_has_no_account_beside_such_a_trade_and_that_is_not_why() -> None:
    given, opens_at = desk(start()), datetime(2026, 3, 2, 14, 0, 0)
    over = closed_unseen()
    over = replace(over, deal=replace(over.deal, time_broker=opens_at + timedelta(seconds=2)))
    skipped = only(given.when(missed(context=None, opened_at_broker=opens_at), over), m.CopySkipped)
    assert skipped.numbers == {"seen": "missed", "closed": "True", "lasted_s": "2.0"}


def test_what_follows_from_a_trade_that_was_missed_is_caused_by_its_open_and_its_close() -> None:
    given = desk(start(pending_mode=PendingMode.MIRROR), placed())
    found, over = given.record(missed(from_pending=True)), given.record(closed_unseen())
    assert names(given.step([found, over], over.offset + 1)) == ["MISSED", "CloseCopy"]
    told = [(envelope.cause, envelope.correlation) for envelope in given.told[-2:]]
    assert told == [(decode(record).id, decode(record).correlation) for record in (found, over)]


def test_what_is_seen_as_it_opens_waits_for_nothing_that_the_log_holds_behind_it() -> None:
    assert names(desk(start()).when(opened(), unread=5)) == ["CopyPlanned", "OpenCopy"]


def test_also_when_the_records_of_that_look_are_read_apart() -> None:
    apart, together = desk(start()), desk(start())
    assert apart.when(missed(), unread=2) == []
    apart.restart()
    assert apart.when(reduced("0.5", seconds=90), unread=1) == []
    assert names(apart.when(closed_unseen())) == ["MISSED"]
    together.when(missed(), reduced("0.5", seconds=90), closed_unseen())
    assert [(e.id, e.cause) for e in apart.told] == [(e.id, e.cause) for e in together.told]


def test_the_rest_of_what_was_partly_closed_between_two_looks_is_copied() -> None:
    given = desk(start())
    assert given.when(missed(), unread=2) == []
    given.restart()
    assert given.when(reduced("0.4", seconds=90), unread=1) == []
    order = only(given.when(opened(account=SLAVES[3])), m.OpenCopy)
    assert (order.root, order.lots, order.joined) == ("501", D("0.4"), False)
    assert only(given.when(reduced("0.3", seconds=95)), m.ReduceCopy).fraction == D("0.75")


@pytest.mark.parametrize(
    ("later", "follows"),
    [
        (increased(seen_at_utc=at(95)), ["CopyPlanned", "OpenCopy"]),
        (reduced("0.5", seconds=95), ["ReduceCopy"]),
        (closed(seconds=95), ["CloseCopy"]),
        (modified("1.0", None), ["ModifyCopy"]),
    ],
)
def test_a_later_look_proves_that_it_was_still_open(later: Any, follows: list[str]) -> None:
    given = desk(start())
    given.when(missed(), unread=9)
    outputs = given.when(later, unread=8)
    assert names(outputs) == ["CopyPlanned", "OpenCopy", *follows]
    assert outputs[1].lots == D("1.00")
    assert outputs[1].stop_loss == D("1.07")


def test_whatever_the_account_tells_of_a_later_look_ends_the_one_before() -> None:
    """Also where the log's end lies behind its last record, as it does on Kafka."""
    given = desk(start())
    found, heard = given.record(missed()), given.record(equity(), seconds=1)
    elsewhere = given.record(equity(SLAVES[3]), seconds=1)
    ends_at = heard.offset + 9
    assert names(given.step([found, elsewhere], ends_at)) == []
    assert names(given.step([heard], ends_at)) == ["CopyPlanned", "OpenCopy"]


def test_a_record_without_a_time_ends_no_look_and_is_put_aside() -> None:
    given = desk(start())
    found, broken = given.record(missed()), given.record(reduced("0.5"))
    headers = {name: text for name, text in broken.headers.items() if name != "time"}
    outputs = given.step([found, replace(broken, headers=headers)], broken.offset + 9)
    assert names(outputs) == ["DeadLetter"]


def test_what_is_told_of_the_same_look_does_not() -> None:
    given = desk(start())
    found, heard = given.record(missed()), given.record(equity())
    assert names(given.step([found, heard], heard.offset + 9)) == []
    given.restart()
    assert names(given.when(closed_unseen())) == ["MISSED"]


def test_a_copier_started_meanwhile_decides_when_the_look_is_over() -> None:
    given = desk()
    given.when(missed(), unread=1)
    outputs = given.when(start(copy_existing_trades=True), unread=1)
    assert names(outputs) == ["CopierStarted"]
    assert names(given.when(closed_unseen())) == ["MISSED"]


def test_a_copier_stopped_meanwhile_says_so() -> None:
    given = desk(start())
    given.when(missed(), unread=1)
    outputs = given.when(stop(open_copies=OpenCopies.CLOSE), unread=1)
    assert names(outputs) == ["CopierStopped", "COPIER_STOPPED"]
    assert given.when(closed_unseen()) == []


def test_a_missed_copy_of_ours_keeps_its_own_reason() -> None:
    given = desk(start())
    assert names(given.when(missed(copy=copy_of(SLAVES[2])), closed_unseen())) == ["IS_A_COPY"]
