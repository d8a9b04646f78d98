"""The Terminal port's promises, asked of both adapters against the simulated bridges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar

import pytest
from copypro.adapters.terminal import Terminals
from copypro.adapters.terminals import terminal_factory
from copypro.errors import (
    CredentialsRefused,
    NotSent,
    OutcomeUnknown,
    Refused,
    SessionLost,
    TerminalError,
    Unavailable,
)
from copypro.ports import Credentials, Terminal, TerminalLimits
from copypro.trading import (
    CloseReason,
    CloseRequest,
    DeleteRequest,
    ModifyRequest,
    OpenRequest,
    OrdersSeen,
    Quote,
    StreamLost,
    StreamOpened,
    Update,
)
from copypro.values import Mode, OrderKind, Platform, Ticket
from mt_simulator.main import Simulator, start
from mt_simulator.world import build_default_world

LIMITS = TerminalLimits(
    connect_s=5, read_s=2, trade_call_s=1, synchronised_s=0.5, history_page_orders=3
)
LOGINS = {Platform.MT4: 1001, Platform.MT5: 2001}
PASSWORD = "canary-pa55word"
Wanted = TypeVar("Wanted")


class Side(NamedTuple):
    """A platform's bridge, an account at it, and a hand on its broker."""

    platform: Platform
    simulator: Simulator
    terminals: Terminals
    server: str
    login: int

    def terminal(self, password: str = PASSWORD, login: int | None = None) -> Terminal:
        credentials = Credentials(server=self.server, login=login or self.login, password=password)
        return self.terminals(credentials)

    def calls(self, endpoint: str) -> list[Any]:
        return self.simulator.control.ledger(endpoint)


@pytest.fixture(params=list(Platform))
async def side(request: pytest.FixtureRequest) -> AsyncIterator[Side]:
    platform: Platform = request.param
    simulator = await start()
    build_default_world(simulator.control)
    server, login = f"Simulated-{platform}", LOGINS[platform]
    simulator.control.set_account(server, login, password=PASSWORD, investor_password="look-only")
    url = simulator.mt4_url if platform is Platform.MT4 else simulator.mt5_url
    terminals = terminal_factory(platform, url, LIMITS, reads_per_s=1000)
    yield Side(platform, simulator, terminals, server, login)
    await terminals.aclose()
    await simulator.close()


@pytest.fixture
async def terminal(side: Side) -> AsyncIterator[Terminal]:
    terminal = side.terminal()
    await terminal.connect()
    yield terminal
    await terminal.disconnect()


def buy(lots: str = "0.10", **changes: Any) -> OpenRequest:
    fields: dict[str, Any] = {
        "symbol": "EURUSD",
        "kind": OrderKind.BUY,
        "lots": Decimal(lots),
        "comment": "T0",
        "magic": 7,
        "price": Decimal("1.1001"),
    }
    return OpenRequest(**fields | changes)


async def the_next(updates: AsyncIterator[Update], kind: type[Wanted]) -> Wanted:
    async with asyncio.timeout(60):
        async for update in updates:
            if isinstance(update, kind):
                return update
    raise AssertionError("the updates ended")


# --- the session ------------------------------------------------------------------------------


async def test_connect_says_whose_account_it_is(side: Side) -> None:
    info = await side.terminal().connect()
    assert (info.platform, info.server, info.login) == (side.platform, side.server, side.login)
    assert (info.currency, info.mode, info.investor) == ("USD", Mode.HEDGING, False)
    assert info.leverage == 100


async def test_an_investor_password_is_recognised(side: Side) -> None:
    assert (await side.terminal("look-only").connect()).investor


async def test_a_wrong_password_is_refused_after_one_try(side: Side) -> None:
    with pytest.raises(CredentialsRefused) as caught:
        await side.terminal("wrong-canary").connect()
    assert caught.value.code == "INVALID_ACCOUNT"
    assert len(side.calls("ConnectEx")) == 1


