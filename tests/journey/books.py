"""What REST shows of accounts and copiers beside what their brokers' own books have, ticket by ticket."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
from copypro_standalone.explaining import as_json, show, story_of
from copypro_standalone.story import STEPS, Line, Story

from tests.journey.world import SERVERS, Account, World

Row = dict[str, Any]
NO_TRADE = ("Balance", "Credit", "Cancelled", "Expired")
ZERO = Decimal(0)
UNSEEN_ADD = Decimal("0.005")
"""A netting position's average is so far from the broker's, where it grew and closed in one moment."""
FRESH_S = 30.0
"""A proof of life is no older; each comes once in a second or so here."""
_CLOSED_LOTS = re.compile(r"\bclosed_lots=(\S+)")
_LOTS = re.compile(r"\blots=(\S+)")
_OPENED = ("CopyOpened", "CopyIncreased")
_ENDED = ("CopyReduced", "CopyClosed")


async def books_differ(
    world: World, accounts: Iterable[Account], late: timedelta = timedelta(0)
) -> list[str]:
    """In words, each thing that is shown of an account otherwise than its broker has it. `late`: so far
    from the broker's is the time of a close that a list told before history did: it is the list's.
    """
    wrong: list[str] = []
    shown = {row["id"]: row for row in await world.call("Accounts")}
    for account in accounts:
        book = await account.book()
        orders = await world.call("OpenOrders", accountId=account.id)
        closed, pieces = await closed_rows(world, account), pieces_of(book)
        whole = SERVERS[account.server] == "MT4"
        is_netting = shown[account.id]["accountSummary"]["method"] == "Netting"
        of_account = [
            *_figures_differ(shown[account.id], book["figures"]),
            *_open_differ(orders, book["open"], whole=whole),
            *_closed_differ(closed, pieces, late, UNSEEN_ADD if is_netting else ZERO, whole=whole),
            *_commissions_differ(closed, pieces, is_mt4=whole),
        ]
        wrong += [f"{account.server} {account.login}: {what}" for what in of_account]
    return wrong


async def closed_rows(world: World, account: Account) -> list[Row]:
    rows: list[Row] = await world.call("ClosedOrders", accountId=account.id, limit=10_000)
    return rows


def pieces_of(book: Row) -> list[Row]:
    return [piece for piece in book["history"] if piece["reason"] not in NO_TRADE]


# --- accounts -----------------------------------------------------------------------------------------


def _figures_differ(shown: Row, figures: Row) -> list[str]:
    summary = shown["accountSummary"] or {}
    wrong = [
        f"{name} {summary.get(name)} is shown, {figures[name]} is the broker's"
        for name in ("balance", "credit", "profit", "equity", "margin", "freeMargin")
        if not _same(summary.get(name), figures[name])
    ]
    if (shown["status"], shown["connected"], shown["connectError"]) != ("connected", True, None):
        wrong.append(f"is shown as {shown['status']}, {shown['connectError']}")
    age = shown["seenAliveAgeSeconds"]
    if age is None or not -1 <= age < FRESH_S:
        wrong.append(f"its last proof of life is shown as {age} s old")
    return wrong


def _open_differ(shown: list[Row], orders: list[Row], *, whole: bool) -> list[str]:
    return _unlike(
        "open",
        [(o["ticket"], _open_row(o)) for o in shown],
        [(o["ticket"], _in_seconds(_open_order(o), whole)) for o in orders],
    )


def _in_seconds(row: Row, whole: bool) -> Row:
    """As MT4 has its times."""
    if not whole:
        return row
    times = {name: at for name, at in row.items() if isinstance(at, datetime)}
    return row | {name: at.replace(microsecond=0) for name, at in times.items()}


def _open_row(row: Row) -> Row:
    text = {name: row[name] for name in ("type", "symbol", "magicNumber", "comment")}
    names = ("lots", "openPrice", "stopLoss", "takeProfit", "swap", "commission")
    expires = None if row["expiration"].startswith("0001") else _moment(row["expiration"])
    times = {"openTime": _moment(row["openTime"]), "expiration": expires}
    return text | {name: _rounded(row[name]) for name in names} | times


def _open_order(order: Row) -> Row:
    return {
        "type": order["kind"],
        "symbol": order["symbol"],
        "magicNumber": order["magic"],
        "comment": order["comment"],
        "lots": _rounded(order["lots"]),
        "openPrice": _rounded(order["open_price"]),
        "stopLoss": _rounded(order["stop_loss"]),
        "takeProfit": _rounded(order["take_profit"]),
        "swap": _rounded(order["swap"]),
        "commission": _rounded(order["commission"]),
        "openTime": _moment(order["opened_at"]),
        "expiration": order["expires_at"] and _moment(order["expires_at"]),
    }


def _closed_differ(
    shown: list[Row], pieces: list[Row], late: timedelta, near: Decimal, *, whole: bool
) -> list[str]:
    wrong = [
        f"{row['type']} {row['ticket']} is shown as closed"
        for row in shown
        if row["type"] not in ("Buy", "Sell")
    ]
    zero = {piece["order"]["ticket"] for piece in pieces if _is_closed_by(piece)}
    ours = [(row["ticket"], _closed_row(row)) for row in shown]
    theirs = [
        (piece["order"]["ticket"], _in_seconds(_closed_piece(piece), whole)) for piece in pieces
    ]
    wrong += _unlike(
        "closed",
        [(ticket, row) for ticket, row in ours if ticket not in zero],
        [(ticket, row) for ticket, row in theirs if ticket not in zero],
        late,
        near,
    )
    times = [row["closeTime"] for row in shown]
    if times != sorted(times, reverse=True):
        wrong.append("its closed orders are not newest first")
    return wrong


def _commissions_differ(shown: list[Row], pieces: list[Row], *, is_mt4: bool) -> list[str]:
    """Of each ticket that closed: on MT5 what opening it cost as well, once."""
    ours, theirs = defaultdict[int, Decimal](Decimal), defaultdict[int, Decimal](Decimal)
    for row in shown:
        ours[row["ticket"]] += _rounded(row["commission"])
    for piece in pieces:
        theirs[piece["order"]["ticket"]] += _rounded(piece["commission"])
        if not is_mt4 and not Decimal(piece["position_left"]):
            theirs[piece["order"]["ticket"]] += _rounded(piece["order"]["commission"])
    return [
        f"commission {ours[ticket]} of {ticket} is shown, {theirs[ticket]} is the broker's"
        for ticket in theirs
        if ours[ticket] != theirs[ticket]
    ]


def _is_closed_by(piece: Row) -> bool:
    """MT4 says 0 lots of what an opposite position closed."""
    return bool(piece["by_ticket"]) and not Decimal(piece["lots"])


def _closed_row(row: Row) -> Row:
    names = ("lots", "openPrice", "closePrice", "profit", "swap")
    text = {name: row[name] for name in ("type", "symbol", "magicNumber")}
    times = {name: _moment(row[name]) for name in ("openTime", "closeTime")}
    return text | {name: _rounded(row[name]) for name in names} | times


def _closed_piece(piece: Row) -> Row:
    order = piece["order"]
    return {
        "type": order["kind"],
        "symbol": order["symbol"],
        "magicNumber": order["magic"],
        "lots": _rounded(piece["lots"]),
        "openPrice": _rounded(order["open_price"]),
        "closePrice": _rounded(piece["price"]),
        "profit": _rounded(piece["profit"]),
        "swap": _rounded(piece["swap"]),
        "openTime": _moment(order["opened_at"]),
        "closeTime": _moment(piece["closed_at"]),
    }


def _unlike(
    what: str,
    ours: list[tuple[int, Row]],
    theirs: list[tuple[int, Row]],
    late: timedelta = timedelta(0),
    near: Decimal = ZERO,
) -> list[str]:
    """Each row of one side that the other has not, beside what the other has of its ticket."""
    left = list(theirs)
    extra = []
    for row in ours:
        found = next((other for other in left if _is_same(row, other, late, near)), None)
        if found is not None:
            left.remove(found)
        else:
            extra.append(row)
    wrong = []
    for ticket, row in left:
        near = next((r for t, r in extra if t == ticket), None)
        if near is None:
            wrong.append(f"{what} {ticket} is not shown: {row}")
            continue
        extra.remove((ticket, near))
        told = {name: (near[name], row[name]) for name in row if near[name] != row[name]}
        wrong.append(f"{what} {ticket} is shown otherwise (shown, broker's): {told}")
    return [*wrong, *(f"{what} {ticket} is shown and is not so: {row}" for ticket, row in extra)]


def _is_same(
    ours: tuple[int, Row], theirs: tuple[int, Row], late: timedelta, near: Decimal
) -> bool:
    one, two = ours[1], theirs[1]
    if late and abs(one["closeTime"] - two["closeTime"]) <= late:
        one = one | {"closeTime": two["closeTime"]}
    if near and abs(one["openPrice"] - two["openPrice"]) <= near:
        one = one | {"openPrice": two["openPrice"]}
    return (ours[0], one) == theirs


# --- copiers ------------------------------------------------------------------------------------------


async def logs_differ(
    world: World, slave: Account, copier: str, hands: Collection[int] = ()
) -> list[str]:
    """The copier's trade log and its log beside its slave's book, in which no other copier traded.
    `hands`: tickets that their owner closed in part.
    """
    book = await slave.book()
    rows: list[Row] = await world.call("TradeLogs", id=copier, limit=10_000)
    lines: list[str] = await world.call("Logs", id=copier, limit=10_000)
    wrong = [what for row in rows for what in (*_times_astray(row), *_refusal_astray(row))]
    done = [row for row in rows if row["success"] and row["outcome"] in FILLS]
    told = Counter((row["outcome"], row["slaveTicket"], row["slaveLots"]) for row in done)
    said = Counter(_fill_in(line) for line in lines if _fill_in(line) is not None)
    if told != said:
        wrong.append(f"only in its trade log: {told - said}, only in its log: {said - told}")
    for tickets, stands, pieces in _chains(book):
        mine = [row for row in rows if row["success"] and int(row["slaveTicket"] or 0) in tickets]
        opened = _sum(row["slaveLots"] for row in mine if row["outcome"] == "opened")
        closed = _sum(row["slaveLots"] for row in mine if row["outcome"] in ("reduced", "closed"))
        if not opened:
            continue
        ended = _sum(piece["lots"] for piece in pieces)
        if opened != ended + stands:
            wrong.append(f"{opened} opened of {tickets}, {ended} closed and {stands} stand")
        is_left = any(row["outcome"] == "detached" for row in mine)
        if closed > ended or (closed < ended and not is_left and not tickets & set(hands)):
            wrong.append(f"{closed} closed of {tickets}, by the broker {ended}")
        if len([row for row in mine if row["outcome"] == "opened"]) == 1:
            wrong += _prices_differ(mine, pieces)
    return [f"{slave.login}: {what}" for what in wrong]


FILLS = ("opened", "reduced", "closed")
_FILL = re.compile(r"Copy(Opened|Increased|Reduced|Closed) .*?lots=(\S+) ticket=(\d+)")


def _fill_in(line: str) -> tuple[str, str, float] | None:
    found = _FILL.search(line)
    if found is None:
        return None
    what = found[1].lower().replace("increased", "opened")
    return what, found[3], float(found[2])


def _chains(book: Row) -> list[tuple[set[int], Decimal, list[Row]]]:
    """Each position: the tickets that it had (on MT4 what is left gets another one), what stands of it
    and its closed pieces.
    """
    followed = {
        piece["order"]["ticket"]: int(piece["comment"].removeprefix("to #"))
        for piece in book["history"]
        if piece["comment"].startswith("to #")
    }
    every = {order["ticket"] for order in book["open"] if order["kind"] in ("Buy", "Sell")}
    every |= {piece["order"]["ticket"] for piece in pieces_of(book)}
    chains = []
    for first in sorted(every - set(followed.values())):
        tickets = {first}
        while first in followed:
            first = followed[first]
            tickets.add(first)
        stands = _sum(order["lots"] for order in book["open"] if order["ticket"] in tickets)
        pieces = [piece for piece in pieces_of(book) if piece["order"]["ticket"] in tickets]
        chains.append((tickets, stands, pieces))
    return chains


def _prices_differ(rows: list[Row], pieces: list[Row]) -> list[str]:
    """Each fill that is told is one of the broker's, at its price."""
    theirs = Counter((_rounded(p["lots"]), _rounded(p["price"])) for p in pieces)
    ours = Counter(
        (_rounded(row["slaveLots"]), _rounded(row["slavePrice"]))
        for row in rows
        if row["outcome"] in ("reduced", "closed")
    )
    wrong = [f"{lots} closed at {price} is told: {theirs}" for lots, price in ours - theirs]
    for row in rows:
        opened_at = {_rounded(piece["order"]["open_price"]) for piece in pieces}
        if row["outcome"] == "opened" and opened_at - {_rounded(row["slavePrice"])}:
            wrong.append(f"{row['slaveTicket']} opened at {row['slavePrice']}: {opened_at}")
    return wrong


