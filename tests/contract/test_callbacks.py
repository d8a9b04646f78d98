"""Trade logs reach their user's address: signed, in order, each receiver by itself, whatever breaks."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from copypro import messages as m
from copypro import topics
from copypro.adapters.memory_log import MemoryLog
from copypro.adapters.sqlite_read_models import SqliteReadModels
from copypro.adapters.webhooks import NOT_PUBLIC, Webhooks
from copypro.callbacks import (
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    Callback,
    plain,
    signature,
)
from copypro.callbacks import Receiver as To
from copypro.envelope import encode, fact
from copypro.errors import KeyDestroyed, SecretsError, StoreRefused, StoreUnavailable
from copypro.messages import Message
from copypro.ports import NotTaken
from copypro.readiness import Readiness
from copypro.values import AttemptId, CopierId, CopyId, RegistrationId
from copypro_stats import service
from copypro_stats.posting import PostLimits
from copypro_stats.receivers import Receivers, Unseal
from msgspec.structs import replace

from docs.generating import examples
from tests.contract.test_posting import clock, killed, left, unsealed
from tests.journey.receiver import Receiver, a_receiver
from tests.waiting import eventually, until

ONE, TWO = CopierId("1" * 32), CopierId("2" * 32)
SECRET = "s3cr3t"


@pytest.fixture
async def receivers() -> AsyncIterator[tuple[Receiver, Receiver]]:
    async with a_receiver() as one, a_receiver() as two:
        yield one, two


@pytest.fixture
async def models(tmp_path: object) -> AsyncIterator[SqliteReadModels]:
    made = await SqliteReadModels.open(tmp_path)  # type: ignore[arg-type]
    yield made
    await made.close()


def started(
    log: MemoryLog, models: SqliteReadModels, unseal: Unseal | None = None, **limits: Any
) -> asyncio.Task[None]:
    scaled = PostLimits(**{"first_wait_s": 0.01, "cap_wait_s": 0.02, **limits})
    post = Webhooks(clock, 0.5, private_allowed=True)
    told = Receivers(models, unseal or unsealed, post, "")
    readiness = Readiness("stats", first_wait_s=0.01)
    return asyncio.create_task(service.run(log, models, clock, told, scaled, readiness))


async def appended(log: MemoryLog, topic: topics.Topic, *messages: Message) -> None:
    for message in messages:
        envelope = fact(message, clock(), message)
        await log.append([encode(topic, examples.SLAVE, envelope)])


async def told_at(log: MemoryLog, copier: CopierId, url: str | None) -> None:
    state = replace(examples.example(m.Copier), copier=copier, callback=None)
    if url is not None:
        sealed = plain(To(url, SECRET))
        callback = Callback(registration=RegistrationId("r"), sealed=sealed, shown="")
        state = replace(state, callback=callback)
    await appended(log, topics.COPIER_EVENTS, m.CopierUpdated(state=state))


async def closed(log: MemoryLog, copier: CopierId, *names: str) -> None:
    """A trade log each, under the attempt's name."""
    for name in names:
        event = replace(examples.example(m.CopyClosed), copier=copier, attempt=AttemptId(name))
        await appended(log, topics.EXECUTIONS, event)


async def known(models: SqliteReadModels, copier: CopierId, wanted: bool = True) -> None:
    async def there() -> bool:
        return (await models.get("callbacks", copier) is not None) is wanted

    await eventually(there)


def ids(receiver: Receiver) -> list[str]:
    return [body["id"] for body in receiver.taken]


