"""A person's word on an attempt that nobody answered: what it may name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from copypro import messages as m
from copypro.envelope import Envelope
from copypro.trading import OpenRequest
from copypro.values import AttemptId, CopyId, MessageId, Mode, OrderKind
from copypro_account_watcher import commands
from copypro_account_watcher.turn import Turn

from tests.unit.test_copy_life import SEEN_AT, TICKET, D, attempt, standing, wanted


@pytest.mark.parametrize("number", [0, 1])
def test_the_position_of_another_leg_is_not_taken_for_it(number: int) -> None:
    """Followed by two copies, it would be closed for whichever master closes first."""
    open_already, unclear = standing(), wanted()
    unclear.copy = CopyId("d" * 32)
    request = OpenRequest(
        symbol="EURUSD", kind=OrderKind.BUY, lots=D("0.10"), comment="t", magic=1, price=D("1.1")
    )
    unclear.attempt = attempt("open", request)
    unclear.attempt.unresolved_at_utc = SEEN_AT
    if number:  # of the same copy
        unclear.legs.append(open_already.legs[0])
        unclear.legs[-1].number = number
        open_already.legs = []
    agent = SimpleNamespace(
        id=unclear.slave,
        copies={copy.copy: copy for copy in (open_already, unclear)},
        market=SimpleNamespace(live=SimpleNamespace(mode=Mode.HEDGING)),
    )
    settle = m.SettleUnresolved(
        account=unclear.slave, attempt=AttemptId("1" * 32), ticket=TICKET, by="u"
    )
    id_, turn = MessageId("e" * 32), Turn(SEEN_AT)
    envelope = Envelope(id=id_, correlation=id_, time=SEEN_AT, message=settle)
    commands.decide(cast(Any, agent), envelope, turn)
    (answer,) = turn.close()
    assert answer.headers["type"] == "CommandDenied"
    assert msgspec.json.decode(answer.value or b"")["code"] == "INVALID_PARAMETER"
    assert unclear.attempt is not None
