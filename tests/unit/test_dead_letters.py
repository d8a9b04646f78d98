"""Which dead letters are open, and what a replay appends."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from copypro import topics
from copypro.dead_letters import open_letters, replay
from copypro.envelope import LARGEST_KEPT, dead_letter, decode
from copypro.errors import BadRecord
from copypro.messages import DeadLetter
from copypro.ports import Outgoing, Record
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.copying_builders import MASTER, T0, outgoing, start

WHY = BadRecord("copier-commands", 2, 7, "no such field")


def a_record(offset: int = 7, value: bytes = b"{") -> Record:
    good = outgoing(start())
    return Record(good.topic, 2, offset, good.key, value, good.headers)


def lying(out: Outgoing) -> Record:
    return Record(out.topic, 2, 0, out.key, out.value, out.headers)


def letter_of(record: Record) -> Record:
    return lying(dead_letter(record, WHY, T0))


def test_a_letter_is_open_until_it_is_replayed_and_others_stay() -> None:
    first, second = letter_of(a_record(7)), letter_of(a_record(8))
    assert [each.place[2] for each in open_letters([first, second])] == [7, 8]
    done = lying(replay(open_letters([first])[0].letter, T0)[1])
    assert [each.place[2] for each in open_letters([first, done, second])] == [8]


def test_a_record_that_two_roles_could_not_read_is_one_letter() -> None:
    later = lying(dead_letter(a_record(), WHY, T0 + timedelta(seconds=3)))
    (letter,) = open_letters([letter_of(a_record()), later])
    assert letter.written_at == T0


@given(value=st.binary(max_size=40))
def test_a_replay_appends_the_record_byte_for_byte_and_says_so_under_the_same_key(
    value: bytes,
) -> None:
    record = a_record(value=value)
    (letter,) = open_letters([letter_of(record)])
    again, done = replay(letter.letter, T0)
    assert again == Outgoing(record.topic, record.key, value, dict(record.headers))
    assert (done.topic, done.key) == (topics.DEAD_LETTERS.name, MASTER)
    assert decode(lying(done)).cause is None


def test_replayed_twice_it_says_so_under_one_id() -> None:
    (letter,) = open_letters([letter_of(a_record())])
    first, second = replay(letter.letter, T0)[1], replay(letter.letter, T0 + timedelta(1))[1]
    assert first.headers["id"] == second.headers["id"]


def test_a_topic_that_is_none_of_ours_gets_nothing() -> None:
    letter = DeadLetter(
        topic="elsewhere", partition=0, offset=1, reason="", key="k", value_base64="", headers={}
    )
    with pytest.raises(BadRecord, match="elsewhere"):
        replay(letter, T0)


@pytest.mark.parametrize(
    "large",
    [
        {"value": b"x" * 3_500_000},
        {"key": "k" * 3_500_000},
        {"headers": {"type": "x" * 3_500_000}},
    ],
)
def test_a_record_too_large_for_a_letter_is_put_aside_by_its_place_and_cannot_be_put_back(
    large: dict[str, object],
) -> None:
    record = msgspec.structs.replace(a_record(), **large)
    letter = letter_of(record)
    assert len(letter.value or b"") + len(letter.key) < LARGEST_KEPT
    (open_,) = open_letters([letter])
    assert open_.place == (record.topic, record.partition, record.offset)
    assert "no such field" in open_.letter.reason
    assert "too large for a letter" in open_.letter.reason
    with pytest.raises(BadRecord, match="too large"):
        replay(open_.letter, T0)