async def test_a_password_is_proved_by_a_session_of_its_own_that_ends_at_once(side: Side) -> None:
    working = side.terminal()
    await working.connect()
    updates = working.updates()
    await the_next(updates, StreamOpened)
    assert not (await side.terminal().prove()).investor
    assert (await side.terminal("look-only").prove()).investor
    assert len(side.calls("ConnectEx")) == 3, "a session that lives proves nothing"
    with pytest.raises(CredentialsRefused):
        await side.terminal("wrong-canary").prove()
    assert len(side.calls("Disconnect")) == 2
    side.simulator.control.open(side.server, side.login, "EURUSD", "Buy", "0.10")
    async with asyncio.timeout(60):
        assert isinstance(await anext(updates), OrdersSeen), "the working stream went on"
    await working.disconnect()


async def test_a_former_password_proves_nothing_though_its_session_lives(side: Side) -> None:
    working = side.terminal()
    await working.connect()
    side.simulator.control.set_account(side.server, side.login, password="changed")
    await working.snapshot()
    with pytest.raises(CredentialsRefused):
        await side.terminal().prove()
    await working.snapshot()


async def test_a_disabled_account_is_refused(side: Side) -> None:
    side.simulator.control.set_account(side.server, side.login, disabled=True)
    with pytest.raises(CredentialsRefused):
        await side.terminal().connect()


async def test_an_unknown_server_is_named(side: Side) -> None:
    credentials = Credentials(server="Nowhere", login=1, password=PASSWORD)
    with pytest.raises(Refused) as caught:
        await side.terminals(credentials).connect()
    assert caught.value.code == "SERVER_NOT_FOUND"


async def test_reconnecting_uses_the_session_that_still_lives(side: Side) -> None:
    await side.terminal().connect()
    await side.terminal().connect()
    assert len(side.calls("ConnectEx")) == 1


async def test_another_password_proves_itself(side: Side) -> None:
    await side.terminal().connect()
    with pytest.raises(CredentialsRefused):
        await side.terminal("wrong-canary").connect()


async def test_a_session_the_bridge_forgot_is_made_anew(side: Side) -> None:
    await side.terminal().connect()
    side.simulator.control.forget_sessions(side.platform)
    assert (await side.terminal().connect()).login == side.login
    assert len(side.calls("ConnectEx")) == 2


@pytest.mark.parametrize("said", ["false", '"Disconnected"'])
async def test_a_session_of_which_the_bridge_does_not_say_ok_is_brought_back(
    side: Side, said: str
) -> None:
    await side.terminal().connect()
    side.simulator.control.script(side.platform, endpoint="CheckConnect", body=said, status=200)
    await side.terminal().connect()
    assert len(side.calls("ConnectByToken")) == 1
    assert len(side.calls("ConnectEx")) == 1


async def test_a_session_that_is_not_brought_back_is_made_anew(side: Side) -> None:
    await side.terminal().connect()
    for call in ("CheckConnect", "ConnectByToken"):
        side.simulator.control.script(side.platform, endpoint=call, body="false", status=200)
    await side.terminal().connect()
    assert len(side.calls("ConnectEx")) == 2


@pytest.mark.parametrize("said", ["Unauthorized", '"Forbidden"', "<html>sign in</html>"])
async def test_a_text_that_is_no_token_is_none(side: Side, said: str) -> None:
    side.simulator.control.script(side.platform, endpoint="ConnectEx", body=said)
    with pytest.raises(Unavailable, match="BAD_TOKEN"):
        await side.terminal().connect()


async def test_a_lost_session_is_said_and_nothing_leaves_on_it(
    side: Side, terminal: Terminal
) -> None:
    await terminal.warm()
    side.simulator.control.forget_sessions(side.platform)
    with pytest.raises(SessionLost):
        await terminal.check()
    assert not terminal.is_warm()
    with pytest.raises(NotSent):
        await terminal.open(buy())
    assert side.calls("OrderSend") == []


# --- looks ------------------------------------------------------------------------------------


