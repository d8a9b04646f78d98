"""One step of an account: what it records, and what it does once that is durable."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec
from copypro import topics
from copypro.envelope import STATE_HEADERS, Consequences, Envelope, encode, fact
from copypro.messages import ExecutionEvent, Message, OrderEvent
from copypro.ports import Outgoing, Told
from copypro.topics import Topic
from copypro.values import AccountId

from copypro_account_watcher.state import Origin

Effect = Callable[[float], None]
"""Called with the monotonic time at which the turn became durable."""

_encoder = msgspec.json.Encoder()


class Turn:
    """Outputs that become visible together; effects that start only after that."""

    def __init__(self, now: datetime) -> None:
        self.now, self._time = now, now.isoformat()
        self.outputs: list[Outgoing] = []
        self.effects: list[Effect] = []
        self.told: list[Told] = []
        """The events among the outputs, for the journal."""
        self._remembered: dict[str, msgspec.Struct | None] = {}

    def fact(self, account: AccountId, message: OrderEvent, *identity: object) -> None:
        """What the broker did; its id follows from what it is."""
        envelope = fact(message, self.now, account, *identity)
        self._put(topics.ORDER_EVENTS, account, envelope)
        self.told.append(Told(message, envelope.correlation))

    def consequence(
        self, topic: Topic, key: str, origin: Origin, discriminator: str, message: Message
    ) -> None:
        caused = Consequences(origin.id, origin.correlation, self._time)
        self.outputs.append(caused.encode(topic, key, discriminator, message))
        self.told.append(Told(message, origin.correlation, origin.at_utc))

    def answer(self, account: AccountId, origin: Origin, event: Message) -> None:
        """The one event in which a command ends."""
        self.consequence(topics.ORDER_EVENTS, account, origin, "", event)

    def execution(self, event: ExecutionEvent, origin: Origin, discriminator: object) -> None:
        self.consequence(topics.EXECUTIONS, event.slave, origin, str(discriminator), event)

    def publish(self, topic: Topic, key: str, message: Message, version: object) -> None:
        self._put(topic, key, fact(message, self.now, key, version))

    def remember(self, key: str, record: msgspec.Struct | None) -> None:
        """The record as it is when the turn ends; None forgets it."""
        self._remembered[key] = record

    def then(self, effect: Effect) -> None:
        self.effects.append(effect)

    def close(self) -> list[Outgoing]:
        """All outputs, state records last. The records are read now: nothing may change them before."""
        name = topics.WATCHER_STATE.name
        for key, record in self._remembered.items():
            value = None if record is None else _encoder.encode(record)
            self.outputs.append(Outgoing(name, key, value, STATE_HEADERS))
        self._remembered.clear()
        return self.outputs

    def _put(self, topic: Topic, key: str, envelope: Envelope) -> None:
        self.outputs.append(encode(topic, key, envelope))
