"""A change leaves at most once, wherever the connection breaks, and the error says what is known."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from decimal import Decimal

import msgspec
import pytest
from copypro.adapters.terminal import Terminals
from copypro.adapters.terminals import terminal_factory
from copypro.errors import NotSent, OutcomeUnknown, Refused, Unavailable
from copypro.ports import Credentials, Terminal, TerminalLimits
from copypro.retcodes import is_listed
from copypro.trading import CloseRequest, DeleteRequest, Done, ModifyRequest, OpenRequest
from copypro.values import OrderKind, Platform, Ticket

from tests.contract.cutting_bridge import LOGIN, TOKEN, Cut, CuttingBridge

CANARY = "pa55/w&rd canary"
LIMITS = TerminalLimits(connect_s=5, read_s=2, trade_call_s=1)
Change = Callable[[Terminal], Awaitable[Done]]

OPEN = OpenRequest(
    symbol="EURUSD", kind=OrderKind.BUY, lots=Decimal("0.1"), comment="T0", magic=7,
    price=Decimal("1.1"), stop_loss=Decimal("1.05"),
)  # fmt: skip
CHANGES: dict[str, Change] = {
    "open": lambda terminal: terminal.open(OPEN),
    "modify": lambda terminal: terminal.modify(
        ModifyRequest(ticket=Ticket(77), stop_loss=Decimal("1.0"), take_profit=None)
    ),
    "close": lambda terminal: terminal.close(
        CloseRequest(ticket=Ticket(77), symbol="EURUSD", lots=Decimal("0.1"))
    ),
    "delete": lambda terminal: terminal.delete(DeleteRequest(ticket=Ticket(77))),
}
after_connecting = [cut for cut in Cut if cut not in (Cut.NOWHERE, Cut.SILENT)]
changes = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
platforms = pytest.mark.parametrize("platform", list(Platform))


@pytest.fixture
async def bridge(platform: Platform) -> AsyncIterator[CuttingBridge]:
    async with CuttingBridge(platform) as bridge:
        yield bridge


@pytest.fixture
async def terminals(platform: Platform, bridge: CuttingBridge) -> AsyncIterator[Terminals]:
    terminals = terminal_factory(platform, bridge.url, LIMITS, reads_per_s=1000)
    yield terminals
    await terminals.aclose()


@pytest.fixture
async def terminal(terminals: Terminals) -> Terminal:
    terminal = terminals(Credentials(server="Any", login=LOGIN, password=CANARY))
    await terminal.connect()
    return terminal


def assert_says_nothing(error: BaseException) -> None:
    """Neither the error nor anything it hangs on holds a secret or an address."""
    seen: BaseException | None = error
    while seen is not None:
        for text in (str(seen), repr(seen)):
            for secret in (CANARY, "canary", TOKEN, "127.0.0.1", "http"):
                assert secret not in text
        seen = seen.__cause__ or seen.__context__


@platforms
@changes
async def test_a_change_is_answered(
    bridge: CuttingBridge, terminal: Terminal, change: Change
) -> None:
    done = await change(terminal)
    assert done.ticket == 77
    assert len(bridge.trades) == 1


@platforms
@changes
@pytest.mark.parametrize("abort", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("cut", after_connecting)
async def test_a_cut_on_a_new_connection_is_unknown_and_sent_once(
    bridge: CuttingBridge, terminal: Terminal, change: Change, cut: Cut, abort: bool
) -> None:
    bridge.arm(cut, abort=abort)
    with pytest.raises(OutcomeUnknown) as caught:
        await change(terminal)
    assert bridge.connections == 1
    assert len(bridge.trades) == (0 if cut is Cut.ON_ACCEPT else 1)
    assert is_listed(caught.value.code)
    assert_says_nothing(caught.value)


@platforms
@changes
@pytest.mark.parametrize("abort", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("cut", [cut for cut in after_connecting if cut is not Cut.ON_ACCEPT])
async def test_a_cut_on_a_kept_connection_is_unknown_and_sent_once(
    bridge: CuttingBridge, terminal: Terminal, change: Change, cut: Cut, abort: bool
) -> None:
    """Where aiohttp by itself sends a GET again."""
    await terminal.warm()
    bridge.arm(cut, abort=abort)
    with pytest.raises(OutcomeUnknown) as caught:
        await change(terminal)
    assert bridge.connections == 0
    assert len(bridge.trades) == 1
    assert_says_nothing(caught.value)


@platforms
@changes
async def test_nobody_listens_so_nothing_was_sent(
    bridge: CuttingBridge, terminal: Terminal, change: Change
) -> None:
    bridge.arm(Cut.NOWHERE)
    await bridge.stop_listening()
    with pytest.raises(NotSent) as caught:
        await change(terminal)
    assert bridge.connections == 0
    assert_says_nothing(caught.value)


@platforms
@changes
async def test_the_bridge_dies_with_the_request_in_hand_and_is_never_called_unsent(
    bridge: CuttingBridge, terminal: Terminal, change: Change
) -> None:
    """A second try would end in "connection refused", which looks like nothing was sent."""
    await terminal.warm()
    bridge.arm(Cut.ON_REQUEST)
    await bridge.stop_listening()
    with pytest.raises(OutcomeUnknown):
        await change(terminal)
    assert len(bridge.trades) == 1


@platforms
@changes
async def test_a_kept_connection_that_is_known_dead_is_not_used(
    bridge: CuttingBridge, terminal: Terminal, change: Change
) -> None:
    await terminal.warm()
    bridge.arm(Cut.NOWHERE)
    bridge.hang_up()
    while terminal.is_warm():  # noqa: ASYNC110 - the transport tells nobody
        await asyncio.sleep(0)
    assert (await change(terminal)).ticket == 77
    assert (bridge.connections, len(bridge.trades)) == (1, 1)


@platforms
@changes
async def test_silence_is_unknown_and_sent_once(
    bridge: CuttingBridge, platform: Platform, change: Change
) -> None:
    limits = TerminalLimits(connect_s=5, read_s=2, trade_call_s=0.5)
    terminals = terminal_factory(platform, bridge.url, limits, reads_per_s=1000)
    terminal = terminals(Credentials(server="Any", login=LOGIN, password=CANARY))
    await terminal.connect()
    bridge.arm(Cut.SILENT)
    with pytest.raises(OutcomeUnknown) as caught:
        await change(terminal)
    assert len(bridge.trades) == 1
    assert_says_nothing(caught.value)
    await terminals.aclose()


@platforms
@changes
async def test_a_cancelled_change_was_sent_once(
    bridge: CuttingBridge, terminal: Terminal, change: Change
) -> None:
    bridge.arm(Cut.SILENT)
    task = asyncio.ensure_future(change(terminal))
    await bridge.arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(bridge.trades) == 1


@platforms
@changes
async def test_a_connection_that_takes_too_long_is_not_sent_on(
    bridge: CuttingBridge, terminal: Terminal, change: Change
) -> None:
    """The queue of connections is full; the attempt's commit grows stale meanwhile."""
    bridge.arm(Cut.NOWHERE)
    await bridge.stop_listening()
    with socket.socket() as deaf, ExitStack() as queue:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        deaf.bind(("127.0.0.1", bridge.port))
        deaf.listen(0)
        for _ in range(4):
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", bridge.port))
        with pytest.raises(NotSent) as caught:
            await change(terminal)
    assert "in time" in caught.value.message
    assert_says_nothing(caught.value)


