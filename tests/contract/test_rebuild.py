"""Read models made anew from the log, beside live ones that go on being written and read."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from copypro import collections as c
from copypro import topics
from copypro.adapters.sqlite_history import SqliteHistory
from copypro.adapters.sqlite_log import SqliteLog, SqliteLogReader
from copypro.adapters.sqlite_read_models import SqliteReadModels
from copypro.envelope import encode, fact
from copypro.errors import StoreRefused
from copypro.messages import AccountDisconnected, AlertCleared, AlertRaised
from copypro.ports import LogHistory, Outgoing, ReadModels, Record
from copypro.readiness import Readiness
from copypro.topics import Topic
from copypro.values import AccountId
from copypro_stats import service
from copypro_stats.rebuilding import Replay, canonical, differences, follow_the_log, rebuild
from structlog.testing import capture_logs

from tests.contract.stores import LIMITS, MongoPlace, Place, put

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACCOUNTS = 5
MOST_EVENTS = 20_000
"""Where writing is faster than projecting, the end still comes."""


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SqliteLog]:
    made = await SqliteLog.open(tmp_path)
    yield made
    await made.close()


@pytest.fixture
def history(log: SqliteLog, tmp_path: Path) -> LogHistory:
    return SqliteHistory(SqliteLogReader(tmp_path))


def events(first: int, count: int) -> list[Outgoing]:
    """Numbered facts: an account's last code is the number of its newest one."""
    made = []
    for number in range(first, first + count):
        account = AccountId(f"{number % ACCOUNTS:032x}")
        message: AccountDisconnected | AlertRaised | AlertCleared
        if number % 3 == 0:
            message = AlertRaised(
                account=account,
                code="X",
                cause=str(number % 7),
                text="t",
                numbers={"n": Decimal(number)},
            )
        elif number % 3 == 1:
            message = AlertCleared(account=account, cause=str(number % 7))
        else:
            message = AccountDisconnected(account=account, code=f"{number:06d}", message="m")
        made.append(encode(topics.ORDER_EVENTS, account, fact(message, NOW, number)))
    return made


@asynccontextmanager
async def projecting(log: SqliteLog, models: ReadModels) -> AsyncIterator[None]:
    running = asyncio.create_task(service.run(log, models, lambda: NOW))
    yield
    running.cancel()
    await asyncio.wait([running])


async def until_shown(models: ReadModels, number: int) -> None:
    """As long as it goes on, however slow the machine is."""
    time = asyncio.get_running_loop().time
    shown, moved_at = "", time()
    while shown != f"{number:06d}":
        account = await models.get(c.ACCOUNTS, f"{number % ACCOUNTS:032x}")
        if account is not None and account["code"] != shown:
            shown, moved_at = account["code"], time()
        assert time() - moved_at < 60, f"stands still at {shown}, not {number:06d}"
        await asyncio.sleep(0.01)


@pytest.fixture
async def fresh(tmp_path: Path) -> AsyncIterator[ReadModels]:
    """A store of its own for what a rebuild makes."""
    folder = tmp_path / "fresh"
    folder.mkdir()
    made = await SqliteReadModels.open(folder)
    yield made
    await made.close()


async def test_live_read_models_equal_a_rebuild_byte_for_byte(
    place: Place, log: SqliteLog, history: LogHistory, fresh: ReadModels
) -> None:
    models = await place.models()
    async with projecting(log, models):
        for at in range(0, 300, 30):
            await log.append(events(at, 30))
        await until_shown(models, 299)
    await Replay(history, fresh).catch_up()
    assert await differences(models, fresh) == []
    assert len(await canonical(models)) > ACCOUNTS
    await models.upsert([put("1", "x/0", 1, {"copier": "never happened"})])
    (difference,) = await differences(models, fresh)
    assert difference.startswith("trade_logs/1: ")


