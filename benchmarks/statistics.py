"""Statistics of a million orders, TradeStats against a bare route, reports into rows.

Processor time of this process where nothing waits; ratios are of one run. `make bench-stats`.
"""

from __future__ import annotations

import asyncio
import random
import resource
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median

import aiohttp
from copypro.statements import read
from copypro.statistics import Statistics, Trade
from copypro.values import Side
from copypro.wiring import http_server
from fastapi import FastAPI, Response

from benchmarks.world import running, settings_of

START = datetime(2015, 1, 1)  # noqa: DTZ001 (a broker's clock has no zone)
BLOCK = 20_000
Pair = tuple[float, float]


# --- statistics -----------------------------------------------------------------------------------


def orders(count: int) -> Iterator[list[Trade]]:
    """Blocks of orders, minutes apart, of ten symbols; made before the clock runs."""
    chance = random.Random(7)
    for first in range(0, count, BLOCK):
        yield [_order(number, chance) for number in range(first, min(first + BLOCK, count))]


def _order(number: int, chance: random.Random) -> Trade:
    closed = START + timedelta(minutes=3 * number)
    return Trade(
        closed_at=closed,
        ticket=number,
        side=chance.choice((Side.BUY, Side.SELL)),
        symbol=f"SYM{chance.randrange(10)}",
        lots=Decimal("0.10"),
        profit=Decimal(chance.randint(-5_000, 5_100)) / 100,
        swap=Decimal(chance.randint(-50, 20)) / 100,
        commission=Decimal("-0.70"),
        opened_at=closed - timedelta(minutes=chance.randrange(3_000)),
        open_price=Decimal("1.10000"),
        close_price=Decimal(chance.randint(109_000, 111_000)) / 100_000,
    )


def statistics_of(count: int) -> None:
    statistics = Statistics(Decimal(1_000_000_000))
    base = _peak_mb()
    full = bare = 0.0
    total = Decimal(0)
    for block in orders(count):
        full += _seconds(lambda block=block: statistics.feed(block))  # type: ignore[misc]
        started = time.process_time()
        for order in block:
            total += order.profit
        bare += time.process_time() - started
    full += _seconds(lambda: statistics.report())
    print(f"full statistics of {count:,} closed orders (wanted: ≥ 200,000 orders/s)")
    print(f"  {count / full:,.0f} orders/s; a bare loop that sums profits {count / bare:,.0f}/s:")
    print(
        f"  ratio {bare / full:.3f}; memory grew by {_peak_mb() - base:.0f} MB, two blocks of orders"
    )


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


# --- reports --------------------------------------------------------------------------------------

ROW = (
    '<tr bgcolor=#E0E0E0 align=right><td title="#7 [tp]">{0}</td><td class=msdate nowrap>{1}</td>'
    "<td>buy</td><td class=mspt>0.10</td><td>eurusd</td>"
    '<td style="mso-number-format:0\\.00000;">1.10000</td><td>0.00000</td><td>1.1{2:04}</td>'
    "<td class=msdate nowrap>{1}</td><td>1.1{2:04}</td><td class=mspt>-0.70</td>"
    "<td class=mspt>0.00</td><td class=mspt>-0.12</td><td class=mspt>{3}</td></tr>\n"
)
HEADER = "".join(f"<td>{name}</td>" for name in (
    "Ticket", "Open Time", "Type", "Size", "Item", "Price", "S / L", "T / P", "Close Time",
    "Price", "Commission", "Taxes", "Swap", "Profit",
))  # fmt: skip


def statement(rows: int) -> bytes:
    """As MetaTrader 4 writes it."""
    chance = random.Random(7)
    parts = ["<html><table><tr><td><b>Account: 1000001</b></td><td>Currency: USD</td></tr>"]
    parts.append(f"<tr>{HEADER}</tr>\n")
    for number in range(1, rows + 1):
        at = (START + timedelta(minutes=3 * number)).strftime("%Y.%m.%d %H:%M:%S")
        profit = f"{chance.randint(-500_000, 510_000) / 100:,.2f}".replace(",", " ")
        parts.append(ROW.format(number, at, chance.randrange(10_000), profit))
    parts.append("<tr><td>Balance:</td><td>100 000.00</td></tr></table></html>")
    return "".join(parts).encode()


