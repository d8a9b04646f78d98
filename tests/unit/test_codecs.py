"""Every message of every topic survives the log unchanged; anything else is a BadRecord, never a crash."""

from __future__ import annotations

import typing
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec
import pytest
from copypro import topics
from copypro.envelope import SCHEMA_VERSION, decode, encode, fact
from copypro.errors import BadRecord
from copypro.messages import CloseCopy
from copypro.ports import Record
from copypro.topics import Topic
from copypro.values import AccountId, CopyId
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.examples import examples

pytestmark = pytest.mark.slow

NOW = datetime(2026, 9, 14, 8, tzinfo=UTC)
WITH_MESSAGES = [topic for topic in topics.TOPICS if topic.messages is not None]
KINDS = [
    pytest.param(topic, kind, id=f"{topic.name}-{kind.__name__}")
    for topic in WITH_MESSAGES
    for kind in (typing.get_args(topic.messages) or (topic.messages,))
]
TEXT = st.text(max_size=12)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=5, max_value=10**9)
LEAVES: dict[Any, SearchStrategy[Any]] = {
    str: TEXT,
    int: st.integers(-(2**53), 2**53),
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    Decimal: DECIMALS,
}


def values(kind: Any, field: str = "") -> SearchStrategy[Any]:
    """Any value of a field's type. Which clock a time is of follows from its name."""
    kind = getattr(kind, "__supertype__", kind)
    if kind is datetime:
        zone = None if "broker" in field else UTC
        return st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(
            lambda at: at.replace(tzinfo=zone)
        )
    if kind in LEAVES:
        return LEAVES[kind]
    if kind is type(None):
        return st.none()
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return structs(kind)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (list, tuple):
        return st.lists(values(inner[0], field), max_size=2).map(origin)
    if origin is dict:
        return st.dictionaries(values(inner[0]), values(inner[1], field), max_size=2)
    return st.one_of([values(each, field) for each in inner])


def structs(kind: type[msgspec.Struct]) -> SearchStrategy[Any]:
    hints = typing.get_type_hints(kind)
    fields = {name: values(hints[name], name) for name in kind.__struct_fields__}
    return st.builds(kind, **fields)


def recorded(topic: Topic, message: Any) -> Record:
    out = encode(topic, "key", fact(message, NOW, "it"))
    return Record(topic.name, 0, 0, out.key, out.value, out.headers)


@pytest.mark.parametrize(("topic", "kind"), KINDS)
@examples(25)
@given(data=st.data())
def test_a_message_is_read_as_it_was_written(
    topic: Topic, kind: type[msgspec.Struct], data: st.DataObject
) -> None:
    message = data.draw(structs(kind))
    record = recorded(topic, message)
    envelope = decode(record)
    assert envelope.message == message
    assert envelope.time == NOW
    assert encode(topic, "key", envelope).value == record.value, "and written as it was read"


@pytest.mark.parametrize("topic", WITH_MESSAGES, ids=lambda topic: topic.name)
@given(value=st.binary(max_size=60))
def test_what_is_no_message_is_a_bad_record(topic: Topic, value: bytes) -> None:
    headers = {
        "id": "i",
        "correlation": "c",
        "type": "Any",
        "time": NOW.isoformat(),
        "version": str(SCHEMA_VERSION),
    }
    with pytest.raises(BadRecord) as caught:
        decode(Record(topic.name, 3, 14, "key", value, headers))
    assert not caught.value.newer
    assert f"{topic.name}" in str(caught.value)
    assert "14" in str(caught.value)


@pytest.mark.parametrize("lacking", ["id", "correlation", "time", "version"])
def test_an_envelope_that_lacks_a_part_is_a_bad_record(lacking: str) -> None:
    close = CloseCopy(copy=CopyId("c"), slave=AccountId("s"), reason="MASTER_FLAT")
    record = recorded(topics.SLAVE_ORDERS, close)
    headers = {name: value for name, value in record.headers.items() if name != lacking}
    with pytest.raises(BadRecord):
        decode(msgspec.structs.replace(record, headers=headers))


def test_a_newer_version_is_said_to_be_one() -> None:
    headers = {"version": str(SCHEMA_VERSION + 1)}
    with pytest.raises(BadRecord) as caught:
        decode(Record(topics.SLAVE_ORDERS.name, 0, 0, "key", b"{}", headers))
    assert caught.value.newer