async def test_a_rebuild_replaces_what_is_wrong_while_all_go_on(
    place: Place, log: SqliteLog, history: LogHistory, fresh: ReadModels
) -> None:
    """Events without a pause, readers without a pause, and three rebuilds."""
    models, reader = await place.models(), await place.reader()
    written, stop = 10, asyncio.Event()
    await log.append(events(0, written))

    async def write() -> None:
        nonlocal written
        while not stop.is_set() and written < MOST_EVENTS:
            await log.append(events(written, 10))
            written += 10
            await asyncio.sleep(0.002)

    async def read() -> None:
        """Nothing that was shown is ever gone again."""
        newest: dict[str, str] = {}
        while not stop.is_set():
            shown = {str(d["id"]): str(d["code"]) for d in await reader.find(c.ACCOUNTS)}
            for account, code in newest.items():
                assert shown[account] >= code
            newest = shown

    async with projecting(log, models), asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        tasks.create_task(read())
        for _ in range(3):
            wrong = put("wrong", "order-events/0", 0, {"copier": "never happened"})
            await models.upsert([wrong])
            before = written
            records = await rebuild(history, await place.reader())
            assert records >= before
            assert await models.get(c.TRADE_LOGS, "wrong") is None
            assert await reader.get(c.TRADE_LOGS, "wrong") is None
        stop.set()
    last = max(n for n in range(written) if n % 3 == 2)
    async with projecting(log, models):
        await until_shown(models, last)
        await until_shown(reader, last)
    await Replay(history, fresh).catch_up()
    assert await differences(models, fresh) == []
    assert await differences(reader, fresh) == []


async def test_nobody_sees_a_rebuild_before_it_switches_or_after_it_was_given_up(
    place: Place,
) -> None:
    models = await place.models()
    await models.upsert([put("1", "a/0", 1, {"copier": "live"})])
    new = await models.rebuild()
    await new.upsert([put("1", "a/0", 1, {"copier": "new"}), put("2", "a/0", 2, {"time": "2"})])
    assert await new.source_fields(c.TRADE_LOGS, "1", "a/0") == {"copier": "new"}
    assert await models.find(c.TRADE_LOGS) == [{"copier": "live", "id": "1"}]
    await new.discard()
    assert await models.find(c.TRADE_LOGS) == [{"copier": "live", "id": "1"}]
    again = await models.rebuild()
    assert await again.source_fields(c.TRADE_LOGS, "1", "a/0") is None
    await again.upsert([put("1", "a/0", 1, {"copier": "again"})])
    assert await again.hold() == {"a/0": 1}
    await again.switch()
    for opened in (models, await place.reader(), await place.models()):
        assert await opened.find(c.TRADE_LOGS) == [{"copier": "again", "id": "1"}]
        assert await opened.source_fields(c.TRADE_LOGS, "1", "a/0") == {"copier": "again"}


async def test_writers_wait_while_it_switches_and_then_write_to_the_new_ones(place: Place) -> None:
    models = await place.models()
    await models.upsert([put("1", "a/0", 1, {"copier": "x"})])
    new = await models.rebuild()
    await new.hold()
    known = asyncio.create_task(models.upsert([put("1", "a/0", 2, {"time": "2"})]))
    unknown = asyncio.create_task(models.upsert([put("2", "new/0", 1, {"time": "1"})]))
    done, _ = await asyncio.wait({known, unknown}, timeout=0.2)
    assert not done
    await new.upsert([put("1", "a/0", 1, {"copier": "new"})])
    await new.switch()
    await asyncio.gather(known, unknown)
    assert await models.find(c.TRADE_LOGS) == [
        {"copier": "new", "time": "2", "id": "1"},
        {"time": "1", "id": "2"},
    ]


async def test_of_two_rebuilds_the_one_that_began_last_switches(place: Place) -> None:
    models = await place.models()
    await models.upsert([put("1", "a/0", 1, {"copier": "live"})])
    first, second = await models.rebuild(), await models.rebuild()
    with pytest.raises(StoreRefused, match="another rebuild"):
        await first.upsert([put("1", "a/0", 1, {"copier": "first"})])
    with pytest.raises(StoreRefused, match="another rebuild"):
        await first.hold()
    await first.discard()
    await second.upsert([put("1", "a/0", 1, {"copier": "second"})])
    await second.hold()
    await second.switch()
    assert await models.find(c.TRADE_LOGS) == [{"copier": "second", "id": "1"}]


async def test_live_ones_that_have_seen_more_than_the_log_are_not_replaced(
    place: Place, log: SqliteLog, history: LogHistory
) -> None:
    models = await place.models()
    await log.append(events(0, 3))
    await models.upsert([put("1", "order-events/0", 3, {"copier": "x"})])
    with pytest.raises(StoreRefused, match="another installation's log"):
        await rebuild(history, models)
    await models.upsert([put("1", "order-events/0", 4, {"time": "1"})])
    assert await models.find(c.TRADE_LOGS) == [{"copier": "x", "time": "1", "id": "1"}]