def _sum(lots: Iterable[Any]) -> Decimal:
    return sum(map(_rounded, lots), Decimal(0)) + 0


def _refusal_astray(row: Row) -> list[str]:
    is_refused = row["outcome"] in ("denied", "skipped", "rejected")
    if row["success"] == is_refused or (row["exceptionCode"] is None) == is_refused:
        told = {name: row[name] for name in ("outcome", "success", "exceptionCode", "updateType")}
        return [] if row["outcome"] in UNCLEAR else [f"a row of two minds: {told}"]
    return []


UNCLEAR = ("refused, tried again", "unresolved", "absent", "not sent", "planned", "needs a person")


def _times_astray(row: Row) -> list[str]:
    known = [row["times"][name] for name in STEPS if row["times"][name]]
    if row["times"]["sent"] is None:
        # The slave's own order may fill before the master's is seen to.
        return []
    if all(one <= two for one, two in pairwise(known)):
        return []
    return [f"times out of order: {row['outcome']} {row['updateType']} {row['times']}"]


# --- what `copypro explain` tells --------------------------------------------------------------------


async def stories_astray(world: World, account: Account, tickets: Iterable[int]) -> list[str]:
    """What is missing or out of order in what is told of these tickets."""
    wrong = []
    for ticket in tickets:
        story = await story_of(world.settings(), str(account.login), ticket)
        if isinstance(story, str):
            found = [story]
        else:
            show(story)
            parsed = msgspec.json.decode(as_json(story), type=Story)
            found = [] if parsed == story else ["its JSON is another story"]
            found += _story_astray(story)
        wrong += [f"explain {account.login} {ticket}: {what}" for what in found]
    return wrong