async def test_a_snapshot_has_every_order_and_the_figures(side: Side, terminal: Terminal) -> None:
    hand = side.simulator.control
    position = hand.open(
        side.server, side.login, "EURUSD", "Buy", "0.10", stop_loss="1.05", magic=9, comment="c"
    )
    pending = hand.open(side.server, side.login, "EURUSD", "BuyLimit", "0.20", price="1.05")
    snapshot = await terminal.snapshot()
    assert {order.ticket: order.kind for order in snapshot.orders} == {
        position: OrderKind.BUY,
        pending: OrderKind.BUY_LIMIT,
    }
    order = next(order for order in snapshot.orders if order.ticket == position)
    assert (order.lots, order.stop_loss, order.take_profit) == (
        Decimal("0.1"),
        Decimal("1.05"),
        None,
    )
    assert (order.magic, order.comment, order.expires_at_broker) == (9, "c", None)
    assert snapshot.figures.balance == 10_000
    assert snapshot.figures.equity == 10_000 + order.profit


async def test_a_snapshot_waits_for_the_session_to_be_synchronised(side: Side) -> None:
    hand = side.simulator.control
    hand.open(side.server, side.login, "EURUSD", "Buy", "0.10")
    # On MT4 so that the figures of a look are still empty and its list is not.
    hand.bridge(side.platform, unsynced_calls=5 if side.platform is Platform.MT4 else 3)
    terminal = side.terminal()
    await terminal.connect()
    snapshot = await terminal.snapshot()
    assert len(snapshot.orders) == 1
    assert snapshot.figures.balance == 10_000


@pytest.mark.parametrize("side", [Platform.MT5], indirect=True)  # mt4rest does not say it
async def test_a_session_that_never_synchronises_gives_no_list(side: Side) -> None:
    side.simulator.control.bridge(side.platform, unsynced_calls=1000)
    with pytest.raises(Unavailable, match="NOT_SYNCHRONISED"):
        await side.terminal().connect()


async def test_a_disconnected_session_gives_no_list(side: Side, terminal: Terminal) -> None:
    side.simulator.control.set_server(side.server, market_open=False)
    with pytest.raises(Unavailable, match="NOT_CONNECTED"):
        await terminal.snapshot()


async def test_an_error_object_is_not_an_empty_list(side: Side, terminal: Terminal) -> None:
    side.simulator.control.bridge(side.platform, error_lists=1)
    with pytest.raises(Unavailable):
        await terminal.snapshot()


async def test_one_empty_list_is_not_believed(side: Side, terminal: Terminal) -> None:
    side.simulator.control.open(side.server, side.login, "EURUSD", "Buy", "0.10")
    await terminal.snapshot()
    side.simulator.control.bridge(side.platform, empty_lists=1)
    assert len((await terminal.snapshot()).orders) == 1


async def test_a_comment_that_is_not_utf8_is_read_all_the_same(
    side: Side, terminal: Terminal
) -> None:
    side.simulator.control.open(side.server, side.login, "EURUSD", "Buy", "0.10", comment="abc")
    side.simulator.control.bridge(side.platform, bad_utf8_comment=True)
    (order,) = (await terminal.snapshot()).orders
    assert order.comment.endswith("abc")


async def test_throttling_is_unavailable_and_no_verdict(side: Side, terminal: Terminal) -> None:
    side.simulator.control.bridge(side.platform, throttle_per_s=1)
    with pytest.raises(Unavailable, match="429"):
        await asyncio.gather(*(terminal.check() for _ in range(4)))


# --- history ----------------------------------------------------------------------------------


async def test_history_has_pieces_operations_and_cancelled_orders(
    side: Side, terminal: Terminal
) -> None:
    hand = side.simulator.control
    ticket = hand.open(side.server, side.login, "EURUSD", "Buy", "0.10")
    rest = hand.close(side.server, side.login, ticket, "0.04")
    hand.close(side.server, side.login, rest)
    pending = hand.open(side.server, side.login, "EURUSD", "BuyLimit", "0.20", price="1.05")
    hand.close(side.server, side.login, pending)
    now = _broker_now(side)
    history = await terminal.history(now - timedelta(days=2), now + timedelta(minutes=1))
    pieces = [piece for piece in history.closed if not piece.cancelled]
    assert [piece.lots for piece in pieces] == [Decimal("0.04"), Decimal("0.06")]
    assert len({piece.deal for piece in pieces}) == 2
    assert [piece.ticket for piece in history.closed if piece.cancelled] == [pending]
    assert [operation.amount for operation in history.operations] == [10_000]


