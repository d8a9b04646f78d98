"""Alerts reach the operator's address at least once, and once by id, whatever breaks on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from copypro import topics
from copypro.adapters.memory_log import MemoryLog
from copypro.adapters.memory_read_models import MemoryReadModels
from copypro.adapters.sqlite_read_models import SqliteReadModels
from copypro.adapters.webhooks import Webhooks
from copypro.callbacks import Receiver as To
from copypro.envelope import encode, fact
from copypro.errors import StoreUnavailable
from copypro.messages import AccountRegistered, AlertRaised
from copypro.ports import Document, NotTaken, Post
from copypro.values import AccountId, Platform, RegistrationId, UserId
from copypro_stats import service
from copypro_stats.posting import PostLimits
from copypro_stats.receivers import Receivers, posts_of
from structlog.testing import capture_logs

from tests.journey.receiver import Receiver, a_receiver
from tests.waiting import eventually, until

ACCOUNT = AccountId("a" * 32)
ID = "1" * 32
LIMITS = PostLimits(first_wait_s=0.01, cap_wait_s=0.02)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with a_receiver() as made:
        yield made


@pytest.fixture
async def models(tmp_path: object) -> AsyncIterator[SqliteReadModels]:
    made = await SqliteReadModels.open(tmp_path)  # type: ignore[arg-type]
    yield made
    await made.close()


class Away(MemoryReadModels):
    async def get(self, collection: str, id: str) -> Document | None:
        raise StoreUnavailable("away")


def clock() -> datetime:
    return datetime.now(UTC)


async def raised(log: MemoryLog, *causes: str) -> None:
    for cause in causes:
        alert = AlertRaised(account=ACCOUNT, code="CLOSE_FAILS", cause=cause, text="t")
        envelope = fact(alert, clock(), ACCOUNT, cause)
        await log.append([encode(topics.ORDER_EVENTS, ACCOUNT, envelope)])


async def unsealed(_: RegistrationId, sealed: str) -> str:
    return sealed


def receivers(models: SqliteReadModels, receiver: Receiver, post: Post | None = None) -> Receivers:
    return Receivers(models, unsealed, post or Webhooks(clock, within_s=60), receiver.url)


def started(
    log: MemoryLog,
    models: SqliteReadModels,
    receiver: Receiver,
    post: Post | None = None,
    **limits: float,
) -> asyncio.Task[None]:
    told, scaled = receivers(models, receiver, post), PostLimits(**{**_values(LIMITS), **limits})
    return asyncio.create_task(service.run(log, models, clock, told, scaled))


def _values(limits: PostLimits) -> dict[str, float]:
    return {name: getattr(limits, name) for name in limits.__struct_fields__}


async def killed(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def left(log: MemoryLog) -> int:
    states = log.states.get(topics.STATS_STATE.name, [])
    return sum(key.startswith("post/") for state in states for key in state)


@pytest.mark.parametrize("status", [302, 400, 429, 503, 0])
async def test_only_a_2xx_is_taken_and_no_reason_shows_the_address(
    receiver: Receiver, status: int
) -> None:
    to = To(receiver.url, trusted=True)
    receiver.statuses = [status]
    not_taken = await Webhooks(clock, within_s=1.0 if status == 0 else 60)(to, ID, b"{}")
    assert not_taken is not None
    assert not_taken.refused is (status == 400)
    assert "c4n4ry" not in f"{not_taken}{to}"
    assert await Webhooks(clock, within_s=60)(to, ID, b"{}") is None
    assert receiver.keys == [ID] * 2


async def test_an_address_where_nobody_listens_is_a_reason_too() -> None:
    to = To("http://127.0.0.1:1/hook", trusted=True)
    assert await Webhooks(clock, within_s=60)(to, ID, b"{}")


async def test_an_alert_is_posted_with_its_id_and_forgotten_once_it_was_taken(
    receiver: Receiver, models: SqliteReadModels
) -> None:
    log = MemoryLog()
    receiver.statuses = [503, 0, 500]
    running = started(log, models, receiver, Webhooks(clock, within_s=1.0))
    await raised(log, "one", "two")
    await until(lambda: len(receiver.taken) == 2 and not left(log))
    assert [body["cause"] for body in receiver.taken] == ["one", "two"]
    assert {body["id"] for body in receiver.tries[:4]} == {receiver.taken[0]["id"]}
    assert (receiver.taken[0]["code"], receiver.taken[0]["account"]) == ("CLOSE_FAILS", ACCOUNT)
    await killed(running)


async def test_an_alert_is_posted_and_logged_with_the_account_as_a_person_knows_it(
    receiver: Receiver, models: SqliteReadModels
) -> None:
    """Whoever is woken by it cannot look up what only the log calls the account."""
    log = MemoryLog()
    registered = AccountRegistered(
        account=ACCOUNT, registration=RegistrationId("b" * 32), user=UserId("c" * 32),
        platform=Platform.MT5, server="Alpha-MT5", login=1001, name="a name", generation=1,
    )  # fmt: skip
    envelope = fact(registered, clock(), ACCOUNT, "registered")
    with capture_logs() as lines:
        running = started(log, models, receiver)
        await raised(log, "of nobody")
        await until(lambda: len(receiver.taken) == 1)
        await log.append([encode(topics.ORDER_EVENTS, ACCOUNT, envelope)])
        await raised(log, "of 1001")
        await until(lambda: len(receiver.taken) == 2)
        await killed(running)
    nobodys, after = receiver.taken
    assert "login" not in nobodys
    assert after["numbers"] == {}, "there also where there are none: a receiver may read it"
    assert (after["login"], after["server"]) == (1001, "Alpha-MT5")
    assert after["registrations"] == ["b" * 32]
    line = [line for line in lines if line["event"] == "alert"][-1]
    assert (line["login"], line["server"]) == (1001, "Alpha-MT5")
    assert line["cause"] == "of 1001", "by which the line of its end is found"


async def test_an_alert_does_not_wait_for_a_database_to_name_its_account(
    receiver: Receiver,
) -> None:
    alert = AlertRaised(account=ACCOUNT, code="CLOSE_FAILS", cause="c", text="t")
    (posted,) = posts_of(fact(alert, clock(), ACCOUNT, "c"))
    told = Receivers(Away(), unsealed, Webhooks(clock, within_s=60), receiver.url)
    assert await told.post(posted) is None
    assert [body["cause"] for body in receiver.taken] == ["c"]


async def test_a_kill_before_it_was_taken_loses_nothing(
    receiver: Receiver, models: SqliteReadModels
) -> None:
    log = MemoryLog()
    receiver.statuses = [503] * 1000
    running = started(log, models, receiver)
    await raised(log, "one")
    await until(lambda: len(receiver.tries) > 1)
    await killed(running)
    assert receiver.taken == []
    receiver.statuses = []
    running = started(log, models, receiver)
    await until(lambda: len(receiver.taken) == 1 and not left(log))
    assert len({body["id"] for body in receiver.tries}) == 1
    await killed(running)


async def test_a_kill_after_it_was_taken_may_post_it_again_with_the_same_id(
    receiver: Receiver, models: SqliteReadModels
) -> None:
    log = MemoryLog()
    taken = asyncio.Event()
    post = Webhooks(clock)

    async def dies_when_taken(receiver: To, id: str, body: bytes) -> NotTaken | None:
        """The receiver has it; the process is gone before it can write that down."""
        await post(receiver, id, body)
        taken.set()
        return await asyncio.Future()

    told = receivers(models, receiver, dies_when_taken)
    running = asyncio.create_task(service.run(log, models, clock, told, LIMITS))
    await raised(log, "one")
    await taken.wait()
    await killed(running)
    running = started(log, models, receiver)
    await until(lambda: len(receiver.taken) == 2 and not left(log))
    assert receiver.taken[0] == receiver.taken[1]
    await killed(running)


@pytest.mark.parametrize("seed", range(5))
async def test_owners_that_are_lost_again_and_again_lose_no_alert(
    receiver: Receiver, models: SqliteReadModels, seed: int
) -> None:
    log = MemoryLog(partitions=2, seed=seed, loss=0.2)
    running = started(log, models, receiver)
    causes = [f"cause {number}" for number in range(20)]
    await raised(log, *causes)
    await until(lambda: {body["cause"] for body in receiver.taken} == set(causes))
    await until(lambda: not left(log))
    by_cause = {body["cause"]: body["id"] for body in receiver.taken}
    assert all(body["id"] == by_cause[body["cause"]] for body in receiver.taken)
    await killed(running)


@pytest.mark.parametrize(
    ("limits", "posted"), [({"kept_s": 0.0}, ["one", "two"]), ({"waiting": 1}, ["one"])]
)
async def test_what_nobody_takes_is_bounded_in_time_and_number(
    receiver: Receiver, models: SqliteReadModels, limits: dict[str, float], posted: list[str]
) -> None:
    log = MemoryLog()
    receiver.statuses = [503] * 3 if "waiting" in limits else [503] * 1000
    await raised(log, "one", "two")
    running = started(log, models, receiver, **limits)
    await until(lambda: len(receiver.tries) >= len(posted) and not left(log))
    assert list(dict.fromkeys(body["cause"] for body in receiver.tries)) == posted
    await killed(running)


async def test_alerts_that_are_refused_hold_up_none_behind_them(
    receiver: Receiver, models: SqliteReadModels
) -> None:
    """A receiver may refuse one for what it says, and somebody must hear of the next one now."""
    log = MemoryLog()
    receiver.refused = {"refused", "refused too", "refused later"}
    running = started(log, models, receiver, first_wait_s=60.0, cap_wait_s=60.0)
    await raised(log, "refused", "refused too", "one", "two")
    await until(lambda: len(receiver.taken) == 2)
    assert [body["cause"] for body in receiver.taken] == ["one", "two"]
    await raised(log, "refused later", "three")
    await until(lambda: len(receiver.taken) == 3)
    assert receiver.taken[-1]["cause"] == "three", "also while it waits to ask again"
    await until(lambda: left(log) == 3)
    await killed(running)


async def test_alerts_that_are_refused_take_no_other_s_place(
    receiver: Receiver, models: SqliteReadModels
) -> None:
    """However many of them wait for the receiver to think otherwise."""
    log = MemoryLog()
    receiver.refused = {"refused", "refused too"}
    running = started(log, models, receiver, first_wait_s=60.0, cap_wait_s=60.0, waiting=2)
    await raised(log, "refused", "refused too")
    await until(lambda: len(receiver.tries) == 2)
    await raised(log, "one")
    await until(lambda: [body["cause"] for body in receiver.taken] == ["one"])
    await until(lambda: left(log) == 1)
    await killed(running)


async def test_an_alert_that_was_refused_is_posted_again_until_it_is_taken(
    receiver: Receiver, models: SqliteReadModels
) -> None:
    log = MemoryLog()
    receiver.refused = {"one", "two"}
    running = started(log, models, receiver)
    await raised(log, "one", "two")
    await until(lambda: len(receiver.tries) > 4)
    assert {body["cause"] for body in receiver.tries[:4]} == {"one", "two"}
    receiver.refused = {"two"}
    await until(lambda: left(log) == 1)
    receiver.refused = set()
    await until(lambda: not left(log))
    assert [body["cause"] for body in receiver.taken] == ["one", "two"]
    await killed(running)


async def test_an_alert_that_is_refused_for_too_long_is_given_up(
    receiver: Receiver, models: SqliteReadModels
) -> None:
    log = MemoryLog()
    receiver.refused = {"one"}
    with capture_logs() as lines:
        running = started(log, models, receiver, kept_s=0.2)
        await raised(log, "one")
        await until(lambda: bool(receiver.tries) and not left(log))
        await killed(running)
    assert lines[-1]["event"] == "alert not delivered: given up"
    assert lines[-1]["reason"] == "status 422"


@pytest.mark.parametrize("status", [408, 425, 429, 500])
async def test_one_that_asks_for_patience_is_not_asked_for_the_next(
    receiver: Receiver, models: SqliteReadModels, status: int
) -> None:
    log = MemoryLog()
    receiver.statuses = [status]
    running = started(log, models, receiver)
    await raised(log, "one", "two")
    await until(lambda: len(receiver.taken) == 2 and not left(log))
    assert [body["cause"] for body in receiver.tries] == ["one", "one", "two"]
    await killed(running)


async def test_a_receiver_that_never_answers_holds_up_nothing_that_is_shown(
    receiver: Receiver, models: SqliteReadModels
) -> None:
    log = MemoryLog()
    receiver.statuses = [0] * 1000
    running = started(log, models, receiver)
    await raised(log, *(f"cause {number}" for number in range(10)))

    async def shown() -> bool:
        return len(await models.find("alerts", {"open": True})) == 10

    await eventually(shown)
    assert receiver.taken == []
    await killed(running)
