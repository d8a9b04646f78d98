"""One turn at the inputs: what it tells and asks, collected until it is committed with its state."""

from __future__ import annotations

from datetime import datetime

from copypro import messages as m
from copypro import topics
from copypro.envelope import Consequences
from copypro.ports import Outgoing, Told
from copypro.values import AccountId, MessageId

from copypro_replicator.copying import Planned
from copypro_replicator.state import Memory, RootRecord


class Turn:
    """`now` stamps what is told; `end_offset` is the end of order-events as known at the read."""

    def __init__(self, memory: Memory, end_offset: int, now: datetime) -> None:
        self.memory, self.end_offset, self.now = memory, end_offset, now
        self.outputs: list[Outgoing] = []
        self.told: list[Told] = []
        """The events among the outputs, for the journal."""
        self.cause = self.correlation = MessageId("")
        self._time = now.isoformat()
        self._consequences = Consequences(self.cause, self.correlation, self._time)

    def because_of(self, cause: MessageId, correlation: MessageId) -> None:
        """What follows is this message's consequence."""
        self.cause, self.correlation = cause, correlation
        self._consequences = Consequences(cause, correlation, self._time)

    def tell(self, master: AccountId, discriminator: str, event: m.CopierEvent) -> None:
        told = self._consequences.encode(topics.COPIER_EVENTS, master, discriminator, event)
        self.outputs.append(told)
        self.told.append(Told(event, self.correlation))

    def ask(self, order: m.SlaveOrder) -> None:
        asked = self._consequences.encode(topics.SLAVE_ORDERS, order.slave, order.copy, order)
        self.outputs.append(asked)

    def outcome(self, root: RootRecord, planned: Planned | None) -> None:
        """Remembers the pair's decision on a root, and says it. The root is written by the caller."""
        if planned is None:
            return
        event = planned.event
        if planned.decision is not None:
            root.pairs[event.slave] = planned.decision
        # A pair's former and present copier may each have an outcome for one event.
        self.tell(root.account, f"{event.copy}/{event.copier}", event)
        if planned.order is not None:
            self.ask(planned.order)
