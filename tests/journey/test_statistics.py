"""TradeStats by REST: the original's shape, live and imported alike, never older than the history."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from typing import Any

import pytest
from copypro.account_history import is_current
from copypro.statements import read
from copypro.statements.checking import check

from tests.journey.test_import import post
from tests.journey.world import CANARY, Account, World
from tests.unit import statement_writer as write
from tests.unit.shared_statements import FOLDER, MISSING

pytestmark = pytest.mark.slow
NOT_HISTORY = ("openTrades", "openProfit", "dayProfit", "weekProfit", "monthProfit")
SHAPE = {
    "summary": {
        "openTrades",
        "openProfit",
        "dayProfit",
        "weekProfit",
        "monthProfit",
        "totalProfit",
    },
    "profitability": {"wonTrades", "wonTradesPercent", "lostTrades", "lostTradesPercent"},
    "averageWin": {"averagePips", "averageUsd"},
    "averageLost": {"averagePips", "averageUsd"},
    "longsWon": {"wonCount", "all", "wonPersent"},
    "shortsWon": {"wonCount", "all", "wonPersent"},
    "bestTrade": {"tiket", "date", "profit"},
    "worstTrade": {"tiket", "date", "profit"},
    "bestTradePips": {"tiket", "date", "profit"},
    "worstTradePips": {"tiket", "date", "profit"},
    "zScore": {"zScoreDecimal", "zScoreProbability"},
    "expectancy": {"pips", "dollar"},
}
PLAIN = {
    "markets", "maxBalanceDrawdownRaw", "maxBalanceDrawdownRelative", "maxEquityDrawdownRaw",
    "maxEquityDrawdownRelative", "pips", "lots", "comissions", "averageTradeLength",
    "profitFactor", "standardDeviation", "sharpeRatio", "ghpr", "trades",
}  # fmt: skip
POINT = {
    "time", "balance", "equity", "balanceDrawdownRaw", "balanceDrawdownRelative",
    "equityDrawdownRaw", "equityDrawdownRelative", "realizedPL", "unrealizedPL",
}  # fmt: skip


def row(ticket: int, day: int, profit: str) -> str:
    at = f"2024.05.{day:02}"
    money = ("0.00", "0.00", "0.00", profit)
    return write.mt4_closed(
        ticket, f"{at} 10:00:00", "sell", "0.10", "eurusd", ("1.10000", "1.09900"),
        f"{at} 12:00:00", money,
    )  # fmt: skip


DEPOSIT = write.mt4_operation(1, "2024.05.01 09:00:00", "balance", "1000.00")


async def imported(world: World, *rows: str, balance: str) -> str:
    data = write.mt4_statement([DEPOSIT, *rows], [("Balance", balance)]).encode()
    return str((await post(world, data))["accountId"])


async def test_the_shape_is_the_original_s_with_its_spellings(world: World) -> None:
    rows = (row(2, 1, "10.00"), row(3, 2, "-30.00"), row(4, 6, "20.00"))
    id_ = await imported(world, *rows, balance="1000.00")
    answer = await world.call("TradeStatsByAccountId", accountId=id_)
    assert set(answer) == {"stats", "charts"}
    stats = answer["stats"]
    assert set(stats) == set(SHAPE) | PLAIN
    for name, keys in SHAPE.items():
        assert set(stats[name]) == keys, name
    assert (stats["trades"], stats["profitFactor"], stats["shortsWon"]["wonCount"]) == (3, 1, 2)
    assert stats["maxBalanceDrawdownRaw"] == 30
    assert stats["markets"] == [{"marketName": "eurusd", "count": 3}]
    assert stats["worstTrade"] == {"tiket": 3, "date": "2024-05-02T12:00:00.000", "profit": -30}
    assert stats["maxEquityDrawdownRaw"] is None
    assert all(set(point) == POINT for point in answer["charts"])
    assert [(p["time"][:10], p["balance"]) for p in answer["charts"]] == [
        ("2024-05-01", 1010),
        ("2024-05-02", 980),
        ("2024-05-06", 1000),
    ]
    assert await world.call("TradeStatsByApiId", apiId=id_, type="MT4") == answer
    assert await world.call("TradeStatsWithoutCharts", apiId=id_, type="MT4") == stats
    days = await world.call("TradeStatsByAccountId", accountId=id_, excludeSameBars=False)
    assert len(days["charts"]) == 6
    assert days["stats"] == stats


async def test_from_leaves_out_what_closed_earlier_and_starts_at_the_balance_of_then(
    world: World,
) -> None:
    rows = (row(2, 1, "500.00"), row(3, 2, "-30.00"), row(4, 3, "20.00"))
    id_ = await imported(world, *rows, balance="1490.00")
    since = {"accountId": id_, "from": "2024-05-02T00:00:00"}
    stats = (await world.call("TradeStatsByAccountId", **since))["stats"]
    assert (stats["trades"], stats["summary"]["totalProfit"]) == (2, -10)
    assert stats["maxBalanceDrawdownRelative"] == 2  # 30 of 1500
    refused = await world.call("TradeStatsByAccountId", expect=400, **{**since, "from": "May"})
    assert "from" in refused["message"]


async def test_an_answer_is_never_older_than_the_history(world: World) -> None:
    id_ = await imported(world, row(2, 1, "10.00"), balance="1010.00")
    for number in range(3, 8):
        await imported(world, row(number, number, "10.00"), balance="1000.00")
        stats = await world.call("TradeStatsWithoutCharts", apiId=id_, type="MT4")
        assert stats["trades"] == number - 1


async def test_those_who_ask_the_same_at_once_cost_little_more_than_one(world: World) -> None:
    """By processor time, beside as many who ask for something else each."""
    count = 1_500
    rows = [row(number, 1 + number % 28, "1.00") for number in range(2, count + 2)]
    id_ = await imported(world, *rows, balance="2500.00")

    async def stats_from(day: int) -> Any:
        since = f"2024-04-{day:02}T00:00:00"
        return await world.call("TradeStatsByAccountId", accountId=id_, **{"from": since})

    async def all_there() -> bool:
        stats = await world.call("TradeStatsWithoutCharts", accountId=id_)
        return bool(stats["trades"] == count)

    async def cost_s(*days: int) -> float:
        begun = time.process_time()
        answers = await asyncio.gather(*map(stats_from, days))
        assert all(answer == answers[0] for answer in answers)
        return time.process_time() - begun

    await world.eventually(all_there)
    await stats_from(1)
    apart_s = await cost_s(2, 3, 4, 5, 6)
    assert await cost_s(*[7] * 5) < apart_s / 2


async def test_stats_keeps_them_and_the_gateway_answers_alike_with_them_or_without(
    world: World,
) -> None:
    id_ = await imported(world, row(2, 1, "10.00"), row(3, 2, "-4.00"), balance="1006.00")
    made = await world.call("TradeStatsByAccountId", accountId=id_)
    assert world.ring is not None
    models = world.ring.stores.models
    account = str((await models.get("registrations", id_) or {})["account"])

    async def is_kept() -> bool:
        kept, state = (
            await models.get("trade_stats", account),
            await models.get("accounts", account),
        )
        return bool(kept and state and is_current(kept, state))

    await world.eventually(is_kept)
    await world.stop()
    await world.start()
    assert await world.call("TradeStatsByAccountId", accountId=id_) == made


async def test_a_live_account_and_its_own_statement_give_the_same_figures(world: World) -> None:
    account = await world.account("Alpha-MT4", 1001)
    for symbol, side, lots, price in (
        ("EURUSD", "Buy", "1.00", "1.10500"),
        ("EURUSD", "Sell", "0.50", "1.10900"),
        ("GBPUSD", "Buy", "0.30", "1.10250"),
        ("EURUSD", "Buy", "0.20", "1.11300"),
    ):
        ticket = await account.open(symbol, side, lots)
        await world.quote(symbol, price, price[:-2] + "10", servers=("Alpha-MT4",))
        await account.close(ticket)

    async def all_seen() -> bool:
        """The last balance too, which the next snapshot brings."""
        stats = await world.call("TradeStatsWithoutCharts", apiId=account.id, type="MT4")
        (shown,) = await world.call("AccountsWithSummary")
        return bool(stats["trades"] == 4 and shown["accountSummary"]["balance"] == 100_435)

    await world.eventually(all_seen)
    live = await world.call("TradeStatsByAccountId", accountId=account.id)
    answer = await post(world, await statement_of(world, account))
    imported = await world.call("TradeStatsByAccountId", accountId=answer["accountId"])
    assert history(imported["stats"]) == history(live["stats"])
    assert balances(imported) == balances(live)


def history(stats: dict[str, Any]) -> dict[str, Any]:
    """Without what only a live account has: open trades, the present day, recorded equity, and
    milliseconds, which a statement does not print.
    """
    kept = {name: value for name, value in stats.items() if "Equity" not in name}
    kept["summary"] = {n: v for n, v in stats["summary"].items() if n not in NOT_HISTORY}
    kept["averageTradeLength"] = round(stats["averageTradeLength"])
    for name in ("bestTrade", "worstTrade", "bestTradePips", "worstTradePips"):
        kept[name] = {**stats[name], "date": stats[name]["date"][:19]}
    kept["markets"] = [{**m, "marketName": m["marketName"].upper()} for m in stats["markets"]]
    return kept


def balances(answer: dict[str, Any]) -> list[tuple[str, float]]:
    return [(point["time"], point["balance"]) for point in answer["charts"]]


async def statement_of(world: World, account: Account) -> bytes:
    """What the broker's books say, as MetaTrader would print it."""
    orders = await world.call("ClosedOrders", accountId=account.id)
    rows = []
    for order in orders:
        money = [f"{order[name]:.2f}" for name in ("commission", "swap", "profit")]
        rows.append(
            write.mt4_closed(
                order["ticket"], printed(order["openTime"]), order["type"].lower(),
                f"{order['lots']:.2f}", order["symbol"],
                (f"{order['openPrice']:.5f}", f"{order['closePrice']:.5f}"),
                printed(order["closeTime"]), (money[0], "0.00", money[1], money[2]),
            )
        )  # fmt: skip
    book = await account.book()
    deposits = [piece for piece in book["history"] if piece["reason"] == "Balance"]
    rows += [
        write.mt4_operation(int(piece["order"]["ticket"]), printed(piece["closed_at"]), "balance",
                            f"{float(piece['profit']):.2f}")
        for piece in deposits
    ]  # fmt: skip
    shown = (await world.call("GetAccount", accountId=account.id))["accountSummary"]
    return write.mt4_statement(rows, [("Balance", f"{shown['balance']:.2f}")]).encode()


