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

from benchmarks.world import PASSWORD, SERVER, SYMBOL, Wire, World, rate, spread, world


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


async def bare_fills(made: World, trades: int, rounds: int) -> list[float]:
    """Orders answered a second, round by round."""
    async with aiohttp.ClientSession(base_url=made.bridge) as http:

        async def get(call: str, **query: Any) -> bytes:
            async with http.get(f"/{call}", params=query) as response:
                return await response.read()

        async def opens(login: int) -> None:
            token = tokens[login]
            for number in range(trades):
                answer = await get(
                    "OrderSend",
                    id=token,
                    symbol=SYMBOL,
                    operation="Buy",
                    volume="0.1",
                    comment=f"B{login}x{number}",
                )
                moments.append(time.time())
                tickets[login].append(msgspec.json.decode(answer)["ticket"])

        async def closes(login: int) -> None:
            for ticket in tickets.pop(login):
                await get("OrderClose", id=tokens[login], ticket=ticket)

        logins = range(2, made.slaves + 2)
        tokens = {}
        for login in logins:
            answer = await get("ConnectEx", user=login, password=PASSWORD, server=SERVER)
            tokens[login] = answer.decode().strip().strip('"')
        rates: list[float] = []
        for _ in range(rounds):
            moments: list[float] = []
            tickets: dict[int, list[int]] = {login: [] for login in logins}
            await asyncio.gather(*(opens(login) for login in logins))
            await asyncio.gather(*(closes(login) for login in logins))
            rates.append(rate(moments))
        return rates


async def against_bare(trades: int = 20, rounds: int = 5) -> None:
    async with world(10) as made:
        found = [await ring_fills(made, trades) for _ in range(rounds)]
        own = statistics.median(sent for sent, _, _ in found)
        recorded = statistics.median(outcomes for _, outcomes, _ in found)
    async with world(10) as made:
        bare = statistics.median(await bare_fills(made, trades, rounds))
    print(f"fills a second, ten slaves, bursts of {trades} trades (wanted: ≥ 0.5 of bare)")
    print(
        f"  ring {own:.0f}/s   bare {bare:.0f}/s   ratio {own / bare:.2f}   recorded {recorded:.0f}/s"
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
