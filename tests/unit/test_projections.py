"""What is shown after events: whole copiers, each decision in its own row, also when made anew."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from copypro import collections as c
from copypro import messages as m
from copypro import topics
from copypro.adapters.memory_read_models import MemoryReadModels
from copypro.copy_history import copies_of
from copypro.envelope import encode, fact
from copypro.errors import StoreUnavailable
from copypro.options import PendingMode
from copypro.ports import Outgoing, Record, Upsert
from copypro.quality import Outcome
from copypro.topics import Topic
from copypro.trade_logs import trade_log
from copypro.trading import CloseRequest, DeleteRequest, Done, ModifyRequest, OpenRequest
from copypro.values import AttemptId, CopyId, OrderKind, Side, Ticket, UserId
from copypro_gateway.shapes import closed_order
from copypro_stats.batch import Parts, batch_of
from copypro_stats.rebuilding import Replay
from copypro_stats.trade_logs import trade_log_told_by
from msgspec.structs import replace

from tests.unit.copying_builders import (
    COPIER,
    COPY,
    MASTER,
    ROOT,
    SECOND,
    SLAVE,
    T0,
    Desk,
    closed,
    deal,
    increased,
    modified,
    opened,
    pause,
    placed,
    reduced,
    resume,
    start,
    stop,
)

D = Decimal
EXECUTED = m.CopyOpened(
    copy=COPY,
    copier=COPIER,
    master=MASTER,
    slave=SLAVE,
    root=ROOT,
    leg=0,
    attempt=AttemptId("a" * 32),
    sent_at_utc=T0 + timedelta(milliseconds=400),
    answered_at_utc=T0 + timedelta(milliseconds=500),
    ticket=Ticket(7001),
    symbol="EURUSD",
    side=Side.BUY,
    lots=D("0.5"),
    price=D("1.08003"),
)


WHOSE = {
    "master": MASTER,
    "slave": SLAVE,
    "master_registration": "m",
    "slave_registration": "s",
}


class Log:
    """Records as they lie in their topics; a LogHistory with everything of a topic in one batch."""

    def __init__(self) -> None:
        self._topics: dict[str, list[Record]] = {}

    def append(self, *outputs: Outgoing) -> list[Record]:
        made = []
        for out in outputs:
            of_topic = self._topics.setdefault(out.topic, [])
            record = Record(out.topic, 0, len(of_topic), out.key, out.value, out.headers)
            of_topic.append(record)
            made.append(record)
        return made

    async def spans(self, topic: Topic) -> Mapping[int, tuple[int, int]]:
        return {0: (0, len(self._topics.get(topic.name, ())))}

    async def records(
        self, topic: Topic, spans: Mapping[int, tuple[int, int]]
    ) -> AsyncIterator[Sequence[Record]]:
        first, end = spans[0]
        yield self._topics.get(topic.name, [])[first:end]


def told(desk: Desk, *messages: Any) -> list[Outgoing]:
    """The copier events to which these messages lead."""
    before = len(desk.written)
    desk.each(*messages)
    return [out for out in desk.written[before:] if out.topic == topics.COPIER_EVENTS.name]


def event_of(account: Any, topic: Topic, message: Any) -> Outgoing:
    return encode(topic, account, fact(message, T0, type(message).__name__))


async def shown(*batches: Sequence[Outgoing]) -> MemoryReadModels:
    """Each batch projected as the service does it."""
    models, log = MemoryReadModels(), Log()
    parts = Parts(models)
    for batch in batches:
        await parts.write(await batch_of(log.append(*batch), parts))
    return models


async def test_what_was_copied_keeps_its_row_when_the_pair_gets_another_copier() -> None:
    desk = Desk()
    first = told(desk, start(), opened(), stop())
    desk.now = T0 + timedelta(hours=3)
    second = told(desk, start(SECOND), increased())
    executed = event_of(SLAVE, topics.EXECUTIONS, EXECUTED)
    models = await shown(first, [executed], second)
    row: Any = await models.get(c.TRADE_LOGS, f"{COPY}.0.open")
    log = trade_log(row)
    assert (log["copierId"], log["outcome"], log["exceptionMessage"]) == (COPIER, "opened", None)
    assert log["times"]["planned"] == "2026-05-04T12:00:00.000000Z"
    copies = await copies_of(models, WHOSE | {"id": SECOND})
    assert [copy.code for copy in copies or ()] == ["ALREADY_COPIED", "ALREADY_COPIED"]
    added: Any = await models.get(c.TRADE_LOGS, f"{COPY}.1.open")
    assert (added["copier"], added["code"]) == (COPIER, "COPIER_STOPPED")


async def test_what_a_former_copier_skipped_and_the_next_one_joins_is_planned() -> None:
    desk = Desk()
    joined = start(SECOND, copy_existing_trades=True, market={"EURUSD": D("1.08")})
    models = await shown(told(desk, start(), pause(), opened(), stop()), told(desk, joined))
    row: Any = await models.get(c.TRADE_LOGS, f"{COPY}.0.open")
    log = trade_log(row)
    assert (log["copierId"], log["outcome"]) == (SECOND, "planned")
    assert (log["exceptionCode"], log["exceptionMessage"], log["messages"]) == (None, None, [])


async def test_a_close_that_the_copy_s_own_stop_came_before_is_no_failure() -> None:
    """Its call was refused for the ticket that was gone, and the leg is closed."""
    whose = {name: getattr(EXECUTED, name) for name in m.Execution.__struct_fields__}
    whose |= {"attempt": AttemptId("b" * 32)}
    refused = m.CopyRejected(
        **whose, code="INVALID_TICKET", message="unknown ticket 7001", final=True, kind=None
    )
    ended = m.CopyClosed(
        **whose, ticket=EXECUTED.ticket, closed_lots=D("0.5"), price=D("1.07"), profit=D("-500"),
        reason="MASTER_StopLoss",
    )  # fmt: skip
    models = await shown([event_of(SLAVE, topics.EXECUTIONS, one) for one in (refused, ended)])
    (row,) = await models.find(c.TRADE_LOGS)
    log = trade_log(row)
    assert (log["outcome"], log["success"], log["exceptionCode"]) == ("closed", True, None)
    assert log["messages"][-1]["message"] == "unknown ticket 7001"


async def test_a_copier_that_began_and_ended_in_one_batch_is_remembered_as_it_was() -> None:
    desk = Desk()
    events = told(desk, start(user=UserId("u")), pause(), resume(), pause(), stop())
    models = await shown(events)
    ended: Any = await models.get(c.REMOVED_COPIERS, COPIER)
    assert await models.get(c.COPIERS, COPIER) is None
    assert ended == await (await shown(*[[event] for event in events])).get(
        c.REMOVED_COPIERS, COPIER
    )
    assert (ended["user"], ended["master"], ended["paused"]) == ("u", MASTER, True)
    assert ended["started_at"] == "2026-05-04T12:00:00.000000Z"


async def test_made_anew_an_open_position_still_knows_what_opening_it_cost() -> None:
    cost = m.Deal(ticket=900, sequence=0, lots=D(1), price=D("1.08"), entry_cost=D("-3.50"))
    log, models = Log(), MemoryReadModels()
    log.append(event_of(MASTER, topics.ORDER_EVENTS, opened(deal=cost)))
    await Replay(log, models).catch_up()
    root: Any = await models.get(c.ROOTS, f"{MASTER}/{ROOT}")
    assert root["entry_cost"] == "-3.50"


@pytest.mark.parametrize(("kind", "row"), [("Buy", "open"), ("BuyLimit", "pending")])
async def test_what_the_broker_refused_for_good_is_refused_and_waits_no_more(
    kind: str, row: str
) -> None:
    desk, asked = Desk(), OrderKind(kind)
    mode = PendingMode.MIRROR
    planned = told(desk, start(pending_mode=mode), placed() if asked.is_pending else opened())
    about = {name: getattr(EXECUTED, name) for name in ("copy", "copier", "master", "slave")}
    about |= {"root": ROOT, "leg": 0, "attempt": EXECUTED.attempt}
    request = OpenRequest(
        symbol="EURUSD", kind=asked, lots=D("0.5"), comment="T", magic=1, price=D("1.08")
    )
    attempt = m.AttemptStarted(**about, request=request, tag="T", longest_call_s=65, tries=0)
    refused = m.CopyRejected(
        **about, code="NO_MONEY", message="no money", final=True, kind=asked,
        sent_at_utc=T0, answered_at_utc=T0,
    )  # fmt: skip
    executions = [event_of(SLAVE, topics.EXECUTIONS, event) for event in (attempt, refused)]
    models = await shown(planned, executions)
    rows = await models.find(c.TRADE_LOGS, {"copier": COPIER})
    assert [doc["id"] for doc in rows] == [f"{COPY}.0.{row}"]
    log = trade_log(rows[0])
    assert log["updateType"] == ("PendingOpen" if asked.is_pending else "MarketOpen")
    assert log["masterOrder"] is not None
    assert log["masterOrder"]["type"] == kind
    assert (log["outcome"], log["success"], log["exceptionCode"]) == ("rejected", False, "NO_MONEY")
    assert (log["times"]["sent"], log["times"]["filled"]) == ("2026-05-04T12:00:00.000000Z", None)
    assert trade_log_told_by(refused) == rows[0]["id"]
    copies = await copies_of(models, WHOSE | {"id": COPIER}) or []
    assert [copy.outcome for copy in copies] == [Outcome.REFUSED] * (row == "open")


@pytest.mark.parametrize(("filled", "told"), [("0.3", ["filled 0.3 of 0.5 lots"]), ("0.5", [])])
async def test_that_the_broker_filled_only_a_part_is_said(filled: str, told: list[str]) -> None:
    about = {name: getattr(EXECUTED, name) for name in ("copy", "copier", "master", "slave")}
    about |= {"root": ROOT, "leg": 0, "attempt": EXECUTED.attempt}
    request = OpenRequest(
        symbol="EURUSD", kind=OrderKind.BUY, lots=D("0.5"), comment="T", magic=1, price=D("1.08")
    )
    attempt = m.AttemptStarted(**about, request=request, tag="T", longest_call_s=65, tries=0)
    done = replace(EXECUTED, lots=D(filled))
    models = await shown([event_of(SLAVE, topics.EXECUTIONS, event) for event in (attempt, done)])
    (row,) = await models.find(c.TRADE_LOGS, {"copier": COPIER})
    assert [message["message"] for message in trade_log(row)["messages"]] == told


async def test_a_mirrored_order_that_filled_by_itself_has_its_time_before_any_decision() -> None:
    filled = replace(EXECUTED, sent_at_utc=None)
    models = await shown([event_of(SLAVE, topics.EXECUTIONS, filled)])
    (row,) = await models.find(c.TRADE_LOGS, {"copier": COPIER})
    log = trade_log(row)
    assert (log["timeUTC"], log["updateType"]) == ("2026-05-04T12:00:00.000000Z", "MarketOpen")
    assert (log["outcome"], log["masterOrder"]) == ("opened", None)


@pytest.mark.parametrize(("is_found", "outcome"), [(True, "reconciled"), (False, "absent")])
async def test_what_nobody_answered_is_open_until_the_books_tell_and_may_need_a_person(
    is_found: bool, outcome: str
) -> None:
    call: Any = {name: getattr(EXECUTED, name) for name in m.Outcome.__struct_fields__}
    asked = [
        m.CopyUnresolved(**call, reason="no answer"),
        m.CopyNeedsPerson(**call, evidence="two"),
    ]
    found = Done(ticket=Ticket(7001), lots=D("0.5"), price=D("1.08")) if is_found else None
    told_by_books = m.CopyReconciled(**call, found=found, evidence="books")
    waits = [event_of(SLAVE, topics.EXECUTIONS, each) for each in asked]
    settles = event_of(SLAVE, topics.EXECUTIONS, told_by_books)
    for batches, is_open, evidence, said in (
        ([waits], True, "two", "needs a person"),
        ([waits, [settles]], False, "books", outcome),
    ):
        models = await shown(*batches)
        (doubt,) = await models.find(c.UNRESOLVED, {"account": SLAVE})
        assert (doubt["open"], doubt["evidence"]) == (is_open, evidence)
        assert doubt["needs_person"] is True
        (row,) = await models.find(c.TRADE_LOGS, {"copier": COPIER})
        assert (row["outcome"], row["success"]) == (said, is_found and not is_open)


async def test_legs_that_ended_before_a_close_was_sent_have_rows_of_their_own() -> None:
    legs = [
        m.CopyClosed(
            copy=CopyId(copy), copier=copier, master=MASTER, slave=SLAVE, root=ROOT, leg=0,
            attempt=AttemptId(""), ticket=Ticket(7001), closed_lots=D("0.5"), price=D("1.07"),
            profit=D(-5), reason="MASTER_StopLoss",
        )
        for copy, copier in (("one", COPIER), ("two", SECOND))
    ]  # fmt: skip
    models = await shown([event_of(SLAVE, topics.EXECUTIONS, leg) for leg in legs])
    for leg in legs:
        (row,) = await models.find(c.TRADE_LOGS, {"copier": leg.copier})
        assert (row["copy"], row["outcome"]) == (leg.copy, "closed")
        assert row["id"] == trade_log_told_by(leg) != ""


async def test_what_was_denied_first_and_stands_says_nothing_of_the_denial() -> None:
    """An order that could not be mirrored is copied at the market when the master's fills."""
    about = {name: getattr(EXECUTED, name) for name in ("copy", "copier", "master", "slave")}
    denied = m.CopyDenied(
        **about, root=ROOT, leg=0, code="PENDING_KIND", numbers={"kind": "BuyStopLimit"}, remedy="r"
    )
    executions = [event_of(SLAVE, topics.EXECUTIONS, event) for event in (denied, EXECUTED)]
    row: Any = await (await shown(executions)).get(c.TRADE_LOGS, f"{COPY}.0.open")
    log = trade_log(row)
    assert (log["outcome"], log["success"]) == ("opened", True)
    assert (log["exceptionCode"], log["exceptionMessage"], log["messages"]) == (None, None, [])


