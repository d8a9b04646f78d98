"""One partition's masters: records in, records out. Pure: no clock, no log, no waiting."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from copypro import topics
from copypro.envelope import SCHEMA_VERSION, Envelope, dead_letter, decode
from copypro.errors import BadRecord
from copypro.messages import AccountRefused, AccountRemoved, AccountUpdated
from copypro.ports import Outgoing, Record, Told
from copypro.readiness import broke_at
from copypro.values import AccountId

from copypro_replicator.copiers import command, follow_removal, follow_rights
from copypro_replicator.following import follow, settle
from copypro_replicator.state import Memory
from copypro_replicator.turn import Turn

UNHEEDED = frozenset(
    (
        "AccountRegistered",
        "HistoryImported",
        "AccountConnected",
        "AccountDisconnected",
        "ProofDelayed",
        "CommandDenied",
        "Settled",
        "EquityProtectorUpdated",
        "EquityProtectorReset",
        "EquityProtectorTriggered",
        "EquityProtectorCallbackSet",
        "PendingFilled",
        "BalanceChanged",
        "EquityRecorded",
        "AlertRaised",
        "AlertCleared",
    )
)
"""Order events from which nothing follows here: not even decoded."""


class Replicating:
    """Memory of one partition. `step` is the only way in; what it gives must be committed with the
    records it was given, or this memory thrown away.
    """

    def __init__(self) -> None:
        self.memory = Memory()
        self.told: list[Told] = []
        """The events of the last step, for the journal."""

    def restore(self, record: Record) -> None:
        """Errors: BadRecord for a kind that only a newer version knows."""
        self.memory.restore(record)

    def step(self, records: Sequence[Record], end_offset: int, now: datetime) -> list[Outgoing]:
        """All that these records lead to: events, slave orders, state records, dead letters.

        `end_offset` of order-events, at least after the last record given. Errors: BadRecord, for a
        record of a newer version only; then nothing of the step may be committed.
        """
        turn = Turn(self.memory, end_offset, now)
        read_until = 0
        for record in records:
            is_event = record.topic == topics.ORDER_EVENTS.name
            if is_event:
                read_until = record.offset + 1
                self._settle_before(record, turn)
                if _is_unheeded(record):
                    continue
            try:
                envelope: Envelope = decode(record)
            except BadRecord as error:
                if error.newer:
                    raise
                turn.outputs.append(dead_letter(record, error, now))
                continue
            try:
                _take(turn, envelope, record.offset, is_event=is_event)
            except Exception as error:
                broke_at(error, (record,))
                raise
        for root in self.memory.undecided(read_until):
            settle(turn, root)
        self.told = turn.told
        return [*turn.outputs, *self.memory.changes()]

    def _settle_before(self, record: Record, turn: Turn) -> None:
        """What an account tells of another look than the one that found a root late proves that that one
        is over: all of a look is appended at once. It need not be waited for what the log's end counts
        besides records (on Kafka the markers of commits).
        """
        waiting = self.memory.undecided_of(AccountId(record.key))
        look_at = _time_of(record) if waiting else None
        if look_at is None:
            return
        for root in waiting:
            if root.undecided is not None and root.undecided.look_at not in (None, look_at):
                settle(turn, root)


def _take(turn: Turn, envelope: Envelope, offset: int, *, is_event: bool) -> None:
    turn.because_of(envelope.id, envelope.correlation)
    if isinstance(envelope.message, AccountUpdated | AccountRefused):
        follow_rights(turn, envelope.message)
    elif is_event:
        if isinstance(envelope.message, AccountRemoved):
            follow_removal(turn, envelope.message)
        follow(turn, envelope, offset)
    else:
        command(turn, envelope.message)


def _time_of(record: Record) -> datetime | None:
    """None: it has none that can be read, and is put aside for that as it is decoded."""
    try:
        return datetime.fromisoformat(record.headers["time"])
    except (KeyError, ValueError):
        return None


def _is_unheeded(record: Record) -> bool:
    headers = record.headers
    return headers.get("type") in UNHEEDED and headers.get("version") == str(SCHEMA_VERSION)