def _story_astray(story: Story) -> list[str]:
    wrong = []
    if any(one.at > two.at for one, two in pairwise(story.lines)):
        wrong.append("not in the order of time")
    if not any(line.what == "master" for line in story.lines):
        wrong.append(f"nothing of the master: {[line.text for line in story.lines]}")
    elif story.lines[0].what != "master":
        wrong.append(f"begins with {story.lines[0].text}, {[line.text for line in story.lines]}")
    legs: dict[str, list[Line]] = defaultdict(list)
    for line in story.lines:
        if line.copy:
            legs[line.copy].append(line)
    for leg, lines in legs.items():
        wrong += [f"{leg}: {what}" for what in _leg_astray(lines)]
    for copy, spans in story.legs_ms.items():
        if any(ms < 0 for ms in spans.values()):
            wrong.append(f"{copy} went back in time: {spans}")
    return wrong


def _leg_astray(lines: list[Line]) -> list[str]:
    """Decided, then asked of the broker, then done; and never more closed than was opened."""
    events = [line.event for line in lines]
    wrong = []
    if events[0] not in ("CopyPlanned", "CopySkipped"):
        wrong.append(f"begins with {events}")
    for at, event in enumerate(events):
        if event in (*_OPENED, "CopyReduced") and "AttemptStarted" not in events[:at]:
            wrong.append(f"{event} before its attempt: {events}")
    opened = _sum(_said(_LOTS, line) for line in lines if line.event in _OPENED)
    closed = _sum(_said(_CLOSED_LOTS, line) for line in lines if line.event in _ENDED)
    if closed > opened:
        wrong.append(f"{closed} closed of {opened}")
    return wrong


def _said(words: re.Pattern[str], line: Line) -> str:
    found = words.search(line.text)
    assert found is not None, line.text
    return found[1]


# --- values -------------------------------------------------------------------------------------------


def _same(shown: float | None, theirs: str) -> bool:
    return shown is not None and _rounded(shown) == _rounded(theirs)


def _rounded(value: Any) -> Decimal:
    return Decimal(str(value or 0)).quantize(Decimal("0.0000001")).normalize() + 0


def _moment(text: str) -> datetime:
    """To the millisecond, as MetaTrader has it."""
    moment = datetime.fromisoformat(text)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