def printed(moment: str) -> str:
    return moment[:19].replace("-", ".").replace("T", " ")


@pytest.mark.skipif(FOLDER is None, reason=MISSING)
async def test_a_real_statement_by_rest_has_metatrader_s_figures(world: World) -> None:
    assert FOLDER is not None
    data = (FOLDER / "mt4-16-usd-112-second-deposit.htm").read_bytes()
    answer = await post(world, data)
    stats = await world.call("TradeStatsWithoutCharts", apiId=answer["accountId"], type="MT4")
    printed = {figure.name: float(figure.printed) for figure in check(read(data))}
    assert stats["trades"] == printed["Total Trades"]
    assert round(stats["profitFactor"], 2) == printed["Profit Factor"]
    assert round(stats["maxBalanceDrawdownRaw"], 2) == printed["Maximal Drawdown"]
    assert round(stats["expectancy"]["dollar"], 2) == printed["Expected Payoff"]
    assert round(stats["averageLost"]["averageUsd"], 2) == printed["Average loss trade"]


@pytest.mark.parametrize(
    ("server", "mode"),
    [("Alpha-MT4", "Hedging"), ("Alpha-MT5", "Hedging"), ("Alpha-MT5", "Netting")],
)
async def test_added_again_an_account_has_each_closed_trade_once(
    world: World, server: str, mode: str
) -> None:
    """Seen live before, closed meanwhile, and closed after: as its broker's books have them."""
    account = await world.account(server, 1001, mode=mode)
    whole = await account.open("EURUSD", "Buy", "0.20")
    halved = await account.open("GBPUSD", "Buy", "0.20")
    left = await account.open("AUDUSD", "Buy", "0.50")
    await opened(world, account, 3)
    await account.close(whole)
    halved = await account.close(halved, "0.05") or halved
    left = await account.close(left, "0.20") or left
    await closed(world, account, "0.05", "0.20", "0.20")
    await world.call("RemoveAccount", accountId=account.id)
    await account.close(halved)
    await account.close(await account.open("USDCHF", "Sell", "0.10"))
    account = await world.register(server, 1001)
    await world.eventually(lambda: world.is_connected(account))
    await closed(world, account, "0.05", "0.10", "0.15", "0.20", "0.20")
    await opened(world, account, 1)
    left = await account.close(left, "0.10") or left
    await account.close(left)
    await closed(world, account, "0.05", "0.10", "0.10", "0.15", "0.20", "0.20", "0.20")

    async def as_its_books_say() -> bool:
        stats = await world.call("TradeStatsByAccountId", accountId=account.id)
        profit = sum(float(piece["profit"]) for piece in await account.trades())
        return bool(
            stats["stats"]["trades"] == 7
            and round(stats["stats"]["summary"]["totalProfit"] - profit, 2) == 0
        )

    await world.eventually(as_its_books_say)


