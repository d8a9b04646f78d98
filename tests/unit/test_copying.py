"""Positions of a master: one outcome for each copier, and what follows from it until flat."""

from __future__ import annotations

from typing import Any

import pytest
from copypro import messages as m
from copypro.messages import Seen
from copypro.options import (
    CopierOptions,
    FilterMode,
    MagicMode,
    PendingMode,
    SideFilter,
    SymbolMapping,
)
from copypro.protection import PAUSE_REASON
from copypro.trading import CloseReason
from copypro.values import CopierId, RootId, Side, leg_tag, magic_of
from msgspec.structs import replace

from tests.unit.copying_builders import (
    CONTEXT,
    COPIER,
    COPY,
    MASTER,
    OTHER_MASTER,
    ROOT,
    SECOND,
    SLAVE,
    SLAVES,
    D,
    at,
    closed,
    copy_of,
    desk,
    increased,
    modified,
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


def test_an_open_is_planned_once_for_each_copier() -> None:
    given = desk(start(), start(SECOND, slave=SLAVES[1]))
    outputs = given.when(opened())
    assert names(outputs) == ["CopyPlanned", "OpenCopy"] * 2
    assert {output.copy for output in outputs} == {copy_of(SLAVE), copy_of(SLAVES[1])}
    assert {output.leg for output in outputs} == {0}


def test_the_order_carries_the_masters_own_side_levels_and_context() -> None:
    mapping = SymbolMapping(master_symbol="EURUSD", slave_symbol="EURUSD.x")
    given = desk(start(reverse_copy=True, mappings=(mapping,), same_server=True))
    order = only(given.when(opened(take_profit=D("1.12"))), m.OpenCopy)
    assert order == m.OpenCopy(
        copy=COPY,
        copier=COPIER,
        master=MASTER,
        slave=SLAVE,
        root=ROOT,
        leg=0,
        symbol="EURUSD",
        side=Side.BUY,
        lots=D("1.00"),
        fraction=D(1),
        master_price=D("1.08002"),
        stop_loss=D("1.07"),
        take_profit=D("1.12"),
        context=CONTEXT,
        options=CopierOptions(reverse_copy=True),
        same_server=True,
        fresh_from_utc=at(0.2),
        seen_at_utc=at(0.2),
        magic=magic_of(MASTER, SLAVE),
        mapping=mapping,
        registration=start().slave_registration,
    )


@pytest.mark.parametrize(
    ("mode", "masters", "is_carried"),
    [
        (MagicMode.YES, 777, True),
        (MagicMode.YES, 1, True),
        (MagicMode.YES, 2**31 - 1, True),
        (MagicMode.YES, 2**31, False),
        (MagicMode.YES, 0, False),
        (MagicMode.YES, -1, False),
        (MagicMode.NO, 777, False),
        (MagicMode.CUSTOM, 777, False),
    ],
)
def test_the_masters_magic_is_carried_where_that_is_asked_for_and_mt4_can_hold_it(
    mode: MagicMode, masters: int, is_carried: bool
) -> None:
    """On each leg; else it is the pair's own, by which an order that lost its tag is found."""
    given = desk(start(copy_magic_number=mode, pending_mode=PendingMode.MIRROR))
    orders = given.each(opened(magic=masters), increased(), placed(RootId("502"), magic=masters))
    asked = [order.magic for order in orders if isinstance(order, m.OpenCopy | m.PlacePendingCopy)]
    assert asked == [masters if is_carried else magic_of(MASTER, SLAVE)] * 3


def test_another_masters_trade_is_not_copied() -> None:
    given = desk(start())
    assert given.when(opened(account=OTHER_MASTER)) == []


def test_imported_facts_have_no_consequences() -> None:
    given = desk(start())
    assert given.when(opened(seen=Seen.IMPORTED), closed(seen=Seen.IMPORTED)) == []
    assert given.when(placed(seen=Seen.IMPORTED)) == []
    assert given.each(opened(), closed(seen=Seen.IMPORTED)) != []
    assert given.when(increased(seen=Seen.IMPORTED)) == []
    assert names(given.when(closed())) == ["CloseCopy"]


# --- why not ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "change", "code"),
    [
        ({"filter_side": SideFilter.SELL_ONLY}, {}, "FILTER_SIDE"),
        ({"filter_side": SideFilter.BUY_ONLY}, {"side": Side.SELL}, "FILTER_SIDE"),
        (
            {"filter_magic": FilterMode.COPY, "filter_magic_value": 7},
            {"magic": 8},
            "FILTER_MAGIC",
        ),
        (
            {"filter_magic": FilterMode.IGNORE, "filter_magic_value": 7},
            {"magic": 7},
            "FILTER_MAGIC",
        ),
        (
            {"filter_comment": FilterMode.COPY, "filter_comment_value": "grid"},
            {"comment": "scalp 1"},
            "FILTER_COMMENT",
        ),
        (
            {"filter_comment": FilterMode.IGNORE, "filter_comment_value": "grid"},
            {"comment": "my grid 3"},
            "FILTER_COMMENT",
        ),
        ({"filter_lots": True, "filter_lots_min": D("1.01")}, {}, "FILTER_LOTS"),
        ({"filter_lots": True, "filter_lots_max": D("0.99")}, {}, "FILTER_LOTS"),
        ({}, {"comment": leg_tag(COPY, 0)}, "IS_A_COPY"),
        ({}, {"copy": COPY}, "IS_A_COPY"),
        ({}, {"context": None}, "MISSED"),
    ],
)
def test_what_is_left_out_is_recorded_with_its_code(
    options: dict[str, Any], change: dict[str, Any], code: str
) -> None:
    given = desk(start(**options))
    outputs = given.when(opened(**change))
    assert names(outputs) == [code]
    assert outputs[0].copier == COPIER
    assert outputs[0].remedy


