"""What a broker's book, the trade log and the alerts show, waited for."""

from __future__ import annotations

from decimal import Decimal

from tests.journey.world import Account, World


async def has(world: World, slave: Account, *lots: str) -> None:
    wanted = sorted(Decimal(volume) for volume in lots)

    async def there() -> bool:
        return await slave.lots() == wanted

    await world.eventually(there)


async def outcomes(world: World, copier: str, wanted: str) -> None:
    async def there() -> bool:
        return any(row["outcome"] == wanted for row in await world.logs(copier))

    await world.eventually(there)


async def alerts(world: World) -> list[str]:
    return [alert["code"] for alert in await world.call("Alerts")]


async def alerted(world: World, code: str) -> None:
    async def there() -> bool:
        return code in await alerts(world)

    await world.eventually(there)
