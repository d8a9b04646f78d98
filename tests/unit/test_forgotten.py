"""Copies that are over, as long as something late may still name them."""

from __future__ import annotations

from copypro.values import CopyId, leg_tag
from copypro_account_watcher.forgotten import KEPT_S, MOST, Forgotten
from copypro_account_watcher.state import Copy
from msgspec.structs import replace

from tests.unit.slave_builders import standing


def over(number: int) -> Copy:
    copy = standing()
    id_ = CopyId(f"{number:032x}")
    return replace(copy, copy=id_, legs=[replace(copy.legs[0], tag=leg_tag(id_, 0))])


def test_a_copy_that_is_over_is_known_by_its_tag_for_an_hour() -> None:
    forgotten, first, second = Forgotten(), over(1), over(2)
    forgotten.add(first, 0.0)
    forgotten.add(second, KEPT_S)
    assert forgotten.get(first.legs[0].tag) == (first, first.legs[0])
    forgotten.add(over(3), KEPT_S + 0.1)
    assert first.legs[0].tag not in forgotten
    assert forgotten.get(first.legs[0].tag) is None
    assert second.legs[0].tag in forgotten


def test_one_that_was_used_again_is_kept_from_then_on() -> None:
    forgotten, first = Forgotten(), over(1)
    forgotten.add(first, 0.0)
    forgotten.add(over(2), 1.0)
    forgotten.add(first, KEPT_S)
    forgotten.add(over(3), KEPT_S + 2.0)
    assert first.legs[0].tag in forgotten
    assert over(2).legs[0].tag not in forgotten


def test_of_more_than_there_is_room_for_the_latest_are_known() -> None:
    forgotten = Forgotten()
    copies = [over(number) for number in range(MOST + 1)]
    for copy in copies:
        forgotten.add(copy, 0.0)
    known = [copy.legs[0].tag in forgotten for copy in copies]
    assert (known[0], all(known[1:])) == (False, True)
