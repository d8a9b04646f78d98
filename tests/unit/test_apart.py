"""An order that says it was seen in the future was seen now."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from copypro.values import OrderKind
from copypro_account_watcher.apart import as_received

from tests.unit.slave_builders import opens, places

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


def test_an_older_freshness_and_an_unknown_one_stay() -> None:
    order = opens()
    now = order.seen_at_utc - SECOND
    for fresh in (None, now - SECOND):
        other = msgspec.structs.replace(order, fresh_from_utc=fresh)
        assert as_received(other, now).fresh_from_utc == fresh


def test_a_mirrored_order_was_seen_no_later_than_it_came() -> None:
    order = places(OrderKind.BUY_LIMIT, "1.099")
    seen_at = order.seen_at_utc
    assert as_received(order, seen_at) is order
    assert as_received(order, seen_at - SECOND).seen_at_utc == seen_at - SECOND
