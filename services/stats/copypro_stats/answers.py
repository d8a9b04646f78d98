"""What a call that waits for its command is told. Pure."""

from __future__ import annotations

from datetime import datetime

from copypro import collections as c
from copypro import messages as m

from copypro_stats.patch import Event, Fields, Patch, iso

ANSWERS = (
    m.AccountRegistered,
    m.AccountUpdated,
    m.AccountRemoved,
    m.EquityProtectorUpdated,
    m.EquityProtectorCallbackSet,
    m.HistoryImported,
    m.CommandDenied,
    m.Settled,
    m.CopierStarted,
    m.CopierUpdated,
    m.CopierPaused,
    m.CopierResumed,
    m.CopierStopped,
)


def answered(event: Event, command: str, at: datetime) -> Patch:
    fields: Fields = {"done": True, "event": type(event).__name__, "at": iso(at)}
    match event:
        case m.CommandDenied(code=code, message=message):
            fields |= {"code": code, "message": message}
        case m.CopierStarted(state=state):
            fields["copier"] = state.copier
        case m.AccountUpdated(leaving=True):
            fields["leaving"] = True
        case m.AccountRemoved(left_open=left):
            fields["left_open"] = list(left)
        case m.HistoryImported(added=added, same=same, contradictions=contradictions):
            fields |= {"added": added, "same": same, "contradictions": list(contradictions)}
    return Patch(c.COMMANDS, command, fields)
