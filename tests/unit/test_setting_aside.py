"""Records that an operator named: their readers are given them as ones that nobody can read."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from copypro import topics
from copypro.adapters.memory_log import MemoryLog
from copypro.adapters.sqlite_history import SqliteHistory
from copypro.adapters.sqlite_log import SqliteLog, SqliteLogReader
from copypro.adapters.sqlite_read_models import SqliteReadModels
from copypro.envelope import decode
from copypro.errors import BadRecord, SettingsError
from copypro.ports import EventLog, Record
from copypro.readiness import Readiness, broke_at, places_of
from copypro.setting_aside import SettingAside, marked
from copypro.settings import load
from copypro_account_watcher import service as watcher
from copypro_account_watcher.agent import AccountAgent
from copypro_account_watcher.limits import WatcherLimits
from copypro_replicator import replicating
from copypro_replicator import service as replicator
from copypro_stats import batch as projecting
from copypro_stats import service as stats
from copypro_stats.rebuilding import rebuild

from tests.unit.copying_builders import T0
from tests.unit.test_newer_records import NoVault, a_copier, an_alert, settle, until

pytestmark = pytest.mark.slow

INPUTS = {
    "account-watcher": (settle, "account-commands/0/1"),
    "replicator": (a_copier, "copier-commands/0/1"),
    "stats": (an_alert, "order-events/0/1"),
}


def breaks_on_second(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The role's own handling of a record raises for the one at offset 1: a mistake of ours."""
    if role == "account-watcher":
        handle = AccountAgent.on_command

        def on_command(agent: AccountAgent, envelope: object, turn: object) -> None:
            _break_if_second(envelope)
            handle(agent, envelope, turn)  # type: ignore[arg-type]

        monkeypatch.setattr(AccountAgent, "on_command", on_command)
    elif role == "replicator":
        take = replicating._take

        def taken(turn: object, envelope: object, offset: int, *, is_event: bool) -> None:
            _break_if_second(envelope)
            take(turn, envelope, offset, is_event=is_event)  # type: ignore[arg-type]

        monkeypatch.setattr(replicating, "_take", taken)
    else:
        found = projecting.patches

        def patches(record: Record, envelope: object) -> object:
            _break_if_second(envelope)
            return found(record, envelope)  # type: ignore[arg-type]

        monkeypatch.setattr(projecting, "patches", patches)


def _break_if_second(envelope: object) -> None:
    if envelope.id in SECOND:  # type: ignore[attr-defined]
        raise ZeroDivisionError("s3cret")


SECOND = {given(1).headers["id"] for given, _ in INPUTS.values()}


async def run(role: str, log: EventLog, readiness: Readiness, at: Path) -> None:
    if role == "account-watcher":
        limits = WatcherLimits()
        await watcher.run(log, {}, NoVault(), lambda: T0, lambda: 0.0, limits, readiness)
    elif role == "replicator":
        await replicator.run(log, lambda: T0, readiness=readiness)
    else:
        models = await SqliteReadModels.open(at)
        try:
            await stats.run(log, models, lambda: T0, readiness=readiness)
        finally:
            await models.close()


