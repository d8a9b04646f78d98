"""Dead letters: which are still open, and how one is put back."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from copypro import topics
from copypro.envelope import decode, encode, fact
from copypro.errors import BadRecord
from copypro.messages import DeadLetter, DeadLetterReplayed
from copypro.ports import LogHistory, Outgoing, Record

Place = tuple[str, int, int]
"""Topic, partition, offset: a record's name."""


def place_of(name: str) -> Place:
    """Of its name for people: topic/partition/offset. Errors: ValueError."""
    topic, partition, offset = name.split("/")
    return topic, int(partition), int(offset)


class OpenLetter(Struct, frozen=True):
    written_at: datetime
    """When the record was put aside, UTC."""
    letter: DeadLetter

    @property
    def place(self) -> Place:
        return self.letter.topic, self.letter.partition, self.letter.offset


def open_letters(records: Iterable[Record]) -> list[OpenLetter]:
    """Of the topic dead-letters, read from its beginning: those that were not replayed, oldest first.
    A record that two roles could not read is one letter. Errors: BadRecord (of a newer version).
    """
    found: dict[Place, OpenLetter] = {}
    replayed: set[Place] = set()
    for record in records:
        envelope = decode(record)
        event = envelope.message
        place = (event.topic, event.partition, event.offset)
        if isinstance(event, DeadLetterReplayed):
            replayed.add(place)
        else:
            found.setdefault(place, OpenLetter(envelope.time, event))
    letters = [letter for place, letter in found.items() if place not in replayed]
    return sorted(letters, key=lambda letter: letter.written_at)


async def open_letters_of(history: LogHistory) -> list[OpenLetter]:
    """Read from a whole log. Errors: as `open_letters`, and the log's."""
    spans = await history.spans(topics.DEAD_LETTERS)
    batches = history.records(topics.DEAD_LETTERS, spans)
    return open_letters([record async for batch in batches for record in batch])


def replay(letter: DeadLetter, now: datetime) -> list[Outgoing]:
    """The record as it was, at the end of its topic, and that this was done: for one append.

    Errors: BadRecord, for a topic that is none of ours, and for what was not kept.
    """
    place = (letter.topic, letter.partition, letter.offset)
    if letter.topic not in topics.BY_NAME:
        raise BadRecord(*place, "there is no such topic")
    value = base64.b64decode(letter.value_base64)
    if not value and not letter.headers:
        raise BadRecord(*place, "it was too large for its letter: nothing to put back")
    done = DeadLetterReplayed(topic=place[0], partition=place[1], offset=place[2])
    return [
        Outgoing(letter.topic, letter.key, value, letter.headers),
        encode(topics.DEAD_LETTERS, letter.key, fact(done, now, *place)),
    ]