async def test_history_is_of_the_span_and_no_more(side: Side, terminal: Terminal) -> None:
    ticket = side.simulator.control.open(side.server, side.login, "EURUSD", "Buy", "0.10")
    side.simulator.control.close(side.server, side.login, ticket)
    now = _broker_now(side)
    whole = await terminal.history(now - timedelta(hours=1), now + timedelta(hours=1))
    (piece,) = whole.closed
    at = piece.closed_at_broker
    assert (await terminal.history(at - timedelta(hours=1), at)).closed == ()
    assert (await terminal.history(at, at + timedelta(milliseconds=1))).closed == (piece,)


async def test_history_is_complete_over_many_pages(side: Side, terminal: Terminal) -> None:
    hand = side.simulator.control
    for _ in range(10):
        hand.close(
            side.server, side.login, hand.open(side.server, side.login, "EURUSD", "Buy", "0.10")
        )
    now = _broker_now(side)
    history = await terminal.history(now - timedelta(days=2), now + timedelta(minutes=1))
    assert len(history.closed) == 10
    assert len(side.calls("OrderHistoryPagination")) == 4


def _broker_now(side: Side) -> datetime:
    server = side.simulator.brokers.servers[side.server]
    return server.clock(side.simulator.control._clock())


# --- symbols and prices -----------------------------------------------------------------------


async def test_symbols_specifications_and_prices(side: Side, terminal: Terminal) -> None:
    assert "EURUSD" in await terminal.symbols()
    spec = await terminal.symbol("XAUUSD")
    assert (spec.name, spec.digits, spec.contract_size) == ("XAUUSD", 2, 100)
    assert (spec.lot_min, spec.lot_step) == (Decimal("0.01"), Decimal("0.01"))
    quote = await terminal.quote("EURUSD", max_age_s=5)
    assert (quote.bid, quote.ask) == (Decimal("1.1"), Decimal("1.1001"))


async def test_an_unknown_symbol_is_refused(terminal: Terminal) -> None:
    for call in (terminal.symbol("NOPE"), terminal.quote("NOPE", 5), terminal.subscribe(["NOPE"])):
        with pytest.raises(Refused, match="INVALID_SYMBOL"):
            await call


async def test_only_a_connect_speaks_of_the_server(side: Side, terminal: Terminal) -> None:
    said = '{"code": "INVALID_SYMBOL", "message": "EURUSD not found on this server"}'
    side.simulator.control.script(side.platform, endpoint="SymbolParams", body=said, status=201)
    with pytest.raises(Refused, match="INVALID_SYMBOL"):
        await terminal.symbol("EURUSD")


async def test_margin_is_told_or_none(side: Side, terminal: Terminal) -> None:
    margin = await terminal.margin("EURUSD", OrderKind.BUY, Decimal("0.1"))
    assert (margin is None) == (side.platform is Platform.MT4)


# --- changes ----------------------------------------------------------------------------------


async def test_the_life_of_a_position(side: Side, terminal: Terminal) -> None:
    opened = await terminal.open(buy(stop_loss=Decimal("1.05"), take_profit=Decimal("1.2")))
    assert (opened.lots, opened.price, opened.filled) == (Decimal("0.1"), Decimal("1.1001"), True)
    await terminal.modify(
        ModifyRequest(ticket=opened.ticket, stop_loss=Decimal("1.06"), take_profit=None)
    )
    (order,) = (await terminal.snapshot()).orders
    assert (order.stop_loss, order.take_profit) == (Decimal("1.06"), None)
    assert (order.magic, order.comment) == (7, "T0")
    part = await terminal.close(
        CloseRequest(ticket=opened.ticket, symbol="EURUSD", lots=Decimal("0.04"))
    )
    assert part.lots == Decimal("0.04")
    (rest,) = (await terminal.snapshot()).orders
    assert rest.lots == Decimal("0.06")
    done = await terminal.close(CloseRequest(ticket=rest.ticket, symbol="EURUSD", lots=None))
    assert (done.lots, done.profit) == (Decimal("0.06"), Decimal("-0.6"))
    assert (await terminal.snapshot()).orders == ()