async def test_each_trade_log_is_posted_as_it_is_listed_signed_and_in_order(
    receivers: tuple[Receiver, Receiver], models: SqliteReadModels
) -> None:
    one, two = receivers
    log = MemoryLog()
    running = started(log, models)
    await closed(log, ONE, "before anybody asked")
    await told_at(log, ONE, one.url)
    await known(models, ONE)
    one.statuses = [503, 500, 200, 0]
    names = [f"{number:02}" for number in range(12)]
    await closed(log, ONE, *names)
    await closed(log, TWO, "of another copier")
    await until(lambda: ids(one) == names and not left(log))
    assert one.taken[0]["updateType"] == "MarketClose"
    assert one.taken[0]["copierId"] == ONE
    for headers, body in one.posts:
        timestamp = headers[TIMESTAMP_HEADER]
        assert headers[SIGNATURE_HEADER] == signature(SECRET, timestamp, body)
        assert abs(clock().timestamp() - int(timestamp)) < 60
    one.statuses = [503] * 100_000
    await closed(log, ONE, "waiting when it was taken back")
    await until(lambda: len(one.statuses) < 100_000)
    await told_at(log, TWO, two.url)
    await told_at(log, ONE, None)
    await known(models, TWO)
    await known(models, ONE, wanted=False)
    await closed(log, ONE, "after it was taken back")
    await closed(log, TWO, "the last")
    await until(lambda: ids(two) == ["the last"] and not left(log))
    assert ids(one) == names
    assert "after it was taken back" not in {body["id"] for body in one.tries}
    await killed(running)


@pytest.mark.parametrize(
    ("error", "posted"),
    [
        (StoreUnavailable("no answer"), True),
        (StoreRefused("the user may not read"), True),
        (SecretsError("the new key is not here yet"), True),
        (LookupError("nobody expected this"), True),
        (KeyDestroyed("the account is gone"), False),
    ],
)
async def test_what_cannot_be_opened_now_is_posted_once_it_can_and_what_never_can_is_let_go(
    receivers: tuple[Receiver, Receiver],
    models: SqliteReadModels,
    error: Exception,
    posted: bool,
) -> None:
    one, _ = receivers
    log = MemoryLog()
    failures = [error, error]

    async def opened(_: RegistrationId, sealed: str) -> str:
        if failures:
            raise failures.pop()
        return sealed

    running = started(log, models, opened)
    await told_at(log, ONE, one.url)
    await known(models, ONE)
    await closed(log, ONE, "1", "2", "3")
    await until(lambda: not failures and not left(log) and len(ids(one)) == (3 if posted else 1))
    assert ids(one) == (["1", "2", "3"] if posted else ["3"])
    await killed(running)


async def test_a_dead_receiver_delays_nobody_and_a_restart_goes_on_where_it_was(
    receivers: tuple[Receiver, Receiver], models: SqliteReadModels
) -> None:
    dead, alive = receivers
    dead.statuses = [0] + [503] * 10_000
    log = MemoryLog()
    running = started(log, models)
    await told_at(log, ONE, dead.url)
    await told_at(log, TWO, alive.url)
    await known(models, ONE)
    await known(models, TWO)
    names = [f"{number:02}" for number in range(8)]
    for name in names:
        await closed(log, ONE, f"dead {name}")
        await closed(log, TWO, name)
    await until(lambda: ids(alive) == names and left(log) == len(names))
    assert dead.taken == []
    await killed(running)
    dead.statuses = []
    running = started(log, models)
    await until(lambda: ids(dead) == [f"dead {name}" for name in names] and not left(log))
    assert ids(alive) == names
    await killed(running)


COPY = {"copy": CopyId("c" * 32), "leg": 0}
PLANNED = replace(examples.example(m.CopyPlanned), copier=ONE, pending=False, **COPY)
OPENED = replace(examples.example(m.CopyOpened), copier=ONE, **COPY)


async def test_what_was_executed_is_told_with_its_decision_whichever_is_read_first(
    receivers: tuple[Receiver, Receiver], models: SqliteReadModels
) -> None:
    """They come by topics of their own, each read by itself."""
    one, two = receivers
    log = MemoryLog()
    running = started(log, models)
    await told_at(log, ONE, one.url)
    await told_at(log, TWO, two.url)
    await known(models, ONE)
    await known(models, TWO)
    await appended(log, topics.EXECUTIONS, OPENED)
    await closed(log, TWO, "of another copier")
    await until(lambda: ids(two) == ["of another copier"] and left(log) == 1)
    assert one.tries == []
    await appended(log, topics.COPIER_EVENTS, PLANNED)
    await until(lambda: not left(log))
    (told,) = one.taken
    assert told["masterOrder"]["symbol"] == PLANNED.symbol
    assert None not in (told["timeUTC"], told["times"]["seen"], told["times"]["planned"])
    await killed(running)


