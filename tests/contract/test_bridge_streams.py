"""What a stream's socket meets before it opens and while it closes: redirects, silence, a stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest
from aiohttp import web
from copypro.adapters.bridge import Bridge
from copypro.adapters.bridge_streams import Streams
from copypro.adapters.mt4_terminal import Mt4Dialect
from copypro.adapters.mt5_terminal import Mt5Dialect
from copypro.errors import Unavailable
from copypro.ports import TerminalLimits
from copypro.trading import OrdersSeen, Quote, StreamLost, StreamOpened
from copypro.values import Platform

TOKEN = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
LIMITS = TerminalLimits(read_s=0.2)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """The address of a server whose every path is answered so."""
    runners: list[web.AppRunner] = []

    async def start(handler: Handler) -> str:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


async def opened(url: str) -> None:
    bridge = Bridge(Platform.MT5, url, LIMITS, 1000, {"x-api-key": "canary"})
    try:
        await bridge.socket("OnOrderUpdate", TOKEN)
    finally:
        await bridge.aclose()


async def test_a_stream_follows_no_redirect(serve: Serve) -> None:
    elsewhere: list[web.Request] = []

    async def other(request: web.Request) -> web.StreamResponse:
        elsewhere.append(request)
        return web.Response(status=404)

    away = await serve(other)

    async def bridge(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": f"{away}{request.path_qs}"})

    with pytest.raises(Unavailable, match="status 302"):
        await opened(await serve(bridge))
    assert elsewhere == []


async def test_a_stream_that_nobody_answers_is_given_up(serve: Serve) -> None:
    async def bridge(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with asyncio.timeout(20):
        with pytest.raises(Unavailable, match="in time"):
            await opened(await serve(bridge))


async def test_who_is_cancelled_while_streams_close_is_cancelled(serve: Serve) -> None:
    async def bridge(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await asyncio.Event().wait()  # nor does it answer a close
        return socket

    async def nothing() -> None:
        return

    known = Bridge(Platform.MT5, await serve(bridge), LIMITS, 1000)
    streams = Streams(known, TOKEN, Mt5Dialect(), nothing)
    updates = streams.updates(quotes=False)
    assert isinstance(await anext(updates), StreamOpened)
    closing = asyncio.create_task(streams.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await updates.aclose()  # type: ignore[attr-defined]
    await known.aclose()


async def test_quotes_that_could_not_be_subscribed_again_are_tried_again(serve: Serve) -> None:
    """A socket without its subscription is open and silent for ever."""
    tries, subscribed = 0, asyncio.Event()

    async def bridge(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if request.path.endswith("OnQuote"):
            await subscribed.wait()
            data = {"symbol": "EURUSD", "bid": 1.1, "ask": 1.2, "time": "2026-03-02T12:00:00"}
            await socket.send_json({"type": "Quote", "data": data})
        async for _ in socket:
            continue
        return socket

    async def subscribe() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise Unavailable("HTTP_429", "too many requests")
        subscribed.set()

    known = Bridge(Platform.MT5, await serve(bridge), LIMITS, 1000)
    streams = Streams(known, TOKEN, Mt5Dialect(), subscribe)
    async with asyncio.timeout(20), aclosing(streams.updates(quotes=True)) as updates:  # type: ignore[type-var]
        async for update in updates:
            if isinstance(update, Quote):
                break
    await known.aclose()


OPENED, CLOSED, MODIFIED = "PositionOpen", "PositionClose", "PositionModify"
Told = tuple[str, dict[int, float]]
"""What happened, and the lots of each ticket that stands after it."""


def told(action: str, lots: dict[int, float]) -> dict[str, Any]:
    opened = [
        {"ticket": t, "type": "Buy", "symbol": "EURUSD", "lots": n, "openPrice": 1.1}
        for t, n in lots.items()
    ]
    order = {"ticket": 1, "type": "Buy", "symbol": "EURUSD", "lots": 1.0}
    figures = {"balance": 1000, "equity": 1000, "margin": 0, "freeMargin": 1000, "profit": 0}
    update = {"action": action, "order": order}
    return {"type": "OrderUpdate", "data": {"update": update, "openedOrders": opened, **figures}}


@pytest.mark.parametrize(
    ("happened", "read"),
    [
        pytest.param(
            [(OPENED, {1: 1}), (OPENED, {1: 1, 2: 1}), (MODIFIED, {1: 1, 2: 1})],
            [{1, 2}],
            id="the last list shows all that opened",
        ),
        pytest.param(
            [(OPENED, {1: 1}), (OPENED, {1: 1, 2: 1}), (CLOSED, {2: 1})],
            [{1, 2}, {2}],
            id="a trade that stood for a moment is shown",
        ),
        pytest.param(
            [(OPENED, {1: 1}), (MODIFIED, {}), (CLOSED, {})],
            [{1}, set()],
            id="though what shows it gone first proves nothing",
        ),
        pytest.param(
            [(OPENED, {1: 1}), (MODIFIED, {1: 2}), (MODIFIED, {1: 1})],
            [{1}, {1}, {1}],
            id="so is one that grew and shrank",
        ),
        pytest.param(
            [(OPENED, {1: 1}), (MODIFIED, {1: 2}), (MODIFIED, {1: 2})],
            [{1}, {1}],
            id="what was added is told by itself",
        ),
        pytest.param(
            [(OPENED, {1: 1}), (CLOSED, {}), (OPENED, {2: 1}), (MODIFIED, {2: 1})],
            [{1}, set(), {2}],
            id="a close is told",
        ),
    ],
)
async def test_frames_that_nobody_read_yet_give_way_to_those_that_tell_as_much(
    serve: Serve, happened: list[Told], read: list[set[int]]
) -> None:
    received = asyncio.Event()

    async def bridge(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for action, lots in happened:
            await socket.send_json(told(action, lots))
        await socket.close()  # answered once all before it was received
        received.set()
        return socket

    async def nothing() -> None:
        return

    known = Bridge(Platform.MT4, await serve(bridge), LIMITS, 1000)
    streams = Streams(known, TOKEN, Mt4Dialect(), nothing)
    seen: list[set[int]] = []
    async with asyncio.timeout(20), aclosing(streams.updates(quotes=False)) as updates:  # type: ignore[type-var]
        assert isinstance(await anext(updates), StreamOpened)
        await received.wait()
        async for update in updates:
            if isinstance(update, StreamLost):
                break
            assert isinstance(update, OrdersSeen)
            seen.append({int(order.ticket) for order in update.orders})
    await known.aclose()
    assert seen == read