async def test_the_life_of_a_pending_order(side: Side, terminal: Terminal) -> None:
    expires = datetime(2030, 1, 2, 3, 4, 5)
    placed = await terminal.open(
        buy(kind=OrderKind.BUY_LIMIT, price=Decimal("1.05"), expires_at_broker=expires)
    )
    assert placed.filled
    (order,) = (await terminal.snapshot()).orders
    assert (order.kind, order.expires_at_broker) == (OrderKind.BUY_LIMIT, expires)
    await terminal.modify(
        ModifyRequest(ticket=placed.ticket, stop_loss=None, take_profit=None, price=Decimal("1.06"))
    )
    (order,) = (await terminal.snapshot()).orders
    assert order.open_price == Decimal("1.06")
    assert (await terminal.delete(DeleteRequest(ticket=placed.ticket))).ticket == placed.ticket
    assert (await terminal.snapshot()).orders == ()


async def test_a_certain_refusal_has_the_brokers_code(side: Side, terminal: Terminal) -> None:
    with pytest.raises(Refused, match="VOLUME"):
        await terminal.open(buy("0.001"))
    with pytest.raises(Refused, match="INVALID_TICKET"):
        await terminal.close(CloseRequest(ticket=Ticket(1), symbol="EURUSD", lots=None))


@pytest.mark.parametrize(
    "nasty",
    [
        {"cut": "before"},
        {"cut": "before", "execute": True},
        {"cut": "mid", "execute": True},
        {"silent": True, "execute": True},
        {"error": "TIMEOUT", "execute": True},
        {"error": "SOMETHING_NEW"},
        {"status": 502, "body": "bad gateway", "execute": True},
        {"status": 200, "body": "OK", "execute": True},
        {"late_s": 0.01, "error": "TRADE_TIMEOUT"},
    ],
    ids=str,
)
async def test_what_is_not_clear_is_unknown_and_one_request(
    side: Side, terminal: Terminal, nasty: dict[str, Any]
) -> None:
    await terminal.warm()
    side.simulator.control.script(side.platform, endpoint="trade", **nasty)
    with pytest.raises(OutcomeUnknown):
        await terminal.open(buy())
    assert len(side.calls("OrderSend")) == 1


async def test_a_session_that_dies_during_the_call_is_unknown(
    side: Side, terminal: Terminal
) -> None:
    side.simulator.control.script(side.platform, endpoint="trade", error="INVALID_TOKEN")
    with pytest.raises(OutcomeUnknown, match="INVALID_TOKEN"):
        await terminal.open(buy())
    with pytest.raises(NotSent):  # what waits for the new session is not in doubt too
        await terminal.open(buy())
    assert len(side.calls("OrderSend")) == 1


# --- updates ----------------------------------------------------------------------------------


async def test_updates_tell_of_orders_and_quotes(side: Side, terminal: Terminal) -> None:
    hand = side.simulator.control
    updates = terminal.updates()
    await the_next(updates, StreamOpened)
    ticket = hand.open(side.server, side.login, "EURUSD", "Buy", "0.10")
    seen = await the_next(updates, OrdersSeen)
    assert [order.ticket for order in seen.orders] == [ticket]
    await terminal.subscribe(["EURUSD"])
    quote = await _quoted(side, updates)
    assert quote.symbol == "EURUSD"
    await updates.aclose()  # type: ignore[attr-defined]


