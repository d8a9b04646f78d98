"""What follows for copiers from an equity protector: paused when it acts, resumed when its day begins.

Here, because only the read models know every copier of a slave; a master's partition does not. That
nothing is opened meanwhile is the slave's own agent's part, and waits for nothing of this. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from copypro import topics
from copypro.envelope import Envelope, caused, encode
from copypro.messages import (
    EquityProtectorReset,
    EquityProtectorTriggered,
    Message,
    PauseCopier,
    ResumeCopier,
)
from copypro.ports import Outgoing
from copypro.protection import PAUSE_REASON
from copypro.values import AccountId, CopierId

Protected = EquityProtectorTriggered | EquityProtectorReset


def concerns_copiers(event: object) -> bool:
    return isinstance(event, Protected) and event.protector.settings.disable_copier


def commands(event: Envelope, copiers: Iterable[dict[str, Any]]) -> list[Outgoing]:
    """For the slave's copiers in the name of the event's registration. Their ids follow from the
    event: read again, it asks the same.
    """
    protected: Protected = event.message
    found: list[Outgoing] = []
    for doc in copiers:
        if doc["slave_registration"] != protected.registration:
            continue
        copier, master = CopierId(str(doc["id"])), AccountId(str(doc["master"]))
        wish: Message = (
            PauseCopier(copier=copier, master=master, reason=PAUSE_REASON, unless_paused=True)
            if isinstance(protected, EquityProtectorTriggered)
            else ResumeCopier(copier=copier, master=master, only_from=PAUSE_REASON)
        )
        envelope = caused(event, copier, wish, event.time)
        found.append(encode(topics.COPIER_COMMANDS, master, envelope))
    return found
