"""A password that cannot be tried for now: what an operator reads of it."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from copypro.errors import CredentialsRefused, TerminalError
from copypro.messages import Rights
from copypro.values import AccountId
from copypro_account_watcher import proving
from copypro_account_watcher.limits import WatcherLimits
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.proving import Proving
from copypro_account_watcher.session import Session
from copypro_account_watcher.turn import Turn
from structlog.testing import capture_logs

from tests.unit.test_rights import account_of, registration

NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def test_while_the_bridge_is_down_it_is_said_once_and_again_for_another_reason() -> None:
    """The tries go on by the minute, of each account."""
    committed: list[Turn] = []

    async def commit(turn: Turn) -> None:
        committed.append(turn)

    mine = registration("mine", Rights.NONE, unproved="sealed")
    memory = Memory(AccountId("a"), WatcherLimits())
    memory.account = account_of(mine)
    host: Any = SimpleNamespace(clock=lambda: NOW, commit=commit)
    one = Proving(memory, host, Session(memory, host), cast(Any, None), commit)
    with capture_logs() as lines:
        for code in ("UNREACHABLE", "UNREACHABLE", "HTTP_500", "HTTP_500"):
            await one._delay(mine, TerminalError(code, f"{code} it is"))
    assert [(line["code"], line["registration"], line["message"]) for line in lines] == [
        ("UNREACHABLE", "mine", "UNREACHABLE it is"),
        ("HTTP_500", "mine", "HTTP_500 it is"),
    ]
    assert len(committed) == 2


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("INVALID_ACCOUNT", "the broker refuses the password of"),
        ("PASSWORD_UNREADABLE", "the stored password of"),
    ],
)
def test_the_broker_is_not_blamed_for_a_password_that_cannot_be_opened(
    code: str, said: str
) -> None:
    mine, turn = registration("mine", Rights.TRADE), Turn(NOW)
    memory = Memory(AccountId("a"), WatcherLimits())
    memory.account = account_of(mine)
    proving._alert(memory, mine, CredentialsRefused(code), turn)
    (alert,) = [told.event for told in turn.told]
    assert alert.text.startswith(said)
