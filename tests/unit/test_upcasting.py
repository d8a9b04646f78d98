"""Every record that any version wrote is read today as what it said then."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from copypro import topics
from copypro.envelope import SCHEMA_VERSION, decode, encode, readable
from copypro.errors import BadRecord
from copypro.messages import CloseCopy, CopyDenied
from copypro.ports import Record
from copypro.upcasting import SCHEMA, Json, Schema

from docs.generating import kinds
from tests.recording import PUBLIC, Recorded, meanings, names_of, recorded, without_news

VERSIONS = range(1, SCHEMA_VERSION + 1)
RECORDED = [
    pytest.param(version, topic.name, line, id=f"v{version}-{topic.name}-{line.name}")
    for version in VERSIONS
    for topic in PUBLIC
    for line in recorded(version, topic.name)
]


@pytest.mark.parametrize(("version", "topic", "line"), RECORDED)
def test_a_recorded_message_still_says_what_it_said(
    version: int, topic: str, line: Recorded
) -> None:
    envelope = decode(line.as_record(topic))
    meaning = meanings(version, topic)[line.name]
    assert without_news(envelope.message, meaning) == meaning
    assert envelope.id == line.headers["id"]
    assert envelope.cause == line.headers.get("cause")


@pytest.mark.parametrize("topic", PUBLIC, ids=lambda topic: topic.name)
def test_every_message_is_recorded_in_some_version(topic: topics.Topic) -> None:
    there = {line.name for version in VERSIONS for line in recorded(version, topic.name)}
    lacking = {name for kind in kinds.members(topic.messages) for name in names_of(kind)} - there
    assert not lacking, "record them: python -m tests.recording"


def test_what_this_version_recorded_is_written_the_same_way_today() -> None:
    for topic in PUBLIC:
        for line in recorded(SCHEMA_VERSION, topic.name):
            written = encode(topic, line.key, decode(line.as_record(topic.name)))
            assert written.value == bytes(line.value), line.name
            assert written.headers == line.headers


# --- a change, as it would be made ------------------------------------------------------------------
# Version 1 called CloseCopy's reason `why`; version 2 had it as a number of a list; today is 3.


def _named(message: Json) -> Json:
    return {name: value for name, value in message.items() if name != "why"} | {
        "reason_number": {"flat": 1, "removed": 2}[message["why"]]
    }


def _told(message: Json) -> Json:
    reason = {1: "MASTER_FLAT", 2: "ACCOUNT_REMOVED"}[message["reason_number"]]
    return {name: value for name, value in message.items() if name != "reason_number"} | {
        "reason": reason
    }


THIRD = Schema(
    3,
    {
        ("slave-orders", "CloseCopy", 1): _named,
        ("slave-orders", "CloseCopy", 2): _told,
        ("executions", "CopyVetoed", 1): lambda message: {**message, "type": "CopyDenied"},
    },
)


def lying(topic: topics.Topic, version: int, **message: Any) -> Record:
    headers = {"id": "i", "correlation": "c", "time": "2026-03-02T09:15:00+00:00"}
    value = msgspec.json.encode(message)
    return Record(topic.name, 0, 7, "key", value, headers | {"version": str(version)})


@pytest.mark.parametrize(
    ("version", "said"), [(1, {"why": "flat"}), (2, {"reason_number": 1}), (3, {"reason": "MASTER_FLAT"})]
)  # fmt: skip
def test_each_version_is_read_as_todays(version: int, said: dict[str, Any]) -> None:
    record = lying(topics.SLAVE_ORDERS, version, type="CloseCopy", copy="c", slave="s", **said)
    closes = decode(record, THIRD).message
    assert closes == CloseCopy(copy="c", slave="s", reason="MASTER_FLAT")  # type: ignore[arg-type]


def test_a_message_may_change_its_name_and_others_pass_unchanged() -> None:
    (bare,) = [r for r in recorded(1, "executions") if r.name == "CopyDenied bare"]
    message = msgspec.json.decode(bare.value) | {"type": "CopyVetoed"}
    assert isinstance(decode(lying(topics.EXECUTIONS, 1, **message), THIRD).message, CopyDenied)
    assert isinstance(decode(bare.as_record("executions"), THIRD).message, CopyDenied)


def test_an_old_record_that_cannot_be_brought_up_is_a_bad_record() -> None:
    record = lying(topics.SLAVE_ORDERS, 1, type="CloseCopy", copy="c", slave="s", why="no idea")
    with pytest.raises(BadRecord, match="no idea") as caught:
        decode(record, THIRD)
    assert not caught.value.newer


def test_upcasting_changes_nothing_that_is_handed_in() -> None:
    message: Json = {"type": "CloseCopy", "why": "flat"}
    assert THIRD.upcast("slave-orders", 1, message)["reason"] == "MASTER_FLAT"
    assert message == {"type": "CloseCopy", "why": "flat"}


def test_upcasters_stand_for_versions_that_were() -> None:
    assert all(version < SCHEMA.version for _, _, version in SCHEMA.upcasters)


# --- newer ------------------------------------------------------------------------------------------


def test_what_lies_before_a_newer_record_is_readable_and_nothing_behind_it() -> None:
    old, today, newer = (lying(topics.SLAVE_ORDERS, version) for version in (1, 2, 3))
    assert readable([old, today], 2) == ([old, today], None)
    before, error = readable([old, today, newer, old], 2)
    assert before == [old, today]
    assert error is not None
    assert error.newer
    assert "upgrade this process" in str(error)


@pytest.mark.parametrize("version", ["", "x", "-1", "1.5"])
def test_a_version_that_is_no_number_is_not_waited_for(version: str) -> None:
    record = lying(topics.SLAVE_ORDERS, 1)
    broken = msgspec.structs.replace(record, headers=dict(record.headers, version=version))
    assert readable([broken]) == ([broken], None)
    with pytest.raises(BadRecord) as caught:
        decode(broken)
    assert not caught.value.newer
