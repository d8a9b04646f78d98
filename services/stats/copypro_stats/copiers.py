"""Copiers, as they are and as they last were. Pure."""

from __future__ import annotations

from datetime import datetime

from copypro import collections as c
from copypro import messages as m

from copypro_stats.patch import Fields, Patch, callback_of, iso, plain, where_told

Changed = m.CopierStarted | m.CopierUpdated | m.CopierPaused | m.CopierResumed


def changed(event: Changed) -> list[Patch]:
    state = event.state
    fields = _copier(state)
    if isinstance(event, m.CopierStarted):
        fields["started_at"] = iso(event.started_at_utc)
    known = (c.COPIERS, state.copier)
    shown = Patch(*known, fields, builds_on=known)
    if isinstance(event, m.CopierUpdated):
        return [shown, callback_of(state.copier, state.callback)]
    return [shown]


def _copier(state: m.Copier) -> Fields:
    return {
        "user": state.user,
        "master": state.master,
        "slave": state.slave,
        "master_registration": state.master_registration,
        "slave_registration": state.slave_registration,
        "paused": state.paused,
        "pause_reason": state.pause_reason,
        "options": plain(state.options),
        "mappings": [plain(mapping) for mapping in state.mappings],
        "callback_shown": where_told(state.callback),
    }


def stopped(event: m.CopierStopped, at: datetime) -> list[Patch]:
    ended = {"removed_at": iso(at), "removed_because": event.reason.value}
    known = (c.COPIERS, event.copier)
    return [
        Patch(c.REMOVED_COPIERS, event.copier, ended, builds_on=known),
        Patch(*known, None),
        callback_of(event.copier, None),
    ]