async def test_what_never_gets_a_decision_is_told_without_it_after_a_while(
    receivers: tuple[Receiver, Receiver], models: SqliteReadModels
) -> None:
    one, _ = receivers
    log = MemoryLog()
    running = started(log, models, decision_s=0.05)
    await told_at(log, ONE, one.url)
    await known(models, ONE)
    await appended(log, topics.EXECUTIONS, OPENED)
    await until(lambda: not left(log) and len(one.taken) == 1)
    assert (one.taken[0]["outcome"], one.taken[0]["masterOrder"]) == ("opened", None)
    await killed(running)


async def test_so_many_wait_and_no_more(
    receivers: tuple[Receiver, Receiver], models: SqliteReadModels
) -> None:
    dead, alive = receivers
    dead.statuses = [503] * 10_000
    log = MemoryLog()
    running = started(log, models, waiting=3, first_wait_s=5.0, cap_wait_s=5.0)
    await told_at(log, ONE, dead.url)
    await told_at(log, TWO, alive.url)
    await known(models, TWO)
    await closed(log, ONE, *"abcdef")
    await closed(log, TWO, "end")
    await until(lambda: ids(alive) == ["end"] and left(log) == 3)
    await killed(running)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "2130706433", "[::1]", "0.0.0.0", "[::ffff:127.0.0.1]",
        "①②⑦.0.0.1", "127。0。0。1", "\uff11\uff12\uff17.0.0.1", "[::①]", "0x7f.1",
        "\uff11\uff16\uff19.\uff12\uff15\uff14.\uff11\uff16\uff19.\uff12\uff15\uff14",
    ],
)  # fmt: skip
async def test_a_user_s_address_is_never_a_private_one(
    receivers: tuple[Receiver, Receiver], host: str
) -> None:
    """By what it resolves to at the very connection, however it is written."""
    one, _ = receivers
    url = one.url.replace("127.0.0.1", host)
    not_taken = await Webhooks(clock, 5.0)(To(url), "1", b"{}")
    assert not_taken == NotTaken("InvalidUrlClientError" if host.isdecimal() else NOT_PUBLIC)
    assert one.posts == []


async def test_an_address_that_is_none_is_a_reason_and_no_error() -> None:
    assert await Webhooks(clock, 1.0)(To("http://[::1/hook"), "1", b"{}") == NotTaken("ValueError")


async def test_a_redirect_is_not_followed_and_no_answer_is_too_late(
    receivers: tuple[Receiver, Receiver],
) -> None:
    one, _ = receivers
    one.statuses = [302, 0]
    post = Webhooks(clock, 60.0, private_allowed=True)
    assert await post(To(one.url), "1", b"{}") == NotTaken("status 302")
    hasty = Webhooks(clock, 1.0, private_allowed=True)
    assert await hasty(To(one.url), "1", b"{}") == NotTaken("TimeoutError")
    assert len(one.posts) == 2
    too_long = await post(To(one.url), "1", b"x" * 300_000)
    assert too_long is not None
    assert "bytes are more than" in too_long.reason


async def test_names_that_nobody_answers_for_take_no_thread_from_anybody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whose callback it is decides whose name server is asked; names of bridges are looked up too."""
    answers, look_up = threading.Event(), socket.getaddrinfo

    def hangs(host: str, *how: Any, **more: Any) -> Any:
        if host.startswith("silent"):
            answers.wait(60)
        return look_up("localhost", *how, **more)

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    post = Webhooks(clock, 0.5)
    urls = [f"http://silent{number}.example/" for number in range(40)]
    try:
        assert await asyncio.gather(*(post(To(url), "1", b"{}") for url in urls))
        async with asyncio.timeout(30):
            await asyncio.get_running_loop().getaddrinfo("bridge", 80)
            await post(To("http://operator.example:1", trusted=True), "1", b"{}")
    finally:
        answers.set()
