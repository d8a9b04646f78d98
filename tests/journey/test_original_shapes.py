"""A working day of a script that was written for the original: its calls, by GET alone, in the order of
the day. Each answer has what the original documents, or docs/api.md says what is there instead.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.journey.world import CANARY, EMBEDDED, Stack, World

pytestmark = pytest.mark.slow
API = (Path(__file__).parents[2] / "docs/api.md").read_text()
DIFFERENCES = API.partition("## Where ours differs")[2].partition("\n## ")[0]
TOLD = set(re.findall(r"\w+", DIFFERENCES))
OPTIONS = {
    "riskType": "FixedLot", "riskValue": 0.05, "riskMultiply": 0, "fixedMasterBalance": 0.0,
    "copySL": True, "copyTP": True, "fixedSlPips": 0, "fixedTpPips": 0,
    "stopLossRefinementPips": 1, "takeProfitRefinementPips": -1, "copyPendingOrders": True,
    "copyExpiryTime": True, "copyExistingTrades": False, "reverseCopy": False,
    "contractAlignment": True, "forceMinLot": True, "forceMaxLot": True, "lotRefiner": 1.0,
    "strictClose": True, "copyMagicNumber": "Custom", "magicNumber": 77, "tradeDelayMs": 5,
    "filterMagicOption": "Ignore", "filterMagicValue": 99, "filterCommentOption": "Ignore",
    "filterCommentValue": "hedge", "filterSide": "CopyAll", "filterLotEnabled": True,
    "filterLotMin": 0.01, "filterLotMax": 50.0,
}  # fmt: skip
ACCOUNT = (
    "id name considerAccountBalance userKey managerKey type user password server apiId enabled"
    " equityProtector symbolEnableSettings"
)
RESULT = f"{ACCOUNT} connected connectError accountSummary accountDetails"
SHAPES = {
    "Accounts": f"{RESULT} tradeSummary",
    "GetAccount": ACCOUNT,
    "AccountWithSummary": RESULT,
    "AccountWithTradeSummary": f"{RESULT} tradeSummary",
    "StartByAccountId": "copierId masterAccountId slaveAccountId srcId dstId",
    "GetCopier": (
        f"{' '.join(OPTIONS)} id userKey managerKey uniqueCopierId masterAccountId slaveAccountId"
        " masterType masterUser masterPassword masterServer masterApiId masterName slaveType"
        " slaveUser slavePassword slaveServer slaveApiId slaveName masterAccountSummary"
        " slaveAccountSummary timeLoadingStarted timeLoaded loaded lastLoadFailedUtc paused"
        " pauseReason tradeLogCallbackUrl unmappedSymbols mappedSymbols equityProtector"
        " lastDailyResetUtc"
    ),
    "OpenOrders": (
        "ticket openTime closeTime expiration type lots symbol openPrice stopLoss takeProfit"
        " closePrice magicNumber swap commission comment profit digits"
    ),
    "OpenOrdersAll": "name user id apiId orders",
    "TradeLogs": (
        "id copierId userKey uniqueTradeId timeUTC timeDoneUTC updateType tradeReason success"
        " masterUser masterServer masterName masterApiType masterApiId masterOrder slaveUser"
        " slaveServer slaveName slaveApiType slaveApiId slaveSymbol slaveLots slaveOrderType"
        " slaveType slaveTicket slaveOrder slaveBrokerCompany exceptionMessage exceptionCode"
        " exceptionStackTrace messages url masterSlaveDelayOpen masterSlaveDelayClose"
    ),
    "MappedSymbols": "mappedSymbols masterSymbols slaveSymbols",
    "SymbolParamsLite": "symbol lotMin lotMax tradeMode",
    "TradeStatsWithoutCharts": (
        "summary markets maxBalanceDrawdownRaw maxBalanceDrawdownRelative maxEquityDrawdownRaw"
        " maxEquityDrawdownRelative profitability pips lots comissions averageWin averageLost"
        " longsWon shortsWon bestTrade worstTrade bestTradePips worstTradePips"
        " averageTradeLength profitFactor standardDeviation sharpeRatio zScore expectancy ghpr"
        " trades"
    ),
    "charts": (
        "time balance equity balanceDrawdownRaw balanceDrawdownRelative equityDrawdownRaw"
        " equityDrawdownRelative realizedPL unrealizedPL"
    ),
}
SHAPES |= {
    "AccountsWithSummary": SHAPES["AccountWithSummary"],
    "AccountsWithTradeSummary": SHAPES["AccountWithTradeSummary"],
    "UserCopiers": SHAPES["GetCopier"],
    "ClosedOrders": SHAPES["OpenOrders"],
    "ClosedOrdersAll": SHAPES["OpenOrdersAll"],
    "TradeLogsAll": SHAPES["TradeLogs"],
    "TradeStatsByApiId": "stats charts",
    "TradeStatsByAccountId": "stats charts",
}


@pytest.fixture
def stack() -> Stack:
    """Answers have one shape on every stack."""
    return EMBEDDED


class Script:
    """`requests.get` with its way of writing values: True, 0.05, and None left out."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.key = ""

    async def get(self, call: str, **given: Any) -> Any:
        query = {name: str(value) for name, value in given.items() if value is not None}
        query |= {"userKey": self.key} if self.key else {}
        async with self._world.http.get(f"/{call}", params=query) as response:
            answer = await response.json()
            assert response.status == 200, (call, answer)
        self._compare(call, answer)
        return answer

    def _compare(self, name: str, answer: Any) -> None:
        one = answer[0] if isinstance(answer, list) and answer else answer
        if name not in SHAPES or not one:
            return
        missing = set(SHAPES[name].split()) - one.keys()
        assert missing <= TOLD, name
        if one.get("charts"):
            self._compare("charts", one["charts"])


