"""Pending orders in the three modes, before and after they fill."""

from __future__ import annotations

from typing import Any

import pytest
from copypro import messages as m
from copypro.messages import OpenCopies
from copypro.options import PendingMode, SideFilter
from copypro.values import CopierId, OrderKind, RootId

from tests.unit.copying_builders import (
    COPIER,
    COPY,
    MASTER,
    SECOND,
    SLAVE,
    SLAVES,
    D,
    at,
    closed,
    closed_unseen,
    desk,
    filled,
    increased,
    missed,
    names,
    only,
    opened,
    pause,
    pending_modified,
    pending_removed,
    placed,
    reduced,
    resume,
    start,
    stop,
)

MIRROR = PendingMode.MIRROR
LEVELS = {
    "stop_limit_price": D("1.055"),
    "stop_loss": D("1.05"),
    "take_profit": D("1.08"),
    "expires_at_utc": at(99),
}


def test_a_mirrored_order_is_placed_as_the_masters_own() -> None:
    given = desk(start(pending_mode=MIRROR, reverse_copy=True))
    outputs = given.when(placed())
    assert names(outputs) == ["CopyPlanned", "PlacePendingCopy"]
    assert only(outputs, m.CopyPlanned).pending
    order = only(outputs, m.PlacePendingCopy)
    assert (order.copy, order.kind, order.price) == (COPY, OrderKind.BUY_LIMIT, D("1.07"))
    assert order.expires_at_utc == at(3600)


def test_a_mirrored_order_follows_changes_and_is_removed_with_the_masters() -> None:
    given = desk(start(pending_mode=MIRROR), placed())
    order = only(given.when(pending_modified("1.06", **LEVELS)), m.ModifyPendingCopy)
    assert order.price == D("1.06")
    assert {name: getattr(order, name) for name in LEVELS} == LEVELS
    outputs = given.when(pending_removed())
    assert names(outputs) == ["RemovePendingCopy", "CloseCopy"]
    assert not any(key.startswith("root/") for key in given.state)


def test_the_fill_of_a_mirrored_order_is_an_open_of_the_same_copy() -> None:
    given = desk(start(pending_mode=MIRROR), placed())
    outputs = given.when(filled(seen_at_utc=at(50)))
    assert names(outputs) == ["CopyPlanned", "OpenCopy"]
    order = only(outputs, m.OpenCopy)
    assert (order.copy, order.leg, order.from_pending) == (COPY, 0, True)
    assert order.fresh_from_utc == at(50)
    assert names(given.when(closed())) == ["CloseCopy"]


def test_a_mirrored_order_that_fills_during_a_pause_was_decided_before_it() -> None:
    given = desk(start(pending_mode=MIRROR), placed(), pause())
    assert names(given.when(filled())) == ["CopyPlanned", "OpenCopy"]


def test_market_on_fill_records_the_placing_and_opens_at_the_fill() -> None:
    given = desk(start())
    skipped = only(given.when(placed()), m.CopySkipped)
    assert (skipped.code, skipped.pending) == ("PENDING_ON_FILL", True)
    assert given.when(pending_modified("1.06")) == []
    order = only(given.when(filled(seen_at_utc=at(50))), m.OpenCopy)
    assert (order.from_pending, order.fresh_from_utc) == (True, at(50))


def test_market_on_fill_of_a_removed_order_asks_nothing() -> None:
    given = desk(start(), placed())
    assert given.when(pending_removed()) == []


def test_ignored_orders_are_recorded_at_the_placing_and_at_the_fill() -> None:
    given = desk(start(pending_mode=PendingMode.IGNORE))
    first = only(given.when(placed()), m.CopySkipped)
    second = only(given.when(filled()), m.CopySkipped)
    assert (first.code, first.pending) == ("PENDING_IGNORED", True)
    assert (second.code, second.pending) == ("PENDING_IGNORED", False)
    assert given.when(closed()) == []


def test_filters_apply_at_the_placing_of_a_mirrored_order_and_at_its_fill() -> None:
    given = desk(start(pending_mode=MIRROR, filter_side=SideFilter.SELL_ONLY))
    assert names(given.when(placed())) == ["FILTER_SIDE"]
    assert names(given.when(filled())) == ["FILTER_SIDE"]