async def _quoted(side: Side, updates: AsyncIterator[Update]) -> Quote:
    """Ticks go on until one arrives: the quotes' socket opens when it is first wanted."""

    async def ticks() -> None:
        while True:
            side.simulator.control.tick_again()
            await asyncio.sleep(0.02)

    ticking = asyncio.create_task(ticks())
    try:
        return await the_next(updates, Quote)
    finally:
        ticking.cancel()


async def test_a_close_comes_with_its_evidence(side: Side, terminal: Terminal) -> None:
    hand = side.simulator.control
    ticket = hand.open(side.server, side.login, "EURUSD", "Buy", "0.10")
    updates = terminal.updates()
    await the_next(updates, StreamOpened)
    rest = hand.close(side.server, side.login, ticket, "0.04")
    while (part := (await the_next(updates, OrdersSeen)).closed) is None:
        pass
    assert (part.ticket, part.lots, part.cancelled) == (ticket, Decimal("0.04"), False)
    hand.close(side.server, side.login, rest)
    while (whole := (await the_next(updates, OrdersSeen)).closed) is None:
        pass
    assert (whole.ticket, whole.lots) == (rest, Decimal("0.06"))
    await updates.aclose()  # type: ignore[attr-defined]


async def test_an_order_on_its_way_is_no_position(side: Side, terminal: Terminal) -> None:
    """MT5 tells each market order before its deal, one that closes under a ticket of its own."""
    hand = side.simulator.control
    updates = terminal.updates()
    await the_next(updates, StreamOpened)
    ticket = hand.open(side.server, side.login, "EURUSD", "Buy", "0.10")
    seen = [await the_next(updates, OrdersSeen)]
    while not seen[-1].orders:
        seen.append(await the_next(updates, OrdersSeen))
    hand.close(side.server, side.login, ticket)
    while seen[-1].closed is None:
        seen.append(await the_next(updates, OrdersSeen))
    assert {order.ticket for frame in seen for order in frame.orders} == {ticket}
    assert seen[-1].orders == ()
    await updates.aclose()  # type: ignore[attr-defined]


async def test_a_stop_loss_is_told_as_one(side: Side, terminal: Terminal) -> None:
    hand = side.simulator.control
    ticket = hand.open(side.server, side.login, "EURUSD", "Buy", "0.10", stop_loss="1.09")
    updates = terminal.updates()
    await the_next(updates, StreamOpened)
    hand.quote(side.server, "EURUSD", "1.0800", "1.0801")
    closed = (await the_next(updates, OrdersSeen)).closed
    assert closed is not None
    assert (closed.ticket, closed.reason) == (ticket, CloseReason.STOP_LOSS)
    await updates.aclose()  # type: ignore[attr-defined]


async def test_a_stop_out_is_told_as_one(side: Side, terminal: Terminal) -> None:
    hand = side.simulator.control
    ticket = hand.open(side.server, side.login, "EURUSD", "Buy", "4.00", comment="T0123456789ABC")
    updates = terminal.updates()
    await the_next(updates, StreamOpened)
    hand.quote(side.server, "EURUSD", "1.0780", "1.0781")
    closed = (await the_next(updates, OrdersSeen)).closed
    assert closed is not None
    assert (closed.ticket, closed.reason) == (ticket, CloseReason.STOP_OUT)
    (piece,) = (await terminal.history(datetime(2000, 1, 1), datetime(2100, 1, 1))).closed
    assert piece.reason is CloseReason.STOP_OUT
    await updates.aclose()  # type: ignore[attr-defined]


async def test_a_deposit_is_no_trade(side: Side, terminal: Terminal) -> None:
    updates = terminal.updates()
    await the_next(updates, StreamOpened)
    side.simulator.control.deposit(side.server, side.login, "250")
    seen = await the_next(updates, OrdersSeen)
    assert seen.operation is not None
    assert (seen.operation.kind, seen.operation.amount) == ("Balance", 250)
    assert seen.closed is None
    assert seen.figures.balance == 10_250
    await updates.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("nasty", ["malformed", "huge", "drop_socket"])
