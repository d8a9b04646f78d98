"""What operators are told: a line and a count for each fact, neither too many nor too much."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from copypro import messages as m
from copypro.codes import CODES
from copypro.journal import OUTCOMES, OperatorsJournal
from copypro.lines import line_of
from copypro.messages import Seen
from copypro.ports import Told
from copypro.trading import AccountInfo, CloseRequest, Done
from copypro.values import (
    AccountId,
    AttemptId,
    CopierId,
    CopyId,
    MessageId,
    Mode,
    Platform,
    RootId,
    Side,
    Ticket,
)
from structlog.testing import capture_logs

from tests.unit.copying_builders import opened

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CAUSE = MessageId("c" * 32)
COPY: dict[str, Any] = {
    "copy": CopyId("a" * 32),
    "copier": CopierId("b" * 32),
    "master": AccountId("1" * 32),
    "slave": AccountId("2" * 32),
    "root": RootId("7"),
    "leg": 0,
}
ATTEMPT = {**COPY, "attempt": AttemptId("e" * 32)}
FILL: dict[str, Any] = {
    "ticket": Ticket(5),
    "symbol": "EURUSD",
    "side": Side.BUY,
    "lots": Decimal("0.1"),
    "price": Decimal("1.1"),
}


def ms(value: float) -> timedelta:
    return timedelta(milliseconds=value)


class Counts:
    """A Tally."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self.legs: dict[str, float] = {}

    def leg(self, leg: str, took_s: float) -> None:
        self.legs[leg] = round(took_s * 1000, 3)

    def attempt(self, outcome: str) -> None:
        self.counted[outcome] += 1

    def planned(self, copies: int) -> None:
        self.counted["planned"] += copies

    def not_copied(self, by: str, code: str, copies: int) -> None:
        self.counted[f"{by} {code}"] += copies

    def alerted(self, code: str) -> None:
        self.counted[f"alert {code}"] += 1


class Made:
    def __init__(self, most_lines_per_s: int = 100) -> None:
        self.now = 0.0
        self.tally = Counts()
        self.journal = OperatorsJournal("test", self.tally, lambda: self.now, most_lines_per_s)

    def tell(self, *events: m.Message, planned_at: datetime | None = None) -> None:
        told = [Told(event, CAUSE, planned_at) for event in events]
        self.journal.tell(told, NOW, NOW + ms(9))


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with capture_logs() as captured:
        yield captured


def decided(kind: type[m.Decided], slave: str, **more: Any) -> m.Decided:
    trade = {"symbol": "EURUSD", "side": Side.BUY, "lots": Decimal("0.1"), "price": Decimal(1)}
    pair = COPY | {"slave": AccountId(slave * 32)}
    return kind(**pair, **trade, seen_at_utc=NOW - ms(3), **more)


def started() -> m.AttemptStarted:
    request = CloseRequest(ticket=Ticket(5), symbol="EURUSD", lots=None)
    return m.AttemptStarted(
        **ATTEMPT, request=request, tag="T", longest_call_s=65, tries=0, seen_at_utc=NOW - ms(5)
    )


def test_the_legs_of_a_copy_are_told_from_the_moments_that_its_events_carry() -> None:
    made = Made()
    made.tell(started())
    fill = m.CopyOpened(**ATTEMPT, **FILL, sent_at_utc=NOW, answered_at_utc=NOW + ms(7))
    made.tell(fill, planned_at=NOW - ms(2))
    assert made.tally.legs == {
        "planned-sent": 2,
        "sent-filled": 7,
        "filled-recorded": 2,
        "seen-filled": 12,
    }
    assert made.tally.counted == {"started": 1, "filled": 1}


def test_what_the_books_told_later_has_no_latency() -> None:
    made = Made()
    found = Done(ticket=Ticket(5), lots=Decimal("0.1"), price=Decimal(1))
    made.tell(
        started(),
        m.CopyUnresolved(**ATTEMPT, reason="no answer"),
        m.CopyReconciled(**ATTEMPT, found=found),
        m.CopyOpened(**ATTEMPT, **FILL),
    )
    assert made.tally.legs == {}
    assert made.tally.counted == {"started": 1, "unresolved": 1, "reconciled": 1, "filled": 1}


