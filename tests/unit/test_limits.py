"""Limits for tests never reach a program that nobody started as a test."""

from __future__ import annotations

import pytest
from copypro.errors import SettingsError
from copypro.ports import TerminalLimits
from copypro_account_watcher.limits import WatcherLimits
from copypro_standalone.limits import VARIABLE, scaled_limits

REAL = (WatcherLimits(), TerminalLimits())


def test_without_the_variable_the_limits_are_the_real_ones() -> None:
    assert scaled_limits({}, wanted=False) == REAL
    assert scaled_limits({VARIABLE: ""}, wanted=True) == REAL


def test_the_variable_alone_stops_the_start_and_says_so() -> None:
    with pytest.raises(SettingsError, match=f"{VARIABLE} is set, .*unset it"):
        scaled_limits({VARIABLE: '{"longest_call_s": 1}'}, wanted=False)


def test_asked_for_they_are_scaled_by_name() -> None:
    text = '{"longest_call_s": 1, "trade_call_s": 0.5}'
    watcher, terminal = scaled_limits({VARIABLE: text}, wanted=True)
    assert (watcher.longest_call_s, terminal.trade_call_s) == (1, 0.5)
    assert watcher.drain_s == REAL[0].drain_s


@pytest.mark.parametrize(
    ("text", "says"),
    [('{"longest_cal_s": 1}', "longest_cal_s"), ("[]", VARIABLE), ('{"drain_s": "x"}', VARIABLE)],
)
def test_what_is_no_limit_is_named(text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        scaled_limits({VARIABLE: text}, wanted=True)