@platforms
async def test_without_a_session_nothing_is_sent(
    bridge: CuttingBridge, terminals: Terminals
) -> None:
    terminal = terminals(Credentials(server="Any", login=LOGIN, password=CANARY))
    with pytest.raises(NotSent):
        await terminal.open(OPEN)
    assert bridge.trades == []


@platforms
async def test_after_closing_nothing_is_sent(
    bridge: CuttingBridge, terminals: Terminals, terminal: Terminal
) -> None:
    await terminals.aclose()
    with pytest.raises(NotSent):
        await terminal.open(OPEN)
    assert bridge.trades == []


# --- answers ----------------------------------------------------------------------------------

UNCLEAR = {
    "empty": (200, b"", {}),
    "no JSON": (200, b"<html>gateway</html>", {}),
    "half JSON": (200, b'{"ticket": 7', {}),
    "a list": (200, b"[]", {}),
    "no ticket": (200, b'{"lots": 0.1}', {}),
    "ticket 0": (200, b'{"ticket": 0, "lots": 0.1}', {}),
    "null": (200, b"null", {}),
    "503": (503, b"down", {}),
    "504 with an order": (504, b'{"ticket": 77, "lots": 0.1}', {}),
    "400": (400, b'{"title": "bad", "errors": {}, "status": 400}', {}),
    "404": (404, b"", {}),
    "429": (429, b"Too many requests", {}),
    "redirect": (302, b"", {"Location": "/OrderSend?id=again"}),
    "not UTF-8 outside a text": (200, b"\xff\xfe\xff", {}),
}