async def test_a_working_day_by_the_original_s_document(world: World) -> None:
    for server, platform, login in (("Alpha-MT4", "MT4", 1001), ("Beta-MT5", "MT5", 2001)):
        await world.control.add_account(
            server=server, platform=platform, login=login, password=CANARY, balance="100000"
        )
    script = Script(world)
    signed = await script.get(
        "SignUp", managerKey="any", email="old+tag@example.com", passwordHash="7" * 64
    )
    script.key = signed["userKey"]
    ids = [
        (
            await script.get(
                "AddAccount", managerKey="any", name="my account", type=platform, user=login,
                password=CANARY, server=server, apiId="",
            )
        )["accountId"]
        for server, platform, login in (("Alpha-MT4", "MT4", 1001), ("Beta-MT5", "MT5", 2001))
    ]  # fmt: skip
    master, slave = ids

    async def connected() -> bool:
        return all(account["connected"] for account in await script.get("Accounts"))

    await world.eventually(connected)
    await script.get(
        "UpdateAccount", accountId=master, accountName="m", considerAccountBalance=True
    )
    for call in ("GetAccount", "AccountWithSummary", "AccountWithTradeSummary"):
        await script.get(call, accountId=master)
    for call in ("AccountsWithSummary", "AccountsWithTradeSummary"):
        await script.get(call)
    started = await script.get(
        "StartByAccountId",
        managerKey="any",
        masterAccountId=master,
        slaveAccountId=slave,
        **OPTIONS,
    )
    copier = started["copierId"]
    shown = await script.get("GetCopier", id=copier)
    assert {name: shown[name] for name in OPTIONS} == OPTIONS | {"riskMultiply": None}
    await script.get("UpdateCopier", **shown)
    assert await script.get("UserCopiers") == [shown], "what is shown can be sent back"
    await script.get(
        "AddSymbolMapping", id=copier, masterSymbol="XAUUSD", slaveSymbol="XAUUSD__0.2"
    )
    await script.get("MappedSymbols", id=copier)
    await script.get("DeleteSymbolMapping", id=copier, masterSymbol="XAUUSD")
    await script.get("SymbolList", apiId=slave, type="MT5")
    await script.get("SymbolParamsLite", apiId=slave, type="MT5")
    await script.get("SymbolsEnable", accountId=slave, enableAllSymbols=True, off="AUDUSD")
    ticket = await world.control.open("Alpha-MT4", 1001, "EURUSD", "Buy", "0.20")

    async def copied() -> bool:
        return [o["lots"] for o in await script.get("OpenOrders", accountId=slave)] == [0.05]

    await world.eventually(copied)
    await script.get("OpenOrdersAll")
    await script.get("CopierPause", id=copier, paused=True, reason="ByUser")
    await script.get("CopierPause", id=copier, paused=False)
    await world.control.close("Alpha-MT4", 1001, ticket)
    period = {"from": "2020-01-01T00:00:00", "to": "2036-12-31T23:59:59"}

    async def closed() -> bool:
        found = [await script.get("ClosedOrders", accountId=each, **period) for each in ids]
        return all(found)

    await world.eventually(closed)
    await script.get("ClosedOrdersAll", **period)
    for call, name in (("TradeStatsByAccountId", "accountId"), ("TradeStatsByApiId", "apiId")):
        await script.get(call, **{name: master}, type="MT4", excludeSameBars=True)
    await script.get("TradeStatsWithoutCharts", apiId=master, type="MT4", **{"from": "2020-01-01"})
    rows = await script.get("TradeLogs", copierId=copier, limit=1000)
    assert [(row["updateType"], row["success"]) for row in rows] == [
        ("MarketClose", True), ("MarketOpen", True),
    ]  # fmt: skip
    await script.get("TradeLogsAll", limit=1000)
    await script.get("Logs", id=copier, limit=1000, logLevel="Information")
    await script.get(
        "UpdateEquityProtector", accountId=slave, enabled=True, dailyReset=False, alert=True,
        disableCopier=True, closeCopiedTrades=False, closeAllTrades=False, stopLossPercent=5,
        stopLossValue=0, stopLossAbsolute=0, takeProfitPercent=0, takeProfitValue=0,
        takeProfitAbsolute=0,
    )  # fmt: skip
    await script.get("ServerNames", mt5=True)
    await script.get("AccountSetEnabled", accountId=slave, enabled=False)
    await script.get("Remove", id=copier, closeTrades=True)
    await script.get("RemoveAccount", accountId=slave)
    await script.get("RemoveAccountByApiId", apiId=master)
    assert await script.get("Accounts") == []