ORDER = {
    name: getattr(EXECUTED, name) for name in ("copy", "copier", "master", "slave", "root")
} | {"leg": 0}
CALL = {"tag": "T", "longest_call_s": 65.0, "tries": 0}
LIMIT = OrderKind("BuyLimit")


async def test_a_mirrored_order_that_is_denied_waits_no_more() -> None:
    planned = told(Desk(), start(pending_mode=PendingMode.MIRROR), placed())
    denied = m.CopyDenied(**ORDER, code="BELOW_MIN_LOT", numbers={}, remedy="r", pending=True)
    models = await shown(planned, [event_of(SLAVE, topics.EXECUTIONS, denied)])
    (row,) = await models.find(c.TRADE_LOGS)
    log = trade_log(row)
    assert (log["updateType"], log["outcome"]) == ("PendingOpen", "denied")
    assert (log["exceptionCode"], log["timeUTC"]) == ("BELOW_MIN_LOT", log["times"]["planned"])
    assert trade_log_told_by(denied) == row["id"]


async def test_a_mirrored_order_s_removal_is_told_with_its_call_and_leaves_the_placing_its_times() -> (
    None
):
    planned = told(Desk(), start(pending_mode=PendingMode.MIRROR), placed())
    first, second = AttemptId("a" * 32), AttemptId("b" * 32)
    request = OpenRequest(
        symbol="EURUSD", kind=LIMIT, lots=D("0.5"), comment="T", magic=1, price=D("1.08")
    )
    later = {"sent_at_utc": T0 + timedelta(hours=2), "answered_at_utc": T0 + timedelta(hours=2)}
    events = [
        m.AttemptStarted(**ORDER, **CALL, attempt=first, request=request),
        m.CopyPendingPlaced(
            **ORDER, attempt=first, sent_at_utc=T0, answered_at_utc=T0, ticket=Ticket(5),
            symbol="EURUSD", kind=LIMIT, lots=D("0.5"), price=D("1.08"),
        ),
        m.AttemptStarted(
            **ORDER, **CALL, attempt=second, request=DeleteRequest(ticket=Ticket(5))
        ),
        m.CopyPendingRemoved(
            **ORDER, **later, attempt=second, ticket=Ticket(5), reason="MASTER_deleted"
        ),
    ]  # fmt: skip
    models = await shown(planned, [event_of(SLAVE, topics.EXECUTIONS, one) for one in events])
    order = trade_log(await models.get(c.TRADE_LOGS, f"{COPY}.0.pending") or {})
    assert (order["outcome"], order["success"]) == ("removed", True)
    assert order["times"]["sent"] == order["times"]["filled"] == "2026-05-04T12:00:00.000000Z"
    call = trade_log(await models.get(c.TRADE_LOGS, second) or {})
    assert (call["updateType"], call["outcome"], call["success"]) == (
        "PendingClose",
        "removed",
        True,
    )
    assert call["times"]["filled"] == "2026-05-04T14:00:00.000000Z"