def test_one_cause_for_many_copies_is_one_line_with_their_number(lines: list[Any]) -> None:
    made = Made()
    skipped = decided(m.CopySkipped, "4", code="PAUSED", numbers={}, remedy="resume it")
    made.tell(decided(m.CopyPlanned, "2"), decided(m.CopyPlanned, "3"), skipped)
    assert [(line["event"], line["copies"], line.get("code")) for line in lines] == [
        ("planned", 2, None),
        ("skipped", 1, "PAUSED"),
    ]
    assert {line["correlation"] for line in lines} == {CAUSE}
    assert lines[1]["copy"] == COPY["copy"], "the only one is named"
    assert made.tally.counted == {"planned": 2, "skipped PAUSED": 1}
    assert made.tally.legs == {"seen-planned": 3}


def test_what_stood_before_its_copier_came_has_no_latency_of_ours() -> None:
    made = Made()
    resumed = m.CopierResumed(state=COPIER)
    made.tell(resumed, decided(m.CopyPlanned, "2"))
    assert made.tally.counted == {"planned": 1}
    assert made.tally.legs == {}


def test_history_read_at_a_first_look_is_no_news(lines: list[Any]) -> None:
    made = Made()
    for seen in (Seen.BASELINE, Seen.IMPORTED):
        made.tell(opened(seen=seen))
    assert lines == []
    made.tell(opened(seen=Seen.LIVE))
    assert [line["event"] for line in lines] == ["position opened"]


def test_a_flood_of_lines_is_cut_and_said_and_everything_is_counted(lines: list[Any]) -> None:
    made = Made(most_lines_per_s=3)
    denials = [m.CopyDenied(**COPY, code="EXPIRED", numbers={}, remedy="")] * 10
    made.tell(*denials, m.CopyNeedsPerson(**ATTEMPT, evidence="two alike"))
    assert [line["event"] for line in lines] == ["denied"] * 3 + ["needs a person"]
    made.now = 1.0
    made.tell(denials[0])
    assert [(line["event"], line.get("lines")) for line in lines[4:]] == [
        ("lines left out", 7),
        ("denied", None),
    ]
    assert made.tally.counted["denied EXPIRED"] == 11


def test_every_outcome_of_an_attempt_has_its_count_and_every_execution_its_line() -> None:
    kinds = set(_leaves(m.Outcome)) | {m.AttemptStarted}
    assert set(OUTCOMES) == kinds
    assert "EXPIRED" in CODES


def _leaves(kind: type[Any]) -> Iterator[type[Any]]:
    for child in kind.__subclasses__():
        yield child
        yield from _leaves(child)


def test_a_connected_account_is_told_as_a_person_knows_it() -> None:
    """All other lines have the log's own name of it, and no command lists that beside the login."""
    info = AccountInfo(
        platform=Platform.MT5, server="Alpha-MT5", login=1001, currency="USD",
        mode=Mode.HEDGING, investor=False,
    )  # fmt: skip
    account = AccountId("1" * 32)
    line = line_of(m.AccountConnected(account=account, info=info, clock_offset_minutes=None))
    assert line is not None
    assert line.fields == {"account": account, "login": 1001, "server": "Alpha-MT5"}


def test_no_line_holds_what_a_person_wrote() -> None:
    event = opened(seen=Seen.LIVE, comment="c4n4ry")
    line = line_of(event)
    assert line is not None
    assert "c4n4ry" not in str(line)


def test_a_line_costs_microseconds() -> None:
    """Ten copies of one cause, one line: what the replicator pays for each master order."""
    made = Made(most_lines_per_s=1)
    ten = [decided(m.CopyPlanned, f"{number}") for number in range(10)]
    told = [Told(event, CAUSE) for event in ten]
    begun = time.process_time()
    for _ in range(1000):
        made.journal.tell(told, NOW, NOW)
    assert (time.process_time() - begun) / 1000 < 0.0005


COPIER = m.Copier(
    copier=COPY["copier"],
    user="u",  # type: ignore[arg-type]
    master=COPY["master"],
    slave=COPY["slave"],
    master_registration="m",  # type: ignore[arg-type]
    slave_registration="s",  # type: ignore[arg-type]
    same_server=False,
    options=m.CopierOptions(),
)
