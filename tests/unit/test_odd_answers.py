"""A bridge that answers with something else than it was asked."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

from copypro.adapters.mt4_terminal import Mt4Dialect
from copypro.adapters.terminal import BridgeTerminal
from copypro.ports import Credentials, TerminalLimits

ANSWERS: dict[str, Any] = {
    "ConnectEx": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "AccountSummary": {"balance": 1000, "equity": 1000, "currency": "USD"},
    "AccountDetails": {"user": 2001},
    "Quote": {"symbol": "eurusd", "bid": 1.1, "ask": 1.1001},
}


async def read(call: str, _params: object, **_more: object) -> bytes:
    return json.dumps(ANSWERS[call]).encode()


def test_a_quote_is_of_the_symbol_that_was_asked_for_however_it_is_spelled() -> None:
    """Kept under another name it would be asked for again at once, over and over."""

    async def work() -> None:
        bridge = SimpleNamespace(limits=TerminalLimits(), tokens={}, read=read)
        who = Credentials(server="Beta-MT4", login=2001, password="secret")
        terminal = BridgeTerminal(cast(Any, bridge), Mt4Dialect(), who)
        await terminal.connect()
        assert (await terminal.quote("EURUSD", 5.0)).symbol == "EURUSD"

    asyncio.run(work())