@platforms
@pytest.mark.parametrize(("status", "body", "headers"), UNCLEAR.values(), ids=UNCLEAR)
async def test_an_unclear_answer_to_an_open_is_unknown(
    bridge: CuttingBridge, terminal: Terminal, status: int, body: bytes, headers: dict[str, str]
) -> None:
    bridge.arm(Cut.NOWHERE)
    bridge.status, bridge.body, bridge.headers = status, body, headers
    if not body:
        bridge.body = b" "
    with pytest.raises(OutcomeUnknown) as caught:
        await terminal.open(OPEN)
    assert len(bridge.trades) == 1
    assert is_listed(caught.value.code)  # or it would be settled as quickly as an odd error body
    assert_says_nothing(caught.value)


def fault(code: str | int) -> bytes:
    text = f"Client with id {TOKEN} said no at http://x/OrderSend?id={TOKEN}&password=canary"
    return f'{{"message": "{text}", "code": "{code}", "stackTrace": null}}'.encode()


@platforms
@pytest.mark.parametrize("status", [200, 201, 400, 500])
@pytest.mark.parametrize(
    "code", ["NO_MONEY", "NOT_MONEY", "TRADE_RETCODE_NO_MONEY", "INVALID_SYMBOL"]
)
async def test_a_listed_refusal_is_certain_whatever_the_status(
    bridge: CuttingBridge, terminal: Terminal, status: int, code: str
) -> None:
    bridge.arm(Cut.NOWHERE)
    bridge.status, bridge.body = status, fault(code)
    with pytest.raises(Refused) as caught:
        await terminal.open(OPEN)
    assert caught.value.code == code
    assert len(bridge.trades) == 1
    assert_says_nothing(caught.value)


@platforms
@pytest.mark.parametrize("status", [201, 400])
@pytest.mark.parametrize(
    "code", ["TIMEOUT", "TRADE_TIMEOUT", "NO_CONNECTION", "INTERNAL_ERROR", "INVALID_TOKEN",
             "ORDER_ACCEPTED", "SOMETHING_NEW", "10012", "142"]
)  # fmt: skip
async def test_a_code_that_proves_nothing_is_unknown(
    bridge: CuttingBridge, terminal: Terminal, status: int, code: str
) -> None:
    bridge.arm(Cut.NOWHERE)
    bridge.status, bridge.body = status, fault(code)
    with pytest.raises(OutcomeUnknown) as caught:
        await terminal.open(OPEN)
    assert caught.value.code == code
    assert_says_nothing(caught.value)


@pytest.mark.parametrize("platform", [Platform.MT4])
async def test_a_bridge_without_order_delete_learns_one_call_at_a_time(
    bridge: CuttingBridge, terminal: Terminal
) -> None:
    bridge.arm(Cut.NOWHERE)
    bridge.lacks = {"OrderDelete"}
    with pytest.raises(Refused, match="NO_SUCH_CALL"):
        await CHANGES["delete"](terminal)
    assert len(bridge.trades) == 1
    assert (await CHANGES["delete"](terminal)).ticket == 77
    assert [trade["call"] for trade in bridge.trades] == ["OrderDelete", "OrderClose"]


# --- what is sent -----------------------------------------------------------------------------


@platforms
async def test_numbers_are_plain_and_nothing_is_left_out(
    bridge: CuttingBridge, terminal: Terminal, platform: Platform
) -> None:
    bridge.arm(Cut.NOWHERE)
    await terminal.open(
        OpenRequest(
            symbol="EUR+USD&x", kind=OrderKind.BUY, lots=Decimal("1E+1"), comment="T0", magic=0,
            price=Decimal("1E-5"), stop_loss=None, take_profit=Decimal("0.00000"),
        )
    )  # fmt: skip
    await CHANGES["modify"](terminal)
    await terminal.close(CloseRequest(ticket=Ticket(77), symbol="X", lots=None))
    opened, modified, closed = bridge.trades
    magic = "magic" if platform is Platform.MT4 else "expertID"
    assert opened["id"] == TOKEN
    assert (opened["symbol"], opened["volume"], opened["price"]) == ("EUR+USD&x", "10", "0.00001")
    assert (opened["stoploss"], opened["takeprofit"]) == ("0", "0.00000")
    assert opened[magic] == "0"
    assert (modified["stoploss"], modified["takeprofit"]) == ("1.0", "0")
    assert "lots" not in closed