async def test_beside_a_log_brought_back_from_an_older_state_they_are_replaced_when_told_so(
    place: Place, log: SqliteLog, history: LogHistory
) -> None:
    models = await place.models()
    await log.append(events(0, 3))
    await models.upsert([put("1", "order-events/0", 7, {"copier": "x"})])
    await models.upsert([put("2", "order-events/5", 7, {"copier": "x"})])
    assert await models.reached() == {"order-events/0": 7, "order-events/5": 7}
    with pytest.raises(StoreRefused, match="`copypro rebuild stats --older-log`"):
        await rebuild(history, models)
    assert await rebuild(history, models, older_log=True) == 3
    assert await models.find(c.TRADE_LOGS) == []
    assert await models.reached() == {"order-events/0": 2}
    assert await rebuild(history, models) == 3, "they have seen no more than the log now"


@pytest.mark.parametrize("seen", ["nothing", "more"])
async def test_read_models_that_are_not_the_logs_are_made_anew_at_the_start(
    place: Place, log: SqliteLog, history: LogHistory, fresh: ReadModels, seen: str
) -> None:
    """A file that was lost; a log brought back from an older state, beside what saw a newer one."""
    models = await place.models()
    readiness = Readiness("stats")
    with capture_logs() as first:
        await follow_the_log(history, models, readiness)
        await log.append(events(0, 30))
        if seen == "more":
            ahead = put("1", "order-events/0", 30, {"copier": "x"})
            await models.upsert([ahead])
    assert first == []
    revision = models.revision()
    with capture_logs() as lines:
        await follow_the_log(history, models, readiness)
        await follow_the_log(history, models, readiness)
    assert [line["log_level"] for line in lines] == ["warning", "info"]
    assert ("up to 30, but the log ends at 30: it was" in lines[0]["because"]) == (seen == "more")
    assert revision is None or models.revision() != revision
    assert readiness.reasons() == []
    await Replay(history, fresh).catch_up()
    assert await differences(models, fresh) == []


async def test_how_far_a_file_of_an_older_version_is_follows_from_what_is_in_it(
    tmp_path: Path,
) -> None:
    models = await SqliteReadModels.open(tmp_path)
    await models.upsert([put("1", "a/0", 3, {"copier": "x"}), put("2", "a/0", 2, {"copier": "x"})])
    await models.close()
    with closing(sqlite3.connect(tmp_path / "read-models.db")) as connection:
        connection.execute("DROP TABLE progress")
    models = await SqliteReadModels.open(tmp_path)
    assert await models.reached() == {"a/0": 3}
    await models.close()


class Shortened:
    """A history whose first records of the facts were dropped by age."""

    def __init__(self, history: LogHistory) -> None:
        self._history = history

    async def spans(self, topic: Topic) -> Mapping[int, tuple[int, int]]:
        return {p: (1, end) for p, (_, end) in (await self._history.spans(topic)).items() if end}

    def records(
        self, topic: Topic, spans: Mapping[int, tuple[int, int]]
    ) -> AsyncIterator[Sequence[Record]]:
        return self._history.records(topic, spans)


async def test_a_log_without_its_beginning_is_refused(
    place: Place, log: SqliteLog, history: LogHistory
) -> None:
    models = await place.models()
    await log.append(events(0, 3))
    with pytest.raises(StoreRefused, match="order-events/0 has lost its records up to 1"):
        await rebuild(Shortened(history), models)


@pytest.mark.slow
async def test_a_rebuild_that_died_while_it_held_the_writers_is_overcome(mongo: MongoPlace) -> None:
    models = await mongo.models()
    await models.upsert([put("1", "a/0", 1, {"copier": "x"})])
    dead = await models.rebuild()
    await dead.hold()
    async with asyncio.timeout(LIMITS.held_s + 10):
        await models.upsert([put("1", "a/0", 2, {"time": "2"}), put("2", "b/0", 1, {"time": "1"})])
    with pytest.raises(StoreRefused, match="held the writers for too long"):
        await dead.switch()
    assert await models.get(c.TRADE_LOGS, "1") == {"copier": "x", "time": "2", "id": "1"}
    new = await models.rebuild()
    assert await new.hold() == {"a/0": 2, "b/0": 1}
    await new.switch()
    names = await (await mongo.database()).names()
    assert {name for name in names if name.startswith("trade_logs")} == {"trade_logs_3"}
    await new.discard()
    assert await models.find(c.TRADE_LOGS) == [], "what has switched cannot be discarded"
    assert "trade_logs_3" in await (await mongo.database()).names()
