"""What surrounds a message on the log: who it is, what caused it, when it was written.

The value of a record is the message as JSON; the envelope travels in the headers, so that a
reader can route without decoding.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from hashlib import blake2b
from typing import Any, TypeVar, cast

import msgspec
from msgspec import Struct

from copypro import topics
from copypro.errors import BadRecord
from copypro.messages import DeadLetter, Message
from copypro.ports import Outgoing, Record
from copypro.topics import Topic
from copypro.upcasting import SCHEMA, Schema
from copypro.values import MessageId, digest

SCHEMA_VERSION = SCHEMA.version
"""Of every message here. A record of a newer one is left alone; of an older one, upcast first."""
_VERSION = str(SCHEMA_VERSION)
HEADERS = {
    "id": "who this message is: 32 hex digits; the same fact always has the same id",
    "type": "the message's name, as in its value",
    "correlation": "id of the first cause of all: the REST call's command, or the broker's fact",
    "time": "when it was decided, by its writer's clock: ISO 8601, UTC",
    "version": "schema version of the value: a whole number",
    "cause": "id of the message that led to this one; absent on a first cause",
}
"""A record's headers and what they hold, as UTF-8 text."""
STATE_HEADERS = {"version": _VERSION}
"""Of the roles' state records: an older process leaves newer memory alone, as it does messages."""


class Envelope(Struct, frozen=True, kw_only=True):
    """A message with what its record's headers say of it."""

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
_Part = TypeVar("_Part")


def encoded(part: _Part) -> _Part:
    """A part of messages, as the JSON it will be: many messages then carry it without encoding it
    again, to the same bytes. Only for messages that are about to be encoded.
    """
    return cast(_Part, msgspec.Raw(_encoder.encode(part)))


class Consequences:
    """Everything that one cause leads to at one time, encoded: equal to
    `encode(topic, key, caused(cause, discriminator, message, time))`, with what all share made once.
    `time` as ISO text, which the causes of one turn share.
    """

    __slots__ = ("_headers", "_name")

    def __init__(self, cause: MessageId, correlation: MessageId, time: str) -> None:
        self._name = blake2b(f"{cause}|".encode(), digest_size=16)
        self._headers = {
            "id": "",
            "type": "",
            "correlation": correlation,
            "time": time,
            "version": _VERSION,
            "cause": cause,
        }

    def encode(self, topic: Topic, key: str, discriminator: str, message: Message) -> Outgoing:
        kind = type(message).__name__
        name = self._name.copy()
        name.update(f"{kind}|{discriminator}".encode())
        headers = self._headers.copy()
        headers["id"] = name.hexdigest()
        headers["type"] = kind
        return Outgoing(topic.name, key, _encoder.encode(message), headers)


def encode(topic: Topic, key: str, envelope: Envelope) -> Outgoing:
    headers = {
        "id": envelope.id,
        "type": type(envelope.message).__name__,
        "correlation": envelope.correlation,
        "time": envelope.time.isoformat(),
        "version": _VERSION,
    }
    if envelope.cause is not None:
        headers["cause"] = envelope.cause
    return Outgoing(
        topic=topic.name, key=key, value=_encoder.encode(envelope.message), headers=headers
    )


@cache
def _decoder(topic: str) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(topics.BY_NAME[topic].messages)


def decode(record: Record, schema: Schema = SCHEMA) -> Envelope:
    """The message as today's code knows it, whichever version wrote it.

    Errors: BadRecord with the reason, for anything that is not one of the topic's messages, and for
    what an operator set aside; with `newer` for a record that is only not known yet.
    """
    headers = record.headers
    try:
        if record.set_aside:
            raise ValueError("set aside by an operator (COPYPRO_SET_ASIDE)")
        version = int(headers["version"])
        if version > schema.version:
            raise of_newer_version(record)
        cause = headers.get("cause")
        return Envelope(
            id=MessageId(headers["id"]),
            cause=MessageId(cause) if cause is not None else None,
            correlation=MessageId(headers["correlation"]),
            time=datetime.fromisoformat(headers["time"]),
            message=_decoder(record.topic).decode(_todays(record, version, schema)),
        )
    except (KeyError, ValueError, msgspec.MsgspecError) as error:
        raise BadRecord(record.topic, record.partition, record.offset, str(error)) from error


def _todays(record: Record, version: int, schema: Schema) -> bytes:
    """The value in today's version. Errors: KeyError, ValueError and MsgspecError, as decoding."""
    value = record.value or b""
    if version == schema.version:
        return value
    message = msgspec.json.decode(value, type=dict[str, Any])
    return _encoder.encode(schema.upcast(record.topic, version, message))


def readable(
    records: Sequence[Record], version: int = SCHEMA_VERSION
) -> tuple[Sequence[Record], BadRecord | None]:
    """What comes before the first record of a version newer than `version`, and that record as an
    error. What lies behind it must wait: the order of a topic is never changed.
    """
    known = str(version)
    for place, record in enumerate(records):
        if record.headers.get("version", known) != known and _version_of(record) > version:
            return records[:place], of_newer_version(record)
    return records, None


def _version_of(record: Record) -> int:
    """0 for what is no number: it is read, and put aside for that."""
    said = record.headers["version"]
    return int(said) if said.isdecimal() else 0


def of_newer_version(record: Record) -> BadRecord:
    """Its version says so, or it is memory of a kind that is not known here."""
    text = "written by a newer version: upgrade this process"
    return BadRecord(record.topic, record.partition, record.offset, text, newer=True)


LARGEST_KEPT = 1_000_000
"""Bytes of a record that its letter holds: as much again as text must fit into a record of the log."""
KEY_KEPT = 1000


def dead_letter(record: Record, error: BadRecord, time: datetime) -> Outgoing:
    """A record that nobody here can read, kept as it was, beside where it came from and why. Of one
    that no letter could hold only the place and the reason: it is in its topic still.
    """
    value, headers, key = record.value or b"", dict(record.headers), record.key[:KEY_KEPT]
    reason = error.reason[:KEY_KEPT]
    size = len(value) + len(record.key) + sum(len(n) + len(v) for n, v in headers.items())
    if size > LARGEST_KEPT:
        value, headers = b"", {}
        reason = f"{reason} ({size} bytes, too large for a letter: not kept here)"
    letter = DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        reason=reason,
        key=key,
        value_base64=base64.b64encode(value).decode(),
        headers=headers,
    )
    place = (record.topic, record.partition, record.offset)
    return encode(topics.DEAD_LETTERS, key, fact(letter, time, *place))


def utc_now() -> datetime:
    """For mains only; everything else is handed a clock."""
    return datetime.now(UTC)
