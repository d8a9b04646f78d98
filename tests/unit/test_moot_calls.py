"""A deletion whose order filled while its attempt was committed is not sent: it would close a position."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from copypro.errors import NotSent
from copypro.trading import DeleteRequest, Done
from copypro_account_watcher.agent import AccountAgent
from copypro_account_watcher.limits import WatcherLimits
from copypro_account_watcher.state import LegStatus

from tests.unit.slave_builders import SEEN_AT, TICKET, D, attempt, standing


@pytest.mark.parametrize(("status", "is_sent"), [(LegStatus.PLACED, True), (LegStatus.OPEN, False)])
async def test_what_is_no_order_any_more_is_not_deleted(status: LegStatus, is_sent: bool) -> None:
    sent: list[DeleteRequest] = []
    recorded: list[Any] = []

    async def delete(request: DeleteRequest) -> Done:
        sent.append(request)
        return Done(ticket=request.ticket, lots=D("0.10"), price=D("1.1"))

    async def act(_: object) -> None:
        return

    host = SimpleNamespace(clock=lambda: SEEN_AT, monotonic=lambda: 0.0, limits=WatcherLimits())
    agent = SimpleNamespace(_host=host, _record=lambda *given: recorded.append(given[2]), act=act)
    copy = standing()
    copy.legs[0].status = status
    deletion = attempt("delete", DeleteRequest(ticket=TICKET))
    terminal = SimpleNamespace(delete=delete)
    await AccountAgent._call_and_record(cast(Any, agent), cast(Any, terminal), copy, deletion, 0.0)
    assert bool(sent) is is_sent
    assert isinstance(recorded[0], Done if is_sent else NotSent)
