"""What counts as a slip of one name for another."""

from __future__ import annotations

import string

import pytest
from copypro.near import near
from hypothesis import given
from hypothesis import strategies as st

NAMES = ("riskValue", "riskType", "copySL", "copyTP", "maxAgeS", "off", "on", "id")
LETTERS = st.sampled_from(string.ascii_lowercase)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("riskvalu", "riskValue"),
        ("riskvaluee", "riskValue"),
        ("risskvalue", "riskValue"),
        ("riksvalue", "riskValue"),
        ("rskvalu", "riskValue"),
        ("Risk_Value", "riskValue"),
        ("risk-value ", "riskValue"),
        ("r\u0456skvalue", "riskValue"),
        ("risktpye", "riskType"),
        ("copyls", "copySL"),
        ("copypt", "copyTP"),
        ("max_age", "maxAgeS"),
        ("of", "off"),
    ],
)
def test_a_slip_is_told_with_the_name_that_was_meant(written: str, meant: str) -> None:
    assert near(written, NAMES, two_from=8) == meant


@pytest.mark.parametrize(
    "written", ["", "risk", "value", "cpls", "copy", "no", "ids", "x", "_", "riskValue" * 1000]
)
def test_another_name_is_another_name(written: str) -> None:
    assert near(written, NAMES, two_from=8) is None


@given(
    at=st.integers(0, 8), letter=LETTERS, how=st.sampled_from(["more", "less", "other", "swapped"])
)
def test_every_single_slip_of_a_name_is_seen(at: int, letter: str, how: str) -> None:
    name = "riskvalue"
    before, here, after = name[:at], name[at], name[at + 1 :]
    made = {
        "more": before + letter + here + after,
        "less": before + after,
        "other": before + letter + after,
        "swapped": before + after[:1] + here + after[1:],
    }[how]
    assert near(made, ["riskType", "riskValue"], two_from=100) == "riskValue"
