"""A changing call leaves at most once, although it is a GET, wherever the connection is cut."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest
from copypro.adapters.mt4_terminal import Mt4Dialect
from copypro.adapters.mt5_terminal import Mt5Dialect
from copypro.adapters.terminal import BridgeTerminal, Terminals
from copypro.errors import NotSent, OutcomeUnknown
from copypro.ports import Credentials, TerminalLimits
from copypro.trading import CloseRequest, DeleteRequest, Done, ModifyRequest, OpenRequest
from copypro.values import OrderKind, Ticket

from tests.contract.cutting import cutting_server

CANARY = "c4n4ry-p4ssw0rd"
CALLS: dict[str, Callable[[BridgeTerminal], Awaitable[Done]]] = {
    "open": lambda t: t.open(
        OpenRequest(
            symbol="EURUSD",
            kind=OrderKind.BUY,
            lots=Decimal("0.1"),
            comment="T",
            magic=1,
            price=Decimal("1.1"),
        )
    ),
    "modify": lambda t: t.modify(
        ModifyRequest(ticket=Ticket(7), stop_loss=Decimal(1), take_profit=None)
    ),
    "close": lambda t: t.close(CloseRequest(ticket=Ticket(7), symbol="EURUSD", lots=None)),
    "delete": lambda t: t.delete(DeleteRequest(ticket=Ticket(7))),
}
CUTS = [
    "accepted",
    "first byte",
    "request read",
    "headers sent",
    "half the body",
    "500",
    "unreadable",
]


def make(port: int, dialect: object) -> tuple[Terminals, BridgeTerminal]:
    limits = TerminalLimits(trade_call_s=1.0)
    terminals = Terminals(dialect, f"http://127.0.0.1:{port}", limits, 1000)  # type: ignore[arg-type]
    credentials = Credentials(server="S", login=1, password=CANARY)
    terminal = terminals.factory(credentials)
    assert isinstance(terminal, BridgeTerminal)
    terminal._token = "00000000-0000-0000-0000-000000000000"
    return terminals, terminal


@pytest.mark.parametrize("dialect", [Mt4Dialect(), Mt5Dialect()], ids=["MT4", "MT5"])
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("call", CALLS)
async def test_a_cut_connection_is_an_unknown_outcome_and_one_request(
    call: str, cut: str, dialect: object
) -> None:
    async with cutting_server() as server:
        terminals, terminal = make(server.port, dialect)
        server.points = [cut]
        with pytest.raises(OutcomeUnknown) as caught:
            await CALLS[call](terminal)
        assert len(server.requests) == (0 if cut == "accepted" else 1)
        assert CANARY not in str(caught.value)
        assert "127.0.0.1" not in str(caught.value)
        await terminals.aclose()


@pytest.mark.parametrize("call", CALLS)
async def test_a_kept_alive_connection_that_died_does_not_send_twice(call: str) -> None:
    async with cutting_server() as server:
        terminals, terminal = make(server.port, Mt5Dialect())
        await CALLS["open"](terminal)
        server.points = ["request read"]
        with pytest.raises(OutcomeUnknown):
            await CALLS[call](terminal)
        assert len(server.requests) == 2, "one for each call, none repeated by the library"
        await terminals.aclose()


async def test_a_refused_connection_was_certainly_not_sent() -> None:
    async with cutting_server() as server:
        port = server.port
    terminals, terminal = make(port, Mt4Dialect())
    with pytest.raises(NotSent):
        await CALLS["open"](terminal)
    await terminals.aclose()


async def test_no_answer_in_time_is_unknown() -> None:
    async with cutting_server() as server:
        terminals, terminal = make(server.port, Mt4Dialect())
        server.points = ["silent"]
        with pytest.raises(OutcomeUnknown):
            await asyncio.wait_for(CALLS["close"](terminal), 10)
        assert len(server.requests) == 1
        await terminals.aclose()


async def test_an_answer_without_a_ticket_is_unknown() -> None:
    async with cutting_server() as server:
        terminals, terminal = make(server.port, Mt5Dialect())
        server.points = ["no ticket"]
        with pytest.raises(OutcomeUnknown):
            await CALLS["open"](terminal)
        await terminals.aclose()


async def test_secrets_are_in_no_representation() -> None:
    async with cutting_server() as server:
        terminals, terminal = make(server.port, Mt5Dialect())
        assert CANARY not in repr(terminal)
        assert CANARY not in repr(Credentials(server="S", login=1, password=CANARY))
        await terminals.aclose()
