"""What an attempt led to, recorded, and what follows from it for the account."""

from __future__ import annotations

from copypro.messages import CopyDetached
from copypro.trading import DeleteRequest

from copypro_account_watcher.alerts import tell_left_open
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.settled.mirrored import tell_part_beside
from copypro_account_watcher.settled.outcomes import Consequence
from copypro_account_watcher.settled.ties import tie
from copypro_account_watcher.state import Attempt, Copy
from copypro_account_watcher.turn import Turn


def apply(memory: Memory, copy: Copy, attempt: Attempt, result: Consequence, turn: Turn) -> None:
    live, leg = memory.live, copy.leg(attempt.leg)
    tie(memory.book, copy, leg)
    for event in result.events:
        turn.execution(event, copy.origin_of(leg), attempt.id)
        if isinstance(event, CopyDetached) and not memory.known.removed:
            tell_left_open(memory, event, turn)
    if result.refresh_symbol and copy.symbol:
        live.forget_symbol(copy.symbol)
    memory.broker_stop = result.pause_opens or memory.broker_stop
    if result.counts_as:
        memory.refusals.append(result.counts_as)
    if result.look:
        memory.wants_look = True
    if isinstance(attempt.request, DeleteRequest):
        tell_part_beside(memory, copy, attempt.request.ticket, turn)
    memory.touch(copy, turn)
    if copy.attempt is None:
        memory.certain(attempt)
    elif copy.is_unresolved:
        memory.doubt(copy.attempt, live.mono)
        memory.wants_history = True