@pytest.mark.parametrize(
    ("request_", "numbers", "update"),
    [
        (ModifyRequest(ticket=Ticket(5), stop_loss=None, take_profit=None), {}, "MarketModify"),
        (
            ModifyRequest(ticket=Ticket(5), stop_loss=None, take_profit=None, price=D("1.07")),
            {},
            "PendingModify",
        ),
        (
            CloseRequest(ticket=Ticket(5), symbol="EURUSD", lots=D("0.1")),
            {"target_lots": "0.4"},
            "PartialClose",
        ),
        (
            CloseRequest(ticket=Ticket(5), symbol="EURUSD", lots=D("0.5")),
            {"target_lots": "0"},
            "MarketClose",
        ),
    ],
)
async def test_a_call_that_was_refused_says_what_it_was_to_do(
    request_: Any, numbers: dict[str, str], update: str
) -> None:
    attempt = AttemptId("a" * 32)
    events = [
        m.AttemptStarted(**ORDER, **CALL, attempt=attempt, request=request_, numbers=numbers),
        m.CopyRejected(**ORDER, attempt=attempt, code="INVALID", message="no", final=False),
    ]
    models = await shown([event_of(SLAVE, topics.EXECUTIONS, one) for one in events])
    (row,) = await models.find(c.TRADE_LOGS)
    assert trade_log(row)["updateType"] == update