@pytest.mark.parametrize("role", INPUTS)
async def test_a_partition_names_what_it_breaks_on_and_goes_on_without_it(
    role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, place = INPUTS[role]
    topic, partition, offset = place.split("/")
    log = MemoryLog()
    await log.append([given(number) for number in range(3)])
    breaks_on_second(role, monkeypatch)
    readiness = Readiness(role, first_wait_s=0.01)
    broken = asyncio.ensure_future(run(role, log, readiness, tmp_path))
    await until(lambda: any(place in reason for reason in readiness.reasons()))
    (reason,) = readiness.reasons()
    assert "ZeroDivisionError" in reason
    assert "s3cret" not in reason
    assert log.consumed.get((role, 0, topic), 0) <= 1
    broken.cancel()
    await asyncio.wait([broken])

    again = Readiness(role, first_wait_s=0.01)
    aside = SettingAside(log, {(topic, int(partition), int(offset))}, again.broke)
    going = asyncio.ensure_future(run(role, aside, again, tmp_path))
    await until(lambda: log.consumed.get((role, 0, topic), 0) == 3)
    (letter,) = log.all(topics.DEAD_LETTERS.name)
    written = decode(letter).message
    assert (written.topic, written.partition, written.offset) == (topic, 0, 1)
    assert "set aside" in written.reason
    assert written.headers == given(1).headers
    going.cancel()
    await asyncio.wait([going])
    await log.close()


@pytest.mark.parametrize("role", INPUTS)
async def test_what_was_named_by_mistake_is_handled_as_any_other(role: str, tmp_path: Path) -> None:
    """At three in the morning a digit is soon wrong, and the record may be a close."""
    given, place = INPUTS[role]
    topic, partition, offset = place.split("/")
    log, readiness = MemoryLog(), Readiness(role)
    await log.append([given(number) for number in range(3)])
    aside = SettingAside(log, {(topic, int(partition), int(offset))}, readiness.broke)
    going = asyncio.ensure_future(run(role, aside, readiness, tmp_path))
    await until(lambda: log.consumed.get((role, 0, topic), 0) == 3)
    assert log.all(topics.DEAD_LETTERS.name) == []
    going.cancel()
    await asyncio.wait([going])
    await log.close()


async def test_a_rebuild_leaves_out_what_was_named_where_it_breaks_on_it_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, models = await SqliteLog.open(tmp_path), await SqliteReadModels.open(tmp_path)
    await log.append([an_alert(number) for number in range(3)])
    history, named = SqliteHistory(SqliteLogReader(tmp_path)), {("order-events", 0, 1)}
    await rebuild(history, models, named)
    whole = await models.find("alerts", {}, limit=None)
    breaks_on_second("stats", monkeypatch)
    with pytest.raises(ZeroDivisionError):
        await rebuild(history, models)
    assert await models.find("alerts", {}, limit=None) == whole
    await rebuild(history, models, named)
    assert len(await models.find("alerts", {}, limit=None)) == len(whole) - 1
    await models.close()
    await log.close()


async def test_what_is_set_aside_is_what_was_named_and_nothing_else(tmp_path: Path) -> None:
    log = await SqliteLog.open(tmp_path)
    await log.append([settle(number) for number in range(3)])
    named = {("account-commands", 0, 1), ("account-commands", 1, 2)}
    aside = SettingAside(log, named, {"account-commands/0/1", "account-commands/0/2"})
    partition = await anext(aiter(aside.partitions(topics.ACCOUNT_WATCHER)))
    records = await partition.read()
    assert [record.set_aside for record in records] == [False, True, False]
    assert [record.value for record in records] == [settle(number).value for number in range(3)]
    await partition.commit([], records)
    await aside.close()


def test_a_record_that_is_set_aside_cannot_be_decoded() -> None:
    out = settle(0)
    record = Record(out.topic, 0, 7, out.key, out.value, out.headers)
    assert decode(record).message is not None
    assert marked([record], ()) == [record]
    (aside,) = marked([record], {(out.topic, 0, 7)})
    with pytest.raises(BadRecord, match=r"account-commands/0 at 7: set aside by an operator"):
        decode(aside)


def test_an_error_names_a_few_records_and_keeps_other_notes_to_itself() -> None:
    records = [Record("slave-orders", 2, offset, "", b"", {}) for offset in range(9)]
    error = KeyError("x")
    error.add_note("s3cret")
    broke_at(error, records)
    assert places_of(error) == [f"slave-orders/2/{offset}" for offset in range(3)]


def test_the_setting_takes_places_and_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COPYPRO_SET_ASIDE", "slave-orders/0/123, order-events/15/7")
    assert load().places_set_aside == {("slave-orders", 0, 123), ("order-events", 15, 7)}
    for wrong, said in (
        ("slave-orders/0", "is no topic/partition/offset like slave-orders/0/123"),
        ("slave-orders/0/-1", "is no topic/partition/offset"),
        ("slave-orders/0/1/2", "is no topic/partition/offset"),
        ("orders/0/1", "no service reads a topic orders"),
    ):
        monkeypatch.setenv("COPYPRO_SET_ASIDE", wrong)
        with pytest.raises(SettingsError, match="COPYPRO_SET_ASIDE") as error:
            load()
        assert said in str(error.value)