@pytest.mark.parametrize(
    ("options", "change"),
    [
        ({"filter_side": SideFilter.BUY_ONLY}, {}),
        ({"filter_magic": FilterMode.COPY, "filter_magic_value": 7}, {"magic": 7}),
        ({"filter_magic": FilterMode.IGNORE, "filter_magic_value": 7}, {"magic": 8}),
        (
            {"filter_comment": FilterMode.COPY, "filter_comment_value": "grid"},
            {"comment": "my grid"},
        ),
        ({"filter_lots": True, "filter_lots_min": D(1), "filter_lots_max": D(1)}, {}),
        ({"filter_lots": True, "filter_lots_min": D(1)}, {"lots": D(50)}),
        # values of filters that are off
        ({"filter_side": SideFilter.BUY_ONLY, "filter_lots_min": D(2)}, {}),
        ({"filter_side": SideFilter.BUY_ONLY, "filter_comment_value": "grid"}, {}),
        ({"filter_side": SideFilter.BUY_ONLY, "filter_magic_value": 7}, {}),
    ],
)
def test_what_a_filter_lets_pass_is_copied(options: dict[str, Any], change: dict[str, Any]) -> None:
    assert names(desk(start(**options)).when(opened(**change))) == ["CopyPlanned", "OpenCopy"]


def test_a_skip_says_the_numbers_behind_it() -> None:
    given = desk(start(filter_lots=True, filter_lots_min=D("1.5"), filter_lots_max=D(9)))
    skipped = only(given.when(opened()), m.CopySkipped)
    assert skipped.numbers == {"lots": "1.00", "minimum": "1.5", "maximum": "9"}


def test_a_filter_set_later_does_not_stop_what_was_copied_before() -> None:
    given = desk(start(), opened())
    update = m.UpdateCopier(
        copier=COPIER, master=MASTER, options=CopierOptions(filter_side=SideFilter.SELL_ONLY)
    )
    given.when(update)
    outputs = given.each(increased(), modified("1.06", None), reduced("0.7", "1.5"), closed())
    assert names(outputs) == [
        "CopyPlanned",
        "OpenCopy",
        "ModifyCopy",
        "ReduceCopy",
        "CloseCopy",
    ]