@pytest.mark.parametrize(
    ("kind", "update"), [(LIMIT, "PendingOpen"), (OrderKind("Buy"), "MarketOpen")]
)
async def test_an_open_that_is_tried_again_says_so_in_a_row_of_its_own(
    kind: OrderKind, update: str
) -> None:
    refused, unsent = AttemptId("a" * 32), AttemptId("b" * 32)
    events = [
        m.CopyRejected(**ORDER, attempt=refused, code="E", message="", final=False, kind=kind),
        m.CopyNotSent(**ORDER, attempt=unsent, reason="TOO_LATE", kind=kind),
    ]
    models = await shown([event_of(SLAVE, topics.EXECUTIONS, one) for one in events])
    for attempt, outcome in ((refused, "refused, tried again"), (unsent, "not sent")):
        log = trade_log(await models.get(c.TRADE_LOGS, attempt) or {})
        assert (log["updateType"], log["outcome"]) == (update, outcome)
        assert log["masterOrder"] is None


async def test_a_pending_order_s_new_price_is_no_change_of_a_position() -> None:
    modified = m.CopyModified(
        **ORDER, attempt=AttemptId("a" * 32), ticket=Ticket(5), stop_loss=None, take_profit=None,
        price=D("1.07"),
    )  # fmt: skip
    models = await shown([event_of(SLAVE, topics.EXECUTIONS, modified)])
    (row,) = await models.find(c.TRADE_LOGS)
    assert trade_log(row)["updateType"] == "PendingModify"


