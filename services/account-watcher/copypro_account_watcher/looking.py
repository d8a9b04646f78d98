"""One look at an account: what changed is recorded, and everything that follows from it is done.

Looks of an account are taken one after another, each in one turn, whether a frame, a snapshot or
history shows something.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
import structlog
from copypro.errors import TerminalError
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

from copypro_account_watcher import unresolved
from copypro_account_watcher.accounted import Accounted
from copypro_account_watcher.alerts import (
    clear_all_but,
    follow_left_open,
    follow_stop_outs,
    raise_alert,
)
from copypro_account_watcher.claiming import claim, unseen
from copypro_account_watcher.commands import finish_removal
from copypro_account_watcher.diff import Look, diff, new_symbols
from copypro_account_watcher.evidence import from_ticket
from copypro_account_watcher.following import follow, follow_tickets, settle_fills
from copypro_account_watcher.publishing import Publishing
from copypro_account_watcher.shown import Shown, by_frame, shows_only
from copypro_account_watcher.state import Account, root_key
from copypro_account_watcher.turn import Turn

if TYPE_CHECKING:
    from copypro_account_watcher.agent import AccountAgent
    from copypro_account_watcher.watching import Watching

logger = structlog.get_logger("account-watcher")
Entry = PositionOpened | PendingPlaced | PositionIncreased


class Looking:
    def __init__(self, agent: AccountAgent, session: Watching) -> None:
        self.missing: dict[Ticket, float] = {}
        """Vanished tickets, and since when on the monotonic clock."""
        self._still_open: dict[Ticket, float] = {}
        """Tickets that are over, by the book, and stand in the lists, and since when."""
        self.history_at: float | None = None
        """From then on, on the monotonic clock, a look reads history as well."""
        self._history_read_at: datetime | None = None
        self.publishing = Publishing(agent)
        self._agent, self._session = agent, session
        self._one_at_a_time = asyncio.Lock()
        self._looked_at = float("-inf")
        """The last look, on the monotonic clock."""
        self._accounted = Accounted(agent.owner.limits.flow_wait_s)
        self._untold: tuple[Decimal, list[int]] = (Decimal(0), [])
        """Money and deals that only history can tell of,"""
        self._untold_since = 0.0
        """and since when, on the monotonic clock."""
        self._put_off: Shown | None = None
        """The newest frame, which shows nothing but what our calls opened: looked at in a moment."""
        self._later: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """The session is over, and its frames are."""
        self.publishing.stop()
        self._put_off = None
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def want_history(self) -> None:
        """What only history tells is to be read now."""
        self._history_by(self._agent.owner.monotonic())
        self._session.look_soon()

    def owe_history(self) -> None:
        """There was a time without looks: what happened and what was paid then only history tells."""
        self._accounted.owe()
        self.want_history()

    def _history_by(self, at: float) -> None:
        """Of all who wait for history the first counts."""
        self.history_at = at if self.history_at is None else min(self.history_at, at)

    def is_history_due(self) -> bool:
        return self.history_at is not None and self.history_at <= self._agent.owner.monotonic()

    def is_just_missing(self) -> bool:
        """Something vanished, and so lately that history may be about to tell of it."""
        owner = self._agent.owner
        limit, now = owner.limits.missing_for_s, owner.monotonic()
        return any(now - since < limit for since in self.missing.values())

    async def frame(self, frame: OrdersSeen) -> None:
        """Looked at now, or with those that follow in a moment where all it shows are fills of our own
        calls: their answers tell all that anybody waits for, unless one is in doubt or an equity
        protector is to judge each list.
        """
        agent, shown = self._agent, by_frame(frame)
        live, is_at_once = agent.market.live, agent.in_doubt or agent.protecting.is_wanted
        if is_at_once or not shows_only(agent.by_tag, frame, live.positions):
            await self.look(shown)
            return
        live.mono = agent.owner.monotonic()
        live.learn_figures(shown.figures)
        live.looked(shown.orders, None)
        self._put_off = shown
        if self._later is None:
            self._later = agent.owner.spawn(self._look_later(), f"look-{agent.id[:8]}")

    async def _look_later(self) -> None:
        while self._put_off is not None:
            await asyncio.sleep(self._agent.owner.limits.own_fills_wait_s)
            if self._put_off is not None:  # no other look was at it meanwhile
                shown, self._put_off = self._put_off, None
                await self.look(shown)
        self._later = None

    async def look(self, shown: Shown) -> None:
        """A look at the account, after one at what was put off before it."""
        earlier, self._put_off = self._put_off, None
        async with self._one_at_a_time:
            for each in (shown,) if earlier is None else (earlier, shown):
                await self._look(each)

    async def _look(self, shown: Shown) -> None:
        """One: diff, record, follow our legs, settle what can be settled."""
        agent = self._agent
        for symbol in new_symbols(agent.book, shown.orders) | self._cut(shown.orders):
            await self._learn_spec(symbol)
        for order in shown.orders:
            if order.kind.is_pending and self._is_news(order):
                await self._learn_quote(order.symbol)
        if not self._session.is_current:
            return
        turn = Turn(agent.owner.clock())
        live = agent.market.live
        live.now, live.mono = turn.now, agent.owner.monotonic()
        live.learn_figures(shown.figures)
        self._see_clock(shown, turn.now)
        live.clock_offset_minutes = self._session.offset.minutes
        self._remember_clock(turn)
        live.looked(shown.orders, shown.asked_at)
        if shown.seen is Seen.BASELINE:  # what moved before, unwatched, is in its balance
            self._accounted = Accounted(agent.owner.limits.flow_wait_s)
        told = self._apply(shown, turn)
        settled = self._follow_balance(shown, told, turn)
        agent.protecting.looked(
            shown.orders,
            shown.figures,
            turn,
            whole=shown.is_whole,
            settled=settled,
            paid=self._accounted.paid,
        )
        again = unresolved.settle(agent, shown.orders, shown.history, shown.asked_at, turn)
        if again is not None:
            self._history_by(again)
        settle_fills(agent, turn)
        finish_removal(agent, turn)
        agent.pump(turn)
        self.publishing.seen(shown.orders, shown.figures)
        self._looked_at = live.mono
        await agent.owner.commit(turn)

    def _apply(self, shown: Shown, turn: Turn) -> list[OrderEvent]:
        """What happened."""
        agent = self._agent
        account = agent.known
        if shown.has_history:
            self._history_read_at = turn.now
        result = diff(
            agent.book,
            Look(
                orders=shown.orders,
                closed=shown.closed,
                operations=shown.operations,
                seen=shown.seen,
                at_utc=turn.now,
                contexts=self._contexts(shown),
                copies=self._copies(shown.orders),
                withheld=self._withheld(),
                clock_offset_minutes=self._session.offset.minutes,
                missed_since_utc=account.alive_at_utc,
                row_wait_s=agent.owner.limits.row_wait_s,
                history_at_utc=self._history_read_at,
                history_lag_s=agent.owner.limits.history_lag_s,
            ),
        )
        for fact in result.late:
            turn.fact(agent.id, fact.message, *fact.identity)
            follow_stop_outs(agent, fact.message, turn)
        for fact in result.facts:
            message = fact.message
            if isinstance(message, Entry):
                message = self._as_seen(message)
            turn.fact(agent.id, message, *fact.identity)
            follow(agent, message, turn)
            follow_stop_outs(agent, message, turn)
            follow_left_open(agent, message, turn)
            agent.protecting.told(message)
        follow_tickets(agent, result.changed, turn)
        for root in result.changed:
            turn.remember(root_key(agent.id, root), agent.book.roots[root])
        for root in result.gone:
            turn.remember(root_key(agent.id, root), None)
        agent.save_book(turn)
        if not account.baseline_done:
            account.baseline_done = True
            agent.save_account(turn)
        alive_at = account.alive_at_utc
        every = timedelta(seconds=agent.owner.limits.publish_every_s)
        if alive_at is None or (result.facts and turn.now - alive_at > every):
            account.alive_at_utc = turn.now
            agent.save_account(turn)
        if shown.seen is not Seen.LIVE:
            claim(agent, shown.orders, shown.history, turn)
        if shown.is_whole:
            self._note_still_open(shown.orders, turn)
        gone = [t for t in unseen(agent, shown.orders) if shown.is_whole or t in self.missing]
        self._note_missing((*result.missing, *gone), turn)
        self._note_strangers(result.unknown_tags, account, turn)
        return [fact.message for fact in (*result.late, *result.facts)]

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
        account, minutes = self._agent.known, self._session.offset.minutes
        if minutes is not None and minutes != account.clock_offset_minutes:
            account.clock_offset_minutes = minutes
            self._agent.save_account(turn)

    def _follow_balance(self, shown: Shown, told: Sequence[OrderEvent], turn: Turn) -> bool:
        """Money moved and nothing was seen that moved it: a trade that opened and closed between two
        looks, or a payment. History tells, perhaps not at once; False while a limit waits for it.
        """
        limits, now = self._agent.owner.limits, self._agent.market.live.mono
        account, accounted = self._agent.known, self._accounted
        accounted.resume(account.balance)
        if accounted.looked(
            shown.figures.balance,
            told,
            is_frame=not shown.is_whole,
            has_history=shown.has_history,
            is_trading=bool(self.missing),
        ):
            self.want_history()
        settled = accounted.settle(now)
        is_wanted = self._agent.protecting.is_wanted
        if not settled and is_wanted:
            self._history_by(now + limits.missing_every_s)
        self._ask_for_untold(now)
        if account.balance != accounted.explained:
            account.balance = accounted.explained
            if is_wanted:  # else it is recorded with what is recorded of the account anyway
                self._agent.save_account(turn)
        return settled

    def _ask_for_untold(self, now: float) -> None:
        """History may lag for however long: it is asked again after as long as it was waited for, while
        what it is to tell is in what is read of it.
        """
        agent, former = self._agent, self._untold
        self._untold = (self._accounted.untold, agent.book.rows_owed())
        if not any(self._untold):
            return
        if self._untold != former:
            self._untold_since = now
        limits, waited_s = agent.owner.limits, now - self._untold_since
        if waited_s < limits.history_margin_s:
            self._history_by(now + max(limits.missing_every_s, waited_s))

    def _as_seen(self, message: Entry) -> Entry:
        """Live or missed, by what is known of its age.

        What stands in this list and did not in the last one, a few seconds ago, opened in between:
        that is as good as live, whoever is faster, the snapshot or the frame. But a list shows
        everything, so what opened long ago by its own time was missed, whatever showed it first.
        """
        limit_s = self._agent.owner.limits.live_age_s
        live = self._agent.market.live
        seen = message.seen
        if seen is Seen.MISSED and message.ticket in live.positions:
            seen = Seen.LIVE if live.mono - self._looked_at <= limit_s else seen
        opened_at = getattr(message, "opened_at_utc", None)
        if (
            seen is Seen.LIVE
            and opened_at is not None
            and not getattr(message, "from_pending", False)
        ):
            is_old = message.seen_at_utc - opened_at > timedelta(seconds=limit_s)
            seen = Seen.MISSED if is_old else seen
        return message if seen is message.seen else msgspec.structs.replace(message, seen=seen)

    def _contexts(self, shown: Shown) -> dict[str, Context]:
        live = self._agent.market.live
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
        root = self._agent.book.of_order(order)
        return root is None or root.kind is not order.kind or root.open_lots != order.lots

    def _cut(self, orders: Sequence[OpenOrder]) -> set[str]:
        """Symbols of our positions that are smaller than before: by their terms it is judged whose doing
        that was.
        """
        roots = ((order, self._agent.book.of_order(order)) for order in orders)
        return {
            order.symbol
            for order, root in roots
            if root is not None and root.copy is not None and order.lots < root.open_lots
        }

    def _copies(self, orders: Sequence[OpenOrder]) -> dict[Ticket, CopyId]:
        agent = self._agent
        known: dict[Ticket, CopyId] = {}
        for copy in agent.copies.values():
            for leg in copy.legs:
                if leg.ticket is not None:
                    known[leg.ticket] = copy.copy
        for order in orders:
            if order.ticket not in known and order.comment:
                tagged = agent.tagged(order)
                if tagged is not None:
                    known[order.ticket] = tagged[0].copy
                elif (former := from_ticket(order.comment)) in known:
                    known[order.ticket] = known[former]  # MT4: the rest of a leg not seen before
        return known

    def _withheld(self) -> set[tuple[str, Side]]:
        return {
            (copy.symbol, copy.side)
            for copy in self._agent.copies.values()
            if copy.attempt is not None and copy.attempt.kind in ("open", "place")
        }

    async def _learn_spec(self, symbol: str) -> None:
        live = self._agent.market.live
        live.mono = self._agent.owner.monotonic()
        if self._session.terminal is None or live.any_spec(symbol) is not None:
            return
        try:
            self._agent.market.learn_spec(await self._session.terminal.symbol(symbol))
            # From now on its quotes come by themselves: they show the broker's clock, and the
            # master's price beside its next trade.
            self._agent.market.follow_quotes(symbol, self._session.terminal)
        except TerminalError as error:
            # The event goes out without a specification; whoever needs it says so by its code.
            logger.warning(
                "no specification", account=self._agent.id, symbol=symbol, code=error.code
            )

    async def _learn_quote(self, symbol: str) -> None:
        """A pending order's own price is not the market's: its slaves compare the market."""
        live = self._agent.market.live
        live.mono = self._agent.owner.monotonic()
        if self._session.terminal is None or live.quote(symbol) is not None:
            return
        try:
            quote = await self._session.terminal.quote(symbol, self._agent.owner.limits.quote_age_s)
            live.learn_quote(quote)
        except TerminalError as error:
            logger.warning("no quote", account=self._agent.id, symbol=symbol, code=error.code)

    def _note_missing(self, missing: Sequence[Ticket], turn: Turn) -> None:
        agent = self._agent
        for ticket in list(self.missing):
            if ticket not in missing:
                del self.missing[ticket]
        clear_all_but(agent, turn, "missing/", missing)
        now, limits = agent.owner.monotonic(), agent.owner.limits
        for ticket in missing:
            since = self.missing.setdefault(ticket, now)
            if now - since >= limits.missing_polls * limits.missing_every_s:
                text = f"ticket {ticket} vanished and no history shows that it closed: nothing is closed"
                raise_alert(agent, turn, "VANISHED", f"missing/{ticket}", text, ticket=ticket)
        if any(self.missing[ticket] == now for ticket in missing):
            self._session.look_soon()

    def _note_still_open(self, orders: Sequence[OpenOrder], turn: Turn) -> None:
        """The opposite of what vanished: it was told as closed, and nobody would follow it any more."""
        agent, now = self._agent, self._agent.owner.monotonic()
        standing = {order.ticket: order for order in orders if agent.book.ended_too_soon(order)}
        since = {ticket: self._still_open.get(ticket, now) for ticket in standing}
        self._still_open = since
        clear_all_but(agent, turn, "still-open/", standing)
        for ticket, order in standing.items():
            if now - since[ticket] >= agent.owner.limits.close_alert_after_s:
                what = f"{order.lots} {order.symbol}, ticket {ticket}"
                text = f"{what} was told as closed and stands at the broker: nothing follows it"
                cause = f"still-open/{ticket}"
                raise_alert(agent, turn, "STILL_OPEN", cause, text, ticket=ticket, lots=order.lots)

    def _note_strangers(self, unknown: Sequence[OpenOrder], account: Account, turn: Turn) -> None:
        agent = self._agent
        present = {order.ticket for order in unknown}
        for order in unknown:
            ticket = order.ticket
            if ticket in account.strangers or ticket in account.settled_tickets:
                continue
            account.strangers.append(ticket)
            tag = tag_in(order.comment)
            text = f"ticket {ticket} carries a copier's tag that is not ours ({tag}): opens are off"
            raise_alert(agent, turn, "OTHER_COPIER", f"other-copier/{ticket}", text, ticket=ticket)
            agent.save_account(turn)
        for ticket in [t for t in account.settled_tickets if t not in present]:
            account.settled_tickets.remove(ticket)
            agent.save_account(turn)
