"""What follows for copiers from one of their accounts: paused when the slave's equity protector acts,
resumed when its day begins, stopped when the registration of either side is gone.

Here, because only the read models know every copier of a slave; a master's partition does not. That
nothing is opened meanwhile is the slave's own agent's part, and waits for nothing of this. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from copypro import topics
from copypro.envelope import Envelope, caused, encode
from copypro.messages import (
    AccountRemoved,
    EquityProtectorReset,
    EquityProtectorTriggered,
    Message,
    OpenCopies,
    PauseCopier,
    ResumeCopier,
    StopCopier,
    StopReason,
)
from copypro.ports import Outgoing
from copypro.protection import PAUSE_REASON
from copypro.values import AccountId, CopierId

Protected = EquityProtectorTriggered | EquityProtectorReset
Doc = dict[str, Any]


def concerns_copiers(event: object) -> bool:
    if isinstance(event, Protected):
        return event.protector.settings.disable_copier
    return isinstance(event, AccountRemoved)


def commands(event: Envelope, copiers: Iterable[Doc]) -> list[Outgoing]:
    """For those of the copiers that stand in the name of the event's registration. Their ids follow
    from the event: read again, it asks the same.
    """
    found: list[Outgoing] = []
    for doc in copiers:
        wish = _wish(event.message, doc)
        if wish is not None:
            envelope = caused(event, str(doc["id"]), wish, event.time)
            found.append(encode(topics.COPIER_COMMANDS, str(doc["master"]), envelope))
    return found


def _wish(event: Protected | AccountRemoved, doc: Doc) -> Message | None:
    copier, master = CopierId(str(doc["id"])), AccountId(str(doc["master"]))
    of_slave = doc["slave_registration"] == event.registration
    if isinstance(event, AccountRemoved):
        if not of_slave and doc["master_registration"] != event.registration:
            return None
        # Those that there were when the call was made were stopped by it; this one came later.
        reason = StopReason.SLAVE_REMOVED if of_slave else StopReason.MASTER_REMOVED
        return StopCopier(copier=copier, master=master, open_copies=OpenCopies.LEAVE, reason=reason)
    if not of_slave:
        return None
    if isinstance(event, EquityProtectorTriggered):
        return PauseCopier(copier=copier, master=master, reason=PAUSE_REASON, unless_paused=True)
    return ResumeCopier(copier=copier, master=master, only_from=PAUSE_REASON)
