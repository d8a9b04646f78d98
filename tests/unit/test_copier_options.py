"""What a copier was told, and what it shows of that."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from copypro_gateway.shapes import copier
from copypro_gateway.subjects.copiers import UpdateCopier
from copypro_gateway.wording.reading import from_body, read
from copypro_stats.patch import plain

COPIER = {"master_registration": "1", "slave_registration": "2", "id": "3"}
TOLD: tuple[dict[str, Any], ...] = (
    {"riskType": "FixedLot", "riskValue": "0.07"},
    {
        "riskType": "LotMultiplier", "riskValue": "0.1", "filterLotEnabled": True,
        "filterLotMin": "0.3", "filterLotMax": "2.5", "maxSlippage": "0.0015", "maxAgeS": 7.5,
        "marginReserve": "0.35", "minMarginLevel": "250",
    },
    {
        "riskType": "BalanceMultiplier", "riskValue": 2, "riskMultiply": "1.1",
        "fixedMasterBalance": "12345.67", "contractAlignment": False, "forceMinLot": True,
        "forceMaxLot": True, "lotRefiner": "0.95", "copySL": False, "copyTP": False,
        "slMode": "Distance", "fixedSlPips": 30, "fixedTpPips": 40, "stopLossRefinementPips": -3,
        "takeProfitRefinementPips": 4, "copyPendingOrders": True, "copyExpiryTime": True,
        "copyExistingTrades": True, "reverseCopy": True, "strictClose": True, "tradeDelayMs": 250,
        "copyMagicNumber": "Custom", "magicNumber": 77, "filterMagicOption": "Copy",
        "filterMagicValue": 5, "filterCommentOption": "Ignore", "filterCommentValue": "x",
        "filterSide": "CopyBuyOnly",
    },
    {"riskType": "FixedRisk", "riskValue": "1.5", "pendingMode": "Ignore"},
)  # fmt: skip


def given(body: dict[str, Any]) -> UpdateCopier:
    return read(UpdateCopier, from_body(msgspec.json.encode(body | {"id": "3"})))


@pytest.mark.parametrize("told", TOLD)
def test_what_a_copier_shows_changes_nothing_when_it_is_sent_back(told: dict[str, Any]) -> None:
    """Programs read a copier, change one option and send all of them: what is left out is lost."""
    options = given(told).to_options()
    shown: Any = copier(COPIER | {"options": plain(options)}, {})
    assert given(shown).to_options() == options


def test_a_multiplier_of_none_is_an_absent_one() -> None:
    """Clients with fields for all parameters send 0 for those that they do not use."""
    told = given({"riskType": "FixedLot", "riskValue": "0.07", "riskMultiply": 0})
    assert told.to_options() == given({"riskType": "FixedLot", "riskValue": "0.07"}).to_options()