async def test_a_position_that_ended_leaves_nothing_behind_but_its_closings() -> None:
    last = replace(
        closed(), deal=m.Deal(ticket=9, sequence=1, lots=D(1), price=D("1.09"), entry_cost=D(-3))
    )
    models = await shown([event_of(MASTER, topics.ORDER_EVENTS, one) for one in (opened(), last)])
    (row,) = await models.find(c.CLOSED_ORDERS)
    assert row["entry_cost"] == "-3"
    assert await models.find(c.ROOTS) == []
    split = await shown(*[[event_of(MASTER, topics.ORDER_EVENTS, one)] for one in (opened(), last)])
    assert await split.find(c.ROOTS) == []


# --- however it was read ----------------------------------------------------------------------------


GROWN = increased(open_lots=D("1.00"))
PART = replace(reduced("0.50"), deal=deal("0.50", "1.10"))


def on_master(log: Log, *events: Any) -> list[Record]:
    return log.append(*[event_of(MASTER, topics.ORDER_EVENTS, event) for event in events])


class Away(MemoryReadModels):
    """A database that is away at some writes."""

    is_away = False

    async def upsert(self, changes: Sequence[Upsert]) -> None:
        if self.is_away:
            raise StoreUnavailable("away")
        await super().upsert(changes)


