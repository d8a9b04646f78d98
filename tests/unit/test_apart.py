"""An order that says it was seen in the future was seen now."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from copypro.values import AccountId, OrderKind
from copypro_account_watcher.apart import as_received, set_back
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.planned.accepting import accept

from tests.unit.slave_builders import LIMITS, ORIGIN, SEEN_AT, opens, places

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("late_s", [0, 1, 59, 3600])
def test_what_was_seen_before_it_came_is_left_as_it_is(late_s: int) -> None:
    order = opens()
    assert as_received(order, order.seen_at_utc + late_s * SECOND) is order


@pytest.mark.parametrize("ahead_s", [0.001, 90])
def test_what_was_seen_after_it_came_was_seen_and_is_fresh_now(ahead_s: float) -> None:
    order = opens()
    now = order.seen_at_utc - ahead_s * SECOND
    received = as_received(order, now)
    assert (received.seen_at_utc, received.fresh_from_utc) == (now, now)


def test_a_pending_order_that_was_seen_after_it_came_was_seen_now() -> None:
    order = places(OrderKind.BUY_LIMIT, "1.095")
    assert as_received(order, order.seen_at_utc + SECOND) is order
    now = order.seen_at_utc - SECOND
    assert as_received(order, now) == msgspec.structs.replace(order, seen_at_utc=now)


def test_an_older_freshness_and_an_unknown_one_stay() -> None:
    order = opens()
    now = order.seen_at_utc - SECOND
    for fresh in (None, now - SECOND):
        other = msgspec.structs.replace(order, fresh_from_utc=fresh)
        assert as_received(other, now).fresh_from_utc == fresh


def test_a_clock_that_is_set_back_holds_up_no_mirrored_order() -> None:
    copy, _ = accept(None, places(OrderKind.BUY_LIMIT, "1.095"), ORIGIN, SEEN_AT)
    assert copy is not None
    memory = Memory(AccountId(copy.slave), LIMITS)
    memory.know(copy)
    set_back(memory, SEEN_AT - SECOND)
    assert copy.pending is not None
    assert copy.pending.seen_at_utc == SEEN_AT - SECOND
