"""What surrounds a message on the log: who it is, what caused it, when it was written.

The value of a record is the message as JSON; the envelope travels in the headers, so that a
reader can route without decoding.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from copypro import topics
from copypro.errors import BadRecord
from copypro.messages import DeadLetter, Message
from copypro.ports import Outgoing, Record
from copypro.topics import Topic
from copypro.values import MessageId, digest

SCHEMA_VERSION = 1
"""Of every message here. A record of a newer one is left alone; of an older one, upcast first."""


class Envelope(Struct, frozen=True, kw_only=True):
    id: MessageId
    correlation: MessageId
    """The first cause of all: the REST call's command, or the broker's fact."""
    time: datetime
    """When it was decided, by its writer's clock, UTC."""
    message: Any
    cause: MessageId | None = None


def caused(cause: Envelope, discriminator: str, message: Message, time: datetime) -> Envelope:
    """A consequence. Its id follows from its cause, so the same fact seen twice has the same id."""
    return Envelope(
        id=MessageId(digest(cause.id, type(message).__name__, discriminator)),
        cause=cause.id,
        correlation=cause.correlation,
        time=time,
        message=message,
    )


def fact(message: Message, time: datetime, *identity: object) -> Envelope:
    """A first cause, such as a broker's fact; `identity` is what makes it that fact and no other."""
    id_ = MessageId(digest(type(message).__name__, *identity))
    return Envelope(id=id_, correlation=id_, time=time, message=message)


_encoder = msgspec.json.Encoder()


def encode(topic: Topic, key: str, envelope: Envelope) -> Outgoing:
    return _outgoing(
        topic,
        key,
        envelope.id,
        envelope.cause,
        envelope.correlation,
        envelope.time,
        envelope.message,
    )


def consequence(
    topic: Topic,
    key: str,
    cause: MessageId,
    correlation: MessageId,
    discriminator: str,
    message: Message,
    time: datetime,
) -> Outgoing:
    """`encode(topic, key, caused(...))` in one step, for those who write many a second."""
    id_ = MessageId(digest(cause, type(message).__name__, discriminator))
    return _outgoing(topic, key, id_, cause, correlation, time, message)


def _outgoing(
    topic: Topic,
    key: str,
    id_: MessageId,
    cause: MessageId | None,
    correlation: MessageId,
    time: datetime,
    message: Message,
) -> Outgoing:
    headers = {
        "id": id_,
        "type": type(message).__name__,
        "correlation": correlation,
        "time": _iso(time),
        "version": _VERSION,
    }
    if cause is not None:
        headers["cause"] = cause
    return Outgoing(topic.name, key, _encoder.encode(message), headers)


@lru_cache(maxsize=1024)
def _iso(time: datetime) -> str:
    return time.isoformat()


_VERSION = str(SCHEMA_VERSION)


@cache
def _decoder(topic: str) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(topics.BY_NAME[topic].messages)


def decode(record: Record) -> Envelope:
    """Errors: BadRecord with the reason, for anything that is not one of the topic's messages."""
    headers = record.headers
    try:
        if int(headers["version"]) > SCHEMA_VERSION:
            raise BadRecord(
                record.topic,
                record.partition,
                record.offset,
                "written by a newer version: upgrade this process",
                newer=True,
            )
        cause = headers.get("cause")
        return Envelope(
            id=MessageId(headers["id"]),
            cause=MessageId(cause) if cause is not None else None,
            correlation=MessageId(headers["correlation"]),
            time=datetime.fromisoformat(headers["time"]),
            message=_decoder(record.topic).decode(record.value or b""),
        )
    except (KeyError, ValueError, msgspec.MsgspecError) as error:
        raise BadRecord(record.topic, record.partition, record.offset, str(error)) from error


def dead_letter(record: Record, error: BadRecord, time: datetime) -> Outgoing:
    """A record that nobody here can read, kept as it was, beside where it came from and why."""
    letter = DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        reason=error.reason,
        key=record.key,
        value_base64=base64.b64encode(record.value or b"").decode(),
        headers=dict(record.headers),
    )
    place = (record.topic, record.partition, record.offset)
    return encode(topics.DEAD_LETTERS, record.key, fact(letter, time, *place))


def utc_now() -> datetime:
    """For mains only; everything else is handed a clock."""
    return datetime.now(UTC)
