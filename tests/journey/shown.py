"""What a broker's book, the trade log and the alerts show, waited for."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from copypro.adapters.sqlite_read_models import SqliteReadModels
from copypro.settings import Settings
from copypro.wiring import open_history, open_models
from copypro_stats.rebuilding import Replay, differences

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


async def require_as_rebuilt(settings: Settings) -> None:
    """What a stopped world shows is what its log makes anew."""
    with TemporaryDirectory() as folder:
        fresh = await SqliteReadModels.open(Path(folder))
        await Replay(open_history(settings), fresh).catch_up()
        async with open_models(settings) as models:
            assert await differences(models, fresh) == []
        await fresh.close()