async def opened(world: World, account: Account, count: int) -> None:
    async def there() -> bool:
        return len(await world.call("OpenOrders", accountId=account.id)) == count

    await world.eventually(there)


async def closed(world: World, account: Account, *lots: str) -> None:
    wanted = [Decimal(each) for each in lots]

    async def there() -> bool:
        rows = await world.call("ClosedOrders", accountId=account.id)
        return sorted(Decimal(str(row["lots"])) for row in rows) == wanted

    await world.eventually(there)


@pytest.mark.parametrize("mode", ["Hedging", "Netting"])
async def test_what_was_closed_of_a_position_before_its_account_was_added_is_shown(
    world: World, mode: str
) -> None:
    await world.control.add_account(
        server="Alpha-MT5", platform="MT5", login=1001, password=CANARY, balance="1000", mode=mode
    )
    await world.control.shift_clock(-120)
    ticket = await world.control.open("Alpha-MT5", 1001, "EURUSD", "Buy", "0.50")
    await world.control.close("Alpha-MT5", 1001, ticket, "0.20")
    await world.control.shift_clock(120)
    account = await world.register("Alpha-MT5", 1001)
    await world.eventually(lambda: world.is_connected(account))
    await closed(world, account, "0.20")
    await opened(world, account, 1)
    await account.close(ticket)
    await closed(world, account, "0.20", "0.30")
