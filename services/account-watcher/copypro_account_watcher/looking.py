"""One look at an account: what changed is recorded, and everything that follows from it is done.

Looks of an account are taken one after another, each in one turn, whether a frame, a snapshot or
history shows something.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence, Set
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
import structlog
from copypro.messages import (
    Context,
    OrderEvent,
    PendingPlaced,
    PositionIncreased,
    PositionOpened,
    Seen,
)
from copypro.trading import OpenOrder, OrdersSeen
from copypro.values import CopyId, Side, Ticket, tag_in

from copypro_account_watcher.alerts import (
    clear_all_but,
    follow_left_open,
    follow_stop_outs,
    raise_alert,
)
from copypro_account_watcher.apart import see_time
from copypro_account_watcher.host import Act, Host
from copypro_account_watcher.market import Market
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.planned.before import over_by_tag
from copypro_account_watcher.protecting import Protecting
from copypro_account_watcher.publishing import Publishing
from copypro_account_watcher.seen.accounted import Accounted
from copypro_account_watcher.seen.costs import is_usual, note_all
from copypro_account_watcher.seen.diff import diff
from copypro_account_watcher.seen.evidence import from_ticket
from copypro_account_watcher.seen.looks import Look, Result
from copypro_account_watcher.seen.shown import Shown, by_frame, shows_only
from copypro_account_watcher.session import Session
from copypro_account_watcher.settled import late_modifies, unresolved
from copypro_account_watcher.settled.claiming import claim, filled_unseen, unseen
from copypro_account_watcher.settled.following import (
    follow,
    follow_hidden,
    follow_names,
    settle_fills,
)
from copypro_account_watcher.state import Account, root_key
from copypro_account_watcher.terms import Terms
from copypro_account_watcher.turn import Turn

logger = structlog.get_logger("account-watcher")
Entry = PositionOpened | PendingPlaced | PositionIncreased


class Looking:
    def __init__(
        self,
        memory: Memory,
        host: Host,
        session: Session,
        market: Market,
        protecting: Protecting,
        act: Act,
    ) -> None:
        self._memory, self._host, self._session = memory, host, session
        self._protecting, self._act = protecting, act
        self.missing: dict[Ticket, float] = {}
        """Vanished tickets, and since when on the monotonic clock."""
        self._still_open: dict[Ticket, float] = {}
        """Tickets that are over, by the book, and stand in the lists, and since when."""
        self.history_at: float | None = None
        """From then on, on the monotonic clock, a look reads history as well."""
        self._history_asked_at: datetime | None = None
        self._terms = Terms(memory, host, session, market)
        self._publishing = Publishing(memory, host, session)
        self._one_at_a_time = asyncio.Lock()
        self._looked_at = float("-inf")
        """The last look, on the monotonic clock."""
        self._accounted = Accounted(host.limits.flow_wait_s)
        self._untold: tuple[Decimal, list[int]] = (Decimal(0), [])
        """Money and deals that only history can tell of,"""
        self._untold_since = 0.0
        """and since when, on the monotonic clock."""
        self._unseen_by: float | None = None
        """Something was traded unseen, perhaps: history has it by then, on the monotonic clock."""
        self._unread: dict[Ticket, OpenOrder] = {}
        """New orders of the last look that wait for what the bridge is slow to tell."""
        self._put_off: Shown | None = None
        """The newest frame, which shows nothing but what our calls opened: looked at in a moment."""
        self._later: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """The session is over, and its frames are."""
        self._publishing.stop()
        self._terms.stop()
        self._unread = {}
        self._put_off = None
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def want_history(self) -> None:
        """What only history tells is to be read now."""
        self.history_by(self._host.monotonic())
        self._session.look_soon()

    def owe_history(self) -> None:
        """There was a time without looks: what happened and what was paid then only history tells."""
        self._accounted.owe()
        self.want_history()

    def history_by(self, at: float) -> None:
        """Of all who wait for history the first counts."""
        self.history_at = at if self.history_at is None else min(self.history_at, at)

    def take_history_at(self) -> float | None:
        """It is read from now on: who wants it meanwhile waits for the next time."""
        wanted_at, self.history_at = self.history_at, None
        return wanted_at

    def put_off_history(self) -> None:
        """It cannot be read now."""
        self.history_at = self._host.monotonic() + self._host.limits.snapshot_every_s

    def is_history_due(self) -> bool:
        return self.history_at is not None and self.history_at <= self._host.monotonic()

    def is_just_missing(self) -> bool:
        """Something vanished, and so lately that history may be about to tell of it."""
        limit, now = self._host.limits.missing_for_s, self._host.monotonic()
        return any(now - since < limit for since in self.missing.values())

    async def frame(self, frame: OrdersSeen) -> None:
        """Looked at now, or with those that follow in a moment where all it shows are fills of our own
        calls: their answers tell all that anybody waits for, unless one is in doubt or an equity
        protector is to judge each list.
        """
        memory, shown = self._memory, by_frame(frame)
        live, is_at_once = memory.live, memory.in_doubt or self._protecting.is_wanted
        if is_at_once or not shows_only(memory.by_tag, frame, live.positions):
            await self.look(shown)
            return
        live.mono = self._host.monotonic()
        live.learn_figures(shown.figures)
        live.looked(shown.orders, None)
        self._put_off = shown
        if self._later is None:
            self._later = self._host.spawn(self._look_later(), f"look-{memory.id[:8]}")

    async def _look_later(self) -> None:
        while self._put_off is not None:
            await asyncio.sleep(self._host.limits.own_fills_wait_s)
            if self._put_off is not None:  # no other look was at it meanwhile
                shown, self._put_off = self._put_off, None
                await self.look(shown)
        self._later = None

    async def look(self, *shown: Shown) -> None:
        """Looks at the account, one by one, after one at what was put off before them."""
        earlier, self._put_off = self._put_off, None
        async with self._one_at_a_time:
            for each in shown if earlier is None else (earlier, *shown):
                await self._look(each)

    async def _look(self, shown: Shown) -> None:
        """One: diff, record, follow our legs, settle what can be settled."""
        memory = self._memory
        unread = await self._read(shown)
        if not self._session.is_current:
            return
        turn = Turn(self._host.clock())
        live = memory.live
        see_time(memory, turn, self._host.monotonic())
        live.learn_figures(shown.figures)
        self._see_clock(shown, turn.now)
        live.clock_offset_minutes = self._session.offset.minutes
        self._remember_clock(turn)
        live.looked(shown.orders, shown.asked_at)
        if shown.history is not None and live.over_by_tag is None:
            live.over_by_tag = over_by_tag(shown.history)
            memory.touch_all()
        if shown.seen is Seen.BASELINE:  # what moved before, unwatched, is in its balance
            self._accounted = Accounted(self._host.limits.flow_wait_s)
        told = self._follow_filled(shown, unread, turn)
        if self._unread.keys() - {order.ticket for order in shown.orders}:
            # It ended before it was told.
            self.want_history()
        self._unread = {o.ticket: self._as_placed(o) for o in shown.orders if o.ticket in unread}
        told += self._follow_changes(shown, unread, turn)
        settled = self._follow_balance(shown, told, turn)
        self._protecting.looked(
            shown.orders,
            shown.figures,
            turn,
            whole=shown.is_whole,
            settled=settled,
            paid=self._accounted.paid,
        )
        again = unresolved.settle(memory, shown.orders, shown.history, shown.asked_at, turn)
        if again is not None:
            self.history_by(again)
        settle_fills(memory, turn)
        late_modifies.set_right(memory, turn, is_whole=shown.is_whole)
        self._publishing.seen(shown.orders, shown.figures)
        self._looked_at = live.mono
        self.history_by(live.mono + self._host.limits.history_every_s)
        await self._act(turn)

    async def _read(self, shown: Shown) -> set[Ticket]:
        """What the events of this look need. Answers the new orders whose symbols the bridge is slow to
        tell of: a look that follows soon tells them, if this one itself follows soon after another, so
        that then too it is seen that they have just come.
        """
        since_s = self._host.monotonic() - self._looked_at
        is_soon = shown.seen is Seen.LIVE or since_s <= self._host.limits.live_age_s
        can_wait = is_soon and shown.seen is not Seen.BASELINE
        return await self._terms.read(shown.orders, can_wait=can_wait)

    def _follow_filled(self, shown: Shown, unread: Set[Ticket], turn: Turn) -> list[OrderEvent]:
        """A pending order that is a position before it was told is told as it was first."""
        placed: dict[Ticket, OpenOrder] = {}
        for order in shown.orders if self._unread else ():
            before = self._as_placed(order)
            if before.kind.is_pending and not order.kind.is_pending and order.ticket not in unread:
                placed[order.ticket] = before
        if not placed:
            return []
        orders = tuple(placed.get(order.ticket, order) for order in shown.orders)
        earlier = Shown(orders=orders, figures=shown.figures, seen=Seen.LIVE)
        return self._follow_changes(earlier, unread, turn)

    def _as_placed(self, order: OpenOrder) -> OpenOrder:
        """A pending order of which nothing is told yet: as it was before it filled, perhaps in part, and
        perhaps into a position with another ticket.
        """
        before = self._unread.get(order.ticket)
        if before is None and order.identifier is not None:
            before = self._unread.get(Ticket(order.identifier))
        return before if before is not None and before.kind.is_pending else order

    def _follow_changes(self, shown: Shown, unread: Set[Ticket], turn: Turn) -> list[OrderEvent]:
        """What happened since the last look: told, followed by our legs, and remembered."""
        memory = self._memory
        result = diff(memory.book, self._as_look(shown, unread, turn.now))
        self._tell(result, turn)
        self._remember(result, turn)
        if shown.seen is not Seen.LIVE:
            claim(memory, shown.orders, shown.history, turn)
        if shown.is_whole:
            self._note_still_open(shown.orders, turn)
        gone = [t for t in unseen(memory, shown.orders) if shown.is_whole or t in self.missing]
        self._note_missing((*result.missing, *gone), turn)
        self._note_strangers(result.unknown_tags, memory.known, turn)
        return [fact.message for fact in (*result.late, *result.facts)]

    def _as_look(self, shown: Shown, unread: Set[Ticket], now: datetime) -> Look:
        if shown.history_asked_at is not None:
            ago_s = self._host.monotonic() - shown.history_asked_at
            self._history_asked_at = now - timedelta(seconds=ago_s)
        elif self._history_asked_at is not None:  # unless the clock was set back since
            self._history_asked_at = min(self._history_asked_at, now)
        return Look(
            orders=shown.orders,
            closed=shown.closed,
            operations=shown.operations,
            seen=shown.seen,
            at_utc=now,
            contexts=self._contexts(shown),
            copies=self._copies(shown.orders),
            withheld=self._withheld(),
            unread=unread,
            clock_offset_minutes=self._session.offset.minutes,
            missed_since_utc=self._memory.known.alive_at_utc,
            row_wait_s=self._host.limits.row_wait_s,
            has_history=shown.has_history,
            history_asked_at_utc=self._history_asked_at,
            history_lag_s=self._host.limits.history_lag_s,
        )

    def _tell(self, result: Result, turn: Turn) -> None:
        """What history told late first, then what this look shows."""
        memory = self._memory
        for fact in result.late:
            turn.fact(memory.id, fact.message, *fact.identity)
            follow_hidden(memory, fact.message, turn)
            follow_stop_outs(memory, fact.message, turn)
        for fact in result.facts:
            message = fact.message
            if isinstance(message, Entry):
                message = self._as_seen(message)
            turn.fact(memory.id, message, *fact.identity)
            follow(memory, message, turn)
            follow_stop_outs(memory, message, turn)
            follow_left_open(memory, message, turn)
            self._protecting.told(message)
        note_all(memory.book, (fact.message for fact in (*result.facts, *result.late)))
        follow_names(memory, result.changed, turn)

    def _remember(self, result: Result, turn: Turn) -> None:
        memory, account = self._memory, self._memory.known
        for root in result.changed:
            turn.remember(root_key(memory.id, root), memory.book.roots[root])
        for root in result.gone:
            turn.remember(root_key(memory.id, root), None)
        memory.save_book(turn)
        if not account.baseline_done:
            account.baseline_done = True
            memory.save_account(turn)
        alive_at = account.alive_at_utc
        every = timedelta(seconds=self._host.limits.publish_every_s)
        if alive_at is None or (result.facts and turn.now - alive_at > every):
            account.alive_at_utc = turn.now
            memory.save_account(turn)

    def _see_clock(self, shown: Shown, now: datetime) -> None:
        """By the newest of what tells both its times."""
        times = [(order.opened_at_utc, order.opened_at_broker) for order in shown.orders]
        times += [(row.closed_at_utc, row.closed_at_broker) for row in shown.closed]
        both = [(at_utc, at_broker) for at_utc, at_broker in times if at_utc is not None]
        if not both:
            return
        offset = self._session.offset
        at_utc, at_broker = max(both)
        known = offset.minutes
        offset.see_both(at_broker, at_utc, now)
        if known is None and offset.minutes is not None:
            self.want_history()  # what it holds can be dated only now

    def _remember_clock(self, turn: Turn) -> None:
        """The broker's clock as last known dates what is found after a restart."""
        account, minutes = self._memory.known, self._session.offset.minutes
        if minutes is not None and minutes != account.clock_offset_minutes:
            account.clock_offset_minutes = minutes
            self._memory.save_account(turn)

    def _follow_balance(self, shown: Shown, told: Sequence[OrderEvent], turn: Turn) -> bool:
        """Money moved and nothing was seen that moved it: a trade that opened and closed between two
        looks, or a payment. History tells, perhaps not at once; False while a limit waits for it.
        """
        limits, now = self._host.limits, self._memory.live.mono
        account, accounted = self._memory.known, self._accounted
        accounted.resume(account.balance)
        is_untold = accounted.looked(
            shown.figures.balance,
            told,
            is_frame=not shown.is_whole,
            has_history=shown.has_history,
            is_trading=bool(self.missing),
        )
        if is_untold:
            self.want_history()
        is_seen = not is_untold and is_usual(accounted.taken, told, self._memory.book.costs)
        self._ask_for_unseen(shown, now, is_seen=is_seen)
        settled = accounted.settle(now)
        is_wanted = self._protecting.is_wanted
        if not settled and is_wanted:
            self.history_by(now + limits.missing_every_s)
        self._ask_for_untold(now)
        if account.balance != accounted.explained:
            account.balance = accounted.explained
            if is_wanted:  # else it is recorded with what is recorded of the account anyway
                self._memory.save_account(turn)
        return settled

    def _ask_for_unseen(self, shown: Shown, now: float, *, is_seen: bool) -> None:
        """What a frame's trade seems to have cost, unless such a trade costs as much, may be what another
        one brought that no look showed; and two of those may outweigh each other: history is read after as
        long as it may lag, whatever moves until then.
        """
        asked_at = shown.history_asked_at
        if self._unseen_by is not None and asked_at is not None and asked_at >= self._unseen_by:
            self._unseen_by = None
        if not is_seen:
            self._unseen_by = now + self._host.limits.history_lag_s
        if self._unseen_by is not None:
            self.history_by(self._unseen_by)

    def _ask_for_untold(self, now: float) -> None:
        """History may lag for however long: it is asked again after as long as it was waited for, while
        what it is to tell is in what is read of it.
        """
        memory, former = self._memory, self._untold
        self._untold = (self._accounted.untold, memory.book.rows_owed())
        if not any(self._untold):
            return
        if self._untold != former:
            self._untold_since = now
        limits, waited_s = self._host.limits, now - self._untold_since
        if waited_s < limits.history_margin_s:
            self.history_by(now + max(limits.missing_every_s, waited_s))

    def _as_seen(self, message: Entry) -> Entry:
        """Live or missed, by what is known of its age.

        What stands in this list and did not in the last one, a few seconds ago, opened in between:
        that is as good as live, whoever is faster, the snapshot or the frame. But a list shows
        everything, so what opened long ago by its own time was missed, whatever showed it first.
        """
        limit_s = self._host.limits.live_age_s
        live = self._memory.live
        seen = message.seen
        if seen is Seen.MISSED and message.ticket in live.positions:
            seen = Seen.LIVE if live.mono - self._looked_at <= limit_s else seen
        opened_at = getattr(message, "opened_at_utc", None)
        if (
            seen is Seen.LIVE
            and opened_at is not None
            and not getattr(message, "from_pending", False)
        ):
            age_s = (message.seen_at_utc - opened_at).total_seconds()
            is_old = self._session.offset.is_older(age_s, limit_s, message.seen_at_utc)
            seen = Seen.MISSED if is_old else seen
        return message if seen is message.seen else msgspec.structs.replace(message, seen=seen)

    def _contexts(self, shown: Shown) -> dict[str, Context]:
        live = self._memory.live
        return {
            order.symbol: Context(
                figures=shown.figures,
                currency=live.currency,
                spec=live.any_spec(order.symbol),
                quote=live.quote(order.symbol),
            )
            for order in shown.orders
            if self._is_news(order)
        }

    def _is_news(self, order: OpenOrder) -> bool:
        """It opened or grew: its event carries the account as it is at this look."""
        root = self._memory.book.of_order(order)
        return root is None or root.kind is not order.kind or root.open_lots != order.lots

    def _copies(self, orders: Sequence[OpenOrder]) -> dict[Ticket, CopyId]:
        memory = self._memory
        known: dict[Ticket, CopyId] = {}
        for copy in memory.copies.values():
            for leg in copy.legs:
                if leg.ticket is not None:
                    known[leg.ticket] = copy.copy
        for order in orders:
            if order.ticket not in known and order.comment:
                tagged = memory.tagged(order)
                if tagged is not None:
                    known[order.ticket] = tagged[0].copy
                elif (former := from_ticket(order.comment)) in known:
                    known[order.ticket] = known[former]  # MT4: the rest of a leg not seen before
        return known

    def _withheld(self) -> set[tuple[str, Side]]:
        return {
            (copy.symbol, copy.side)
            for copy in self._memory.copies.values()
            if copy.attempt is not None and copy.attempt.opens
        }

    def _note_missing(self, missing: Sequence[Ticket], turn: Turn) -> None:
        memory = self._memory
        for ticket in list(self.missing):
            if ticket not in missing:
                del self.missing[ticket]
        clear_all_but(memory, turn, "missing/", missing)
        now, limits = self._host.monotonic(), self._host.limits
        for ticket in missing:
            since = self.missing.setdefault(ticket, now)
            is_long = now - since >= limits.missing_polls * limits.missing_every_s
            if is_long and not filled_unseen(memory, ticket, turn):
                text = f"ticket {ticket} vanished and no history shows that it closed: nothing is closed"
                raise_alert(memory, turn, "VANISHED", f"missing/{ticket}", text, ticket=ticket)
        if any(self.missing[ticket] == now for ticket in missing):
            self._session.look_soon()

    def _note_still_open(self, orders: Sequence[OpenOrder], turn: Turn) -> None:
        """The opposite of what vanished: it was told as closed, and nobody would follow it any more."""
        memory, now = self._memory, self._host.monotonic()
        standing = {order.ticket: order for order in orders if memory.book.ended_too_soon(order)}
        since = {ticket: self._still_open.get(ticket, now) for ticket in standing}
        self._still_open = since
        clear_all_but(memory, turn, "still-open/", standing)
        for ticket, order in standing.items():
            if now - since[ticket] >= self._host.limits.close_alert_after_s:
                what = f"{order.lots} {order.symbol}, ticket {ticket}"
                text = f"{what} was told as closed and stands at the broker: nothing follows it"
                cause = f"still-open/{ticket}"
                raise_alert(memory, turn, "STILL_OPEN", cause, text, ticket=ticket, lots=order.lots)

    def _note_strangers(self, unknown: Sequence[OpenOrder], account: Account, turn: Turn) -> None:
        memory = self._memory
        present = {order.ticket for order in unknown}
        for order in unknown:
            ticket = order.ticket
            if ticket in account.strangers or ticket in account.settled_tickets:
                continue
            account.strangers.append(ticket)
            tag = tag_in(order.comment)
            text = f"ticket {ticket} carries a copier's tag that is not ours ({tag}): opens are off"
            raise_alert(memory, turn, "OTHER_COPIER", f"other-copier/{ticket}", text, ticket=ticket)
            memory.save_account(turn)
        for ticket in [t for t in account.settled_tickets if t not in present]:
            account.settled_tickets.remove(ticket)
            memory.save_account(turn)
