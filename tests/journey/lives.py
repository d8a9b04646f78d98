"""Masters and slaves in one world that many cases share, and what each case asks of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import count
from typing import Any

from tests.journey.world import Account, World

PAIRINGS = {
    "MT4→MT4": ("Alpha-MT4", "Hedging", "Beta-MT4", "Hedging"),
    "MT4→MT5": ("Alpha-MT4", "Hedging", "Beta-MT5", "Hedging"),
    "MT5→MT4": ("Alpha-MT5", "Hedging", "Beta-MT4", "Hedging"),
    "hedging→netting": ("Alpha-MT5", "Hedging", "Beta-MT5", "Netting"),
}
"""The pairings that every change of a master is shown on, by server and mode."""
FROM_NETTING = {
    "netting→MT4": ("Alpha-MT5", "Netting", "Beta-MT4", "Hedging"),
    "netting→hedging": ("Alpha-MT5", "Netting", "Beta-MT5", "Hedging"),
    "netting→netting": ("Alpha-MT5", "Netting", "Beta-MT5", "Netting"),
}
_logins = count(10_001)


class Pair:
    """A master, a slave and the copier between them."""

    def __init__(self, world: World, master: Account, slave: Account, copier: str) -> None:
        self.world, self.master, self.slave, self.copier = world, master, slave, copier

    async def has(self, *lots: str) -> None:
        """The slave's open positions, by their volumes."""
        wanted = sorted(Decimal(volume) for volume in lots)

        async def there() -> bool:
            positions = [o for o in await self.slave.positions() if o["kind"] in ("Buy", "Sell")]
            return sorted(Decimal(order["lots"]) for order in positions) == wanted

        await self.world.eventually(there)

    async def shows(self, *wanted: tuple[str, str, str]) -> None:
        """All of the slave's open orders: (kind, lots, open price; "" for any)."""

        async def there() -> bool:
            found = sorted(
                (order["kind"], Decimal(order["lots"]), Decimal(order["open_price"]))
                for order in await self.slave.positions()
            )
            expected = sorted(wanted)
            return len(found) == len(expected) and all(
                (kind, lots) == (one[0], Decimal(one[1])) and one[2] in ("", f"{price:f}")
                for (kind, lots, price), one in zip(found, expected, strict=True)
            )

        await self.world.eventually(there)

    async def has_levels(self, stop_loss: str, take_profit: str) -> None:
        wanted = (Decimal(stop_loss), Decimal(take_profit))

        async def there() -> bool:
            found = [
                (Decimal(order["stop_loss"]), Decimal(order["take_profit"]))
                for order in await self.slave.positions()
            ]
            return found == [wanted]

        await self.world.eventually(there)

    async def logged(self, *wanted: tuple[str, str | None]) -> None:
        """The trade log's successful rows, oldest first, as (outcome, slave's lots); levels apart."""
        rows: list[Any] = []

        async def there() -> bool:
            rows[:] = [
                (row["outcome"], row["slaveLots"])
                for row in reversed(await self.world.logs(self.copier))
                if row["success"] and row["outcome"] != "modified"
            ]
            expected = [(what, None if lots is None else float(lots)) for what, lots in wanted]
            return sorted(rows, key=str) == sorted(expected, key=str)

        try:
            await self.world.eventually(there)
        except AssertionError as error:
            raise AssertionError(f"logged {rows}, not {wanted}: {error}") from None

    async def answered(self, outcome: str, times: int = 1) -> dict[str, Any]:
        """The newest row of that outcome, once there are so many."""
        found: list[dict[str, Any]] = []

        async def there() -> bool:
            rows = await self.world.logs(self.copier)
            found[:] = [row for row in rows if row["outcome"] == outcome]
            return len(found) >= times

        await self.world.eventually(there)
        return found[0]

    async def quote(self, bid: str, ask: str, symbol: str = "EURUSD") -> None:
        """At both brokers."""
        for account in (self.master, self.slave):
            await self.world.control.quote(account.server, symbol, bid, ask)


@asynccontextmanager
async def a_pair(
    world: World,
    pairing: tuple[str, str, str, str],
    *,
    of_master: dict[str, Any] | None = None,
    of_slave: dict[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[Pair]:
    """Accounts of their own for one case, removed after it, and the usual prices."""
    await world.quote("EURUSD", "1.10000", "1.10010")
    master, slave = await _accounts(world, pairing, of_master, of_slave)
    yield Pair(world, master, slave, await world.copier(master, slave, **options))
    for account in (master, slave):
        await world.call("RemoveAccount", accountId=account.id)


class Kept:
    """One master and slave for each pairing, used by one case after another; each starts flat, with
    a copier of its own and the usual prices.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self._accounts: dict[tuple[str, str, str, str], tuple[Account, Account]] = {}

    @asynccontextmanager
    async def pair(self, pairing: tuple[str, str, str, str], **options: Any) -> AsyncIterator[Pair]:
        world = self.world
        for symbol in ("EURUSD", "GBPUSD", "AUDUSD"):
            await world.quote(symbol, "1.10000", "1.10010")
        accounts = self._accounts.pop(pairing, None) or await _accounts(world, pairing)
        copier = await world.copier(*accounts, **options)
        pair = Pair(world, *accounts, copier)
        yield pair
        await pair.shows()
        await world.call("Remove", id=copier)
        self._accounts[pairing] = accounts  # not of a case that failed


async def _accounts(
    world: World,
    pairing: tuple[str, str, str, str],
    of_master: dict[str, Any] | None = None,
    of_slave: dict[str, Any] | None = None,
) -> tuple[Account, Account]:
    server, mode, slave_server, slave_mode = pairing
    made = [
        await world.account(server, next(_logins), connected=False, mode=mode, **(of_master or {})),
        await world.account(
            slave_server, next(_logins), connected=False, mode=slave_mode, **(of_slave or {})
        ),
    ]
    for account in made:
        await world.eventually(lambda account=account: world.is_connected(account))
    return made[0], made[1]
