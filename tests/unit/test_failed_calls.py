"""Of the audit trail's lines, the calls of one user that were refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from copypro import topics
from copypro.adapters.sqlite_read_models import SqliteReadModels
from copypro.envelope import Envelope, encode
from copypro.messages import CallBegun, CallEnded
from copypro.ports import Record
from copypro.topics import Topic
from copypro.values import MessageId, UserId
from copypro_gateway.subjects.failed_calls import (
    STARTING,
    FailedCalls,
    FailedOf,
    ended_calls,
    failed_call,
)

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
ME = UserId("me")


def call(name: str, ended: CallEnded | None, user: str = ME, kind: str = "Start") -> list[Envelope]:
    id_ = MessageId(name)
    begun = CallBegun(call=kind, user=UserId(user), parameters={"password": "***"})
    lines = [Envelope(id=id_, correlation=id_, time=AT, message=begun)]
    if ended is not None:
        end = MessageId(f"end of {name}")
        lines.append(Envelope(id=end, cause=id_, correlation=id_, time=AT, message=ended))
    return lines


REFUSED = CallEnded(status=409, code="LOOP")
TRAIL = [
    *call("refused", REFUSED),
    *call("done", CallEnded(status=200)),
    *call("nobody knows", None),
    *call("somebody else's", REFUSED, user="other"),
    *call("another call", REFUSED, kind="Remove"),
    *call("denied later", CallEnded(status=202, command="denied")),
    *call("done later", CallEnded(status=202, command="done")),
    *call("answered nowhere yet", CallEnded(status=202, command="open")),
    *call("by ids", CallEnded(status=404, code="UNKNOWN_ACCOUNT"), kind="StartByAccountId"),
]
ANSWERS = {"denied": {"code": "PAIR_IN_USE"}, "done": {"code": None}}


def test_what_was_refused_at_once_or_by_its_command_s_answer_is_listed_newest_first() -> None:
    rows = [failed_call(*pair, ANSWERS) for pair in ended_calls(TRAIL, ME, STARTING)]
    assert [(row["id"], row["status"], row["code"]) for row in rows if row] == [
        ("by ids", 404, "UNKNOWN_ACCOUNT"),
        ("denied later", 409, "PAIR_IN_USE"),
        ("refused", 409, "LOOP"),
    ]


class Kept:
    """A LogHistory of these lines, in a topic that had others before."""

    def __init__(self, first: int, lines: Sequence[Envelope]) -> None:
        self._first = first
        self._records = [
            Record(out.topic, 0, first + place, out.key, out.value, out.headers, AT)
            for place, out in enumerate(
                encode(topics.AUDIT, topics.AUDIT_KEY, each) for each in lines
            )
        ]

    async def spans(self, topic: Topic) -> Mapping[int, tuple[int, int]]:
        return {0: (self._first, self._first + len(self._records))}

    async def records(
        self, topic: Topic, spans: Mapping[int, tuple[int, int]]
    ) -> AsyncIterator[Sequence[Record]]:
        begin, end = spans[0]
        assert begin >= self._first
        yield [each for each in self._records if begin <= each.offset < end]


@pytest.mark.parametrize(("newest", "found"), [(2, 1), (4, 2), (1000, 3)])
async def test_no_more_than_the_newest_lines_are_read(
    tmp_path: Path, newest: int, found: int
) -> None:
    lines = [line for number in range(3) for line in call(str(number), REFUSED)]
    models = await SqliteReadModels.open(tmp_path)
    failed = FailedCalls(Kept(40, lines), models, newest)
    rows = await failed.starting(FailedOf.model_validate({"userId": ME}))
    await models.close()
    assert [row["id"] for row in rows] == ["2", "1", "0"][:found]
