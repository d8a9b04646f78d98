"""Users start, change, pause and stop copiers and remove accounts while masters trade, in any order of the two
topics: each trade has one outcome for each copier, for a reason that is true by the record, and what is
open has its master's levels and share until that, or the copier's end, ends it.
"""

from __future__ import annotations

import pytest

from tests.unit.copier_story import tell


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_whatever_is_done_with_copiers_each_trade_is_as_the_record_says(first: int) -> None:
    for seed in range(first, first + 10):
        tell(seed)
