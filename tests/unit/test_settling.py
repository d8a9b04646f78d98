"""A person's word on an attempt that nobody answered: what it may name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec
import pytest
from copypro import messages as m
from copypro.envelope import Envelope
from copypro.trading import OpenOrder, OpenRequest
from copypro.values import AttemptId, CopyId, MessageId, OrderKind, Ticket
from copypro_account_watcher.commands import Commands
from copypro_account_watcher.limits import WatcherLimits
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.state import Copy
from copypro_account_watcher.turn import Turn

from tests.unit.slave_builders import SEEN_AT, TICKET, D, attempt, standing, wanted


def order(
    ticket: int = TICKET, symbol: str = "EURUSD", kind: OrderKind = OrderKind.BUY
) -> OpenOrder:
    return OpenOrder(
        ticket=Ticket(ticket), symbol=symbol, kind=kind, lots=D("0.10"), open_price=D("1.1"),
        opened_at_broker=SEEN_AT.replace(tzinfo=None),
    )  # fmt: skip


REQUEST = OpenRequest(
    symbol="EURUSD", kind=OrderKind.BUY, lots=D("0.10"), comment="t", magic=1, price=D("1.1")
)


@pytest.mark.parametrize("number", [0, 1])
def test_the_position_of_another_leg_is_not_taken_for_it(number: int) -> None:
    """Followed by two copies, it would be closed for whichever master closes first."""
    open_already, unclear = standing(), unanswered()
    if number:  # of the same copy
        unclear.legs.append(open_already.legs[0])
        unclear.legs[-1].number = number
        open_already.legs = []
    assert settled(unclear, open_already) == "INVALID_PARAMETER"
    assert unclear.attempt is not None


@pytest.mark.parametrize(
    "listed",
    [[], [order(symbol="GBPUSD")], [order(kind=OrderKind.SELL)], [order(ticket=TICKET + 1)]],
)
def test_a_ticket_that_cannot_be_it_is_refused(listed: list[OpenOrder]) -> None:
    """A slip of the pen: somebody's own trade would be closed, or one that is not there for ever."""
    unclear = unanswered()
    assert settled(unclear, listed=listed) == "INVALID_PARAMETER"
    assert unclear.attempt is not None


def test_of_an_account_that_is_out_of_reach_nothing_is_said_of_what_stands() -> None:
    """After a restart no list has shown it: "not open" would have a person settle it as nothing."""
    unclear = unanswered()
    assert settled(unclear, connected=False) == "ACCOUNT_CONNECTING"
    assert unclear.attempt is not None


def unanswered() -> Copy:
    unclear = wanted()
    unclear.copy = CopyId("d" * 32)
    unclear.attempt = attempt("open", REQUEST)
    unclear.attempt.unresolved_at_utc = SEEN_AT
    return unclear


def settled(
    unclear: Copy, *others: Copy, listed: Sequence[OpenOrder] = (), connected: bool = True
) -> str:
    """The code with which a person's word on TICKET was denied."""
    memory = Memory(unclear.slave, WatcherLimits())
    memory.live.connected = connected
    memory.live.looked(listed, None)
    for copy in (*others, unclear):
        memory.know(copy)
    settle = m.SettleUnresolved(
        account=unclear.slave, attempt=AttemptId("1" * 32), ticket=TICKET, by="u"
    )
    id_, turn = MessageId("e" * 32), Turn(SEEN_AT)
    envelope = Envelope(id=id_, correlation=id_, time=SEEN_AT, message=settle)
    nobody = cast(Any, None)
    Commands(memory, nobody, nobody, nobody).decide(envelope, turn)
    (answer,) = turn.close()
    assert answer.headers["type"] == "CommandDenied"
    return str(msgspec.json.decode(answer.value or b"")["code"])
