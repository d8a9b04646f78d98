"""What came of a replay: each master trade with its copy or its reason, and the slave's figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from copypro import collections as c
from copypro import messages as m
from copypro import topics
from copypro.account_history import report_of
from copypro.codes import CODES
from copypro.envelope import Envelope, decode
from copypro.ports import ReadModels
from copypro.statistics.report import Report
from copypro.values import AccountId
from copypro.wiring import InMemory
from copypro_stats.batch import Parts, batch_of, merged
from msgspec import Struct

from copypro_standalone.backtest.history import Closed, Increased, Opened
from copypro_standalone.backtest.playing import Plan, Played

ZERO = Decimal(0)
TRADED = (topics.ORDER_EVENTS, topics.COPIER_EVENTS, topics.EXECUTIONS)
Row = dict[str, Any]


class Results(Struct, frozen=True, kw_only=True):
    rows: Sequence[Row]
    """One for each trade of the master, in the order of opening."""
    report: Report
    """The slave's statistics, as for any account."""
    start: Decimal
    balance: Decimal
    equity: Decimal
    master_balance: Decimal
    """At the end, at the simulated broker: what the history says too."""
    alerts: Mapping[str, int]
    """Raised on either account, by code."""


async def results_of(plan: Plan, played: Played) -> Results:
    models = await projected(played.memory)
    orders = _events(played.memory, topics.ORDER_EVENTS.name)
    told = _Told(orders, _events(played.memory, topics.EXECUTIONS.name), played)
    figures = await _figures(models, played.slave)
    masters = await _figures(models, played.master)
    return Results(
        rows=await _rows(plan, played, told, models),
        report=await report_of(models, played.slave),
        start=plan.slave.balance,
        balance=Decimal(str(figures.get("balance", plan.slave.balance))),
        equity=Decimal(str(figures.get("equity", plan.slave.balance))),
        master_balance=Decimal(str(masters.get("balance", plan.history.balance))),
        alerts=Counter(
            event.message.code for event in orders if isinstance(event.message, m.AlertRaised)
        ),
    )


async def _figures(models: ReadModels, account: AccountId) -> Mapping[str, Any]:
    figures = ((await models.get(c.ACCOUNTS, account)) or {}).get("figures")
    return figures if isinstance(figures, dict) else {}


async def projected(memory: InMemory) -> ReadModels:
    """The log by the projections that make what REST shows."""
    models, parts = memory.models, Parts(memory.models)
    for topic in TRADED:
        batch = await batch_of(memory.log.all(topic.name), parts)
        await models.upsert(merged(batch.upserts))
    latest = {record.key: record for record in memory.log.all(topics.ACCOUNT_SNAPSHOTS.name)}
    batch = await batch_of(list(latest.values()), parts)
    await models.upsert(merged(batch.upserts))
    return models


def _events(memory: InMemory, topic: str) -> list[Envelope]:
    return [decode(record) for record in memory.log.all(topic)]


class _Told:
    """Who is who: roots of tickets, results of roots, slave tickets of copies, how copies ended."""

    def __init__(
        self, orders: Iterable[Envelope], executions: Iterable[Envelope], played: Played
    ) -> None:
        self.roots: dict[tuple[AccountId, int], str] = {}
        self._closings: dict[tuple[AccountId, str], Decimal] = {}
        self._entries: dict[tuple[AccountId, str], Decimal] = {}
        """Told when a position opens, when it closes, or both times: it is one."""
        self.closed: set[tuple[AccountId, str]] = set()
        self.tickets: dict[tuple[str, int], int] = {}
        self.opened_by: dict[tuple[str, int], int] = {}
        """By copy and ticket: the leg that opened it. A netting slave's later ones add to it."""
        self.detached: dict[str, str] = {}
        for envelope in orders:
            self._order(envelope.message)
        for envelope in executions:
            event = envelope.message
            if isinstance(event, m.CopyOpened):
                self.tickets[event.copy, event.leg] = event.ticket
                first = self.opened_by.get((event.copy, event.ticket), event.leg)
                self.opened_by[event.copy, event.ticket] = min(first, event.leg)
            elif isinstance(event, m.CopyDetached):
                self.detached[event.copy] = event.reason
        self.slave = played.slave

    def _order(self, event: Any) -> None:
        if isinstance(event, m.PositionOpened | m.PositionIncreased):
            self.roots.setdefault((event.account, event.ticket), event.root)
        elif isinstance(event, m.PositionReduced | m.PositionClosed):
            deal, place = event.deal, (event.account, event.root)
            made = deal.profit + deal.swap + deal.commission + deal.fee
            self._closings[place] = self._closings.get(place, ZERO) + made
            if isinstance(event, m.PositionClosed):
                self.closed.add(place)
        else:
            return
        if event.deal.entry_cost:
            self._entries[event.account, event.root] = event.deal.entry_cost

    def result(self, account: AccountId, root: str) -> Decimal:
        """What the position moved the balance by, from its opening on."""
        place = (account, root)
        return self._closings.get(place, ZERO) + self._entries.get(place, ZERO)

    def of_copy(self, copy: str, leg: int) -> Row:
        """What it made, in the slave's currency, and how it ended. A position has one result."""
        ticket = self.tickets.get((copy, leg))
        first = leg if ticket is None else self.opened_by[copy, ticket]
        if first < leg:
            return {"slave_profit": None, "ended": f"part of leg {first}"}
        root = None if ticket is None else self.roots.get((self.slave, ticket))
        if root is None:
            return {"slave_profit": None, "ended": None}
        place = (self.slave, root)
        ended = "closed" if place in self.closed else "open"
        if copy in self.detached:
            ended = f"detached: {self.detached[copy]}"
        return {"slave_profit": str(self.result(self.slave, root)), "ended": ended}


