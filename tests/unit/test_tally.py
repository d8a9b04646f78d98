"""The demo's counting and its check against the brokers' books: each fault is found."""

from __future__ import annotations

import pytest
from copypro.values import copy_id, leg_tag
from copypro_standalone import tally
from copypro_standalone.auditing import Books, Finding, audit
from copypro_standalone.story import Fact
from copypro_standalone.tally import Tally

from tests.unit.story_builders import (
    MASTER,
    OTHER,
    ROOT,
    SLAVE,
    attempt,
    closed,
    copied,
    copy_closed,
    denied,
    opened,
    planned,
    reconciled,
    skipped,
    unresolved,
)

TAG = leg_tag(copy_id(MASTER, SLAVE, ROOT), 0)


def taken(*facts: Fact) -> Tally:
    book = Tally(MASTER)
    for fact in facts:
        book.take(fact)
    return book


def checked(executed: dict[str, int], *facts: Fact, left: tuple[str, ...] = ()) -> Finding:
    books = [Books("slave", SLAVE, executed, left)]
    return audit(MASTER, [ROOT], books, taken(*facts).pairs.values())


def test_copies_and_refusals_are_counted_by_slave() -> None:
    book = taken(
        opened(),
        planned(),
        copied(),
        skipped("FILTER_SIDE", side="Buy"),
        closed(50),
        copy_closed(60),
    )

    assert (book.slaves[SLAVE].copied, book.slaves[SLAVE].ended) == (1, 1)
    assert book.slaves[OTHER].refused == {"FILTER_SIDE": 1}
    assert book.slaves[OTHER].last_numbers == {"side": "Buy"}
    assert book.undecided([SLAVE, OTHER]) == []


def test_a_planned_copy_is_undecided_until_something_final_is_recorded() -> None:
    assert taken(opened(), planned()).undecided([SLAVE]) == [(ROOT, SLAVE)]
    assert taken(opened(), planned(), attempt(), unresolved(70)).undecided([SLAVE]) == [
        (ROOT, SLAVE)
    ]
    assert taken(opened(), planned(), unresolved(70), reconciled(90, 7)).undecided([SLAVE]) == []
    assert taken(opened(), planned(), unresolved(70), reconciled(90, None)).undecided([SLAVE]) == []


def test_legs_are_measured_from_the_master_s_trade_seen() -> None:
    summary = tally.summary(taken(opened(), planned(2), copied(12)).legs_ms)

    assert list(summary) == ["planned", "sent", "filled", "recorded", "total"]
    assert summary["total"] == {"p50": 12.0, "p95": 12.0, "p99": 12.0, "max": 12.0}


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.95, 95), (0.99, 99)])
def test_percentiles_are_by_nearest_rank(share: float, value: int) -> None:
    assert tally.percentile([float(number) for number in range(100, 0, -1)], share) == value


def test_a_percentile_of_nothing_is_zero() -> None:
    assert tally.percentile([], 0.99) == 0.0


def test_one_execution_recorded_as_copied_is_clean() -> None:
    found = checked({TAG: 1}, opened(), planned(), copied())

    assert (found.is_clean, found.copies, found.problems) == (True, 1, ())


def test_none_executed_with_a_reason_is_clean() -> None:
    found = checked({}, opened(), planned(), denied("BELOW_MIN_LOT"))

    assert (found.is_clean, found.reasons) == (True, {"BELOW_MIN_LOT": 1})


@pytest.mark.parametrize(
    ("executed", "facts", "problem"),
    [
        ({TAG: 2}, [opened(), copied()], "executed 2 times"),
        ({TAG: 1}, [opened()], "executed but never recorded"),
        ({TAG: 1}, [opened(), denied("EXPIRED")], "executed, but recorded as EXPIRED"),
        ({}, [opened(), copied()], "recorded as copied, but the broker has no such order"),
        ({}, [opened()], "neither copied nor explained"),
        ({}, [opened(), planned()], "neither copied nor explained"),
        ({"T0STRANGE": 1, TAG: 1}, [opened(), copied()], "1 orders 'T0STRANGE' of no trade"),
    ],
)
def test_every_fault_is_found(executed: dict[str, int], facts: list[Fact], problem: str) -> None:
    found = checked(executed, *facts)

    assert not found.is_clean
    assert len(found.problems) == 1
    assert problem in found.problems[0]


def test_a_copy_left_open_after_the_master_is_flat_is_a_fault() -> None:
    found = checked({TAG: 1}, opened(), copied(), left=("#7001 Buy 0.20 EURUSDm",))

    assert found.problems == ("slave: still open: #7001 Buy 0.20 EURUSDm",)


def test_a_check_of_nothing_is_not_clean() -> None:
    assert not audit(MASTER, [], [], []).is_clean