# --- connections ------------------------------------------------------------------------------


@platforms
async def test_warm_means_a_fresh_connection_that_the_change_uses(
    bridge: CuttingBridge, terminal: Terminal
) -> None:
    assert not terminal.is_warm()
    await terminal.warm()
    assert terminal.is_warm()
    bridge.arm(Cut.NOWHERE)
    await terminal.open(OPEN)
    assert bridge.connections == 0
    assert terminal.is_warm()


@platforms
async def test_a_connection_in_use_is_not_warm_for_another_account(
    bridge: CuttingBridge, terminals: Terminals, terminal: Terminal
) -> None:
    await terminal.warm()
    bridge.arm(Cut.SILENT)
    task = asyncio.ensure_future(terminal.open(OPEN))
    await bridge.arrived.wait()
    assert not terminal.is_warm()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@platforms
async def test_a_connection_idle_for_too_long_is_not_warm(
    bridge: CuttingBridge, platform: Platform
) -> None:
    limits = TerminalLimits(
        connect_s=5, read_s=2, trade_call_s=5, first_byte_s=5, connection_idle_s=0.05
    )
    terminals = terminal_factory(platform, bridge.url, limits, reads_per_s=1000)
    terminal = terminals(Credentials(server="Any", login=LOGIN, password=CANARY))
    await terminal.connect()
    await terminal.warm()
    async with asyncio.timeout(60):
        while terminal.is_warm():  # noqa: ASYNC110 - time itself is waited for
            await asyncio.sleep(0.01)
    bridge.arm(Cut.NOWHERE)
    await terminal.open(OPEN)
    assert bridge.connections == 1
    await terminals.aclose()


@platforms
async def test_a_password_in_the_address_is_a_header_and_no_part_of_a_request_line(
    bridge: CuttingBridge, platform: Platform
) -> None:
    url = bridge.url.replace("http://", "http://gate:canary@")
    terminals = terminal_factory(platform, url, LIMITS, 1000, {"x-api-key": "k"})
    terminal = terminals(Credentials(server="Any", login=LOGIN, password="x"))
    await terminal.connect()
    assert "Authorization: Basic Z2F0ZTpjYW5hcnk=" in bridge.last_head
    assert "x-api-key: k" in bridge.last_head
    assert "Cache-Control: no-store" in bridge.last_head
    assert "canary" not in bridge.last_head
    await terminals.aclose()


@platforms
async def test_reads_hide_secrets_too(bridge: CuttingBridge, terminals: Terminals) -> None:
    await bridge.stop_listening()
    terminal = terminals(Credentials(server="Any", login=LOGIN, password=CANARY))
    with pytest.raises(Unavailable) as caught:
        await terminal.connect()
    assert_says_nothing(caught.value)
    assert CANARY not in repr(terminal)


@platforms
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_of_a_read_no_more_is_taken_in_than_its_limit(
    bridge: CuttingBridge, platform: Platform, encoding: str
) -> None:
    """However little of it crosses the wire: it would fill the memory that all accounts share."""
    body = b"[" + b" " * 4_000_000 + b"]"
    bridge.reads["SymbolList"] = gzip.compress(body) if encoding == "gzip" else body
    bridge.headers = {"Content-Encoding": encoding}
    for most, is_taken in ((5_000_000, True), (1_000_000, False)):
        limits = msgspec.structs.replace(LIMITS, read_bytes=most)
        terminals = terminal_factory(platform, bridge.url, limits, reads_per_s=1000)
        terminal = terminals(Credentials(server="Any", login=LOGIN, password=CANARY))
        await terminal.connect()
        if is_taken:
            assert await terminal.symbols() == []
        else:
            with pytest.raises(Unavailable, match="an answer above the limit") as caught:
                await terminal.symbols()
            assert_says_nothing(caught.value)
        await terminals.aclose()