def test_what_a_pause_left_unmirrored_is_copied_when_it_fills_after_it() -> None:
    given = desk(start(pending_mode=MIRROR), pause(), placed(), resume())
    assert names(given.when(filled())) == ["CopyPlanned", "OpenCopy"]


def test_an_order_placed_before_the_copier_is_not_mirrored_but_its_fill_is_new() -> None:
    given = desk(placed())
    outputs = given.when(start(pending_mode=MIRROR))
    assert names(outputs) == ["CopierStarted", "EXISTING"]
    assert only(outputs, m.CopySkipped).pending
    assert names(given.when(filled())) == ["CopyPlanned", "OpenCopy"]


def test_existing_orders_are_mirrored_where_existing_trades_are_wanted() -> None:
    given = desk(placed())
    outputs = given.when(start(pending_mode=MIRROR, copy_existing_trades=True))
    assert names(outputs) == ["CopierStarted", "CopyPlanned", "PlacePendingCopy"]


def test_an_order_that_the_pair_only_skipped_may_be_mirrored_for_its_next_copier() -> None:
    given = desk(placed(), start(pending_mode=MIRROR), stop())
    outputs = given.when(start(SECOND, pending_mode=MIRROR, copy_existing_trades=True))
    assert names(outputs) == ["CopierStarted", "CopyPlanned", "PlacePendingCopy"]


@pytest.mark.parametrize(
    ("placed_at", "outcome"),
    [
        (at(-60), ["EXISTING"]),
        (None, ["EXISTING"]),
        (at(60), ["CopyPlanned", "PlacePendingCopy"]),
    ],
)
def test_an_order_that_a_first_look_finds_is_existing_unless_it_was_placed_later(
    placed_at: Any, outcome: list[str]
) -> None:
    given = desk(start(pending_mode=MIRROR))
    found = placed(seen=m.Seen.BASELINE, placed_at_utc=placed_at)
    assert names(given.when(found)) == outcome


def test_an_existing_order_is_mirrored_as_it_is_by_now() -> None:
    """Also where its placing was seen again: that does not bring its first price back."""
    given = desk(start(pending_mode=MIRROR), placed())
    given.each(pending_modified("1.06", **LEVELS), placed())
    joins = start(SECOND, slave=SLAVES[1], pending_mode=MIRROR, copy_existing_trades=True)
    order = only(given.when(joins), m.PlacePendingCopy)
    assert order.price == D("1.06")
    assert {name: getattr(order, name) for name in LEVELS} == LEVELS


def test_a_stop_takes_unfilled_mirrored_orders_back() -> None:
    given = desk(start(pending_mode=MIRROR), placed())
    outputs = given.when(stop(open_copies=OpenCopies.FOLLOW))
    assert names(outputs) == ["CopierStopped", "RemovePendingCopy", "CloseCopy"]
    assert given.when(pending_modified("1.05")) == []
    assert given.when(filled()) == []


def test_a_stop_takes_back_what_has_not_filled_of_a_mirrored_order() -> None:
    """It filled on the slave all the same, for a copier that was over."""
    given = desk(start(pending_mode=MIRROR), placed(), filled(lots=D("0.40")))
    assert names(given.when(stop())) == ["CopierStopped", "RemovePendingCopy"]
    assert names(given.when(reduced("0.20", "0.40"))) == ["ReduceCopy"]
    whole = desk(start(pending_mode=MIRROR), placed(), filled())
    assert names(whole.when(stop())) == ["CopierStopped", "RemovePendingCopy"]


def test_a_stop_takes_back_a_mirrored_order_whose_masters_filled_unseen() -> None:
    """No slave was told of that fill: an order that still waited filled for a copier that was over."""
    given = desk(start(pending_mode=MIRROR), placed(), filled(context=None))
    outputs = given.when(stop())
    assert names(outputs) == ["CopierStopped", "RemovePendingCopy"]
    assert only(outputs, m.RemovePendingCopy).opens_nothing
    assert names(given.when(closed())) == ["CloseCopy"]