def test_a_paused_copier_skips_opens_and_follows_what_it_has() -> None:
    given = desk(start(), opened(), pause())
    other = RootId("502")
    assert names(given.when(opened(other))) == ["PAUSED"]
    assert names(given.when(increased())) == ["PAUSED"]
    assert names(given.each(modified("1.0", None), reduced("0.5", "1.5"))) == [
        "ModifyCopy",
        "ReduceCopy",
    ]
    given.when(resume())
    assert names(given.each(closed(), closed(other))) == ["CloseCopy"]


def test_a_skip_says_why_its_copier_is_paused() -> None:
    """One that was started paused, and so by its user, says that too, also of what is added later."""
    given = desk(start(), opened())
    given.when(start(paused=True))
    for event in (increased(), opened(RootId("502"))):
        assert only(given.when(event), m.CopySkipped).numbers == {"reason": "ByUser"}
    given.when(resume(), replace(pause(), reason=PAUSE_REASON, unless_paused=True))
    for event in (increased(2), opened(RootId("503"))):
        assert only(given.when(event), m.CopySkipped).numbers == {"reason": PAUSE_REASON}


# --- growing, shrinking, closing ------------------------------------------------------------------


def test_an_increase_is_a_further_leg_with_its_own_lots_and_price() -> None:
    given = desk(start(), opened())
    outputs = given.when(increased(leg=1, lots="0.5"))
    planned = only(outputs, m.CopyPlanned)
    assert (planned.leg, planned.lots, planned.price) == (1, D("0.5"), D("1.09"))
    order = only(outputs, m.OpenCopy)
    assert (order.leg, order.lots, order.master_price) == (1, D("0.5"), D("1.09"))
    assert order.copy == COPY
    assert order.fresh_from_utc == at(5)
    assert order.fraction == 1


def test_an_increase_of_a_skipped_root_is_skipped_for_the_same_reason() -> None:
    given = desk(start(filter_lots=True, filter_lots_min=D(2)), opened())
    skipped = only(given.when(increased()), m.CopySkipped)
    assert (skipped.code, skipped.leg) == ("FILTER_LOTS", 1)
    assert skipped.numbers["lots"] == "1.00"


def test_an_increase_found_late_has_no_known_age() -> None:
    given = desk(start(), opened())
    order = only(given.when(increased(seen=Seen.MISSED)), m.OpenCopy)
    assert order.fresh_from_utc is None


def test_an_increase_by_a_copy_of_ours_is_not_copied() -> None:
    given = desk(start(), opened())
    assert names(given.when(increased(copy=copy_of(SLAVES[3])))) == ["IS_A_COPY"]


def test_a_reduction_takes_its_share_of_each_leg_and_none_of_a_later_one() -> None:
    given = desk(start(), opened())
    assert only(given.when(reduced("0.7")), m.ReduceCopy).fraction == D("0.7")
    given.restart()
    leg = only(given.when(increased(lots="0.3", ever="1.3", open_lots=D("1.0"))), m.OpenCopy)
    assert leg.fraction == D("0.7"), "what is left of it counts from here"
    outputs = given.when(reduced("0.50", "1.3"))
    assert only(outputs, m.ReduceCopy).fraction == D("0.35")


def test_levels_always_are_the_whole_state_and_reach_later_legs() -> None:
    given = desk(start(), opened())
    order = only(given.when(modified(None, "1.2")), m.ModifyCopy)
    assert (order.stop_loss, order.take_profit) == (None, D("1.2"))
    leg = only(given.when(increased()), m.OpenCopy)
    assert (leg.stop_loss, leg.take_profit) == (None, D("1.2"))


def test_a_close_closes_and_is_terminal() -> None:
    given = desk(start(), opened())
    order = only(given.when(closed()), m.CloseCopy)
    assert order == m.CloseCopy(copy=COPY, slave=SLAVE, reason="MASTER_Closed")
    assert given.each(closed(), modified("1.0", None), reduced("0.1"), increased()) == []


def test_a_close_says_why_the_master_closed_where_its_broker_does() -> None:
    stopped = replace(closed(), reason=CloseReason.STOP_LOSS)
    order = only(desk(start(), opened()).when(stopped), m.CloseCopy)
    assert order.reason == "MASTER_StopLoss"


