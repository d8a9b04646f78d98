"""What `copypro explain` tells of a trade: every fact with what it says, in one line of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from copypro import messages as m
from copypro import topics
from copypro.adapters.sqlite_history import SqliteHistory
from copypro.adapters.sqlite_log import SqliteLog, SqliteLogReader
from copypro.envelope import Envelope, decode, encode, fact
from copypro.messages import Message
from copypro.ports import Record
from copypro.settings import Settings
from copypro.values import CopierId, CopyId, OrderKind, RootId, Ticket
from copypro_standalone import explaining
from copypro_standalone.explaining import show
from copypro_standalone.story import Read, Story, tell
from msgspec.structs import replace

from docs.generating.examples import MASTER, ROOT, SLAVE, UTC_TIME, example


def read(events: Iterable[Message]) -> list[Read]:
    """As they come from the log, a second apart."""
    return [
        (Record("any", 0, n, "", b"", {}), fact(event, UTC_TIME + timedelta(seconds=n), n))
        for n, event in enumerate(events)
    ]


def story(
    orders: Iterable[Message] = (),
    decisions: Iterable[Message] = (),
    executions: Iterable[Message] = (),
) -> Story:
    accounts = [
        replace(example(m.AccountRegistered), account=id_, server=server, login=login)
        for id_, server, login in ((MASTER, "Amber-Live", 1001), (SLAVE, "Cobalt-Demo", 2002))
    ]
    return tell(read([*accounts, *orders]), read(decisions), read(executions), MASTER, ROOT)


def told(events: Story) -> str:
    (line,) = events.lines
    return line.text


def test_a_close_says_how_much_and_at_which_price() -> None:
    closed = example(m.PositionClosed)
    deal = replace(closed.deal, lots=Decimal("0.06"), price=Decimal("1.1"), profit=Decimal("-2"))
    assert "closed_lots=0.06 price=1.1 profit=-2" in told(story([replace(closed, deal=deal)]))
    reduced = replace(example(m.PositionReduced), deal=deal, open_lots=Decimal("0.04"))
    text = told(story([reduced]))
    assert "open_lots=0.04" in text
    assert "closed_lots=0.06 price=1.1 profit=-2" in text


def test_an_increase_says_its_price() -> None:
    increased = example(m.PositionIncreased)
    deal = replace(increased.deal, price=Decimal("1.2"))
    assert "price=1.2" in told(story([replace(increased, deal=deal)]))


@pytest.mark.parametrize(("value", "shown"), [("-0.00000", "0.00000"), ("-0.00001", "-0.00001")])
def test_a_zero_has_no_sign(value: str, shown: str) -> None:
    opened = replace(example(m.CopyOpened), slippage=Decimal(value))
    assert f"slippage={shown} " in told(story(executions=[opened])) + " "
    denied = replace(example(m.CopyDenied), numbers={"adverse": value, "broker": "a -0"})
    (line,) = story(executions=[denied]).lines
    assert line.numbers == {"adverse": shown, "broker": "a -0"}
    closed = example(m.PositionClosed)
    text = told(story([replace(closed, deal=replace(closed.deal, profit=Decimal(value)))]))
    assert f"profit={shown} " in f"{text} "


def test_a_pending_order_says_its_kind() -> None:
    placed = replace(example(m.PendingPlaced), kind=OrderKind.BUY_LIMIT)
    assert "pending placed: BuyLimit EURUSD" in told(story([placed]))


def test_levels_that_were_taken_away_are_said() -> None:
    change = replace(example(m.PositionModified), stop_loss=None, take_profit=Decimal("1.3"))
    assert "modified: stop_loss=none take_profit=1.3" in told(story([change]))
    done = replace(example(m.CopyModified), stop_loss=None, take_profit=None)
    assert "stop_loss=none take_profit=none" in told(story(executions=[done]))


@pytest.mark.parametrize(("final", "what"), [(True, "given up"), (False, "to be tried again")])
def test_a_refusal_says_whether_it_is_tried_again(final: bool, what: str) -> None:
    refused = replace(example(m.CopyRejected), final=final)
    assert told(story(executions=[refused])).endswith(what)


def test_what_the_brokers_books_settled_says_what_was_found() -> None:
    settled = replace(example(m.CopyReconciled), found=None, inferred=False)
    assert "found=nothing" in told(story(executions=[settled]))
    found = replace(example(m.CopyReconciled), inferred=True)
    text = told(story(executions=[found]))
    assert f"found={found.found.ticket}" in text
    assert "inferred" in text


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (m.CopyNeedsPerson, "needs person"), (m.CopyPendingPlaced, "pending placed"),
        (m.CopyNotSent, "not sent"), (m.AttemptStarted, "attempt started"),
    ],
)  # fmt: skip
def test_each_event_has_words(kind: type[Message], words: str) -> None:
    assert told(story(executions=[example(kind)])).startswith(f"{words} (leg ")


def test_each_line_says_on_which_account(capsys: pytest.CaptureFixture[str]) -> None:
    planned = replace(example(m.CopyPlanned), leg=0)
    opened = replace(example(m.CopyOpened), leg=0)
    further = [replace(planned, leg=1), replace(opened, leg=1)]
    show(story([example(m.PositionOpened)], [planned, further[0]], [opened, further[1]]))
    printed = capsys.readouterr().out.splitlines()
    assert "master 1001@Amber-Live" in printed[0]
    assert "2002@Cobalt-Demo [copier " in next(line for line in printed if "opened (leg 0)" in line)
    ends = [line.partition(" seen")[0] for line in printed[-2:]]
    assert ends == [f"2002@Cobalt-Demo [copier {planned.copier[:8]}] leg {leg}" for leg in (0, 1)]


def test_what_a_broker_wrote_is_printed_as_it_is_and_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Brackets are markup to the library that prints, colons may be its smileys, and a pipe has a width."""
    monkeypatch.setenv("COLUMNS", "40")
    said = "no stop [/stops] at [sl] :cross_mark: " + "and so on " * 20
    refused = replace(
        example(m.CopyDenied), code=said, numbers={"[/red]": "[bold]", "comment": "from [#1]"}
    )
    show(story(executions=[refused, replace(example(m.CopyRejected), message=said)]))
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 4
    assert said in printed[1]
    assert "[/red]=[bold]  comment=from [#1]" in printed[2]
    assert said in printed[3]