async def test_a_frame_that_cannot_be_read_is_a_lost_stream_that_stands_again(
    side: Side, terminal: Terminal, nasty: str
) -> None:
    hand = side.simulator.control
    updates = terminal.updates()
    await the_next(updates, StreamOpened)
    hand.stream(side.server, side.login, **{nasty: 1})
    ticket = hand.open(side.server, side.login, "EURUSD", "Buy", "0.10")
    await the_next(updates, StreamLost)
    await the_next(updates, StreamOpened)
    hand.modify(side.server, side.login, ticket, stop_loss="1.05")
    async with asyncio.timeout(60):
        while (await the_next(updates, OrdersSeen)).orders[0].stop_loss != Decimal("1.05"):
            pass
    await updates.aclose()  # type: ignore[attr-defined]


async def test_quotes_come_again_after_the_sockets_broke(side: Side, terminal: Terminal) -> None:
    await terminal.subscribe(["EURUSD"])
    updates = terminal.updates()
    await _quoted(side, updates)
    side.simulator.control.bridge(side.platform, down=True)
    side.simulator.control.bridge(side.platform, down=False)
    await the_next(updates, StreamLost)
    await _quoted(side, updates)
    await updates.aclose()  # type: ignore[attr-defined]


async def test_a_symbol_that_the_broker_no_longer_has_ends_no_updates(
    side: Side, terminal: Terminal
) -> None:
    hand = side.simulator.control
    await terminal.subscribe(["GBPUSD", "EURUSD"])
    updates = terminal.updates()
    await _quoted(side, updates)
    del side.simulator.brokers.servers[side.server].symbols["GBPUSD"]
    for asked in (["GBPUSD", "EURUSD"], ["EURUSD"]):  # nobody asks a second time for what is gone
        hand.clear_ledger()
        hand.bridge(side.platform, down=True)
        hand.bridge(side.platform, down=False)
        while len(side.calls("Subscribe")) < len(asked):
            await _quoted(side, updates)
        assert [call.parameters["symbol"] for call in side.calls("Subscribe")] == asked
    await updates.aclose()  # type: ignore[attr-defined]


async def test_quotes_are_conflated_and_orders_are_not(side: Side, terminal: Terminal) -> None:
    hand = side.simulator.control
    await terminal.subscribe(["EURUSD"])
    updates = terminal.updates()
    await _quoted(side, updates)
    for step in range(50):
        hand.quote(side.server, "EURUSD", f"1.2{step:03d}", f"1.3{step:03d}")
    hand.open(side.server, side.login, "EURUSD", "Buy", "0.10")
    quotes: list[Quote] = []
    async with asyncio.timeout(60):
        async for update in updates:
            if isinstance(update, Quote):
                quotes.append(update)
                if update.bid == Decimal("1.2049"):
                    break
    assert len(quotes) < 50
    await updates.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("why", ["forgotten", "expired"])
async def test_a_bad_id_ends_the_updates(side: Side, terminal: Terminal, why: str) -> None:
    if why == "forgotten":
        side.simulator.control.forget_sessions(side.platform)
    else:
        side.simulator.control.bridge(side.platform, idle_expiry_s=1e-9)
    with pytest.raises(SessionLost):
        await the_next(terminal.updates(), OrdersSeen)
    assert not terminal.is_warm()


# --- secrets ----------------------------------------------------------------------------------


async def test_no_error_shows_the_password_or_the_token(
    side: Side, terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    token = next(iter(side.simulator.control._faces[side.platform].sessions))  # type: ignore[index]
    side.simulator.control.forget_sessions(side.platform)
    errors: list[TerminalError] = []
    for attempt in (terminal.check(), terminal.snapshot(), side.terminal("wrong-canary").connect()):
        with pytest.raises(TerminalError) as caught:
            await attempt
        errors.append(caught.value)
    shown = [f"{error!r} {error} {error.__cause__!r} {error.__context__!r}" for error in errors]
    printed = capsys.readouterr()
    for text in (*shown, repr(terminal), printed.out, printed.err):
        assert "canary" not in text
        assert token not in text
        assert "127.0.0.1" not in text
