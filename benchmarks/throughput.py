"""How many orders a second the ring sends and records, beside a bare client; bursts; a table.

Only OrderSend is counted. The bare client has the same accounts, one call in flight on each, and
stores nothing.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

import aiohttp
import msgspec
from copypro.topics import EXECUTIONS

from benchmarks.world import PASSWORD, SERVER, SYMBOL, Wire, World, brokers, rate, spread, world


async def ring_fills(made: World, trades: int) -> tuple[float, float, list[float]]:
    """A burst of the master's trades: orders sent a second, outcomes recorded a second, and from
    each frame to the wire, milliseconds.
    """
    sends, recorded = await made.sends(), len(await made.records(EXECUTIONS, "CopyOpened"))
    with Wire() as wire:
        for _ in range(trades):
            await made.open()
        await made.until("ordersend", sends + trades * made.slaves)
        async with asyncio.timeout(60):
            while True:
                opened = (await made.records(EXECUTIONS, "CopyOpened"))[recorded:]
                if len(opened) >= trades * made.slaves:
                    break
                await asyncio.sleep(0.1)
    own = await made.own_ms(wire)
    outcomes = [record.recorded_at for record in opened]
    await made.close_all()
    return rate(list(wire.sent.values())), rate(outcomes), own


class Bare:
    """A client without anything around it, on a bridge of its own: nobody else watches its accounts."""

    def __init__(self, http: aiohttp.ClientSession, slaves: int) -> None:
        self._http, self._logins = http, range(2, slaves + 2)
        self._tokens: dict[int, str] = {}

    async def connect(self) -> None:
        for login in self._logins:
            answer = await self._get("ConnectEx", user=login, password=PASSWORD, server=SERVER)
            self._tokens[login] = answer.decode().strip().strip('"')

    async def fills(self, trades: int) -> float:
        """Orders answered a second."""
        moments: list[float] = []
        opened = await asyncio.gather(
            *(self._opens(login, trades, moments) for login in self._logins)
        )
        await asyncio.gather(*map(self._closes, self._logins, opened))
        return rate(moments)

    async def _opens(self, login: int, trades: int, moments: list[float]) -> list[int]:
        tickets: list[int] = []
        for number in range(trades):
            answer = await self._get(
                "OrderSend",
                id=self._tokens[login],
                symbol=SYMBOL,
                operation="Buy",
                volume="0.1",
                comment=f"B{login}x{number}",
            )
            moments.append(time.time())
            tickets.append(msgspec.json.decode(answer)["ticket"])
        return tickets

    async def _closes(self, login: int, tickets: list[int]) -> None:
        for ticket in tickets:
            await self._get("OrderClose", id=self._tokens[login], ticket=ticket)

    async def _get(self, call: str, **query: Any) -> bytes:
        async with self._http.get(f"/{call}", params=query) as response:
            return await response.read()


async def against_bare(trades: int = 20, rounds: int = 9) -> None:
    """By turns, since the machine's speed changes from minute to minute."""
    sent, recorded, bare = [], [], []
    async with (
        world(10) as made,
        brokers(10) as (address, _),
        aiohttp.ClientSession(base_url=address) as http,
    ):
        client = Bare(http, 10)
        await client.connect()
        for _ in range(rounds):
            sends, outcomes, _own = await ring_fills(made, trades)
            sent.append(sends)
            recorded.append(outcomes)
            bare.append(await client.fills(trades))
    own, alone = statistics.median(sent), statistics.median(bare)
    print(f"fills a second, ten slaves, bursts of {trades} trades (wanted: ≥ 0.5 of bare)")
    print(
        f"  ring {own:.0f}/s   bare {alone:.0f}/s   ratio {own / alone:.2f}"
        f"   recorded {statistics.median(recorded):.0f}/s"
    )


async def row(slaves: int, delay_ms: int, trades: int) -> None:
    async with world(slaves) as made:
        if delay_ms:
            await made.control.script(
                "MT5", endpoint="ordersend", times=-1, delay_before_s=delay_ms / 1000
            )
        single: list[float] = []
        for _ in range(trades):
            _, _, own = await ring_fills(made, 1)
            single.extend(own)
        sent, recorded, burst = await ring_fills(made, 20)
    (p50, p99), (b50, b99) = spread(single), spread(burst)
    print(
        f"  {slaves:3} slaves {delay_ms:3} ms: to the wire p50 {p50:6.1f} p99 {p99:6.1f} ms"
        f"   burst of 20: p50 {b50:7.1f} p99 {b99:7.1f} ms, {sent:5.0f} sent/s, {recorded:5.0f} recorded/s"
    )


def main() -> None:
    import uvloop

    uvloop.run(against_bare())
    print("one trade at a time, then a burst of 20; brokers answering after 0 and 50 ms")
    for slaves in (1, 10, 50):
        for delay_ms in (0, 50):
            uvloop.run(row(slaves, delay_ms, max(4, 100 // slaves)))


if __name__ == "__main__":
    main()
