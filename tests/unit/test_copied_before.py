"""A start on an older log that was brought back: what the lost future copied is not copied twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from copypro.codes import denied
from copypro.values import OrderKind, Ticket, leg_tag
from copypro_account_watcher.planned.accepting import accept
from copypro_account_watcher.planned.before import over_by_tag
from copypro_account_watcher.planned.live import Live
from copypro_account_watcher.planned.step import Denies, Sends, Waits
from copypro_account_watcher.planned.steps import next_step
from copypro_account_watcher.state import Copy

from tests.unit.diff_builders import row
from tests.unit.slave_builders import ORIGIN, SEEN_AT, TICKET, live, places, wanted


def mirrored() -> Copy:
    copy, _ = accept(None, places(OrderKind.BUY_LIMIT, "1.09000"), ORIGIN, SEEN_AT)
    assert copy is not None
    return copy


def began(after_s: float, over: dict[str, Ticket] | None = None, *, age_s: float = 5) -> Live:
    """An account whose start came so long after the master's trade; `over`: what history told since."""
    market = live(age_s=age_s)
    market.started_at_utc = SEEN_AT + timedelta(seconds=after_s)
    market.over_by_tag = over
    return market


@pytest.mark.parametrize("made", [wanted, mirrored])
def test_what_is_of_before_the_start_is_sent_once_history_is_without_it(
    made: Callable[[], Copy],
) -> None:
    copy = made()
    assert next_step(copy, began(1)) == Waits(SEEN_AT + timedelta(seconds=60))
    assert isinstance(next_step(copy, began(1, {})), Sends)
    another = {leg_tag(copy.copy, 1): TICKET}
    assert isinstance(next_step(copy, began(1, another)), Sends)


@pytest.mark.parametrize("made", [wanted, mirrored])
def test_what_is_of_before_the_start_and_is_over_is_not_copied_twice(
    made: Callable[[], Copy],
) -> None:
    copy = made()
    step = next_step(copy, began(1, {copy.legs[0].tag: TICKET}))
    assert step == Denies(0, denied("ALREADY_COPIED", ticket=TICKET))


def test_what_is_of_after_the_start_waits_for_no_history() -> None:
    assert isinstance(next_step(wanted(), began(-1)), Sends)


def test_an_open_of_before_the_start_waits_for_history_no_longer_than_it_may_be_old() -> None:
    step = next_step(wanted(), began(1, age_s=60))
    assert isinstance(step, Denies)
    assert step.denial.code == "EXPIRED"
    assert step.denial.numbers["waited_for"] == "history"


def test_a_mirrored_order_waits_for_history_no_longer_than_an_open() -> None:
    assert isinstance(next_step(mirrored(), began(1, age_s=60)), Sends)


def test_an_order_that_the_market_takes_the_place_of_was_not_copied_before() -> None:
    copy = wanted()
    copy.legs[0].replaced = TICKET
    assert isinstance(next_step(copy, began(1, {copy.legs[0].tag: TICKET})), Sends)


def test_positions_of_history_are_known_by_their_tags() -> None:
    tag = wanted().legs[0].tag
    rows = (
        row(1, comment="by hand"),
        row(2, comment=f"{tag}[sl]"),
        row(3, comment=leg_tag(wanted().copy, 1), cancelled=True),
    )
    assert over_by_tag(rows) == {tag: 2}