def test_the_times_of_a_copy_are_those_of_its_copier_not_of_the_next_one_that_only_refuses(
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, second = CopierId("1" * 32), CopierId("2" * 32)
    planned = replace(
        example(m.CopyPlanned), master=MASTER, root=ROOT, copier=first, seen_at_utc=UTC_TIME
    )
    filled = replace(
        example(m.CopyOpened),
        master=MASTER, root=ROOT, copier=first, copy=planned.copy, leg=planned.leg,
        sent_at_utc=UTC_TIME + timedelta(milliseconds=5),
        answered_at_utc=UTC_TIME + timedelta(milliseconds=7),
    )  # fmt: skip
    refused = replace(
        example(m.CopySkipped),
        master=MASTER, root=ROOT, copier=second, copy=planned.copy, leg=planned.leg,
        code="ALREADY_COPIED", seen_at_utc=UTC_TIME + timedelta(hours=1),
    )  # fmt: skip
    both = story((), [planned, refused], [filled])
    (legs,) = both.legs_ms.values()
    assert legs == {"seen → planned": 0.0, "planned → sent": 5.0, "sent → filled": 2.0}
    show(both)
    told = capsys.readouterr().out.splitlines()[-1]
    assert "[copier 11111111] leg 1 seen → planned" in told


@pytest.mark.parametrize("by_itself", ["imported:{ticket}", "late:{ticket}:9"])
async def test_what_history_told_of_a_trade_by_itself_is_part_of_its_story(
    tmp_path: Path, by_itself: str
) -> None:
    """Its end, where its account was removed before and added again; a part that nobody saw."""
    opened = replace(example(m.PositionOpened), account=MASTER, root=ROOT, copy=None)
    past = RootId(by_itself.format(ticket=opened.ticket))
    other = RootId(by_itself.format(ticket=f"{opened.ticket}7"))
    planned = replace(example(m.CopyPlanned), master=MASTER, root=ROOT)
    filled = replace(example(m.CopyOpened), master=MASTER, root=ROOT, ticket=Ticket(77))
    closed = replace(example(m.PositionClosed), account=MASTER, ticket=opened.ticket)
    told: list[tuple[topics.Topic, Message]] = [
        (topics.ORDER_EVENTS, replace(example(m.AccountRegistered), account=MASTER, login=1001)),
        (topics.ORDER_EVENTS, opened),
        (topics.COPIER_EVENTS, planned),
        (topics.EXECUTIONS, filled),
        (topics.ORDER_EVENTS, replace(opened, root=past, seen=m.Seen.IMPORTED)),
        (topics.ORDER_EVENTS, replace(closed, root=past, seen=m.Seen.IMPORTED)),
        (topics.ORDER_EVENTS, replace(closed, root=other, ticket=Ticket(opened.ticket + 1))),
    ]
    log = await SqliteLog.open(tmp_path)
    for number, (topic, event) in enumerate(told):
        await log.append([encode(topic, MASTER, fact(event, UTC_TIME, number))])
    await log.close()
    for account, ticket in (("1001", opened.ticket), (SLAVE, filled.ticket)):
        found = await explaining.story_of(Settings(data=tmp_path), account, ticket)
        assert isinstance(found, Story)
        assert found.root == ROOT
        events = sorted(line.event for line in found.lines)
        assert events == ["CopyOpened", "CopyPlanned", "PositionClosed", "PositionOpened"]


async def test_the_ticket_that_mt4_gave_to_the_rest_of_a_copy_tells_of_the_copy(
    tmp_path: Path,
) -> None:
    """It is the one that stands in the slave's terminal."""
    opened = replace(example(m.PositionOpened), account=MASTER, root=ROOT, copy=None)
    filled = replace(
        example(m.CopyOpened), master=MASTER, root=ROOT, slave=SLAVE, ticket=Ticket(77)
    )
    copied = replace(
        opened, account=SLAVE, root=RootId("77"), ticket=filled.ticket, copy=filled.copy
    )
    reduced = replace(
        example(m.PositionReduced), account=SLAVE, root=copied.root, ticket=Ticket(78)
    )
    told: list[tuple[topics.Topic, Message]] = [
        (topics.ORDER_EVENTS, replace(example(m.AccountRegistered), account=SLAVE, login=2002)),
        (topics.ORDER_EVENTS, opened),
        (topics.EXECUTIONS, filled),
        (topics.ORDER_EVENTS, copied),
        (topics.ORDER_EVENTS, reduced),
    ]
    log = await SqliteLog.open(tmp_path)
    for number, (topic, event) in enumerate(told):
        await log.append([encode(topic, MASTER, fact(event, UTC_TIME, number))])
    await log.close()
    found = await explaining.story_of(Settings(data=tmp_path), "2002", 78)
    assert isinstance(found, Story)
    assert (found.master, found.root) == (MASTER, ROOT)
    assert sorted(line.event for line in found.lines) == ["CopyOpened", "PositionOpened"]


async def test_a_login_and_ticket_of_two_brokers_are_told_apart_by_a_person(tmp_path: Path) -> None:
    registered, opened = example(m.AccountRegistered), example(m.PositionOpened)
    log = await SqliteLog.open(tmp_path)
    for account, server, root in ((MASTER, "Amber-Live", "1"), (SLAVE, "Cobalt-Demo", "2")):
        events = (
            replace(registered, account=account, server=server, login=1001),
            replace(opened, account=account, root=RootId(root)),
        )
        for event in events:
            await log.append([encode(topics.ORDER_EVENTS, account, fact(event, UTC_TIME, account))])
    await log.close()
    settings = Settings(data=tmp_path)
    said = await explaining.story_of(settings, "1001", opened.ticket)
    assert said == (
        f"1001 is the login of several accounts with a ticket {opened.ticket}: name one of "
        f"Amber-Live 1001: {MASTER}, Cobalt-Demo 1001: {SLAVE}"
    )
    for account, root in ((MASTER, "1"), (SLAVE, "2")):
        found = await explaining.story_of(settings, account, opened.ticket)
        assert isinstance(found, Story)
        assert (found.master, found.root) == (account, root)


async def test_a_ticket_of_only_one_broker_is_told_by_its_login(tmp_path: Path) -> None:
    registered, opened = example(m.AccountRegistered), example(m.PositionOpened)
    log = await SqliteLog.open(tmp_path)
    for account, ticket in ((MASTER, 7), (SLAVE, 8)):
        events = (
            replace(registered, account=account, login=1001),
            replace(opened, account=account, ticket=Ticket(ticket), root=RootId(f"{ticket}")),
        )
        for event in events:
            await log.append([encode(topics.ORDER_EVENTS, account, fact(event, UTC_TIME, account))])
    await log.close()
    found = await explaining.story_of(Settings(data=tmp_path), "1001", 7)
    assert isinstance(found, Story)
    assert found.root == "7"


async def test_of_a_trade_that_history_alone_showed_each_event_is_told_once(
    tmp_path: Path,
) -> None:
    opened = replace(example(m.PositionOpened), account=MASTER, copy=None, seen=m.Seen.IMPORTED)
    past = RootId(f"imported:{opened.ticket}")
    closed = replace(example(m.PositionClosed), account=MASTER, root=past, ticket=opened.ticket)
    log = await SqliteLog.open(tmp_path)
    for number, event in enumerate((replace(opened, root=past), closed)):
        await log.append([encode(topics.ORDER_EVENTS, MASTER, fact(event, UTC_TIME, number))])
    await log.close()
    found = await explaining.story_of(Settings(data=tmp_path), MASTER, opened.ticket)
    assert isinstance(found, Story)
    assert [line.event for line in found.lines] == ["PositionOpened", "PositionClosed"]


async def test_of_a_long_log_only_what_may_be_of_the_trade_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered = replace(example(m.AccountRegistered), account=MASTER, login=1001)
    others = [(RootId(f"{n}"), Ticket(n), CopyId(f"{n:032x}")) for n in range(7_000_000, 7_000_200)]
    known = example(m.CopyOpened)
    trades = [(ROOT, example(m.PositionOpened).ticket, known.copy), *others]
    log = await SqliteLog.open(tmp_path)
    await log.append([encode(topics.ORDER_EVENTS, MASTER, fact(registered, UTC_TIME, "r"))])
    for root, ticket, copy in trades:
        opened = replace(example(m.PositionOpened), account=MASTER, root=root, ticket=ticket)
        planned = replace(example(m.CopyPlanned), master=MASTER, root=root, copy=copy)
        filled = replace(known, master=MASTER, root=root, copy=copy, ticket=Ticket(ticket + 1))
        await log.append(
            [
                encode(topic, MASTER, fact(event, UTC_TIME, root))
                for topic, event in (
                    (topics.ORDER_EVENTS, opened),
                    (topics.COPIER_EVENTS, planned),
                    (topics.EXECUTIONS, filled),
                )
            ]
        )
    await log.close()
    decoded: list[Record] = []

    def counting(record: Record) -> Envelope:
        decoded.append(record)
        return decode(record)

    monkeypatch.setattr(explaining, "decode", counting)
    for login, ticket in (("1001", trades[0][1]), (known.slave, trades[0][1] + 1)):
        found = await explaining.story_of(Settings(data=tmp_path), login, ticket)
        assert isinstance(found, Story)
        assert (found.root, len(found.lines)) == (ROOT, 3)
    assert len(decoded) < len(trades) / 10


async def test_explain_reads_a_long_log_once_for_a_master_s_ticket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A year is millions of records: it took minutes, most of them to find the same again."""
    opened = replace(
        example(m.PositionOpened), account=MASTER, root=RootId("77"), ticket=Ticket(77)
    )
    filled = replace(example(m.CopyOpened), master=MASTER, root=RootId("77"), ticket=Ticket(78))
    log = await SqliteLog.open(tmp_path)
    await log.append([encode(topics.ORDER_EVENTS, MASTER, fact(opened, UTC_TIME, "o"))])
    await log.append([encode(topics.EXECUTIONS, SLAVE, fact(filled, UTC_TIME, "f"))])
    await log.close()
    read_through: list[str] = []

    class Counted(SqliteHistory):
        async def spans(self, topic: topics.Topic) -> Mapping[int, tuple[int, int]]:
            read_through.append(topic.name)
            return await super().spans(topic)

    monkeypatch.setattr(explaining, "open_history", lambda _: Counted(SqliteLogReader(tmp_path)))
    found = await explaining.story_of(Settings(data=tmp_path), MASTER, 77)
    assert isinstance(found, Story)
    assert [line.event for line in found.lines] == ["PositionOpened", "CopyOpened"]
    assert sorted(read_through) == ["copier-events", "executions", "order-events"]