# --- rows -----------------------------------------------------------------------------------------


async def _rows(plan: Plan, played: Played, told: _Told, models: ReadModels) -> list[Row]:
    logs: dict[str, list[Any]] = {}
    for doc in await models.find(c.TRADE_LOGS, order_by="time", limit=None):
        if str(doc["id"]).endswith(".open"):
            logs.setdefault(str(doc.get("root")), []).append(doc)
    unplayed = {one.position: one.code for one in played.unplayed if one.what == "opened"}
    closes: dict[str, list[Closed]] = {}
    for closed in plan.history.closed():
        closes.setdefault(closed.position, []).append(closed)
    costs: dict[str, Decimal] = {}
    for one in plan.history.happenings:
        if isinstance(one, Opened | Increased):
            costs[one.position] = costs.get(one.position, ZERO) + one.cost
    rows = []
    for number, opened in enumerate(plan.history.opened(), start=1):
        row = _of_master(number, opened, closes.get(opened.position, []), costs[opened.position])
        code = unplayed.get(opened.position)
        if code is not None:
            rows.append(row | _refused("not played", code, {}, _NOT_PLAYED))
            continue
        root = told.roots.get((played.master, played.tickets[opened.position]), "")
        if row["profit"] is None and (played.master, root) in told.closed:
            row["profit"] = str(told.result(played.master, root))
        legs = sorted(logs.get(root, []), key=lambda doc: int(doc["leg"]))
        first, *others = [_of_leg(doc, told) for doc in legs] or [_undecided()]
        rows.append(row | first | ({"further_legs": others} if others else {}))
    return rows


_NOT_PLAYED = "the simulated broker would not do what the master did: see docs/backtest.md"


def _of_master(number: int, opened: Opened, closes: Sequence[Closed], entry_cost: Decimal) -> Row:
    last = closes[-1] if closes else None
    known = [closed.profit + closed.costs for closed in closes if closed.profit is not None]
    return {
        "trade": number,
        "ticket": opened.ticket,
        "symbol": opened.symbol,
        "side": opened.side.value,
        "lots": str(opened.lots),
        "opened_at": opened.at.strftime("%Y-%m-%dT%H:%M:%S"),
        "open_price": str(opened.price),
        "closed_at": last.at.strftime("%Y-%m-%dT%H:%M:%S") if last else None,
        "close_price": str(last.price) if last else None,
        "pieces": len(closes),
        "profit": str(sum(known, entry_cost)) if known else None,
    }


def _of_leg(doc: Row, told: _Told) -> Row:
    copy, leg = str(doc["copy"]), int(doc["leg"])
    if doc.get("outcome") == "opened":
        return {
            "outcome": "copied",
            "slave_symbol": doc["slave_symbol"],
            "slave_side": doc["slave_side"],
            "slave_lots": doc["slave_lots"],
            "slave_price": doc["slave_price"],
            "slippage": doc["slippage"],
        } | told.of_copy(copy, leg)
    if not doc.get("code"):
        return _undecided() | {"was": doc.get("outcome") or "planned"}
    remedy = doc.get("remedy") or doc.get("text") or ""
    return _refused("refused", str(doc["code"]), doc.get("numbers") or {}, str(remedy))


def _refused(outcome: str, code: str, numbers: Mapping[str, Any], remedy: str) -> Row:
    meaning = CODES[code][0] if code in CODES else "the broker refused it"
    shown = dict(sorted(numbers.items()))
    return {
        "outcome": outcome, "code": code, "meaning": meaning, "numbers": shown, "remedy": remedy,
    }  # fmt: skip


def _undecided() -> Row:
    """Nothing that is recorded says what became of it: a fault of ours, and shown as one."""
    return _refused("refused", "UNDECIDED", {}, "please report it: every trade has its outcome")