@pytest.mark.parametrize("copier", [SECOND, COPIER])
def test_the_fill_of_an_order_taken_back_is_not_copied_by_a_new_copier_of_the_pair(
    copier: CopierId,
) -> None:
    """Nor by one that was given the former one's id."""
    given = desk(start(pending_mode=MIRROR), placed(), stop())
    assert names(given.when(start(copier))) == ["CopierStarted", "ALREADY_COPIED"]
    assert names(given.when(filled())) == ["ALREADY_COPIED"]


def test_a_mirrored_order_that_filled_and_closed_unseen_is_closed_on_the_slave() -> None:
    given = desk(start(pending_mode=MIRROR), placed())
    outputs = given.when(missed(from_pending=True), closed_unseen())
    assert names(outputs) == ["MISSED", "CloseCopy"]


def test_reductions_of_a_mirrored_order_count_from_the_whole_order() -> None:
    """The slave's own order may have filled as a whole, so the rest is a fraction of the whole."""
    given = desk(start(pending_mode=MIRROR), placed())
    outputs = given.when(missed(from_pending=True), reduced("0.25", seconds=90))
    assert only(outputs, m.ReduceCopy).fraction == D("0.25")
    assert only(outputs, m.OpenCopy).lots == D("1.00")
    assert only(given.when(reduced("0.1")), m.ReduceCopy).fraction == D("0.1")


def test_a_placed_copy_of_ours_is_not_mirrored() -> None:
    given = desk(start(pending_mode=MIRROR))
    assert names(given.when(placed(copy=COPY))) == ["IS_A_COPY"]
    assert names(given.when(filled(copy=COPY))) == ["IS_A_COPY"]


def test_the_same_placing_again_changes_nothing() -> None:
    given = desk(start(pending_mode=MIRROR), placed())
    assert given.when(placed()) == []
    given.restart()
    assert given.when(placed()) == []
    assert names(given.when(filled())) == ["CopyPlanned", "OpenCopy"]


def test_the_rest_of_an_order_that_filled_in_part_is_removed_and_nothing_is_closed() -> None:
    given = desk(start(pending_mode=MIRROR), placed(), filled(lots=D("0.40")))
    outputs = given.when(pending_removed(), pending_modified("1.0"))
    assert names(outputs) == ["RemovePendingCopy"]
    assert only(given.when(closed()), m.CloseCopy).slave == SLAVE


@pytest.mark.parametrize("command", [pause(), stop()])
def test_a_further_fill_that_is_not_copied_leaves_a_mirrored_order_only_what_is(
    command: Any,
) -> None:
    """Ours may have filled whole, and would be reduced as if the master's rest were still to come."""
    given = desk(start(pending_mode=MIRROR), placed(), filled(lots=D("0.40")), command)
    outputs = given.when(increased(1, "0.60", "1.00"))
    assert names(outputs)[1:] == ["RemovePendingCopy"]
    assert names(given.when(reduced("0.50"))) == ["ReduceCopy"]


def test_a_further_fill_that_is_copied_leaves_a_mirrored_order_as_it_is() -> None:
    given = desk(start(pending_mode=MIRROR), placed(), filled(lots=D("0.40")))
    assert names(given.when(increased(1, "0.60", "1.00"))) == ["CopyPlanned", "OpenCopy"]


def test_a_further_fill_takes_nothing_back_where_nobody_knows_the_first_one() -> None:
    """It was missed, and what the slave's own has filled meanwhile is followed all the same."""
    given = desk(start(pending_mode=MIRROR), placed())
    given.when(filled(lots=D("0.40"), context=None))
    assert names(given.when(increased(1, "0.60", "1.00", context=None))) == ["MISSED"]


def test_a_placing_that_is_told_after_its_fill_makes_no_order_of_it() -> None:
    given = desk(start(), opened(), placed(), pause())
    assert names(given.when(increased())) == ["PAUSED"]
    assert names(given.when(closed())) == ["CloseCopy"]


def test_a_position_of_another_root_is_not_its_fill() -> None:
    given = desk(start(), placed(RootId("77")))
    outputs = given.when(opened())
    assert only(outputs, m.OpenCopy).master == MASTER
    assert names(given.when(filled(root=RootId("77")))) == ["CopyPlanned", "OpenCopy"]
