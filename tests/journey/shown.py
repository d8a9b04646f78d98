"""What a broker's book, the trade log and the alerts show, waited for."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from copypro.adapters.sqlite_read_models import SqliteReadModels
from copypro.settings import Settings
from copypro.topics import WATCHER_STATE
from copypro.values import Platform, account_id
from copypro.wiring import open_history, open_models
from copypro_stats.rebuilding import Replay, differences

from tests.journey.world import SERVERS, Account, World


async def has(world: World, slave: Account, *lots: str) -> None:
    wanted = sorted(Decimal(volume) for volume in lots)

    async def there() -> bool:
        return await slave.lots() == wanted

    await world.eventually(there)


async def outcomes(world: World, copier: str, wanted: str) -> None:
    async def there() -> bool:
        return any(row["outcome"] == wanted for row in await world.logs(copier))

    await world.eventually(there)


async def dated(world: World, server: str, login: int) -> None:
    """Until the account's broker's clock is known, by the quotes of a symbol that it has looked at."""
    account = account_id(Platform(SERVERS[server]), server, login)

    async def there() -> bool:
        await world.control.tick_again()
        records = await world.records(WATCHER_STATE)
        states = [r.value or b"" for r in records if r.key == f"account/{account}"]
        return any(b"clock_offset_minutes" in state for state in states)

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