async def test_a_batch_that_is_made_again_knows_nothing_of_what_comes_behind_in_it() -> None:
    """The database was away: the part was closed before the position grew."""
    log, models = Log(), Away()
    parts = Parts(models)
    await parts.write(await batch_of(on_master(log, opened(open_price=D("1.08"))), parts))
    records = on_master(log, PART, GROWN)
    models.is_away = True
    with pytest.raises(StoreUnavailable):
        await parts.write(await batch_of(records, parts))
    models.is_away = False
    await parts.write(await batch_of(records, parts))
    (row,) = await models.find(c.CLOSED_ORDERS)
    assert closed_order(row, "MT5")["openPrice"] == 1.08


async def test_what_a_process_wrote_and_did_not_commit_changes_nothing_when_it_is_read_again() -> (
    None
):
    """Neither what came later in that batch, nor what comes behind it in the next owner's."""
    stop = modified("1.09", None)
    once_more = replace(PART, deal=replace(PART.deal, profit=D(7)))
    log, models = Log(), MemoryReadModels()
    known = on_master(log, opened(stop_loss=D("1.07")), PART, stop)
    parts = Parts(models)
    for records in (known[:1], known[1:]):
        await parts.write(await batch_of(records, parts))
    parts = Parts(models, await models.reached())
    behind = on_master(log, closed(), once_more)
    await parts.write(await batch_of([*known[1:], *behind], parts))
    part, _ = await models.find(
        c.CLOSED_ORDERS, {"account": MASTER}, order_by="closed_at", descending=False
    )
    assert (part["flat"], part["stop_loss"], part["profit"]) == (False, "1.07", "7")


async def test_figures_that_come_once_a_position_is_over_leave_its_part_the_stops_it_had() -> None:
    before = [opened(stop_loss=D("1.07")), PART, modified("1.09", None)]
    after = [closed(), replace(PART, deal=replace(PART.deal, profit=D(7)))]
    for batches in ([before, after], [before, after[:1], after[1:]]):
        log, models = Log(), MemoryReadModels()
        parts = Parts(models)
        for events in batches:
            await parts.write(await batch_of(on_master(log, *events), parts))
        part, _ = await models.find(
            c.CLOSED_ORDERS, {"account": MASTER}, order_by="closed_at", descending=False
        )
        assert (part["flat"], part["stop_loss"], part["profit"]) == (False, "1.07", "7")


async def test_what_a_position_grew_by_before_its_account_was_added_again_is_never_counted() -> (
    None
):
    """Whichever process reads its end."""
    again = opened(open_price=D("1.09"), seen=m.Seen.BASELINE)
    grown = [increased(leg, open_lots=D(leg + 1), deal=deal("0.5", "1.20")) for leg in (1, 2)]
    log, models = Log(), MemoryReadModels()
    for event in (opened(), *grown, again, GROWN, closed()):
        parts = Parts(models)
        await parts.write(await batch_of(on_master(log, event), parts))
    (row,) = await models.find(c.CLOSED_ORDERS)
    assert closed_order(row, "MT5")["openPrice"] == 1.09
