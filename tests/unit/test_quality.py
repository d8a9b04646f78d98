"""Copy quality by hand: what is known is exact, what was not recorded is absent and says why."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from copypro.quality import Copy, Outcome, Tally, shown, side_by_side, tallied
from copypro.quality.documents import (
    Ended,
    Side,
    copy_of,
    ended_by,
    is_decision,
    opening_legs,
)
from copypro.quality.latency import Latencies
from copypro.statistics.bars import growth_by_day
from copypro.statistics.facts import Absent, Operation, Trade
from copypro.statistics.history import Statistics
from copypro.values import Side as Direction

D = Decimal
ROW = {
    "id": "c1.0.open",
    "copy": "c1",
    "leg": 0,
    "root": "501",
    "master_symbol": "EURUSD",
    "seen_at": "2026-03-02T09:00:00.000000Z",
    "planned_at": "2026-03-02T09:00:00.002000Z",
    "sent_at": "2026-03-02T09:00:00.005500Z",
    "filled_at": "2026-03-02T09:00:00.085500Z",
    "recorded_at": "2026-03-02T09:00:00.086000Z",
    "slave_ticket": 7,
    "slave_lots": "0.50",
    "slave_price": "1.10007",
    "slippage": "0.00002",
    "outcome": "opened",
    "numbers_sent": {"spread": "0.00010", "point": "0.00001", "price_worth": "100000"},
}  # fmt: skip
CLOSED = {
    "ticket": 7, "opened_as": 7, "lots": "0.50", "profit": "40.00", "swap": "-0.30",
    "commission": "-1.00", "fee": "0", "entry_cost": "-1.50", "flat": True,
}  # fmt: skip
MASTER_CLOSED = {"ticket": 501, "root": "501", "profit": "90.00", "swap": "0", "commission": "-7.00",
                 "flat": True}  # fmt: skip


def side(*docs: dict[str, Any], field: str = "opened_as") -> Side:
    ended: dict[Any, Ended] = {}
    ended_by(field, docs, ended)
    return Side(name="reg", server="Beta-MT5", currency="USD", ended=ended)


def made(
    row: dict[str, Any],
    *closed: dict[str, Any],
    master: tuple[dict[str, Any], ...] = (),
    beside: tuple[dict[str, Any], ...] = (),
) -> Copy:
    legs = opening_legs([row, *beside])
    return copy_of(row, "c", side(*master, field="root"), side(*closed), legs)


def test_a_copy_s_costs_are_its_own_ticket_s_and_its_own_quote_s() -> None:
    copy = made(ROW, CLOSED)
    assert copy.outcome is Outcome.COPIED
    assert copy.slippage_points == 2
    assert copy.slippage == D("1.00")  # 0.00002 x 0.5 lots x 100 000
    assert copy.spread == D("5.00")
    assert copy.commission == D("2.50")  # entry and exit
    assert copy.swap == D("0.30")
    assert copy.profit == D("37.20")
    assert copy.legs_us == {
        "seenToPlanned": 2_000, "plannedToSent": 3_500, "sentToFilled": 80_000,
        "filledToRecorded": 500, "seenToFilled": 85_500,
    }  # fmt: skip


def test_a_mirrored_order_that_filled_before_the_masters_did_took_no_time() -> None:
    """It was there already: how long before is no time that a copy took."""
    early = {**ROW, "filled_at": "2026-03-02T08:59:00.000000Z", "sent_at": None}
    assert made(early, CLOSED).legs_us.keys() == {"seenToPlanned", "filledToRecorded"}


def test_a_position_closed_in_pieces_counts_when_it_is_flat() -> None:
    half = {**CLOSED, "lots": "0.25", "flat": False, "entry_cost": None}
    assert isinstance(made(ROW, half).profit, Absent)
    assert made(ROW, half, CLOSED).profit == D("37.20") + D("38.70")


def test_an_addition_to_a_netting_position_tells_no_result_a_second_time() -> None:
    first, second = ROW, {**ROW, "id": "c1.1.open", "leg": 1}
    copies = [made(row, CLOSED, beside=(first, second)) for row in (first, second)]
    assert copies[0].profit == D("37.20")
    for figure in (copies[1].profit, copies[1].commission, copies[1].swap):
        assert isinstance(figure, Absent)
        assert "earlier leg" in figure.why
    assert copies[1].slippage == D("1.00")
    told = shown(tallied(copies))["profit"]["USD"]
    assert (told["total"], told["of"]) == (37.2, 1)
    # Where the first leg was refused, the second opened the position.
    refused = {**first, "slave_ticket": None, "outcome": "denied"}
    assert made(second, CLOSED, beside=(refused,)).profit == D("37.20")


def test_an_addition_on_a_hedging_slave_has_a_position_of_its_own() -> None:
    second = {**ROW, "id": "c1.1.open", "leg": 1, "slave_ticket": 8}
    copy = made(second, CLOSED, {**CLOSED, "opened_as": 8, "profit": "5.00"}, beside=(ROW,))
    assert copy.profit == D("2.20")


def test_what_was_not_recorded_is_absent_with_its_reason_and_no_sum_of_it_is_given() -> None:
    bare = {**ROW, "slippage": None, "numbers_sent": {}}
    copy = made(bare)
    for figure in (copy.slippage, copy.slippage_points, copy.spread, copy.commission, copy.swap):
        assert isinstance(figure, Absent)
        assert figure.why
    told = shown(tallied([copy]))
    assert told["slippagePoints"]["mean"] is None
    assert told["cost"]["USD"]["total"] is None
    assert told["cost"]["USD"]["swap"] == {
        "total": None,
        "of": 0,
        "without": {"it is still open": 1},
    }


def test_what_a_refusal_missed_is_the_master_s_own_result() -> None:
    skipped = {
        name: ROW[name] for name in ("id", "leg", "root", "master_symbol", "seen_at", "planned_at")
    } | {"outcome": "skipped", "code": "BELOW_MIN_LOT"}
    denied = {**skipped, "outcome": "denied", "code": "SLIPPAGE", "root": "502"}
    second_leg = {**skipped, "leg": 1}
    copies = [made(row, master=(MASTER_CLOSED,)) for row in (skipped, denied, second_leg)]
    copies.append(made(ROW, CLOSED))
    told = shown(tallied(copies))
    assert (told["decided"], told["copied"], told["refused"], told["shareCopied"]) == (4, 1, 3, 25)
    missed = {found["code"]: (found["trades"], found["masterResult"]) for found in told["missed"]}
    below, slipped = missed["BELOW_MIN_LOT"], missed["SLIPPAGE"]
    assert (below[0], below[1]["USD"]["total"], below[1]["USD"]["of"]) == (2, 83, 1)
    assert (slipped[0], slipped[1]["USD"]["total"]) == (1, None)


def test_what_stands_is_copied_whatever_was_denied_about_it_later() -> None:
    assert made({**ROW, "outcome": "denied", "code": "STOP_NOT_SET"}).outcome is Outcome.COPIED
    waiting = {**ROW, "slave_ticket": None, "outcome": "refused, tried again"}
    assert made(waiting).outcome is Outcome.WAITING


def test_only_the_rows_of_opens_are_decisions() -> None:
    assert is_decision(ROW)
    assert not is_decision({"id": "c1.0.pending", "seen_at": "2026"})
    assert not is_decision({"id": "attempt", "outcome": "closed"})


def test_percentiles_are_of_the_nearest_rank_and_the_mean_is_exact() -> None:
    times = Latencies()
    for us in (1_004, 2_000, 3_000, 100_000):
        times.add(us)
    assert (times.percentile(50), times.percentile(95), times.percentile(25)) == (
        2_000,
        100_000,
        1_000,
    )
    assert (times.total_us, times.least_us, times.most_us) == (106_004, 1_004, 100_000)


def test_nothing_decided_is_no_share_and_no_failure() -> None:
    told = shown(Tally())
    assert told["shareCopied"] is None
    assert (told["decided"], told["latencyMs"], told["cost"], told["missed"]) == (0, {}, {}, [])


def test_growth_leaves_deposits_out_and_both_sides_start_at_nought() -> None:
    master = growth((1, "+1000"), (2, "100"), (3, "+1000"), (4, "210"))
    assert master == [
        (date(2024, 1, 1), 1), (date(2024, 1, 2), D("1.1")), (date(2024, 1, 3), D("1.1")),
        (date(2024, 1, 4), D("1.1") * D("2310") / D("2100")),
    ]  # fmt: skip
    slave = growth((2, "+500"), (4, "-50"))
    points = side_by_side(master, slave, date(2024, 1, 3))
    assert [point.day.day for point in points] == [2, 3, 4]
    assert [point.master for point in points] == [0, 0, 10]
    assert [point.slave for point in points] == [0, 0, -10]


def test_an_account_that_lost_everything_before_grows_from_nothing() -> None:
    ruined = growth((1, "+100"), (2, "-100"))
    (before, *_) = side_by_side(ruined, [], date(2024, 1, 5))
    assert isinstance(before.master, Absent)
    assert before.slave == 0


def growth(*moves: tuple[int, str]) -> list[tuple[date, Decimal]]:
    """By day; with a sign a deposit, else a result."""
    statistics = Statistics()
    for ticket, (day, amount) in enumerate(moves, start=1):
        when, value = datetime(2024, 1, day, 12), D(amount)
        statistics.feed(
            [Operation(closed_at=when, ticket=ticket, amount=value)]
            if amount.startswith("+")
            else [
                Trade(closed_at=when, ticket=ticket, side=Direction.BUY, symbol="X", lots=D("1"),
                      profit=value)
            ]
        )  # fmt: skip
    return growth_by_day(statistics.report().bars)