def parsing(rows: int) -> None:
    data = statement(rows)
    best = min(_seconds(lambda: read(data)) for _ in range(3))
    print(f"a statement of {rows:,} rows, {len(data) / 1e6:.0f} MB (wanted: ≥ 20,000 rows/s)")
    print(f"  {rows / best:,.0f} rows/s read, the best of three")


# --- by REST --------------------------------------------------------------------------------------


async def by_rest(count: int, calls: int) -> None:
    no_bridge = "http://127.0.0.1:1"
    with tempfile.TemporaryDirectory() as name:
        async with (
            running(settings_of(no_bridge, Path(name))) as ring,
            aiohttp.ClientSession() as http,
        ):
            user = {"email": "a@example.com", "passwordHash": "0" * 64}
            async with http.post(f"{ring.url}/SignUp", json=user) as answer:
                key = (await answer.json())["userKey"]
            headers = {"Authorization": f"Bearer {key}"}
            account = await _imported(http, ring.url, headers, count)
            await _compared(http, f"{ring.url}/TradeStatsByAccountId", account, calls)


async def _imported(
    http: aiohttp.ClientSession, url: str, headers: dict[str, str], count: int
) -> str:
    started = time.perf_counter()
    async with http.post(
        f"{url}/ImportStatement", data=statement(count), headers=headers
    ) as answer:
        shown = await answer.json()
    id_ = ""
    while not id_:
        async with http.get(f"{url}/Accounts", headers=headers) as answer:
            id_ = next((str(account["id"]) for account in await answer.json()), "")
    while shown.get("done") is False:
        await asyncio.sleep(0.02)
        async with http.get(f"{url}/Commands/{shown['commandId']}") as answer:
            status = await answer.json()
            shown = status if status.get("done") else shown
    took = time.perf_counter() - started
    print(f"  {count / took:,.0f} rows/s imported through events, read to visible (wall clock)")
    return id_


async def _compared(http: aiohttp.ClientSession, url: str, account: str, calls: int) -> None:
    whole = {"accountId": account}
    started = time.perf_counter()
    same = await _get(http, url, whole)
    first = time.perf_counter() - started
    started = time.perf_counter()
    await _get(http, url, {**whole, "from": "2015-01-05T00:00:00"})
    part = time.perf_counter() - started
    async with bare_route(same) as bare:
        since = {**whole, "from": "2015-01-05T00:00:00"}
        questions = ((bare, whole), (url, whole), (url, since))
        took: list[list[Pair]] = [[], [], []]
        for _ in range(calls):  # by turns: what else the machine does disturbs all alike
            for (address, query), found in zip(questions, took, strict=True):
                found.append(await _one_call(http, address, query))
    theirs, ours, kept = map(_median, took)
    print(f"TradeStats of 10,000 orders, {len(same):,} bytes (wanted: ≥ 0.5 of a bare route)")
    print(f"  without from: {1 / ours[0]:,.0f}/s, bare {1 / theirs[0]:,.0f}/s: ratio", end=" ")
    print(f"{theirs[0] / ours[0]:.2f}; of processor time {theirs[1] / ours[1]:.2f}")
    print(f"  with from: {part * 1000:.0f} ms to make, then {1 / kept[0]:,.0f}/s:", end=" ")
    print("kept until the version moves")
    print(f"  the first answer without from took {first * 1000:.0f} ms")


async def _get(http: aiohttp.ClientSession, url: str, query: dict[str, str]) -> bytes:
    async with http.get(url, params=query) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.read()


async def _one_call(http: aiohttp.ClientSession, url: str, query: dict[str, str]) -> Pair:
    """Seconds of the wall clock and of the processor, client and server together."""
    started, worked = time.perf_counter(), time.process_time()
    await _get(http, url, query)
    return time.perf_counter() - started, time.process_time() - worked


def _median(found: list[Pair]) -> Pair:
    return median(wall for wall, _ in found), median(cost for _, cost in found)


@asynccontextmanager
async def bare_route(body: bytes) -> AsyncIterator[str]:
    """A route of the same framework, in the same process, that returns these bytes."""
    app = FastAPI()

    async def bare() -> Response:
        return Response(body, media_type="application/json")

    app.add_api_route("/bare", bare, response_model=None)
    listening = socket.create_server(("127.0.0.1", 0))
    server = http_server(app)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/bare"
    finally:
        server.should_exit = True
        await serving


def main() -> None:
    import uvloop

    statistics_of(1_000_000)
    parsing(100_000)
    uvloop.run(by_rest(10_000, 500))


if __name__ == "__main__":
    main()
