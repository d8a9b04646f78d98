"""An exported audit trail shows where it was changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from copypro.envelope import Envelope
from copypro.messages import CallBegun
from copypro.values import MessageId
from copypro_standalone.chain import FIRST, Broken, Checked, check, line_of


def trail(count: int) -> list[str]:
    lines, previous = [], FIRST
    for number in range(1, count + 1):
        id_ = MessageId(f"{number:032x}")
        begun = CallBegun(call="Start", parameters={"name": f"Ünïcode {number}"})
        at = datetime(2026, 1, 1, 12, number, tzinfo=UTC)
        event = Envelope(id=id_, correlation=id_, time=at, message=begun)
        line, previous = line_of(event, number, previous)
        lines.append(line + "\n")
    return lines


def test_an_export_is_whole_and_a_later_one_begins_like_it() -> None:
    found = check(trail(5))
    assert isinstance(found, Checked)
    assert found.lines == 5
    assert trail(7)[:5] == trail(5)
    assert check([]) == Checked(0, FIRST)


def swapped(lines: list[str]) -> list[str]:
    return [*lines[:2], lines[3], lines[2], *lines[4:]]


@pytest.mark.parametrize(
    ("done", "line"),
    [
        (lambda lines: [*lines[:2], lines[2].replace("Start", "Stop"), *lines[3:]], 3),
        (lambda lines: [*lines[:2], lines[2].replace('":', '": ', 1), *lines[3:]], 3),
        (lambda lines: lines[:2] + lines[3:], 3),
        (lambda lines: lines[1:], 1),
        (swapped, 3),
        (lambda lines: [*lines, lines[-1]], 6),
        (lambda lines: [*lines[:4], "{}\n"], 5),
        (lambda lines: [*lines[:4], "not json\n"], 5),
        (lambda lines: [*lines[:4], lines[4][:40]], 5),
    ],
)
def test_the_first_line_that_is_not_as_it_was_is_named(
    done: Callable[[list[str]], list[str]], line: int
) -> None:
    found = check(done(trail(5)))
    assert isinstance(found, Broken)
    assert found.line == line


def test_a_cut_end_is_told_by_the_last_hash_alone() -> None:
    whole, cut = check(trail(5)), check(trail(4))
    assert isinstance(whole, Checked)
    assert isinstance(cut, Checked)
    assert cut.last != whole.last