def test_a_reversal_closes_the_old_root_before_it_opens_the_new_one() -> None:
    given = desk(start(), opened(RootId("EURUSD:1:501")))
    flipped = opened(RootId("EURUSD:2:501"), side=Side.SELL)
    outputs = given.when(closed(RootId("EURUSD:1:501")), flipped)
    assert names(outputs) == ["CloseCopy", "CopyPlanned", "OpenCopy"]


def test_what_happens_to_a_trade_that_nobody_knows_leads_to_nothing() -> None:
    given = desk(start())
    orders = (pending_modified("1.06"), pending_removed())
    assert given.each(*orders, modified(None, None), increased(), reduced("0.5"), closed()) == []
    assert list(given.state) == [f"copier/{COPIER}"]


def test_nothing_is_asked_for_a_root_that_was_skipped() -> None:
    given = desk(start(filter_side=SideFilter.SELL_ONLY), opened())
    assert given.each(modified("1.0", None), reduced("0.5"), closed()) == []


# --- never twice, nothing kept ---------------------------------------------------------------------


def test_the_same_open_again_changes_nothing() -> None:
    given = desk(start(), opened())
    assert given.when(opened()) == []
    assert names(given.when(closed())) == ["CloseCopy"]


def test_the_same_open_again_does_not_bring_old_levels_back() -> None:
    given = desk(start(), opened(), modified(None, "1.2"), opened())
    assert only(given.when(increased()), m.OpenCopy).stop_loss is None


def test_an_open_seen_again_after_a_skip_is_not_decided_again() -> None:
    given = desk(start(), pause(), opened(), resume())
    assert given.when(opened()) == []


def test_all_is_remembered_over_a_restart() -> None:
    given = desk(start(), start(SECOND, slave=SLAVES[1], filter_side=SideFilter.SELL_ONLY))
    given.each(opened(), modified("1.01", None), reduced("0.5"))
    given.restart()
    outputs = given.when(increased(lots="0.5", ever="1.5"))
    assert names(outputs) == ["CopyPlanned", "OpenCopy", "FILTER_SIDE"]
    assert only(outputs, m.OpenCopy).stop_loss == D("1.01")
    assert names(given.when(closed())) == ["CloseCopy"]


def test_state_of_a_closed_root_is_removed_also_where_nobody_copies() -> None:
    given = desk(start(), opened(), opened(RootId("9"), account=OTHER_MASTER))
    assert sum(key.startswith("root/") for key in given.state) == 2
    closing = closed(RootId("9"))
    given.each(closed(), m.PositionClosed(**_fields(closing, account=OTHER_MASTER)))
    assert [key for key in given.state if key.startswith("root/")] == []


def test_ids_do_not_depend_on_when_or_how_often_it_was_computed() -> None:
    first, second = desk(start(), opened()), desk(start())
    second.now = at(99)
    second.when(opened())
    assert [e.id for e in first.told] == [e.id for e in second.told]
    assert {e.correlation for e in first.told[1:]} == {first.told[1].cause}


def test_many_copiers_of_one_master_have_one_outcome_each() -> None:
    given = desk(*(start(CopierId(f"{at_:032x}"), slave=s) for at_, s in enumerate(SLAVES)))
    outputs = given.when(opened(), increased(), closed())
    for kind, count in (("CopyPlanned", 20), ("OpenCopy", 20), ("CloseCopy", 10)):
        assert names(outputs).count(kind) == count


def test_a_stopped_copiers_trade_is_followed_but_never_grown() -> None:
    given = desk(start(), opened(), stop())
    skipped = only(given.when(increased()), m.CopySkipped)
    assert (skipped.code, skipped.copier, skipped.leg) == ("COPIER_STOPPED", COPIER, 1)
    outputs = given.each(modified("1.0", None), reduced("0.75", "1.5"), closed())
    assert names(outputs) == ["ModifyCopy", "ReduceCopy", "CloseCopy"]
    assert given.state == {}


def _fields(message: Any, **changes: Any) -> dict[str, Any]:
    return {name: getattr(message, name) for name in message.__struct_fields__} | changes
