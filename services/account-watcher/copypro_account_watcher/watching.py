"""One account's session: connects, follows its stream, and takes snapshots.

The list of open orders is the truth and frames are hints: after every (re)connect a snapshot
comes first, and what it shows that was not known was missed, not seen live. A snapshot that a frame
overtook is taken again, unless both show the same trades; where frames overtake one after the other,
they wait until one is looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import structlog
from copypro import topics
from copypro.errors import CredentialsRefused, TerminalError
from copypro.messages import (
    AccountConnected,
    AccountDisconnected,
    AccountSymbols,
    Seen,
    SymbolLearned,
)
from copypro.ports import Terminal
from copypro.trading import (
    AccountInfo,
    History,
    OrdersSeen,
    Quote,
    Snapshot,
    StreamLost,
    StreamOpened,
    SymbolSpec,
)

from copypro_account_watcher.clock import ClockOffset
from copypro_account_watcher.history import Importing
from copypro_account_watcher.live import Live
from copypro_account_watcher.looking import Looking
from copypro_account_watcher.proving import Holders, terminal_of, unseal
from copypro_account_watcher.shown import Shown, are_the_same_trades
from copypro_account_watcher.state import Registration
from copypro_account_watcher.turn import Turn

if TYPE_CHECKING:
    from copypro_account_watcher.agent import AccountAgent

logger = structlog.get_logger("account-watcher")


Taken = tuple[Snapshot, float, int]
"""A list, when it was asked for, and in which stream."""


class Watching:
    def __init__(self, agent: AccountAgent) -> None:
        self.terminal: Terminal | None = None
        self.connected = False
        self._agent = agent
        self._credentials = asyncio.Event()
        self._look_wanted = asyncio.Event()
        self._generation = 0
        """The account's, as it was when the session began."""
        self._caught_up = False
        self._orders_alone_since: float | None = None
        """Lists have shown no positions beside used margin, only orders."""
        self._streams = 0
        """Counts openings and losses of the stream: a snapshot belongs to one of them."""
        self._stream_open = asyncio.Event()
        self._frames = 0
        self._newest: OrdersSeen | None = None
        """The last frame."""
        self._holding = asyncio.Lock()
        self._held: list[OrdersSeen] | None = None
        """Frames that wait for a snapshot; None: none has to."""
        self._disconnected = ""
        self.offset = ClockOffset()
        self._looking = Looking(agent, self)

    # --- from the agent -----------------------------------------------------------------------

    def start(self) -> None:
        self._agent.owner.spawn(self._run(), f"watch-{self._agent.id[:8]}")

    def credentials_changed(self) -> None:
        self._credentials.set()

    def look_soon(self) -> None:
        self._look_wanted.set()

    def unresolved(self) -> None:
        """From now on looks read history as well, until every attempt is settled."""
        self._looking.want_history()

    @property
    def was_lost(self) -> bool:
        """The last session ended, or none could be made."""
        return self._disconnected != ""

    @property
    def is_current(self) -> bool:
        """The session is of the account as it is now. One whose account was removed, or removed and
        added again, ends in a moment and tells nothing any more.
        """
        account = self._agent.account
        is_here = account is not None and not account.removed
        return is_here and self._agent.known.generation == self._generation

    async def look_now(self) -> bool:
        """False: there was no list that could be believed."""
        return self.terminal is not None and await self._snapshot(self.terminal)

    async def disconnect(self) -> None:
        self._looking.stop()
        terminal, self.terminal, self.connected = self.terminal, None, False
        if terminal is not None:
            await terminal.disconnect()

    # --- the session --------------------------------------------------------------------------

    async def _run(self) -> None:
        owner = self._agent.owner
        failures = 0
        while True:
            self._credentials.clear()
            registration = self._usable()
            if registration is None:
                await self._credentials.wait()
                continue
            self._begin_generation()
            proving = self._agent.proving
            holders = proving.alone(registration)
            try:
                password = await unseal(owner.vault, registration, registration.sealed_password)
                holders = await proving.holders(password)
                terminal = terminal_of(self._agent, password, self._agent.known.server)
                info = await terminal.connect()
                failures = 0
                await self._follow(terminal, info, registration)
            except CredentialsRefused as error:
                await self._refused(holders, error)
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

    def _begin_generation(self) -> None:
        """Of an account that was added again nothing has been told yet."""
        if self._generation != self._agent.known.generation:
            self._generation, self._disconnected = self._agent.known.generation, ""

    async def _pause(self, seconds: float) -> None:
        """Until then, or until a password changed."""
        try:
            async with asyncio.timeout(seconds):
                await self._credentials.wait()
        except TimeoutError:
            return

    def _usable(self) -> Registration | None:
        """As it is now: what is proved meanwhile changes the agent's own."""
        account = self._agent.account
        usable = None if account is None else account.usable
        return None if usable is None else msgspec.structs.replace(usable)

    async def _until_replaced(self, used: Registration) -> None:
        """Until another password is to be used, or none: one that only tries its luck ends nothing."""
        while True:
            await self._credentials.wait()
            self._credentials.clear()
            now = self._usable()
            if now is None or now.sealed_password != used.sealed_password or not self.is_current:
                return

    async def _lost(self, error: TerminalError) -> None:
        """Recorded once per cause, not at each of the reconnects that follow."""
        agent = self._agent
        account = agent.known
        is_told = self._disconnected == error.code and not account.connected
        if is_told or not self.is_current:
            logger.debug("not connected", account=agent.id, code=error.code, message=error.message)
            return
        self._disconnected, account.connected = error.code, False
        agent.overdue.down(error.code)
        account.serial += 1
        turn = Turn(agent.owner.clock())
        event = AccountDisconnected(account=agent.id, code=error.code, message=error.message)
        turn.fact(agent.id, event, account.serial)
        agent.save_account(turn)
        agent.touch_all()
        agent.pump(turn)
        await agent.owner.commit(turn)

    async def _refused(self, holders: Holders, error: CredentialsRefused) -> None:
        """The password that worked does so no more."""
        account = self._agent.known
        await self._agent.proving.refused_to_all(holders, error)
        if account.connected:
            await self._lost(error)

    async def _follow(
        self, terminal: Terminal, info: AccountInfo, registration: Registration
    ) -> None:
        """Until the session is lost or another password should be used."""
        agent = self._agent
        under_way = agent.market.live.opening
        agent.market.live = Live(info.platform, agent.owner.limits)
        agent.market.live.opening = under_way  # a new session ends no call of the former one
        agent.market.live.mode, agent.market.live.currency = info.mode, info.currency
        agent.book.follow(info.platform, info.mode)
        self.terminal, self._caught_up = terminal, False
        self._orders_alone_since = None
        agent.market.new_session(terminal)
        if self.offset.minutes is None:
            self.offset = ClockOffset(agent.known.clock_offset_minutes)
        if agent.known.baseline_done:
            # What was opened and closed, paid in or out meanwhile is only in history.
            self._looking.owe_history()
        self._stream_open.clear()
        frames = asyncio.create_task(self._frames_loop(terminal))
        looks = asyncio.create_task(self._looks_loop(terminal, info))
        changed = asyncio.create_task(self._until_replaced(registration))
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
                        self._newest = update
                        if not self._caught_up:
                            self.look_soon()
                        elif self._held is not None:
                            self._held.append(update)
                        else:
                            await self._looking.frame(update)
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
                            self._looking.owe_history()
                        self.look_soon()

    def _on_quote(self, quote: Quote) -> None:
        owner, live = self._agent.owner, self._agent.market.live
        live.mono = owner.monotonic()
        live.learn_quote(quote)
        self._agent.protecting.quoted(quote.symbol)
        if quote.time_broker is not None:
            known = self.offset.minutes
            self.offset.see(quote.time_broker, owner.clock())
            if self.offset.skew_s is not None:
                owner.host_clock.see(self._agent.known.server, self.offset.skew_s, live.mono)
            if known is None and self.offset.minutes is not None:
                # What history holds can be dated only now.
                self._looking.want_history()

    async def _looks_loop(self, terminal: Terminal, info: AccountInfo) -> None:
        limits = self._agent.owner.limits
        first = True
        await self._wait_for_stream(limits.stream_wait_s)
        while True:
            self._look_wanted.clear()
            is_owed = bool(self._looking.missing or self._agent.in_doubt)
            looked = await self._snapshot(
                terminal, is_owed=is_owed or self._looking.is_history_due()
            )
            if first and looked:
                await self._connected(info)
                first = False
            if looked and (self._looking.missing or self._looking.is_history_due()):
                looked = await self._read_evidence(terminal)
            if looked:
                await self._wait_for_look(self._next_look_s())
            else:  # whatever is due: a list that is overtaken or not whole is not asked for at once
                await self._wait_for_look(limits.missing_every_s)

    async def _wait_for_stream(self, seconds: float) -> None:
        """The stream first, then the snapshot: what happens in between is in both. A bridge whose
        stream does not open is followed by snapshots alone.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._stream_open.wait()
        except TimeoutError:
            logger.warning("no stream: following by snapshots", account=self._agent.id)

    def _next_look_s(self) -> float:
        limits = self._agent.owner.limits
        is_urgent = self._looking.is_just_missing()
        wait_s = limits.missing_every_s if is_urgent else limits.snapshot_every_s
        history_at = self._looking.history_at
        if history_at is None:
            return wait_s
        return min(wait_s, max(0.01, history_at - self._agent.owner.monotonic()))

    async def _wait_for_look(self, wait_s: float) -> None:
        """So long, or until somebody wants one."""
        try:
            async with asyncio.timeout(wait_s):
                await self._look_wanted.wait()
        except TimeoutError:
            return

    async def _connected(self, info: AccountInfo) -> None:
        """A first look succeeded: say so, and let everything that waited go on."""
        agent = self._agent
        account = agent.known
        if not self.is_current:
            return
        self.connected, self._disconnected = True, ""
        turn = Turn(agent.owner.clock())
        account.info, account.connected = info, True
        account.serial += 1
        event = AccountConnected(
            account=agent.id, info=info, clock_offset_minutes=self.offset.minutes
        )
        turn.fact(agent.id, event, account.serial)
        agent.save_account(turn)
        agent.permission.reconnected(turn)
        agent.overdue.up(turn)
        agent.try_again()
        agent.pump(turn)
        await agent.owner.commit(turn)
        if not account.history_done and self.terminal is not None:
            agent.owner.spawn(Importing(agent, self.terminal).run(), f"import-{agent.id[:8]}")

    # --- looks --------------------------------------------------------------------------------

    async def _snapshot(
        self, terminal: Terminal, history: History | None = None, *, is_owed: bool = True
    ) -> bool:
        """A look at the whole list, beside history that was read before it. False: there was no list
        that could be believed. `is_owed`: somebody waits for it, so frames may have to wait as well.
        """
        for _ in range(self._agent.owner.limits.snapshot_tries):
            taken = await self._whole_list(terminal)
            if taken is not None:
                return await self._look(taken, history)
        if self._caught_up and not is_owed:
            return True  # each frame that overtook it was a newer list, and was looked at
        async with self._holding:
            self._held = []
            try:
                taken = await self._before_frames(terminal)
                is_looked = taken is not None and await self._look(taken, history)
                while self._held:
                    await self._looking.frame(self._held.pop(0))
                return is_looked
            finally:
                if self._held:
                    self.look_soon()
                self._held = None

    async def _look(self, taken: Taken, history: History | None) -> bool:
        snapshot, asked_at, streams = taken
        if not self._is_believable(snapshot):
            return False
        seen = Seen.MISSED if self._agent.known.baseline_done else Seen.BASELINE
        shown = Shown(
            orders=snapshot.orders,
            figures=snapshot.figures,
            seen=seen,
            closed=() if history is None else history.closed,
            operations=() if history is None else history.operations,
            has_history=history is not None,
            asked_at=asked_at,
        )
        if history is not None:
            self._looking.history_at = None
        await self._looking.look(shown)
        self._caught_up = streams == self._streams and self._stream_open.is_set()
        return True

    async def _whole_list(self, terminal: Terminal, *, holds: bool = False) -> Taken | None:
        """None: a frame came in between, and it may be older than that one. `holds`: none is looked at."""
        frames, streams = self._frames, self._streams
        asked_at = self._agent.owner.monotonic()
        snapshot = await terminal.snapshot()
        if streams != self._streams:
            return None
        newest = self._newest
        if frames != self._frames and self._caught_up and not holds:
            if newest is None or not are_the_same_trades(snapshot.orders, newest.orders):
                return None
            # Experts move stops all the time: where they are now the frame tells.
            snapshot = Snapshot(orders=newest.orders, figures=newest.figures)
        return snapshot, asked_at, streams

    async def _before_frames(self, terminal: Terminal) -> Taken | None:
        """None: it took longer than frames may wait."""
        try:
            async with asyncio.timeout(self._agent.owner.limits.frames_held_s):
                return await self._whole_list(terminal, holds=True)
        except TimeoutError:
            return None

    def _is_believable(self, snapshot: Snapshot) -> bool:
        """A list without positions on an account whose margin is in use is not whole, however often
        it is read: bridges answer so while their data load. Looked at again in a moment. Pending
        orders may be what takes the margin; they are alone for longer than data load, then.
        """
        has_positions = any(not order.kind.is_pending for order in snapshot.orders)
        if snapshot.figures.margin <= 0 or has_positions:
            self._orders_alone_since = None
            return True
        owner = self._agent.owner
        now, since = owner.monotonic(), self._orders_alone_since
        since = self._orders_alone_since = (since or now) if snapshot.orders else None
        if since is not None and now - since >= owner.limits.margined_orders_s:
            return True
        text = "a list without positions beside used margin is not believed"
        logger.warning(text, account=self._agent.id)
        return False

    async def _read_evidence(self, terminal: Terminal) -> bool:
        """History for what vanished and for what nobody answered, applied with a fresh list. False:
        there was no such list.
        """
        agent = self._agent
        limits, now = agent.owner.limits, agent.owner.clock()
        offset = timedelta(minutes=self.offset.minutes or 0)
        alive = agent.known.alive_at_utc or now
        started = [c.attempt.started_at_utc for c in agent.copies.values() if c.attempt is not None]
        margin = timedelta(seconds=limits.history_margin_s)
        since = min([alive, *started]) + offset - margin
        history = await terminal.history(_naive(since), _naive(now + offset + margin))
        return await self._snapshot(terminal, history)

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

    async def publish_terms(self, spec: SymbolSpec) -> None:
        agent = self._agent
        turn = Turn(agent.owner.clock())
        message = SymbolLearned(account=agent.id, spec=spec)
        key = f"{agent.id}/{_terms_key(spec.name)}"
        turn.publish(topics.ACCOUNT_SYMBOLS, key, message, turn.now.isoformat())
        await agent.owner.commit(turn)


def _terms_key(symbol: str) -> str:
    """A symbol named by a number would meet a piece of the list under one key, and one of the two be
    compacted away. Every other name stays its own key: what was written under it is replaced by it.
    """
    return f"terms/{symbol}" if symbol.isdigit() else symbol


def _naive(moment: datetime) -> datetime:
    """A broker's clock has no zone."""
    return moment.replace(tzinfo=None)
