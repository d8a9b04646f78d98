"""A bridge in the same process says what the same bridge says over HTTP and WebSockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from copypro.adapters.terminals import terminal_factory
from copypro.errors import CredentialsRefused, Refused, TerminalError
from copypro.ports import Credentials, Terminal, TerminalLimits
from copypro.trading import CloseRequest, ModifyRequest, OpenRequest, OrdersSeen, StreamOpened
from copypro.values import OrderKind, Platform, Ticket
from copypro.wiring import InMemory
from mt_simulator.main import Simulator, start
from mt_simulator.world import build_default_world

LOGINS = {Platform.MT4: 1001, Platform.MT5: 2001}
Make = Callable[..., Terminal]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    running = await start()
    build_default_world(running.control)
    yield running
    await running.close()


@pytest.fixture(params=list(Platform))
async def both(
    request: pytest.FixtureRequest, simulator: Simulator
) -> AsyncIterator[tuple[Make, Make]]:
    """Makers of terminals of one account: over the network, and in this process."""
    platform: Platform = request.param
    url = simulator.mt4_url if platform is Platform.MT4 else simulator.mt5_url
    remote = terminal_factory(platform, url, TerminalLimits(), reads_per_s=1000)
    faces = {Platform(face.platform): face for face in simulator.faces.values()}
    local = InMemory.terminals(faces)[platform]

    def made(factory: Any) -> Make:
        def make(password: str = "demo") -> Terminal:
            server, login = f"Simulated-{platform}", LOGINS[platform]
            terminal: Terminal = factory(Credentials(server=server, login=login, password=password))
            return terminal

        return make

    yield made(remote), made(local)
    await remote.aclose()


async def said(terminal: Terminal) -> list[object]:
    """Every kind of read, and what is refused."""
    answers: list[object] = [await terminal.connect(), await terminal.symbols()]
    answers += [await terminal.symbol("USDJPY"), (await terminal.quote("EURUSD", 5.0)).bid]
    answers.append(await terminal.margin("EURUSD", OrderKind.BUY, Decimal(1)))
    answers.append(await terminal.snapshot())
    answers.append(await terminal.history(datetime(2000, 1, 1), datetime(2100, 1, 1)))
    with pytest.raises(Refused) as refused:
        await terminal.symbol("NOTHING")
    answers.append((refused.value.code, refused.value.message))
    return answers


async def test_reads_are_the_same(both: tuple[Make, Make]) -> None:
    remote, local = (make() for make in both)
    assert await said(local) == await said(remote)


async def test_a_wrong_password_is_refused_alike(both: tuple[Make, Make]) -> None:
    codes = []
    for make in both:
        with pytest.raises(CredentialsRefused) as refused:
            await make("wrong").connect()
        codes.append(refused.value.code)
    assert codes[0] == codes[1]


async def test_a_change_by_one_is_seen_alike_by_both(both: tuple[Make, Make]) -> None:
    remote, local = (make() for make in both)
    for terminal in (remote, local):
        await terminal.connect()
        await terminal.warm()
    open_now = (asyncio.Event(), asyncio.Event())
    seen = [
        asyncio.create_task(frames(terminal, 3, is_open))
        for terminal, is_open in zip((remote, local), open_now, strict=True)
    ]
    async with asyncio.timeout(60):
        await asyncio.gather(*(is_open.wait() for is_open in open_now))
        assert local.is_warm()
        request = OpenRequest(
            symbol="EURUSD", kind=OrderKind.BUY, lots=Decimal("0.10"), comment="T0", magic=7,
            price=Decimal("1.1001"),
        )  # fmt: skip
        done = await local.open(request)
        await remote.modify(
            ModifyRequest(ticket=done.ticket, stop_loss=Decimal("1.05"), take_profit=None)
        )
        with pytest.raises(Refused):
            await local.close(CloseRequest(ticket=Ticket(1), symbol="EURUSD", lots=None))
        await local.close(CloseRequest(ticket=done.ticket, symbol="EURUSD", lots=None))
        one, two = await asyncio.gather(*seen)
    assert one == two
    assert (await local.snapshot()).orders == (await remote.snapshot()).orders == ()


async def frames(
    terminal: Terminal, count: int, is_open: asyncio.Event
) -> list[tuple[object, ...]]:
    """What the stream shows of the next changes: each list once, as one action has several frames."""
    found: list[tuple[object, ...]] = []
    async with aclosing(terminal.updates()) as updates:  # type: ignore[type-var]
        async for update in updates:
            if isinstance(update, StreamOpened):
                is_open.set()
            elif isinstance(update, OrdersSeen):
                shown = tuple((o.ticket, o.lots, o.stop_loss, o.comment) for o in update.orders)
                if not found or found[-1] != shown:
                    found.append(shown)
                if len(found) == count:
                    return found
    raise AssertionError("the updates ended")


async def test_without_a_session_nothing_is_answered(both: tuple[Make, Make]) -> None:
    for make in both:
        with pytest.raises(TerminalError):
            await make().snapshot()
