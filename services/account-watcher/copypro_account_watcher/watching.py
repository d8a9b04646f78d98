"""One account's session: connects, looks, follows; turns what it sees into order events.

The list of open orders is the truth and frames are hints: after every (re)connect a snapshot
comes first, and what it shows that was not known was missed, not seen live. Looks of an account
are taken one after another; a snapshot that a frame overtook is thrown away and taken again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
import structlog
from copypro import topics
from copypro.errors import CredentialsRefused, SecretsError, TerminalError
from copypro.messages import (
    AccountConnected,
    AccountDisconnected,
    AccountRefused,
    AccountSymbols,
    Context,
    PendingPlaced,
    PositionIncreased,
    PositionOpened,
    Rights,
    Seen,
)
from copypro.ports import Credentials, Terminal
from copypro.trading import (
    AccountInfo,
    BalanceOperation,
    ClosedOrder,
    Figures,
    OpenOrder,
    OrdersSeen,
    Quote,
    StreamLost,
    StreamOpened,
)
from copypro.values import TAG_LENGTH, CopyId, Side, Ticket, tag_in

from copypro_account_watcher import unresolved
from copypro_account_watcher.alerts import clear_alert, raise_alert
from copypro_account_watcher.book import Rest
from copypro_account_watcher.clock import ClockOffset
from copypro_account_watcher.commands import finish_removal, updated
from copypro_account_watcher.diff import Look, diff, new_symbols
from copypro_account_watcher.evidence import from_ticket
from copypro_account_watcher.following import follow
from copypro_account_watcher.history import Importing
from copypro_account_watcher.live import Live
from copypro_account_watcher.publishing import Publishing
from copypro_account_watcher.state import Account, Copy, Registration, book_key, root_key
from copypro_account_watcher.turn import Turn

if TYPE_CHECKING:
    from copypro_account_watcher.agent import AccountAgent

logger = structlog.get_logger("account-watcher")
Entry = PositionOpened | PendingPlaced | PositionIncreased


class Watching:
    def __init__(self, agent: AccountAgent) -> None:
        self.terminal: Terminal | None = None
        self.connected = False
        self.refused = ""
        self._agent = agent
        self._looking = asyncio.Lock()
        self._credentials = asyncio.Event()
        self._look_wanted = asyncio.Event()
        self._caught_up = False
        self._streams = 0
        """Counts openings and losses of the stream: a snapshot belongs to one of them."""
        self._stream_open = asyncio.Event()
        self._frames = 0
        self._missing: dict[Ticket, float] = {}
        """Vanished tickets, and since when on the monotonic clock."""
        self._looked_at = float("-inf")
        """The last look, on the monotonic clock."""
        self._next_look_at: datetime | None = None
        self._balance: Decimal | None = None
        self._rest: Rest | None = None
        self._disconnected = ""
        self._offset = ClockOffset()
        self._publishing = Publishing(agent)

    # --- from the agent -----------------------------------------------------------------------

    def start(self) -> None:
        self._agent.owner.spawn(self._run(), f"watch-{self._agent.id[:8]}")

    def credentials_changed(self) -> None:
        self._credentials.set()

    def look_soon(self) -> None:
        self._look_wanted.set()

    def unresolved(self, copy: Copy) -> None:
        """From now on looks read history as well, until this copy's attempt is settled."""
        self._next_look_at = self._agent.owner.clock()
        self._look_wanted.set()

    async def look_now(self) -> None:
        if self.terminal is not None:
            await self._snapshot(self.terminal)

    async def disconnect(self) -> None:
        self._publishing.stop()
        terminal, self.terminal, self.connected = self.terminal, None, False
        if terminal is not None:
            await terminal.disconnect()

    # --- the session --------------------------------------------------------------------------

    async def _run(self) -> None:
        owner = self._agent.owner
        failures = 0
        while True:
            self._credentials.clear()
            registration = self._pick()
            if registration is None:
                await self._credentials.wait()
                continue
            terminal = await self._open_terminal(registration)
            if terminal is None:
                await self._credentials.wait()
                continue
            try:
                info = await terminal.connect()
                await self._proved(registration, info)
                failures = 0
                await self._follow(terminal, info)
            except CredentialsRefused as error:
                await self._refused(registration, error)
            except TerminalError as error:
                await self._lost(error)
                failures += 1
            finally:
                await self.disconnect()
            if failures:
                limits = owner.limits
                pause_s = min(
                    limits.reconnect_first_s * 2 ** (failures - 1), limits.reconnect_cap_s
                )
                await self._pause(pause_s)

    async def _pause(self, seconds: float) -> None:
        """Until then, or until a password changed."""
        try:
            await asyncio.wait_for(self._credentials.wait(), seconds)
        except TimeoutError:
            return

    def _pick(self) -> Registration | None:
        """The newest password that may trade, else the newest that was not refused."""
        account = self._agent.account
        if account is None or account.removed:
            return None
        usable = [r for r in account.registrations.values() if not r.refused and r.enabled]
        order = {Rights.TRADE: 2, Rights.NONE: 1, Rights.READ: 0}
        return max(usable, key=lambda r: (order[r.rights], r.age), default=None)

    async def _open_terminal(self, registration: Registration) -> Terminal | None:
        owner, account = self._agent.owner, self._agent.known
        factory = owner.terminals.get(account.platform)
        if factory is None:
            name = f"Api{account.platform}"
            text = f"{name} is not set: {account.platform} accounts are off"
            await self._lost(TerminalError("PLATFORM_OFF", text))
            return None
        try:
            password = await owner.vault.unseal(
                registration.registration, registration.sealed_password
            )
        except SecretsError:
            text = "the stored password cannot be opened; set it again"
            await self._refused(registration, CredentialsRefused("PASSWORD_UNREADABLE", text))
            return None
        return factory(Credentials(server=account.server, login=account.login, password=password))

    async def _proved(self, registration: Registration, info: AccountInfo) -> None:
        rights = Rights.READ if info.investor else Rights.TRADE
        if registration.rights is rights:
            return
        registration.rights = rights
        agent = self._agent
        turn = Turn(agent.owner.clock())
        event = updated(agent.known, registration)
        turn.fact(agent.id, event, registration.registration, registration.age, rights)
        agent.save_account(turn)
        await agent.owner.commit(turn)

    async def _refused(self, registration: Registration, error: CredentialsRefused) -> None:
        """One try: a password that was refused is not tried again until it is changed."""
        agent = self._agent
        registration.refused, registration.rights = error.code, Rights.NONE
        self.refused = error.code
        turn = Turn(agent.owner.clock())
        event = AccountRefused(
            account=agent.id,
            registration=registration.registration,
            code=error.code,
            message=error.message,
        )
        turn.fact(agent.id, event, registration.registration, registration.age)
        agent.save_account(turn)
        agent.touch_all()
        agent.pump(turn)
        await agent.owner.commit(turn)

    async def _lost(self, error: TerminalError) -> None:
        """Recorded once per cause; the reconnects that follow are only logged."""
        agent = self._agent
        account = agent.account
        logger.warning("not connected", account=agent.id, code=error.code, message=error.message)
        if account is None or (self._disconnected == error.code and not account.connected):
            return
        self._disconnected, account.connected = error.code, False
        account.serial += 1
        turn = Turn(agent.owner.clock())
        event = AccountDisconnected(account=agent.id, code=error.code, message=error.message)
        turn.fact(agent.id, event, account.serial)
        agent.save_account(turn)
        agent.touch_all()
        agent.pump(turn)
        await agent.owner.commit(turn)

    async def _follow(self, terminal: Terminal, info: AccountInfo) -> None:
        """Until the session is lost or another password should be used."""
        agent = self._agent
        agent.market.live = Live(info.platform, agent.owner.limits)
        agent.market.live.mode, agent.market.live.currency = info.mode, info.currency
        agent.book.follow(info.platform, info.mode)
        self.terminal, self._caught_up, self.refused = terminal, False, ""
        if self._offset.minutes is None:
            self._offset = ClockOffset(agent.known.clock_offset_minutes)
        if agent.known.baseline_done:
            # What was opened and closed, paid in or out meanwhile is only in history.
            self._next_look_at = agent.owner.clock()
        self._stream_open.clear()
        frames = asyncio.create_task(self._frames_loop(terminal))
        looks = asyncio.create_task(self._looks_loop(terminal, info))
        changed = asyncio.create_task(self._credentials.wait())
        tasks = (frames, looks, changed)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _frames_loop(self, terminal: Terminal) -> None:
        async with aclosing(terminal.updates()) as updates:  # type: ignore[type-var]
            async for update in updates:
                match update:
                    case Quote():
                        self._on_quote(update)
                    case OrdersSeen():
                        self._frames += 1
                        if self._caught_up:
                            await self._look(
                                update.orders,
                                update.figures,
                                closed=() if update.closed is None else (update.closed,),
                                operations=() if update.operation is None else (update.operation,),
                                seen=Seen.LIVE,
                            )
                        else:
                            self.look_soon()
                    case StreamLost():
                        self._caught_up = False
                        self._streams += 1
                        self._stream_open.clear()
                        logger.info("stream lost", account=self._agent.id, reason=update.reason)
                    case StreamOpened():
                        self._caught_up = False
                        self._streams += 1
                        self._stream_open.set()
                        if self._agent.known.baseline_done:
                            # What was opened and closed without a stream is only in history.
                            self._next_look_at = self._agent.owner.clock()
                        self.look_soon()

    def _on_quote(self, quote: Quote) -> None:
        owner, live = self._agent.owner, self._agent.market.live
        live.mono = owner.monotonic()
        live.learn_quote(quote)
        if quote.time_broker is not None:
            known = self._offset.minutes
            self._offset.see(quote.time_broker, owner.clock())
            if self._offset.skew_s is not None:
                owner.host_clock.see(self._agent.known.server, self._offset.skew_s, live.mono)
            if known is None and self._offset.minutes is not None:
                # What history holds can be dated only now.
                self._next_look_at = owner.clock()
                self.look_soon()

    async def _looks_loop(self, terminal: Terminal, info: AccountInfo) -> None:
        limits = self._agent.owner.limits
        first = True
        await self._wait_for_stream(limits.stream_wait_s)
        while True:
            self._look_wanted.clear()
            await self._snapshot(terminal)
            if first:
                await self._connected(info)
                first = False
            if self._missing or self._history_is_due():
                await self._read_evidence(terminal)
            await self._wait_for_next_look(limits.snapshot_every_s)

    async def _wait_for_stream(self, seconds: float) -> None:
        """The stream first, then the snapshot: what happens in between is in both. A bridge whose
        stream does not open is followed by snapshots alone.
        """
        try:
            await asyncio.wait_for(self._stream_open.wait(), seconds)
        except TimeoutError:
            logger.warning("no stream: following by snapshots", account=self._agent.id)

    async def _wait_for_next_look(self, every_s: float) -> None:
        wait_s = every_s
        if self._missing:
            wait_s = min(wait_s, self._agent.owner.limits.missing_every_s)
        if self._next_look_at is not None:
            due_s = (self._next_look_at - self._agent.owner.clock()).total_seconds()
            wait_s = min(wait_s, max(0.01, due_s))
        try:
            await asyncio.wait_for(self._look_wanted.wait(), wait_s)
        except TimeoutError:
            return

    def _history_is_due(self) -> bool:
        due = self._next_look_at
        return due is not None and due <= self._agent.owner.clock()

    async def _connected(self, info: AccountInfo) -> None:
        """A first look succeeded: say so, and let everything that waited go on."""
        agent = self._agent
        account = agent.known
        self.connected, self._disconnected = True, ""
        turn = Turn(agent.owner.clock())
        account.info, account.connected = info, True
        account.serial += 1
        event = AccountConnected(
            account=agent.id, info=info, clock_offset_minutes=self._offset.minutes
        )
        turn.fact(agent.id, event, account.serial)
        agent.save_account(turn)
        agent.reconnected()
        agent.touch_all()
        agent.pump(turn)
        await agent.owner.commit(turn)
        if not account.history_done and self.terminal is not None:
            agent.owner.spawn(Importing(agent, self.terminal).run(), f"import-{agent.id[:8]}")

    # --- looks --------------------------------------------------------------------------------

    async def _snapshot(self, terminal: Terminal) -> None:
        """A look at the whole list, thrown away if a frame came in between: it may be older."""
        for _ in range(self._agent.owner.limits.snapshot_tries):
            frames, streams = self._frames, self._streams
            asked_at = self._agent.owner.monotonic()
            snapshot = await terminal.snapshot()
            if streams != self._streams or (frames != self._frames and self._caught_up):
                continue
            seen = Seen.MISSED if self._agent.known.baseline_done else Seen.BASELINE
            await self._look(snapshot.orders, snapshot.figures, seen=seen, asked_at=asked_at)
            self._caught_up = streams == self._streams and self._stream_open.is_set()
            return

    async def _read_evidence(self, terminal: Terminal) -> None:
        """History for what vanished and for what nobody answered, applied with a fresh list."""
        agent = self._agent
        limits, now = agent.owner.limits, agent.owner.clock()
        offset = timedelta(minutes=self._offset.minutes or 0)
        alive = agent.known.alive_at_utc or now
        started = [c.attempt.started_at_utc for c in agent.copies.values() if c.attempt is not None]
        margin = timedelta(seconds=limits.history_margin_s)
        since = min([alive, *started]) + offset - margin
        history = await terminal.history(_naive(since), _naive(now + offset + margin))
        asked_at = agent.owner.monotonic()
        snapshot = await terminal.snapshot()
        self._next_look_at = None
        await self._look(
            snapshot.orders,
            snapshot.figures,
            closed=history.closed,
            operations=history.operations,
            seen=Seen.MISSED,
            has_history=True,
            asked_at=asked_at,
        )

    async def _look(
        self,
        orders: tuple[OpenOrder, ...],
        figures: Figures,
        *,
        seen: Seen,
        closed: tuple[ClosedOrder, ...] = (),
        operations: tuple[BalanceOperation, ...] = (),
        has_history: bool = False,
        asked_at: float | None = None,
    ) -> None:
        """One look at the account: diff, record, follow our legs, settle what can be settled."""
        agent = self._agent
        async with self._looking:
            for symbol in new_symbols(agent.book, orders):
                await self._learn_spec(symbol)
            for order in orders:
                if order.kind.is_pending and self._is_news(order):
                    await self._learn_quote(order.symbol)
            turn = Turn(agent.owner.clock())
            live = agent.market.live
            live.now, live.mono = turn.now, agent.owner.monotonic()
            live.learn_figures(figures)
            live.clock_offset_minutes = self._offset.minutes
            self._remember_clock(turn)
            live.looked(orders, asked_at)
            told = self._apply(orders, figures, closed, operations, seen, turn)
            self._follow_balance(figures.balance, told)
            asked = None
            if asked_at is not None:
                asked = turn.now - timedelta(seconds=max(0.0, live.mono - asked_at))
            again = unresolved.settle(
                agent, orders, closed if has_history else None, turn.now, asked, turn
            )
            if again is not None:
                self._next_look_at = again
            finish_removal(agent, turn)
            agent.pump(turn)
            self._publishing.seen(orders, figures)
            self._looked_at = live.mono
            await agent.owner.commit(turn)

    def _apply(
        self,
        orders: tuple[OpenOrder, ...],
        figures: Figures,
        closed: tuple[ClosedOrder, ...],
        operations: tuple[BalanceOperation, ...],
        seen: Seen,
        turn: Turn,
    ) -> bool:
        """Whether anything happened."""
        agent = self._agent
        account = agent.known
        result = diff(
            agent.book,
            Look(
                orders=orders,
                closed=closed,
                operations=operations,
                seen=seen,
                at_utc=turn.now,
                contexts=self._contexts(orders, figures),
                copies=self._copies(orders),
                withheld=self._withheld(),
                clock_offset_minutes=self._offset.minutes,
                missed_since_utc=account.alive_at_utc,
                row_wait_s=agent.owner.limits.row_wait_s,
            ),
        )
        for fact in result.facts:
            message = fact.message
            if isinstance(message, Entry):
                message = self._as_seen(message)
            turn.fact(agent.id, message, *fact.identity)
            follow(agent, message, turn)
        for root in result.changed:
            turn.remember(root_key(agent.id, root), agent.book.roots[root])
        for root in result.gone:
            turn.remember(root_key(agent.id, root), None)
        rest = agent.book.rest()
        if rest != self._rest:
            self._rest = rest
            turn.remember(book_key(agent.id), rest)
        if not account.baseline_done:
            account.baseline_done = True
            agent.save_account(turn)
        alive_at = account.alive_at_utc
        every = timedelta(seconds=agent.owner.limits.publish_every_s)
        if alive_at is None or (result.facts and turn.now - alive_at > every):
            account.alive_at_utc = turn.now
            agent.save_account(turn)
        if seen is not Seen.LIVE:
            for order in orders:
                tag = order.comment[:TAG_LENGTH]
                is_over = order.ticket in agent.market.live.just_ended  # the list is older
                if tag in agent.forgotten and tag not in agent.by_tag and not is_over:
                    agent.revive(order, turn)
        self._note_missing(result.missing, turn)
        self._note_strangers(result.unknown_tags, account, turn)
        return bool(result.facts)

    def _remember_clock(self, turn: Turn) -> None:
        """The broker's clock as last known dates what is found after a restart."""
        account, minutes = self._agent.known, self._offset.minutes
        if minutes is not None and minutes != account.clock_offset_minutes:
            account.clock_offset_minutes = minutes
            self._agent.save_account(turn)

    def _follow_balance(self, balance: Decimal, told: bool) -> None:
        """Money moved and nothing was seen that moved it: a trade that opened and closed between two
        looks, or a payment. History tells.
        """
        former, self._balance = self._balance, balance
        if former is not None and balance != former and not told:
            self._next_look_at = self._agent.owner.clock()
            self.look_soon()

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

    def _contexts(self, orders: Sequence[OpenOrder], figures: Figures) -> dict[str, Context]:
        live = self._agent.market.live
        return {
            order.symbol: Context(
                figures=figures,
                currency=live.currency,
                spec=live.any_spec(order.symbol),
                quote=live.quote(order.symbol),
            )
            for order in orders
            if self._is_news(order)
        }

    def _is_news(self, order: OpenOrder) -> bool:
        """It opened or grew: its event carries the account as it is at this look."""
        root = self._agent.book.of_order(order)
        return root is None or root.kind is not order.kind or root.open_lots != order.lots

    def _copies(self, orders: Sequence[OpenOrder]) -> dict[Ticket, CopyId]:
        agent = self._agent
        known: dict[Ticket, CopyId] = {}
        for copy in agent.copies.values():
            for leg in copy.legs:
                if leg.ticket is not None:
                    known[leg.ticket] = copy.copy
        for order in orders:
            if order.ticket not in known and order.comment:
                tag = order.comment[:TAG_LENGTH]
                if tag in agent.by_tag:
                    known[order.ticket] = agent.by_tag[tag][0].copy
                elif tag in agent.forgotten:
                    known[order.ticket] = agent.forgotten[tag].copy
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
        if self.terminal is None or live.any_spec(symbol) is not None:
            return
        try:
            live.learn_spec(await self.terminal.symbol(symbol))
            # From now on its quotes come by themselves: they show the broker's clock, and the
            # master's price beside its next trade.
            self._agent.market.follow_quotes(symbol, self.terminal)
        except TerminalError as error:
            # The event goes out without a specification; whoever needs it says so by its code.
            logger.warning(
                "no specification", account=self._agent.id, symbol=symbol, code=error.code
            )

    async def _learn_quote(self, symbol: str) -> None:
        """A pending order's own price is not the market's: its slaves compare the market."""
        live = self._agent.market.live
        live.mono = self._agent.owner.monotonic()
        if self.terminal is None or live.quote(symbol) is not None:
            return
        try:
            quote = await self.terminal.quote(symbol, self._agent.owner.limits.quote_age_s)
            live.learn_quote(quote)
        except TerminalError as error:
            logger.warning("no quote", account=self._agent.id, symbol=symbol, code=error.code)

    def _note_missing(self, missing: Sequence[Ticket], turn: Turn) -> None:
        agent = self._agent
        for ticket in list(self._missing):
            if ticket not in missing:
                del self._missing[ticket]
                clear_alert(agent, turn, f"missing/{ticket}")
        now, limits = agent.owner.monotonic(), agent.owner.limits
        for ticket in missing:
            since = self._missing.setdefault(ticket, now)
            if now - since >= limits.missing_polls * limits.missing_every_s:
                text = f"ticket {ticket} vanished and no history shows that it closed: nothing is closed"
                raise_alert(agent, turn, "VANISHED", f"missing/{ticket}", text, ticket=ticket)
        if any(self._missing[ticket] == now for ticket in missing):
            self.look_soon()

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

    async def publish_symbols(self, names: Sequence[str]) -> None:
        """The account's symbols, in bounded pieces, for those who show them."""
        agent = self._agent
        size = agent.owner.limits.symbols_a_piece
        pieces = [tuple(names[at : at + size]) for at in range(0, len(names), size)]
        turn = Turn(agent.owner.clock())
        for number, piece in enumerate(pieces):
            message = AccountSymbols(
                account=agent.id, piece=number, pieces=len(pieces), names=piece
            )
            key = f"{agent.id}/{number}"
            turn.publish(topics.ACCOUNT_SYMBOLS, key, message, turn.now.isoformat())
        await agent.owner.commit(turn)


def _naive(moment: datetime) -> datetime:
    """A broker's clock has no zone."""
    return moment.replace(tzinfo=None)
